//! VMs on this host through libvirt.
//!
//! | file | holds |
//! | --- | --- |
//! | `link`, `pulse` | the connection: opened, watched, opened again; deadlines; whether anybody answers |
//! | `ops` | libvirt's calls, blocking, each of which may be repeated |
//! | `events`, `stats`, `stream` | what the `virt` crate does not wrap: all the `unsafe` there is |
//! | `console` | a stream's bytes to and from async code |
//! | `xml` | a domain's definition, from the templates beside it |
//! | `folder` | a domain's overlay, seed and log |
//! | `accel` | KVM or not, and how that is found out |
//! | `reach`, `check` | what QEMU's account may do; what `doctor` asks |
//! | `fault` | libvirt's errors in our words |

mod accel;
mod check;
mod command;
mod console;
mod events;
mod fault;
mod folder;
mod link;
mod ops;
mod pulse;
mod reach;
mod stats;
mod stream;
mod xml;

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::DuplexStream;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::{Backend, Capabilities, Domain, DomainSpec, DomainState, DomainStats, Driver, DriverEvent};
use crate::error::{Code, Error, Result};
pub use check::{HostCheck, check_host};
use link::Link;
use reach::Account;

/// How long libvirt may take to answer a question.
const QUERY: Duration = Duration::from_secs(10);

/// How long it may take to change something.
const CHANGE: Duration = Duration::from_secs(60);

/// How often a guest is asked again to shut down: one that boots is deaf at first.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Which accelerator the domains run under.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AccelSetting {
    /// KVM if a kernel really boots under it, else TCG.
    #[default]
    Auto,
    /// KVM.
    Kvm,
    /// QEMU's translator: works everywhere, many times slower.
    Tcg,
}

/// What the driver is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibvirtConfig {
    /// libvirt's address, such as `qemu:///system`; `test:///default` boots nothing.
    pub uri: String,
    /// Which accelerator.
    pub accel: AccelSetting,
    /// Where the driver keeps what it found out about the host.
    pub state_dir: PathBuf,
    /// The emulator; libvirt's own choice if none.
    pub qemu: Option<PathBuf>,
    /// Lets guests open connections outwards.
    ///
    /// QEMU's user networking makes no difference between the internet and the
    /// host's own loopback (10.0.2.2, and any 127.0.0.0/8 that a guest cares to
    /// send), and QEMU has no switch for that part alone (libslirp's
    /// `disable_host_loopback` is not offered by it). A guest with this on reaches
    /// every service of the host, and other tenants' SSH ports. So it is off by
    /// default: `restrict=on` drops all that a guest sends but the answers on its
    /// forwarded port, and DHCP. Who turns it on should stop QEMU's account at the
    /// host's firewall: `meta skuid libvirt-qemu oif lo ct state new reject`.
    pub allow_outbound: bool,
}

impl LibvirtConfig {
    /// False for libvirt's test driver.
    fn boots(&self) -> bool {
        !self.uri.starts_with("test:")
    }
}

/// Runs VMs through libvirt. See [`Driver`] for what the methods promise.
pub struct LibvirtDriver {
    config: LibvirtConfig,
    link: Link,
    chooser: accel::Chooser,
}

impl LibvirtDriver {
    /// A driver that connects in the background, now and whenever libvirt comes
    /// back; [`DriverEvent`] tells when. Needs no runtime yet.
    ///
    /// # Errors
    /// `config` if the address cannot be one.
    pub fn connect(config: LibvirtConfig) -> Result<Self> {
        if config.uri.is_empty() || config.uri.contains('\0') {
            return Err(Error::new(Code::Config, "libvirt has no such address.")
                .hint("`driver.libvirt.uri` is usually `qemu:///system`."));
        }
        let link = Link::open(&config.uri)?;
        let chooser = accel::Chooser::new(config.accel, &config.state_dir, config.qemu.as_deref());
        Ok(LibvirtDriver { config, link, chooser })
    }

