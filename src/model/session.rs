//! A signed-in connection, as it is shown.

use serde::Serialize;
use sha2::{Digest, Sha256};

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

/// What somebody showed to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// Nothing, or a token: of those who come for an account.
    Errand,
    /// The account's password.
    Password {
        /// Which one: the digest of how it is kept.
        kept: [u8; 32],
    },
    /// A key of the account's, by its number.
    Key(i64),
    /// A certificate.
    Certificate {
        /// Who signed it: the authority's number.
        authority: i64,
        /// Its number among those.
        serial: u64,
        /// What it says that it is for.
        key_id: String,
    },
}

impl Credential {
    /// The password that is kept so.
    pub fn password(hash: &str) -> Credential {
        Credential::Password { kept: Sha256::digest(hash).into() }
    }

    /// The number of the account's key, if it is one.
    pub fn key(&self) -> Option<i64> {
        match self {
            Credential::Key(id) => Some(*id),
            Credential::Errand | Credential::Password { .. } | Credential::Certificate { .. } => None,
        }
    }

    /// Whether it is a certificate by that authority; with `word`, the one of that
    /// serial number or key id.
    pub fn is_by(&self, signer: i64, word: Option<&str>) -> bool {
        match self {
            Credential::Certificate { authority, serial, key_id } => {
                *authority == signer && word.is_none_or(|w| w == key_id || w == serial.to_string())
            }
            Credential::Errand | Credential::Password { .. } | Credential::Key(_) => false,
        }
    }
}
