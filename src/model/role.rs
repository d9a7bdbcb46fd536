//! Roles: named sets of permissions, and what is demanded of those who have one.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::words::words;
use crate::error::{Code, Error};
use crate::model::group::GroupName;
use crate::model::name::is_label;
use crate::model::time::span;
use crate::model::{Time, User, text};

words! {
    /// What an action wants of whoever performs it. Whether it is granted for a
    /// particular row (one's own, or anybody's) is decided behind the door.
    Permission {
        /// Look after one's own account: password, keys, second factor.
        AccountSelf = "account_self",
        /// Look at what is offered: plans, images.
        CatalogueRead = "catalogue_read",
        /// See a VM, its jobs and its figures.
        VmRead = "vm_read",
        /// Start and stop a VM.
        VmOperate = "vm_operate",
        /// Make, change, share and destroy a VM.
        VmWrite = "vm_write",
        /// Be inside a VM: shell, jump, console.
        VmEnter = "vm_enter",
        /// Read events.
        EventRead = "event_read",
        /// See connections.
        SessionRead = "session_read",
        /// End connections.
        SessionKill = "session_kill",
        /// See the accounts, roles, groups and invitations.
        UserRead = "user_read",
        /// Make and change accounts, roles, groups and invitations.
        UserWrite = "user_write",
        /// See which addresses are banned.
        BanRead = "ban_read",
        /// Ban addresses, and let them in again.
        BanWrite = "ban_write",
        /// See the host's own figures.
        HostRead = "host_read",
    }
}

impl Permission {
    /// Whether it has any meaning for what is one's own only.
    pub fn has_own(self) -> bool {
        use Permission as P;
        match self {
            P::AccountSelf | P::VmRead | P::VmOperate | P::VmWrite | P::VmEnter => true,
            P::EventRead | P::SessionRead | P::SessionKill => true,
            P::CatalogueRead | P::UserRead | P::UserWrite | P::BanRead | P::BanWrite | P::HostRead => false,
        }
    }

    /// Whether it changes nothing: what a read-only key may still do.
    pub const fn reads(self) -> bool {
        use Permission as P;
        match self {
            P::CatalogueRead | P::VmRead | P::EventRead | P::SessionRead => true,
            P::UserRead | P::BanRead | P::HostRead => true,
            P::AccountSelf | P::VmOperate | P::VmWrite | P::VmEnter => false,
            P::SessionKill | P::UserWrite | P::BanWrite => false,
        }
    }
}

impl FromStr for Permission {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self, Error> {
        Permission::parse(s).ok_or_else(|| {
            let words: Vec<_> = Self::ALL.iter().map(|p| p.as_str()).collect();
            Error::usage(format!("There is no permission “{}”.", text::short(s, 40)))
                .hint(format!("There are: {}.", words.join(", ")))
        })
    }
}

words! {
    /// How far a permission reaches.
    Scope {
        /// Not at all.
        None = "none",
        /// What is one's own, and what is shared with one.
        Own = "own",
        /// Everybody's.
        All = "all",
    }
}

impl FromStr for Scope {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self, Error> {
        Scope::parse(s).ok_or_else(|| {
            Error::usage(format!("A permission reaches none, own or all, not “{}”.", text::short(s, 40)))
        })
    }
}

/// How far each permission reaches for somebody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rights(BTreeMap<Permission, Scope>);

impl Rights {
    /// How far that permission reaches.
    pub fn scope(&self, permission: Permission) -> Scope {
        self.0.get(&permission).copied().unwrap_or(Scope::None)
    }

    /// Sets how far a permission reaches.
    pub fn set(&mut self, permission: Permission, scope: Scope) {
        match scope {
            Scope::None => self.0.remove(&permission),
            Scope::Own | Scope::All => self.0.insert(permission, scope),
        };
    }

    /// Adds what others have: each permission reaches as far as the further one.
    pub fn add(&mut self, others: &Rights) {
        for (permission, scope) in &others.0 {
            let mine = self.0.entry(*permission).or_insert(Scope::None);
            *mine = (*mine).max(*scope);
        }
    }