    /// The accelerator for a domain; none where nothing boots.
    async fn accel(&self, spec: &DomainSpec) -> Result<Option<accel::Accel>> {
        if !self.config.boots() {
            return Ok(None);
        }
        let (_, qemu) = self.link.call("tell its version", QUERY, ops::versions).await?;
        Ok(Some(self.chooser.choose(&spec.boot, qemu).await.accel))
    }

    /// True if the domain went off before `until`.
    async fn goes_off(
        &self,
        uuid: Uuid,
        events: &mut broadcast::Receiver<DriverEvent>,
        until: Instant,
    ) -> Result<bool> {
        loop {
            match timeout_at(until, events.recv()).await {
                Ok(Ok(DriverEvent::State(of, DomainState::Stopped | DomainState::Crashed)))
                | Ok(Ok(DriverEvent::Undefined(of)))
                    if of == uuid =>
                {
                    return Ok(true);
                }
                Ok(Ok(
                    DriverEvent::State(..)
                    | DriverEvent::Undefined(_)
                    | DriverEvent::Disconnected
                    | DriverEvent::Connected,
                )) => {}
                // Events were missed, or none came: ask.
                Ok(Err(RecvError::Lagged(_) | RecvError::Closed)) | Err(_) => break,
            }
        }
        Ok(matches!(self.state(uuid).await?, None | Some(DomainState::Stopped | DomainState::Crashed)))
    }
}

#[async_trait]
impl Driver for LibvirtDriver {
    fn name(&self) -> &'static str {
        "libvirt"
    }

    fn capabilities(&self) -> Capabilities {
        let boots = self.config.boots();
        Capabilities { pause: true, console: boots, boots }
    }

    async fn ping(&self) -> Result<Backend> {
        let told = self.link.call("answer", QUERY, ops::versions).await;
        // A backend that does not answer in time is as good as none.
        let (lib, hypervisor) = told.map_err(|e| Error { code: Code::BackendUnavailable, ..e })?;
        let boots = self.config.boots();
        let accel =
            if boots { self.chooser.current(hypervisor).sentence() } else { "none (boots nothing)".into() };
        Ok(Backend { version: version_sentence(boots, lib, hypervisor), accel })
    }

    async fn prepare(&self, spec: &DomainSpec) -> Result<()> {
        let spec = DomainSpec { dir: std::path::absolute(&spec.dir)?, ..spec.clone() };
        if !self.config.boots() {
            return spawn(move || folder::make(&spec.dir, spec.uuid)).await;
        }
        let uri = self.config.uri.clone();
        let spec = spawn(move || {
            folder::check_image(&spec.boot)?;
            folder::make(&spec.dir, spec.uuid)?;
            check_reach(&uri, [&*spec.dir, &spec.boot.disk, &spec.boot.kernel, &spec.boot.initrd])?;
            folder::write_seed(&spec)?;
            Ok(spec)
        });
        folder::make_overlay(&spec.await?).await
    }

    async fn define(&self, spec: &DomainSpec) -> Result<()> {
        let accel = self.accel(spec).await?;
        let xml = xml::domain(spec, &self.config, accel)?;
        let (uuid, name) = (spec.uuid, spec.name.clone());
        self.link.call("define the VM", CHANGE, move |c| ops::define(c, uuid, &name, &xml)).await
    }

    async fn start(&self, uuid: Uuid) -> Result<()> {
        self.link.call("start the VM", CHANGE, move |c| ops::start(c, uuid)).await
    }

    async fn shutdown(&self, uuid: Uuid, patience: Duration) -> Result<bool> {
        let mut events = self.events();
        let end = Instant::now() + patience;
        loop {
            match self.link.call("shut the VM down", CHANGE, move |c| ops::ask_to_shut_down(c, uuid)).await {
                Ok(true) => {}
                Ok(false) => return Ok(true),
                Err(e) if matches!(e.code, Code::VmNotFound | Code::BackendUnavailable) => return Err(e),
                // The agent is stuck or the guest busy; patience decides.
                Err(error) => tracing::info!(%uuid, %error, "the guest could not be asked to shut down"),
            }
            let again = (Instant::now() + ASK_AGAIN).min(end);
            if self.goes_off(uuid, &mut events, again).await? {
                return Ok(true);
            }
            if Instant::now() >= end {
                self.power_off(uuid).await?;
                return Ok(false);
            }
        }
    }

    async fn power_off(&self, uuid: Uuid) -> Result<()> {
        self.link.call("switch the VM off", CHANGE, move |c| ops::power_off(c, uuid)).await
    }

    async fn reboot(&self, uuid: Uuid, force: bool) -> Result<()> {
        self.link.call("restart the VM", CHANGE, move |c| ops::reboot(c, uuid, force)).await
    }

    async fn suspend(&self, uuid: Uuid) -> Result<()> {
        self.link.call("pause the VM", CHANGE, move |c| ops::suspend(c, uuid)).await
    }

    async fn resume(&self, uuid: Uuid) -> Result<()> {
        self.link.call("resume the VM", CHANGE, move |c| ops::resume(c, uuid)).await
    }

    async fn undefine(&self, uuid: Uuid, dir: &Path) -> Result<()> {
        self.link.call("forget the VM", CHANGE, move |c| ops::undefine(c, uuid)).await?;
        let dir = std::path::absolute(dir)?;
        spawn(move || folder::remove(&dir, uuid)).await
    }

    async fn state(&self, uuid: Uuid) -> Result<Option<DomainState>> {
        self.link.call("tell the VM's state", QUERY, move |c| ops::state(c, uuid)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Domain>> {
        let prefix = prefix.to_owned();
        self.link.call("list the VMs", QUERY, move |c| ops::list(c, &prefix)).await
    }

    async fn stats(&self, prefix: &str) -> Result<Vec<(Uuid, DomainStats)>> {
        let prefix = prefix.to_owned();
        self.link.call("measure the VMs", QUERY, move |c| stats::collect(c, &prefix)).await
    }

    async fn console(&self, uuid: Uuid) -> Result<DuplexStream> {
        if !self.config.boots() {
            return Err(Error::new(Code::BackendUnavailable, "This backend has no consoles.").hint(""));
        }
        console::open(&self.link, &self.config.uri, uuid).await
    }

    async fn last_words(&self, dir: &Path) -> Option<String> {
        let dir = dir.to_owned();
        tokio::task::spawn_blocking(move || folder::last_words(&dir)).await.ok().flatten()
    }

    fn events(&self) -> broadcast::Receiver<DriverEvent> {
        self.link.events()
    }
}

/// Runs a blocking job of files away from the async workers.
async fn spawn<T: Send + 'static>(job: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(job).await?
}

