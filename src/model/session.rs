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
    /// Since when.
    pub signed_in_at: Time,
    /// Seconds since the last input.
    pub idle_s: u64,
    /// Bytes from the person.
    pub bytes_in: u64,
    /// Bytes to the person.
    pub bytes_out: u64,
    /// The session that asks.
    pub current: bool,
}
