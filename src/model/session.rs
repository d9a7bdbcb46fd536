//! A signed-in connection, as it is shown.

use serde::Serialize;

use super::Time;

/// Who is signed in, from where, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionInfo {
    /// Short, the same as in the events of the session.
    pub id: String,
    /// The account's name.
    pub user: String,
    /// From where.
    pub source_ip: String,
    /// How they proved who they are: `password`, `publickey`, …
    pub method: String,
    /// Which way in: `portal`, `vm web1` straight into one, `jump` only through.
    pub route: String,
    /// The VMs that they are in now.
    pub vms: Vec<String>,
    /// Since when.
    pub signed_in_at: Time,
    /// When it ends by itself; none: when they leave.
    pub ends_at: Option<Time>,
    /// Seconds since the last input.
    pub idle_s: u64,
    /// Bytes from the person.
    pub bytes_in: u64,
    /// Bytes to the person.
    pub bytes_out: u64,
    /// The session that asks.
    pub current: bool,
}

/// A login before this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastLogin {
    /// When.
    pub at: Time,
    /// From which address.
    pub from: String,
}
