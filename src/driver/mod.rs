//! Drivers: how VMs come to be and are run.
//!
//! A driver knows domains by their UUID and nothing of accounts, prices or
//! rights. Every method may be called again after a crash: making what is there
//! already and removing what is gone both succeed. A driver records nothing; the
//! portal writes down what it asks for *before* it asks, and reconciles with
//! [`Driver::list`] at its start.

#[cfg(feature = "libvirt")]
pub mod libvirt;
pub mod mock;
pub mod seed;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::DuplexStream;
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::error::Result;
pub use seed::Seed;

/// What a driver can do beyond the basics; faces hide or explain the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// `suspend` and `resume`.
    pub pause: bool,
    /// A serial console.
    pub console: bool,
    /// The guests really boot: SSH will answer.
    pub boots: bool,
}

/// The files that a domain boots from; all read-only and shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootFiles {
    /// Base of the domain's overlay, qcow2.
    pub disk: PathBuf,
    /// Linux kernel.
    pub kernel: PathBuf,
    /// Its initial RAM disk.
    pub initrd: PathBuf,
    /// Its command line.
    pub kernel_args: String,
}

/// A domain as the portal wants it.
#[derive(Debug, Clone, PartialEq)]
pub struct DomainSpec {
    /// Its identity, chosen by the portal.
    pub uuid: Uuid,
    /// Its name at the driver, unique on the host.
    pub name: String,
    /// One line for whoever looks at the host, such as `web1 of alice`.
    pub title: String,
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory, MiB.
    pub ram_mb: u32,
    /// Disk, GiB.
    pub disk_gb: u32,
    /// What it boots.
    pub boot: BootFiles,
    /// A folder of its own for its overlay and its seed. The driver makes and removes it.
    pub dir: PathBuf,
    /// What the guest is told at its first boot.
    pub seed: Seed,
    /// Port on the host's loopback that leads to the guest's port 22.
    pub ssh_port: u16,
    /// True if the guest runs the QEMU guest agent.
    pub guest_agent: bool,
}

/// What a domain is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainState {
    /// Its processors run.
    Running,
    /// In memory, its processors held.
    Paused,
    /// Defined and off.
    Stopped,
    /// Its guest or its emulator broke.
    Crashed,
}

/// A domain that a driver has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its identity.
    pub uuid: Uuid,
    /// Its name at the driver.
    pub name: String,
    /// What it is doing.
    pub state: DomainState,
}

/// Something happened to a domain, whoever caused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverEvent {
    /// The domain has this state now.
    State(Uuid, DomainState),
    /// The domain is gone.
    Undefined(Uuid),
    /// The backend went away; states are unknown until [`DriverEvent::Connected`].
    Disconnected,
    /// The backend is there again: look at every domain afresh.
    Connected,
}

/// Figures of a running domain; counters grow from its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DomainStats {
    /// Processor time used, nanoseconds.
    pub cpu_time_ns: u64,
    /// Resident memory of the guest's process on the host, bytes.
    pub rss_bytes: u64,
    /// Memory given to the guest, bytes.
    pub ram_bytes: u64,
    /// Read from its disks, bytes.
    pub disk_read_bytes: u64,
    /// Written to its disks, bytes.
    pub disk_write_bytes: u64,
    /// Taken up by its overlay on the host, bytes.
    pub disk_used_bytes: u64,
    /// Received by its network card, bytes; none where nobody counts them.
    pub net_rx_bytes: Option<u64>,
    /// Sent by its network card, bytes.
    pub net_tx_bytes: Option<u64>,
}

/// What a driver says of its backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Such as `libvirt 9.0.0, QEMU 7.2.22`.
    pub version: String,
    /// Such as `tcg`, and why.
    pub accel: String,
}

/// Runs VMs. See the module's notes for what every method promises.
#[async_trait]
pub trait Driver: Send + Sync + 'static {
    /// The driver's name, as in `--json`.
    fn name(&self) -> &'static str;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Asks the backend whether it is there. `backend.unavailable` if not.
    async fn ping(&self) -> Result<Backend>;

    /// Makes the domain's folder with its overlay and its seed. An existing
    /// overlay is kept (it holds the guest's data); the seed is written afresh.
    async fn prepare(&self, spec: &DomainSpec) -> Result<()>;

    /// Makes the domain known to the backend, or changes its definition; off.
    async fn define(&self, spec: &DomainSpec) -> Result<()>;

    /// Starts it. A domain that runs is left alone. If the host's port is taken
    /// the error's code is [`crate::error::Code::Exists`].
    async fn start(&self, uuid: Uuid) -> Result<()>;

    /// Asks the guest to shut down, and switches it off when `patience` is over.
    /// Returns whether the guest went by itself.
    async fn shutdown(&self, uuid: Uuid, patience: Duration) -> Result<bool>;

    /// Switches it off at once.
    async fn power_off(&self, uuid: Uuid) -> Result<()>;

    /// Asks the guest to start again; with `force` it is reset at once.
    async fn reboot(&self, uuid: Uuid, force: bool) -> Result<()>;

    /// Holds its processors.
    async fn suspend(&self, uuid: Uuid) -> Result<()>;

    /// Lets them go on.
    async fn resume(&self, uuid: Uuid) -> Result<()>;

    /// Switches it off if need be, forgets it, and removes its folder.
    async fn undefine(&self, uuid: Uuid, dir: &std::path::Path) -> Result<()>;

    /// What it is doing; none if the backend does not know it.
    async fn state(&self, uuid: Uuid) -> Result<Option<DomainState>>;

    /// Every domain whose name starts with `prefix`.
    async fn list(&self, prefix: &str) -> Result<Vec<Domain>>;

    /// Figures of all running domains whose name starts with `prefix`, in one call.
    async fn stats(&self, prefix: &str) -> Result<Vec<(Uuid, DomainStats)>>;

    /// Its serial console, both ways. Ends when the domain does. A second
    /// console of the same domain takes it over from the first.
    async fn console(&self, uuid: Uuid) -> Result<DuplexStream>;

    /// The last line that the guest of that folder has written to its console,
    /// where that is kept: without control characters, and short.
    async fn last_words(&self, _dir: &std::path::Path) -> Option<String> {
        None
    }

    /// What happens to domains from now on, within 2 s of its happening.
    /// Whoever lags behind is told so by the channel and lists afresh.
    fn events(&self) -> broadcast::Receiver<DriverEvent>;
}
