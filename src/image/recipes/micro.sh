#!/bin/sh
# Twarga image recipe "micro": a kernel, busybox and dropbear on a small disk.
#
#   sh micro.sh OUTDIR
#
# leaves kernel, initrd, disk.qcow2 and recipe.toml in OUTDIR. Everything comes
# from the host's own Debian mirror and is only unpacked, never installed.
#
# Every program saved and every module left out shows in the boot time, most of
# all where there is no KVM. So the initrd loads a fixed list of modules by name
# (no udev), and the root file system starts just what an SSH session needs.
set -eu

main() {
    check_tools
    mkdir "$WORK" "$TREE" "$ROOT" "$RAM"

    say "downloading the kernel and the programs"
    download_packages
    say "unpacking"
    unpack_packages
    say "building the root file system"
    fill_root
    make_disk
    say "building the initrd"
    fill_ram
    make_initrd
    say "writing the recipe's description"
    write_recipe
    deliver
    say "micro is ready"
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

PROGRAM_PACKAGES="busybox-static dropbear-bin openssh-sftp-server openssh-client rsync e2fsprogs"

download_packages() {
    # _apt cannot write into OUTDIR, and needs not: signatures are checked anyway.
    # shellcheck disable=SC2046,SC2086 # package names have no blanks
    (cd "$WORK" &&
        apt-get -q -o APT::Sandbox::User=root download \
            "$(kernel_package)" $PROGRAM_PACKAGES $(library_packages) >&2) ||
        die "The packages could not be downloaded: does 'apt-get update' work here?"
}

# linux-image-cloud-amd64 is empty: it names the newest real kernel package.
kernel_package() {
    apt-cache depends linux-image-cloud-amd64 |
        sed -n 's/.*Depends: \(linux-image-[^ ]*-cloud-amd64\)$/\1/p' | head -n 1
}

# The libraries come from the packages' own dependencies, so that a renamed
# library in a newer Debian does not matter.
library_packages() {
    # shellcheck disable=SC2086
    apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts \
        --no-breaks --no-replaces --no-enhances $PROGRAM_PACKAGES |
        grep -E '^(lib|zlib)' | grep -v perl | sort -u
}

unpack_packages() {
    for package in "$WORK"/*.deb; do
        # Not dpkg-deb -x: it wants to give files to groups a user cannot name.
        dpkg-deb --fsys-tarfile "$package" | tar -x --no-same-owner -C "$TREE"
        rm "$package"
    done
    KERNEL_VERSION=$(ls "$TREE/lib/modules")
}

# ------------------------------------------------------- the root file system

fill_root() {
    make_directories
    install_busybox
    for program in usr/sbin/dropbear usr/bin/dropbearconvert usr/bin/dbclient \
        usr/bin/scp usr/bin/rsync usr/lib/openssh/sftp-server usr/sbin/resize2fs; do
        install_program "$program"
    done
    ln -s dbclient "$ROOT/usr/bin/ssh"
    # Where dropbear was told to look for it when it was compiled.
    ln -s openssh/sftp-server "$ROOT/usr/lib/sftp-server"
    write_accounts
    write_shell_settings
    write_init
    write_dhcp_script
    write_power_button
}

make_directories() {
    (
        cd "$ROOT"
        mkdir -p usr/bin usr/sbin usr/lib usr/lib64 usr/local/bin usr/local/sbin \
            dev proc sys run mnt/seed media opt srv home etc/dropbear var/lib var/log var/spool
        mkdir -m 700 root root/.ssh
        mkdir -m 1777 tmp var/tmp
        for dir in bin sbin lib lib64; do ln -s "usr/$dir" "$dir"; done
        ln -s ../run var/run
        ln -s ../run/lock var/lock
        ln -s ../proc/self/mounts etc/mtab
    )
}

install_busybox() {
    cp "$TREE/bin/busybox" "$ROOT/usr/bin/busybox"
    for applet in $("$TREE/bin/busybox" --list); do
        case $applet in
            busybox | init | linuxrc) ;;
            # Debian's package tools would only mislead here.
            dpkg | dpkg-deb | rpm | rpm2cpio) ;;
            *) ln -s busybox "$ROOT/usr/bin/$applet" ;;
        esac
    done
}

# install_program PATH: copies a program and the libraries it loads.
install_program() {
    mkdir -p "$ROOT/${1%/*}"
    if [ -e "$TREE/$1" ]; then file=$1; else file=${1#usr/}; fi
    cp "$TREE/$file" "$ROOT/$1"
    # The unpacked loader lists the unpacked libraries: the host's do not count.
    "$TREE/lib64/ld-linux-x86-64.so.2" --library-path "$LIBRARIES" --list "$TREE/$file" |
        sed -n 's/.*[ \t]\(\/[^ ]*\) (0x.*/\1/p' |
        while read -r library; do install_library "$library"; done
}

install_library() {
    case $1 in
        */ld-linux-x86-64.so.2) copy="$ROOT/usr/lib64/ld-linux-x86-64.so.2" ;;
        *) copy="$ROOT/usr/lib/${1##*/}" ;;
    esac
    [ -e "$copy" ] || cp -L "$1" "$copy"
}