    /// Whether everything of `others` is in these.
    pub fn cover(&self, others: &Rights) -> bool {
        others.0.iter().all(|(permission, scope)| self.scope(*permission) >= *scope)
    }

    /// Permissions that reach anywhere, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (Permission, Scope)> {
        self.0.iter().map(|(permission, scope)| (*permission, *scope))
    }

    /// As the database keeps them.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From the database. Words that this binary does not know grant nothing.
    pub fn from_json(json: &str) -> Rights {
        let words: BTreeMap<String, String> = serde_json::from_str(json).unwrap_or_default();
        let mut rights = Rights::default();
        for (permission, scope) in words {
            if let (Ok(permission), Ok(scope)) = (permission.parse(), scope.parse()) {
                rights.set(permission, scope);
            }
        }
        rights
    }
}

impl Serialize for Rights {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.0.iter().map(|(p, scope)| (p.as_str(), scope.as_str())))
    }
}

/// The name of a role: a label like a VM's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RoleName(Cow<'static, str>);

impl RoleName {
    /// Runs the place.
    pub const ADMIN: RoleName = RoleName(Cow::Borrowed("admin"));
    /// Runs everybody's VMs; no accounts.
    pub const OPERATOR: RoleName = RoleName(Cow::Borrowed("operator"));
    /// Uses it.
    pub const USER: RoleName = RoleName(Cow::Borrowed("user"));
    /// Sees everything, changes nothing.
    pub const AUDITOR: RoleName = RoleName(Cow::Borrowed("auditor"));
    /// Those that are always there.
    pub const BUILT_IN: [RoleName; 4] = [Self::ADMIN, Self::OPERATOR, Self::USER, Self::AUDITOR];

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the built-in role of that name may do: the one table of rights. None:
    /// the role is not built in.
    pub fn built_in(&self) -> Option<Rights> {
        use Permission as P;
        let (own, all): (&[P], &[P]) = match self.as_str() {
            "admin" => (&[], P::ALL),
            "operator" => (
                &[P::AccountSelf, P::EventRead, P::SessionRead, P::SessionKill],
                &[P::CatalogueRead, P::VmRead, P::VmOperate, P::VmWrite, P::VmEnter, P::HostRead],
            ),
            "user" => (
                &[
                    P::AccountSelf,
                    P::VmRead,
                    P::VmOperate,
                    P::VmWrite,
                    P::VmEnter,
                    P::EventRead,
                    P::SessionRead,
                    P::SessionKill,
                ],
                &[P::CatalogueRead],
            ),
            "auditor" => (
                &[P::AccountSelf],
                &[
                    P::CatalogueRead,
                    P::VmRead,
                    P::EventRead,
                    P::SessionRead,
                    P::UserRead,
                    P::BanRead,
                    P::HostRead,
                ],
            ),
            _ => return None,
        };
        let own = own.iter().map(|p| (*p, Scope::Own));
        Some(Rights(own.chain(all.iter().map(|p| (*p, Scope::All))).collect()))
    }
}

impl FromStr for RoleName {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self, Error> {
        match is_label(s) {
            true => Ok(RoleName(Cow::Owned(s.to_owned()))),
            false => {
                let message = format!("“{}” cannot be the name of a role.", text::short(s, 40));
                Err(Error::new(Code::BadName, message))
            }
        }
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is demanded of those who have a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// A second factor; without one they can do nothing but enrol.
    pub second_factor: bool,
    /// They may sign in with a password.
    pub password_login: bool,
    /// Their sessions end after this long, seconds; none: they do not.
    pub max_session_s: Option<u64>,
}

impl Default for Policy {
    fn default() -> Self {
        Policy { second_factor: false, password_login: true, max_session_s: None }
    }
}

impl Policy {
    /// Whether it demands all that the other one does.
    pub fn is_as_strict_as(self, other: Policy) -> bool {
        self.and(other) == self
    }

