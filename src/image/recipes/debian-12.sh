#!/bin/sh
# Twarga image recipe "debian-12": a small Debian 12 set up by cloud-init.
#
#   sh debian-12.sh OUTDIR
#
# leaves kernel, initrd, disk.qcow2 and recipe.toml in OUTDIR. The packages come
# from the host's own Debian mirror.
#
# It is an ordinary Debian, with everything taken away that a virtual machine
# with one disk and one network card does not need before its first login.
set -eu

main() {
    check_tools
    mkdir "$WORK" "$ROOT" "$RAM"

    say "installing Debian 12 into a directory"
    install_debian
    say "downloading the kernel"
    add_kernel
    say "setting the guest up"
    set_up_apt
    set_up_network
    set_up_cloud_init
    set_up_ssh
    set_up_services
    forget_identity
    say "building the disk"
    make_disk
    say "building the initrd"
    fill_ram
    make_initrd
    say "writing the recipe's description"
    write_recipe
    deliver
    say "debian-12 is ready"
}

# ---------------------------------------------------------------- small tools

say() { echo "== $*"; }
die() { echo "$*" >&2; exit 1; }

# need PROGRAM PACKAGE
need() {
    command -v "$1" >/dev/null ||
        die "The program '$1' is missing: install the Debian package '$2'."
}

check_tools() {
    need apt-get apt
    need mmdebstrap mmdebstrap
    need dpkg-deb dpkg
    need cpio cpio
    need mke2fs e2fsprogs
    need qemu-img qemu-utils
}

# put FILE [MODE] < CONTENT: writes a file of the tree being built.
put() {
    mkdir -p "${1%/*}"
    cat >"$1"
    chmod "${2:-644}" "$1"
}

# ------------------------------------------------------------------- packages

PACKAGES="systemd-sysv systemd-resolved dbus udev kmod iproute2 iputils-ping netbase
    cloud-init openssh-server qemu-guest-agent sudo rsync ca-certificates
    bash-completion curl less nano procps psmisc"

# No documentation and no translations: half the disk, and a faster build.
install_debian() {
    sources >"$WORK/sources.list"
    # shellcheck disable=SC2086 # package names have no blanks
    mmdebstrap --variant=minbase --skip=check/empty \
        --include="$(echo $PACKAGES | tr ' ' ,)" \
        --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        bookworm "$ROOT" "$WORK/sources.list" >&2 ||
        die "Debian 12 could not be installed: the lines above say why."
}