write_accounts() {
    put "$ROOT/etc/passwd" <<'EOF'
root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
EOF
    put "$ROOT/etc/shadow" 600 <<'EOF'
root:*:19000:0:99999:7:::
nobody:*:19000:0:99999:7:::
EOF
    put "$ROOT/etc/group" <<'EOF'
root:x:0:
tty:x:5:
nogroup:x:65534:
EOF
    put "$ROOT/etc/shells" <<'EOF'
/bin/sh
/bin/ash
EOF
    put "$ROOT/etc/nsswitch.conf" <<'EOF'
passwd: files
group: files
shadow: files
hosts: files dns
EOF
}

write_shell_settings() {
    put "$ROOT/etc/os-release" <<'EOF'
NAME="Twarga micro"
PRETTY_NAME="Twarga micro"
ID=twarga-micro
ID_LIKE=debian
EOF
    put "$ROOT/etc/profile" <<'EOF'
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export EDITOR=vi PAGER=less ENV=/etc/shrc
umask 022
EOF
    put "$ROOT/etc/shrc" <<'EOF'
PS1='\u@\h:\w\$ '
case $TERM in
    dumb | '') ;;
    *) alias ls='ls --color=auto' grep='grep --color=auto' ;;
esac
alias ll='ls -l'
EOF
}

