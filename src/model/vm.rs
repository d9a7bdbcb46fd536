//! A virtual machine as the portal knows it.

use std::fmt;

use serde::Serialize;
use uuid::Uuid;

use crate::model::Time;

/// What a VM is doing, as far as people care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VmState {
    /// Being made.
    Pending,
    /// Its processors run.
    Running,
    /// In memory, its processors held.
    Paused,
    /// Off.
    Stopped,
    /// It could not be made, or something happened to it behind our back.
    Error,
}

impl VmState {
    /// Every state.
    pub const ALL: [VmState; 5] =
        [VmState::Pending, VmState::Running, VmState::Paused, VmState::Stopped, VmState::Error];

    /// The state's word, as in `--json`.
    pub fn as_str(self) -> &'static str {
        match self {
            VmState::Pending => "pending",
            VmState::Running => "running",
            VmState::Paused => "paused",
            VmState::Stopped => "stopped",
            VmState::Error => "error",
        }
    }

    /// The state of that word.
    pub fn parse(s: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|v| v.as_str() == s)
    }

    /// A sign that tells the state without colour.
    pub fn sign(self) -> &'static str {
        match self {
            VmState::Pending => "…",
            VmState::Running => "●",
            VmState::Paused => "‖",
            VmState::Stopped => "○",
            VmState::Error => "!",
        }
    }
}

impl fmt::Display for VmState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A VM; its serialised form is part of the contract (fields may be added, never renamed).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Vm {
    /// Number, unique in this portal.
    pub id: i64,
    /// DNS label, unique per owner.
    pub name: String,
    /// The owner's account name.
    pub owner: String,
    /// The owner's account number.
    #[serde(skip)]
    pub owner_id: i64,
    /// What it is doing.
    pub state: VmState,
    /// What it was made from.
    pub image: String,
    /// Its plan, or `custom`.
    pub plan: String,
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory, MiB.
    pub ram_mb: u32,
    /// Size of its disk, GiB.
    pub disk_gb: u32,
    /// Which driver runs it.
    pub driver: String,
    /// Which host runs it.
    pub node: String,
    /// Its own address inside its network, where known.
    pub ip: Option<String>,
    /// Where the portal reaches its SSH server.
    pub ssh_host: Option<String>,
    /// The port there.
    pub ssh_port: Option<u16>,
    /// The account to sign in to it with.
    pub ssh_user: String,
    /// When it was asked for.
    pub created_at: Time,
    /// Seconds since it was last started; none unless it runs.
    pub uptime_s: Option<u64>,
    /// Its price.
    pub credits_per_hour: f64,
    /// Words of its owner's choice.
    pub tags: Vec<String>,
    /// Why it is in `error`, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Public half of its SSH host key, one `known_hosts` value (`ssh-ed25519 AAAA…`).
    pub host_key: String,
    /// Its identity at the driver.
    #[serde(skip)]
    pub uuid: Uuid,
}

impl Vm {
    /// `web1.alice`: unambiguous for whoever may see many people's VMs.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.name, self.owner)
    }
}