# Where this host gets bookworm from.
sources() {
    # shellcheck disable=SC2016 # apt-get fills these in
    apt-get indextargets --format '$(CODENAME) $(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' 'Origin: Debian' |
        sed -nE 's,^bookworm(-updates|-security)? ,deb [signed-by='"$KEYRING"'] ,p' |
        sort -u | grep . ||
        die "This host's apt knows no source of Debian 12 (bookworm): add one, and run 'apt-get update'."
}

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# The guest gets the modules of the kernel that Twarga boots it with; the package
# itself stays out, for no kernel it would install is ever booted.
add_kernel() {
    mkdir "$WORK/linux"
    # _apt cannot write into OUTDIR, and needs not: signatures are checked anyway.
    (cd "$WORK/linux" && apt-get -q -o APT::Sandbox::User=root download \
        "$(kernel_package)" busybox-static >&2) ||
        die "The kernel could not be downloaded: does 'apt-get update' work here?"
    for package in "$WORK"/linux/*.deb; do dpkg-deb -x "$package" "$WORK/linux"; done

    KERNEL_VERSION=$(ls "$WORK/linux/lib/modules")
    mv "$WORK/linux/boot/vmlinuz-$KERNEL_VERSION" "$WORK/kernel"
    mkdir -p "$ROOT/usr/lib/modules"
    mv "$WORK/linux/lib/modules/$KERNEL_VERSION" "$ROOT/usr/lib/modules/"
    chroot "$ROOT" depmod "$KERNEL_VERSION"
}

# linux-image-cloud-amd64 is empty: it names the newest real kernel package.
kernel_package() {
    apt-cache depends linux-image-cloud-amd64 |
        sed -n 's/.*Depends: \(linux-image-[^ ]*-cloud-amd64\)$/\1/p' | head -n 1
}

# ----------------------------------------------------------- setting it all up

set_up_apt() {
    # The guest asks where the host asks.
    put "$ROOT/etc/apt/sources.list" <"$WORK/sources.list"
    # What kept the image small is not to surprise its users.
    rm -f "$ROOT"/etc/apt/sources.list.d/* "$ROOT/etc/apt/apt.conf.d/99mmdebstrap" \
        "$ROOT/etc/dpkg/dpkg.cfg.d/99mmdebstrap"
}

set_up_network() {
    put "$ROOT/etc/systemd/network/80-dhcp.network" <<'EOF'
[Match]
Name=eth*

# Nobody else can have this address: not asking saves more than a second.
[Network]
DHCP=yes
IPv6DuplicateAddressDetection=0
EOF
    ln -sf ../run/systemd/resolve/stub-resolv.conf "$ROOT/etc/resolv.conf"
    units enable systemd-networkd
}

# cloud-init runs once before the network, with all that SSH needs ('ds=nocloud'
# on the kernel's command line says that this is possible), and once at the end.
# The two runs in between can go: each starts Python, which is slow without KVM.
set_up_cloud_init() {
    put "$ROOT/etc/cloud/cloud.cfg.d/90_twarga.cfg" <<'EOF'
datasource_list: [NoCloud, None]
# The initrd has mounted the seed: no need to look for it.
datasource: {NoCloud: {fs_label: null}}
network: {config: disabled}
manage_etc_hosts: true
locale: "false"
resize_rootfs: noblock
ssh_pwauth: false

cloud_init_modules: [bootcmd, write-files, resizefs, disk_setup, mounts, set_hostname,
  update_hostname, update_etc_hosts, ca-certs, users-groups, ssh]
cloud_config_modules: []
cloud_final_modules: [ssh-import-id, locale, set-passwords, ntp, timezone, apt-configure,
  package-update-upgrade-install, write-files-deferred, runcmd, scripts-vendor,
  scripts-per-once, scripts-per-boot, scripts-per-instance, scripts-user, phone-home,
  final-message, power-state-change]
EOF
    # The generator would only find out what is known: there is a seed.
    silence_generator cloud-init-generator
    units mask cloud-init.service cloud-config.service cloud-init-hotplugd.socket
    units add-wants multi-user.target cloud-init.target
    # Until all has started, what SSH waits for comes first and this last.
    echo "[Service]
StartupCPUWeight=500" | drop_in cloud-init-local.service
    echo "[Service]
StartupCPUWeight=50" | drop_in cloud-final.service
}

SEED=/var/lib/cloud/seed/nocloud

set_up_ssh() {
    # The file cloud-init would write, and restart sshd for.
    echo "PasswordAuthentication no" | put "$ROOT/etc/ssh/sshd_config.d/50-cloud-init.conf"
    drop_in ssh.service <<'EOF'
# The keys are those of the seed.
[Unit]
After=cloud-init-local.service

# sshd itself says what is wrong with its settings.
[Service]
ExecStartPre=
StartupCPUWeight=500
EOF
    # A connection tried before the guest has its address takes seconds to recover.
    put "$ROOT/etc/systemd/system/twarga-ready.service" <<'EOF'
[Unit]
Description=Tell Twarga that SSH is ready
After=ssh.service systemd-networkd.service

[Service]
Type=oneshot
RemainAfterExit=yes
StartupCPUWeight=500
ExecStart=-/lib/systemd/systemd-networkd-wait-online --any --ipv4 -o routable --timeout=10
ExecStart=sh -c 'echo "twarga: ssh ready" >/dev/console'

[Install]
WantedBy=multi-user.target
EOF
    units enable twarga-ready.service
}

# Nothing here has such disks or partitions, or is asked for such things.
NEEDLESS_GENERATORS="cryptsetup debug gpt-auto hibernate-resume integritysetup run
    system-update veritysetup"

NEEDLESS_UNITS="getty@tty1.service getty-static.service modprobe@.service
    dev-hugepages.mount sys-kernel-config.mount sys-kernel-debug.mount
    sys-kernel-tracing.mount sys-fs-fuse-connections.mount
    proc-sys-fs-binfmt_misc.automount systemd-binfmt.service e2scrub_reap.service
    systemd-network-generator.service systemd-networkd-wait-online.service
    systemd-pstore.service systemd-random-seed.service systemd-remount-fs.service
    systemd-sysusers.service systemd-update-utmp.service
    systemd-update-utmp-runlevel.service"

NEEDLESS_TIMERS="apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer"

# Their work is done by twarga-later.service.
LATER_UNITS="dev-mqueue.mount kmod-static-nodes.service systemd-tmpfiles-setup-dev.service
    systemd-modules-load.service systemd-journal-flush.service"

set_up_services() {
    echo "# The root file system is mounted by the initrd." | put "$ROOT/etc/fstab"
    echo "LANG=C.UTF-8" | put "$ROOT/etc/default/locale"
    for generator in $NEEDLESS_GENERATORS; do
        silence_generator "systemd-$generator-generator"
    done
    # shellcheck disable=SC2086 # unit names have no blanks
    units mask $NEEDLESS_UNITS $LATER_UNITS
    # shellcheck disable=SC2086
    units disable $NEEDLESS_TIMERS
    units set-default multi-user.target
    put_off
}

# All that a first login does not need waits for twarga-ready.service.
put_off() {
    for unit in dbus systemd-logind; do
        echo "[Unit]
After=twarga-ready.service" | drop_in "$unit.service"
    done

    # resolved wants to be among the first, which cannot be overridden in part.
    sed -e '/^Before=/d' -e '/^DefaultDependencies=/d' -e 's/^After=.*/After=twarga-ready.service/' \
        -e 's/^WantedBy=.*/WantedBy=multi-user.target/' \
        "$ROOT/lib/systemd/system/systemd-resolved.service" |
        put "$ROOT/etc/systemd/system/systemd-resolved.service"
    rm "$ROOT/etc/systemd/system/sysinit.target.wants/systemd-resolved.service"
    units enable systemd-resolved.service

    # The initrd has loaded the drivers; only networkd waits for udev's word, and
    # logind for the power button.
    drop_in systemd-udev-trigger.service <<'EOF'
[Service]
ExecStart=
ExecStart=udevadm trigger --action=add --subsystem-match=net --subsystem-match=input
EOF
    put "$ROOT/etc/systemd/system/twarga-later.service" <<'EOF'
[Unit]
Description=What the first login did not need
After=twarga-ready.service

[Service]
Type=oneshot
RemainAfterExit=yes
StartupCPUWeight=50
ExecStart=udevadm trigger --action=add --type=subsystems
ExecStart=udevadm trigger --action=add --type=devices
ExecStart=journalctl --flush
ExecStart=-/lib/systemd/systemd-modules-load
ExecStart=-mount -t mqueue -o nosuid,nodev,noexec,X-mount.mkdir mqueue /dev/mqueue
ExecStart=-kmod static-nodes --format=tmpfiles --output=/run/tmpfiles.d/static-nodes.conf
ExecStart=systemd-tmpfiles --prefix=/dev --create --boot

[Install]
WantedBy=multi-user.target
EOF
    units enable twarga-later.service
}

