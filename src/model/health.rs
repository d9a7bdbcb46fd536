//! What the portal publishes of its own state, for `host show` and for HTTP.

use serde::Serialize;

use crate::model::Time;

/// How a part, or the whole, is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All is well.
    Healthy,
    /// It serves, with something missing.
    Degraded,
    /// It cannot serve.
    Unhealthy,
}

impl Status {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Healthy => "healthy",
            Status::Degraded => "degraded",
            Status::Unhealthy => "unhealthy",
        }
    }
}

/// One part that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// `ssh`, `database`, `libvirt`, …
    pub name: &'static str,
    /// How it is.
    pub status: Status,
    /// A sentence: what is right or wrong with it. Nothing secret: anybody may read it.
    pub message: String,
    /// The portal cannot do its work without it: `/readyz` answers 503 while it is unhealthy.
    pub needed: bool,
}

/// Figures of the host and the portal at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Gauges {
    /// Of all processors together, 0 to 100.
    pub cpu_percent: f64,
    /// Load average over one minute.
    pub load1: f64,
    /// Processors.
    pub cpus: u32,
    /// Memory of the host, bytes.
    pub memory_total_bytes: u64,
    /// Of it, in use.
    pub memory_used_bytes: u64,
    /// The filesystem of the data directory, bytes.
    pub disk_total_bytes: u64,
    /// Of it, free to the portal.
    pub disk_free_bytes: u64,
    /// Resident memory of the portal, bytes.
    pub portal_rss_bytes: u64,
    /// Open descriptors of the portal.
    pub portal_open_fds: u64,
    /// Signed-in SSH connections.
    pub active_sessions: u64,
    /// Connections that have not signed in yet.
    pub startups: u64,
    /// Bans that hold.
    pub bans: u64,
    /// VMs by state, in the order of [`crate::model::VmState::ALL`].
    pub vms: [u64; 5],
    /// Jobs at work or waiting.
    pub jobs_active: u64,
    /// Memory promised to running VMs, MiB.
    pub vms_ram_mb: u64,
    /// Virtual processors promised to running VMs.
    pub vms_vcpus: u64,
}

impl Gauges {
    /// Memory in use, 0 to 100.
    pub fn memory_percent(&self) -> f64 {
        if self.memory_total_bytes == 0 {
            return 0.0;
        }
        #[allow(clippy::cast_precision_loss)]
        let ratio = self.memory_used_bytes as f64 / self.memory_total_bytes as f64;
        ratio * 100.0
    }
}

/// Counters since the portal started.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Counters {
    /// TCP connections accepted by the SSH server.
    pub connections: u64,
    /// Connections turned away by a limit.
    pub connections_refused: u64,
    /// Logins by outcome.
    pub logins_succeeded: u64,
    /// Refused logins.
    pub logins_failed: u64,
    /// Of them, those that the guard did not look at.
    pub logins_held_off: u64,
    /// Actions performed, by name and outcome word.
    pub actions: Vec<(&'static str, &'static str, u64)>,
    /// Bytes relayed towards clients.
    pub relayed_out_bytes: u64,
    /// Bytes relayed towards VMs.
    pub relayed_in_bytes: u64,
}

/// The parts and their sum.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Every part that was looked at.
    pub checks: Vec<Check>,
}

impl Health {
    /// The worst of the needed parts; other faults only degrade.
    pub fn status(&self) -> Status {
        let worst = |c: &Check| if c.needed { c.status } else { c.status.min(Status::Degraded) };
        self.checks.iter().map(worst).max().unwrap_or(Status::Healthy)
    }

    /// True while every needed part can serve.
    pub fn is_ready(&self) -> bool {
        self.checks.iter().all(|c| !c.needed || c.status != Status::Unhealthy)
    }
}

/// The snapshot that HTTP answers from: no request touches anything else.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Published {
    /// When it was taken.
    pub at: Time,
    /// The same by a clock that nobody sets; none if nobody measured it.
    #[serde(skip)]
    pub measured: Option<std::time::Instant>,
    /// When the portal started.
    pub started_at: Time,
    /// The portal's version.
    pub version: &'static str,
    /// The parts.
    pub health: Health,
    /// The host's figures.
    pub gauges: Gauges,
    /// What was counted since the start.
    pub counters: Counters,
    /// The last samples of `cpu_percent`, oldest first; at most 120.
    pub cpu_history: Vec<f64>,
    /// The last samples of memory in use (percent), oldest first; at most 120.
    pub memory_history: Vec<f64>,
    /// Seconds between two samples.
    pub sample_s: u64,
}
