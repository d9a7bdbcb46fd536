//! Authorities whose certificates let people in.

use serde::Serialize;

use crate::model::Time;

/// An authority that an administrator trusts: whom it vouches for is let in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Authority {
    /// Number, unique in this portal.
    pub id: i64,
    /// What it is called here.
    pub name: String,
    /// Such as `ssh-ed25519`.
    pub algorithm: String,
    /// `SHA256:…`, as ssh-keygen shows it.
    pub fingerprint: String,
    /// Its whole public key.
    pub line: String,
    /// Since when it is trusted.
    pub added_at: Time,
    /// By whose will.
    pub added_by: String,
    /// When it last let somebody in.
    pub last_used_at: Option<Time>,
}

/// A certificate that does not count any more.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Revocation {
    /// Whose it is: the authority's name.
    pub authority: String,
    /// Its serial number, or its key id.
    pub certificate: String,
    /// Since when.
    pub revoked_at: Time,
    /// By whose will.
    pub revoked_by: String,
}

/// What `ca ls` shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Authorities {
    /// Who is trusted.
    pub authorities: Vec<Authority>,
    /// What of theirs is not.
    pub revoked: Vec<Revocation>,
}