/// An error that names the directory which QEMU's account cannot enter, if any.
fn check_reach<'a>(uri: &str, paths: impl IntoIterator<Item = &'a Path>) -> Result<()> {
    let Some(account) = Account::of_qemu(uri) else { return Ok(()) };
    match paths.into_iter().find_map(|path| account.obstacle(path)) {
        Some(dir) => Err(Error::new(
            Code::BackendUnavailable,
            format!("The host's QEMU (account {}) cannot enter {}.", account.name, dir.display()),
        )
        .hint(format!("An administrator can mend it: `chmod o+x {}`.", dir.display()))),
        None => Ok(()),
    }
}

/// Such as `libvirt 9.0.0, QEMU 7.2.22`.
fn version_sentence(boots: bool, lib: u32, hypervisor: u32) -> String {
    let dotted = |v: u32| format!("{}.{}.{}", v / 1_000_000, v / 1_000 % 1_000, v % 1_000);
    if boots {
        format!("libvirt {}, QEMU {}", dotted(lib), dotted(hypervisor))
    } else {
        format!("libvirt {}, test driver", dotted(lib))
    }
}

/// A domain's definition, for fuzzers.
#[doc(hidden)]
pub fn definition(spec: &DomainSpec) -> Result<String> {
    let config = LibvirtConfig {
        uri: String::new(),
        accel: AccelSetting::Tcg,
        state_dir: PathBuf::new(),
        qemu: None,
        allow_outbound: false,
    };
    xml::domain(spec, &config, Some(accel::Accel::Tcg))
}
