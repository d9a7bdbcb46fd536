//! Accounts, and the keys that they sign in with.

use serde::Serialize;

use crate::model::group::GroupName;
use crate::model::{KeyLimits, RoleName, Time};

/// An account.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct User {
    /// Number, unique in this portal.
    pub id: i64,
    /// What it signs in as.
    pub name: String,
    /// What it may do.
    pub role: RoleName,
    /// False: it cannot sign in.
    pub enabled: bool,
    /// It must choose a password before it may do anything else.
    pub must_change_password: bool,
    /// When it was made.
    pub created_at: Time,
    /// When it last signed in.
    pub last_login_at: Option<Time>,
}

/// An account, with all that those who run the place may know of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Person {
    /// The account.
    #[serde(flatten)]
    pub user: User,
    /// Whether it has a password.
    pub has_password: bool,
    /// Whether it may sign in with it.
    pub password_login: bool,
    /// Its keys.
    pub keys: u32,
    /// Its VMs.
    pub vms: u32,
    /// Its connections now.
    pub sessions: u32,
    /// The groups that it is in.
    pub groups: Vec<GroupName>,
    /// Roles that it is granted beside its own, at this moment.
    pub granted: Vec<RoleName>,
}

/// A public key that an account signs in with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SshKey {
    /// Number, unique in this portal.
    pub id: i64,
    /// The account's number.
    #[serde(skip)]
    pub user_id: i64,
    /// Such as `ssh-ed25519`.
    pub algorithm: String,
    /// `SHA256:…`, as ssh-keygen shows it.
    pub fingerprint: String,
    /// The note at the end of its line.
    pub note: String,
    /// The whole line.
    pub line: String,
    /// When it was added.
    pub created_at: Time,
    /// When it last let somebody in.
    pub last_used_at: Option<Time>,
    /// From where that was.
    pub last_used_from: Option<String>,
    /// What it is limited to.
    pub limits: KeyLimits,
}