# PID 1 is a shell script: busybox's own init sleeps for three seconds on the
# way down, and each program it would start on the way up costs time.
write_init() {
    put "$ROOT/usr/sbin/init" 755 <<'EOF'
#!/bin/sh
# PID 1 of Twarga's micro guest: brings it up, keeps the console and the power
# button served, takes it down. The order on the way up is that of the shortest
# way to an SSH prompt.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root TERM=vt102

SEED=/mnt/seed

main() {
    cd /root
    mount -a 2>/dev/null
    obey_signals
    read_seed
    ask_for_address
    start_dropbear

    umount $SEED 2>/dev/null
    mkdir /run/lock
    resize2fs /dev/vda >/dev/null 2>&1 &
    # 'wait' also buries orphans; it ends when someone has killed every process.
    while :; do
        keep_running console_shell &
        keep_running acpid -f -l /dev/null &
        wait
    done
}

# busybox's halt, poweroff and reboot send these; Ctrl-Alt-Del is INT.
obey_signals() {
    echo 0 >/proc/sys/kernel/ctrl-alt-del
    trap 'go_down halt' USR1
    trap 'go_down poweroff' USR2
    trap 'go_down reboot' TERM INT
}

# What belongs to this guest alone comes from Twarga's seed disk, at each start:
# it may have changed. Without a seed the guest keeps what it had.
read_seed() {
    {
        take $SEED/hostname /etc/hostname
        take $SEED/authorized_keys /root/.ssh/authorized_keys
        dropbearconvert openssh dropbear $SEED/ssh_host_ed25519_key /run/host_key &&
            take /run/host_key /etc/dropbear/dropbear_ed25519_host_key
    } 2>/dev/null

    read -r name </etc/hostname
    echo "$name" >/proc/sys/kernel/hostname
    echo "127.0.0.1 localhost
127.0.1.1 $name
::1 localhost ip6-localhost" >/run/hosts
    take /run/hosts /etc/hosts
}

# take FROM TO: what is the same stays. To write it again empties it first, and
# a full disk would keep it so: nobody could enter to make room.
take() { cmp -s "$1" "$2" || cp "$1" "$2"; }

# The question is asked in the background: dropbear starts meanwhile.
ask_for_address() {
    ifconfig lo 127.0.0.1 up
    ifconfig eth0 up 2>/dev/null || return
    # Leaves the shell with the first lease, or after three tries; goes on trying.
    udhcpc -b -i eth0 -x "hostname:$name" -t 3 -T 1 -A 5 -s /etc/twarga/dhcp \
        >/dev/null 2>&1 &
}

# dropbear returns when it listens. There is no password login, and no host key
# but the seed's: dropbear is never asked to make one.
start_dropbear() {
    dropbear -s -W 262144 -P /run/dropbear.pid &&
        wait && # for the address: nobody could enter without one
        echo "twarga: ssh ready" >/dev/console
}

# Opened anew for each shell: the end of the last one hung the line up.
console_shell() {
    setsid -c sh -l </dev/ttyS0 >/dev/ttyS0 2>&1
}

keep_running() {
    while :; do
        "$@"
        usleep 200000 # a command that fails at once must not eat the CPU
    done
}

# go_down ACTION: nothing that ends at once is waited for.
go_down() {
    trap '' USR1 USR2 TERM INT
    kill -TERM -1
    kill -HUP -1 # what interactive shells listen to
    kill -CONT -1
    wait_for_end || {
        kill -KILL -1
        wait_for_end
    }
    umount -a -r 2>/dev/null # what is in use, the root above all, turns read-only
    "$1" -f
}

# Two seconds at most.
wait_for_end() {
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        any_left || return 0
        usleep 100000
    done
    return 1
}

# Kernel threads have no program file.
any_left() {
    for program in /proc/[0-9]*/exe; do
        [ "$program" != /proc/1/exe ] && [ -e "$program" ] && return 0
    done
    return 1
}

main
EOF
    echo micro | put "$ROOT/etc/hostname" # until a seed says otherwise
    put "$ROOT/etc/fstab" <<'EOF'
proc      /proc      proc      nosuid,nodev,noexec                        0 0
sysfs     /sys       sysfs     nosuid,nodev,noexec                        0 0
dev       /dev       devtmpfs  nosuid,mode=755                            0 0
devpts    /dev/pts   devpts    nosuid,noexec,gid=5,mode=620,ptmxmode=666  0 0
shm       /dev/shm   tmpfs     nosuid,nodev,mode=1777                     0 0
run       /run       tmpfs     nosuid,nodev,mode=755                      0 0
tmp       /tmp       tmpfs     nosuid,nodev,mode=1777                     0 0
/dev/vdb  /mnt/seed  vfat      ro,fmask=177,dmask=077                     0 0
EOF
}

write_dhcp_script() {
    put "$ROOT/etc/twarga/dhcp" 755 <<'EOF'
#!/bin/sh
# Called by udhcpc with what the lease says.
case $1 in
    bound | renew)
        ifconfig "$interface" "$ip" netmask "${subnet:-255.255.255.0}"
        [ "$1" = renew ] || for gateway in $router; do
            route add default gw "$gateway" dev "$interface"
            break
        done
        {
            [ -z "$domain" ] || echo "search $domain"
            for server in $dns; do echo "nameserver $server"; done
        } >/etc/resolv.conf
        ;;
esac
EOF
}

write_power_button() {
    put "$ROOT/etc/acpi/PWRF/00000080" 755 <<'EOF'
#!/bin/sh
exec poweroff
EOF
}

