//! What `doctor` asks of the host for this driver.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;

use super::accel::{self, Chooser};
use super::reach::{Account, Want};
use super::{LibvirtConfig, command, link, ops, version_sentence};
use crate::error::{Code, Error};
use crate::model::Status;

/// How long libvirt may take to answer. A first answer after its start takes
/// some seconds: it looks at every emulator.
const PATIENCE: Duration = Duration::from_secs(20);

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCheck {
    /// `libvirt`, `accelerator`, …
    pub name: &'static str,
    /// How it is.
    pub status: Status,
    /// A sentence: what is right or wrong with it.
    pub message: String,
    /// What to do about it; empty if nothing need be done.
    pub mend: String,
}

impl HostCheck {
    fn new(name: &'static str, status: Status, message: impl Into<String>, mend: impl Into<String>) -> Self {
        HostCheck { name, status, message: message.into(), mend: mend.into() }
    }

    fn fine(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(name, Status::Healthy, message, "")
    }
}

/// Looks at all that the driver needs of the host. `data_dir` is where the
/// images and the domains' folders are, or will be.
pub async fn check_host(config: &LibvirtConfig, data_dir: &Path) -> Vec<HostCheck> {
    let (libvirt, qemu) = libvirt(config).await;
    let mut checks = vec![libvirt];
    if config.boots() {
        checks.extend(virtlogd(config));
        checks.push(qemu_img().await);
        checks.push(kvm_device(config));
        checks.push(accelerator(config, qemu));
        checks.push(data(config, data_dir));
    }
    checks
}

/// Asks libvirt for its version; the emulator's packed version beside the check.
async fn libvirt(config: &LibvirtConfig) -> (HostCheck, u32) {
    const NAME: &str = "libvirt";
    let uri = config.uri.clone();
    super::events::start_loop();
    let ask = tokio::task::spawn_blocking(move || {
        let connect = link::connect(&uri).map_err(|e| Error::new(Code::BackendUnavailable, e.message()))?;
        ops::versions(&connect)
    });
    let mend = "Start it: `systemctl start libvirtd`, or `virtlogd -d; libvirtd -d` where no systemd runs; \
                and put the portal's account into the group `libvirt`.";
    let bad = |message: String| (HostCheck::new(NAME, Status::Unhealthy, message, mend), 0);
    match tokio::time::timeout(PATIENCE, ask).await {
        Ok(Ok(Ok((lib, hypervisor)))) => {
            let versions = version_sentence(config.boots(), lib, hypervisor);
            (HostCheck::fine(NAME, format!("{} answers: {versions}.", config.uri)), hypervisor)
        }
        Ok(Ok(Err(e))) => bad(format!("{} cannot be reached: {}", config.uri, e.message)),
        Ok(Err(e)) => bad(format!("{} cannot be asked: {e}", config.uri)),
        Err(_) => bad(format!("{} gave no answer within {} s.", config.uri, PATIENCE.as_secs())),
    }
}

/// A system libvirt cannot start a domain whose console is logged without it.
fn virtlogd(config: &LibvirtConfig) -> Option<HostCheck> {
    const NAME: &str = "virtlogd";
    Account::of_qemu(&config.uri)?;
    let sockets = ["/run/libvirt/virtlogd-sock", "/var/run/libvirt/virtlogd-sock"];
    let is_socket = |p: &&&str| std::fs::metadata(p).is_ok_and(|m| m.file_type().is_socket());
    Some(match sockets.iter().find(is_socket) {
        Some(path) => HostCheck::fine(NAME, format!("{path} is there.")),
        None => HostCheck::new(
            NAME,
            Status::Unhealthy,
            "virtlogd does not run: no VM can be started.",
            "`systemctl start virtlogd.socket`, or `virtlogd -d` where no systemd runs.",
        ),
    })
}

async fn qemu_img() -> HostCheck {
    const NAME: &str = "qemu-img";
    match command::run("qemu-img", ["--version"], PATIENCE).await {
        Ok(out) if out.success => HostCheck::fine(NAME, out.stdout.lines().next().unwrap_or("It runs.")),
        Ok(_) | Err(_) => HostCheck::new(
            NAME,
            Status::Unhealthy,
            "qemu-img does not run: no disk can be made.",
            "`apt-get install qemu-utils`.",
        ),
    }
}

/// A device that root can open and QEMU's account cannot makes libvirt forget
/// what it knows of QEMU at every call.
fn kvm_device(config: &LibvirtConfig) -> HostCheck {
    const NAME: &str = "/dev/kvm";
    let path = Path::new(NAME);
    let Ok(meta) = std::fs::metadata(path) else {
        return HostCheck::new(
            NAME,
            Status::Degraded,
            "There is no /dev/kvm: VMs run, but many times slower.",
            "Turn virtualisation on in the firmware (or nested virtualisation, if this host is a VM), and \
             `modprobe kvm_intel` or `kvm_amd`.",
        );
    };
    match Account::of_qemu(&config.uri).filter(|a| !a.may(Want::ReadWrite, path, &meta)) {
        Some(account) => HostCheck::new(
            NAME,
            Status::Unhealthy,
            format!(
                "QEMU's account {} may not open /dev/kvm: libvirt then takes minutes to define a VM.",
                account.name
            ),
            "`chown root:kvm /dev/kvm && chmod 660 /dev/kvm` (what udev does on most hosts), and that account \
             in the group `kvm`.",
        ),
        None => HostCheck::fine(NAME, "QEMU's account may open it."),
    }
}

fn accelerator(config: &LibvirtConfig, qemu: u32) -> HostCheck {
    const NAME: &str = "accelerator";
    let choice = Chooser::new(config.accel, &config.state_dir, config.qemu.as_deref()).current(qemu);
    let message = format!("VMs run under {}.", choice.sentence());
    let mend = if choice == accel::USELESS {
        format!(
            "Under a hypervisor, let it offer nested virtualisation; then remove {} to have it tried again.",
            config.state_dir.join("accel.json").display()
        )
    } else if choice == accel::NOT_OURS {
        String::from("Put the portal's account into the group `kvm`.")
    } else {
        return HostCheck::fine(NAME, message);
    };
    HostCheck::new(NAME, Status::Degraded, message, mend)
}

fn data(config: &LibvirtConfig, data_dir: &Path) -> HostCheck {
    const NAME: &str = "data directory";
    let Some(account) = Account::of_qemu(&config.uri) else {
        return HostCheck::fine(NAME, "QEMU runs under the portal's own account.");
    };
    match account.obstacle(data_dir) {
        Some(dir) => HostCheck::new(
            NAME,
            Status::Unhealthy,
            format!("QEMU's account {} cannot enter {}.", account.name, dir.display()),
            format!("`chmod o+x {}`, or choose another `data_dir`.", dir.display()),
        ),
        None => HostCheck::fine(NAME, format!("QEMU's account {} can enter it.", account.name)),
    }
}