# drop_in UNIT < SETTINGS
drop_in() { put "$ROOT/etc/systemd/system/$1.d/twarga.conf"; }

silence_generator() {
    mkdir -p "$ROOT/etc/systemd/system-generators"
    ln -s /dev/null "$ROOT/etc/systemd/system-generators/$1"
}

# The guest's own systemctl: the host may have none.
units() { chroot "$ROOT" systemctl "$@" >&2; }

# Nothing that two guests must not share.
forget_identity() {
    rm -f "$ROOT"/etc/ssh/ssh_host_* "$ROOT/var/lib/dbus/machine-id" "$ROOT/var/lib/systemd/random-seed"
    : >"$ROOT/etc/machine-id"
    echo debian >"$ROOT/etc/hostname"
    rm -rf "$ROOT"/var/lib/cloud/* "$ROOT"/var/cache/apt/*.bin "$ROOT"/var/lib/apt/lists/*
    find "$ROOT/var/log" -type f -delete
    mkdir -p "$ROOT$SEED"
}

# Room for the first steps; the guest grows it to the disk it was given, which
# is prepared here for up to 1 TiB (resize=, in blocks).
make_disk() {
    used=$(du -sm "$ROOT" | cut -f 1)
    mke2fs -q -t ext4 -b 4096 -i 32768 -m 1 -J size=16 -L debian -d "$ROOT" \
        -E resize=268435456 "$WORK/disk.ext4" "$((used * 5 / 4 + 64))M" >&2
    # A third of the size for a hundredth of the boot time.
    qemu-img convert -c -O qcow2 -o compression_type=zstd "$WORK/disk.ext4" "$WORK/disk.qcow2"
}

# ----------------------------------------------------------------- the initrd

# In the order of need: the disk, the seed, the network, the guest agent. nls_* is
# for vfat. What else there may be is found by udev.
MODULES="virtio_pci virtio_blk vfat nls_cp437 nls_ascii virtio_net virtio_rng
    virtio_console virtio_balloon button evdev"

fill_ram() {
    mkdir -p "$RAM/bin" "$RAM/proc" "$RAM/dev" "$RAM/root" "$RAM/modules"
    cp "$WORK/linux/bin/busybox" "$RAM/bin/busybox"
    for module in $MODULES; do add_module "$module"; done
    write_ram_init
}

# add_module NAME: copies a module after those it depends on, and notes it in
# LOADED. One that is not there is built into this kernel.
LOADED=
add_module() {
    [ -n "$(module_file "$1")" ] && [ ! -e "$RAM/modules/$1.ko" ] || return 0
    for dependency in $(module_dependencies "$1"); do add_module "$dependency"; done
    cp "$(module_file "$1")" "$RAM/modules/$1.ko"
    LOADED="$LOADED $1"
}

# A module's name has underscores where its file may have hyphens.
module_file() {
    find "$ROOT/usr/lib/modules" -name "$(echo "$1" | tr _ '?').ko"
}

module_dependencies() {
    tr '\0' '\n' <"$(module_file "$1")" | sed -n 's/^depends=//p' | tr , ' '
}

write_ram_init() {
    put "$RAM/init" 755 <<EOF
#!/bin/busybox sh
# With /proc there, busybox's shell finds its other programs by itself.
/bin/busybox mount -t proc proc /proc
mount -t devtmpfs dev /dev
for module in$LOADED; do
    insmod "/modules/\$module.ko"
done

# New disks are full of inode tables not yet written: let them be.
mount -t ext4 -o noatime,noinit_itable /dev/vda /root && {
    mount -t vfat -o ro,umask=077 /dev/vdb /root$SEED 2>/dev/null
    exec switch_root /root /sbin/init
}

echo "twarga: the first disk cannot be mounted"
exec sh
EOF
}

# Not compressed: the machine's firmware copies faster than the guest unpacks.
make_initrd() {
    (cd "$RAM" && find . | cpio --quiet -o -H newc -R 0:0) >"$WORK/initrd"
}

# ------------------------------------------------------------------ the result

# quiet: the console belongs to the login. no_timer_check, cryptomgr.notests:
# tests whose answer is known in a virtual machine.
KERNEL_ARGS="console=ttyS0 quiet panic=10 no_timer_check cryptomgr.notests net.ifnames=0 ds=nocloud"

write_recipe() {
    put "$WORK/recipe.toml" <<EOF
description = "Debian 12 with cloud-init on Linux $KERNEL_VERSION"
ssh_user = "debian"
kernel_args = "$KERNEL_ARGS"
min_ram_mb = 256
min_disk_gb = 2
guest_agent = true
EOF
}

# All or nothing: an unfinished image never lies in OUTDIR.
deliver() {
    for file in kernel initrd disk.qcow2 recipe.toml; do
        mv "$WORK/$file" "$OUTDIR/$file"
    done
}

# ----------------------------------------------------------------------- start

[ -d "${1:-}" ] || die "Usage: sh debian-12.sh OUTDIR (an empty directory)"

# The guest's files have many owners; an ordinary user has them in a user namespace.
if [ "$(id -u)" -ne 0 ]; then
    need newuidmap uidmap
    enter="unshare --map-root-user --map-auto --mount --pid --fork"
    $enter true 2>/dev/null ||
        die "This host gives its ordinary users no user namespace: run this as root."
    exec $enter sh "$0" "$1"
fi

umask 022
OUTDIR=$(cd "$1" && pwd)
WORK=$OUTDIR/.work
ROOT=$WORK/root # the guest's root file system
RAM=$WORK/ram   # the guest's initrd
trap 'rm -rf "$WORK"' EXIT
trap 'exit 1' HUP INT TERM

main