# The disk is just large enough: the guest grows it to what it was given, which
# is prepared here for up to 1 TiB (resize=, in blocks).
make_disk() {
    used=$(du -sm "$ROOT" | cut -f 1)
    mke2fs -q -t ext4 -b 4096 -N 4096 -m 1 -J size=4 -L micro -d "$ROOT" \
        -E root_owner=0:0,resize=268435456 "$WORK/disk.ext4" "$((used + 24))M" >&2
    # Not compressed: that would save 8 MB and cost 50 ms of each start.
    qemu-img convert -O qcow2 "$WORK/disk.ext4" "$WORK/disk.qcow2"
}

# ----------------------------------------------------------------- the initrd

# In the order of need: the disk, the network, the seed. nls_* is for vfat.
MODULES="virtio_pci virtio_blk virtio_net virtio_rng vfat nls_cp437 nls_ascii
    button evdev virtio_balloon"

fill_ram() {
    mkdir -p "$RAM/bin" "$RAM/proc" "$RAM/dev" "$RAM/root" "$RAM/modules"
    cp "$TREE/bin/busybox" "$RAM/bin/busybox"
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
    find "$TREE/lib/modules" -name "$(echo "$1" | tr _ '?').ko"
}

module_dependencies() {
    tr '\0' '\n' <"$(module_file "$1")" | sed -n 's/^depends=//p' | tr , ' '
}

write_ram_init() {
    put "$RAM/init" 755 <<EOF
#!/bin/busybox sh
# With /proc there, busybox's shell finds its other programs by itself.
/bin/busybox mount -t proc proc /proc
read -r arguments </proc/cmdline

# Twarga asks whether a kernel boots here at all: the answer needs no disk.
case " \$arguments " in
    *' twarga.probe '*)
        echo twarga-probe-ok
        poweroff -f
        ;;
esac

mount -t devtmpfs dev /dev
mkdir /dev/pts /dev/shm
for module in$LOADED; do
    insmod "/modules/\$module.ko"
done

# New disks are full of inode tables not yet written: let them be.
mount -t ext4 -o noatime,noinit_itable /dev/vda /root &&
    exec switch_root /root /sbin/init

echo "twarga: the first disk cannot be mounted"
exec sh
EOF
}

# Not compressed: the machine's firmware copies faster than the guest unpacks.
make_initrd() {
    (cd "$RAM" && find . | cpio --quiet -o -H newc -R 0:0) >"$WORK/initrd"
}

# ------------------------------------------------------------------ the result

# quiet: the console belongs to the shell. no_timer_check, cryptomgr.notests,
# 8250.nr_uarts: three tests whose answer is known in a virtual machine.
KERNEL_ARGS="console=ttyS0 quiet panic=10 no_timer_check cryptomgr.notests 8250.nr_uarts=1"

write_recipe() {
    cp "$TREE/boot/vmlinuz-$KERNEL_VERSION" "$WORK/kernel"
    put "$WORK/recipe.toml" <<EOF
description = "busybox and dropbear on Linux $KERNEL_VERSION: starts in seconds"
ssh_user = "root"
kernel_args = "$KERNEL_ARGS"
min_ram_mb = 96
min_disk_gb = 1
guest_agent = false
EOF
}

# All or nothing: an unfinished image never lies in OUTDIR.
deliver() {
    for file in kernel initrd disk.qcow2 recipe.toml; do
        mv "$WORK/$file" "$OUTDIR/$file"
    done
}

# ----------------------------------------------------------------------- start

[ -d "${1:-}" ] || die "Usage: sh micro.sh OUTDIR (an empty directory)"

# Files must belong to root in the guest; a user namespace is enough for that.
if [ "$(id -u)" -ne 0 ]; then
    need unshare util-linux
    unshare --map-root-user true 2>/dev/null ||
        die "This host gives ordinary users no user namespace: run this as root."
    exec unshare --map-root-user sh "$0" "$1"
fi

umask 022
OUTDIR=$(cd "$1" && pwd)
WORK=$OUTDIR/.work
TREE=$WORK/tree # what the packages hold
ROOT=$WORK/root # the guest's root file system
RAM=$WORK/ram   # the guest's initrd
LIBRARIES=$TREE/lib/x86_64-linux-gnu:$TREE/usr/lib/x86_64-linux-gnu
trap 'rm -rf "$WORK"' EXIT
trap 'exit 1' HUP INT TERM

main