    /// What two roles demand together: the stricter of each.
    #[must_use]
    pub fn and(self, other: Policy) -> Policy {
        Policy {
            second_factor: self.second_factor || other.second_factor,
            password_login: self.password_login && other.password_login,
            max_session_s: match (self.max_session_s, other.max_session_s) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            },
        }
    }
}

/// Which rows of a list somebody gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Those of that account.
    Own(i64),
    /// Those, and what is shared with it.
    Shared(i64),
    /// Everybody's.
    All,
}

/// In a few words; empty if nothing is demanded.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = Vec::new();
        if self.second_factor {
            all.push(String::from("second factor"));
        }
        if !self.password_login {
            all.push(String::from("no passwords"));
        }
        all.extend(self.max_session_s.map(|s| format!("sessions of {}", span(s))));
        f.write_str(&all.join(", "))
    }
}

/// An account, with what it may do at this moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The account.
    pub user: User,
    /// What it may do: by its own role, and by what it is granted beside.
    pub rights: Rights,
    /// What is demanded of it.
    pub policy: Policy,
    /// It has a second factor that counts.
    pub second_factor: bool,
    /// The groups that it is in.
    pub groups: Vec<GroupName>,
}

impl Standing {
    /// It can do nothing but set up a second factor.
    pub fn must_enrol(&self) -> bool {
        self.policy.second_factor && !self.second_factor
    }
}

/// A role, whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Role {
    /// Its name.
    pub name: RoleName,
    /// It is always there, and its permissions cannot be changed.
    pub built_in: bool,
    /// How far each permission reaches.
    pub permissions: Rights,
    /// What is demanded.
    #[serde(flatten)]
    pub policy: Policy,
    /// Accounts that have it.
    pub users: u32,
}

/// A role beside an account's own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Grant {
    /// The role.
    pub role: RoleName,
    /// Since when.
    pub granted_at: Time,
    /// By whom.
    pub granted_by: String,
    /// Until when; none: until it is taken back.
    pub expires_at: Option<Time>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_survive_the_database() {
        for role in RoleName::BUILT_IN {
            let rights = role.built_in().unwrap();
            assert_eq!(Rights::from_json(&rights.to_json()), rights);
        }
        let unknown = Rights::from_json(r#"{"vm_read":"all","fly":"all","vm_enter":"far"}"#);
        assert_eq!(unknown.iter().collect::<Vec<_>>(), [(Permission::VmRead, Scope::All)]);
        assert_eq!(Rights::from_json("nonsense"), Rights::default());
    }

    #[test]
    fn rights_add_up_and_cover() {
        let user = RoleName::USER.built_in().unwrap();
        let admin = RoleName::ADMIN.built_in().unwrap();
        let auditor = RoleName::AUDITOR.built_in().unwrap();
        assert!(admin.cover(&user) && admin.cover(&auditor) && !user.cover(&auditor));
        let mut both = user.clone();
        both.add(&auditor);
        assert_eq!(both.scope(Permission::VmRead), Scope::All);
        assert_eq!(both.scope(Permission::VmEnter), Scope::Own);
        assert!(both.cover(&user) && both.cover(&auditor) && !both.cover(&admin));
    }

    #[test]
    fn an_auditor_changes_nothing_but_his_own_account() {
        for (permission, scope) in RoleName::AUDITOR.built_in().unwrap().iter() {
            let own_account = permission == Permission::AccountSelf && scope == Scope::Own;
            assert!(permission.reads() || own_account, "{permission}");
        }
    }

    #[test]
    fn demands_add_up_to_the_stricter() {
        let lax = Policy { max_session_s: Some(60), ..Policy::default() };
        let strict = Policy { second_factor: true, password_login: false, max_session_s: None };
        let both = Policy { second_factor: true, password_login: false, max_session_s: Some(60) };
        assert_eq!((lax.and(strict), strict.and(lax)), (both, both));
    }
}
