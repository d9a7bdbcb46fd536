//! Accounts, their roles, and what a role may do.

use std::fmt;

use serde::Serialize;

use crate::model::Time;

/// What an action wants of whoever performs it. Whether it is granted for a
/// particular row (one's own, or anybody's) is decided behind the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Look after one's own account: password, keys.
    AccountSelf,
    /// Look at what is offered: plans, images.
    CatalogueRead,
    /// See a VM, its jobs and its figures.
    VmRead,
    /// Make, change and destroy a VM.
    VmWrite,
    /// Be inside a VM: shell, jump, console.
    VmEnter,
    /// Read events.
    EventRead,
    /// See the accounts.
    UserRead,
    /// Make and change accounts.
    UserWrite,
    /// See connections, and end them.
    SessionManage,
    /// See the host's own figures.
    HostRead,
}

/// How far a permission reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Not at all.
    None,
    /// What is one's own.
    Own,
    /// Everybody's.
    All,
}

/// A named set of permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs the place.
    Admin,
    /// Uses it.
    User,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 2] = [Role::Admin, Role::User];

    /// The role's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::User => "user",
        }
    }

    /// The role of that word.
    pub fn parse(s: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == s)
    }

    /// How far the role's permission reaches: the one table of rights.
    pub fn grants(self, permission: Permission) -> Scope {
        match (self, permission) {
            (Role::Admin, _) => Scope::All,
            (
                Role::User,
                Permission::AccountSelf
                | Permission::VmRead
                | Permission::VmWrite
                | Permission::VmEnter
                | Permission::EventRead
                | Permission::SessionManage,
            ) => Scope::Own,
            (Role::User, Permission::CatalogueRead) => Scope::All,
            (Role::User, Permission::UserRead | Permission::UserWrite | Permission::HostRead) => Scope::None,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct User {
    /// Number, unique in this portal.
    pub id: i64,
    /// What it signs in as.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// False: it cannot sign in.
    pub enabled: bool,
    /// It must choose a password before it may do anything else.
    pub must_change_password: bool,
    /// When it was made.
    pub created_at: Time,
    /// When it last signed in.
    pub last_login_at: Option<Time>,
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
}
