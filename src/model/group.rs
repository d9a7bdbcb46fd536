//! Groups: a class, a team; and what is shared in them.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::words::words;
use crate::error::{Code, Error};
use crate::model::name::{UserName, is_label};
use crate::model::{Permission, Time, text};

words! {
    /// What the members of a group may do with a machine that is not theirs; each
    /// level holds those before it.
    Level {
        /// See it and its figures.
        See = "see",
        /// Start and stop it.
        Operate = "operate",
        /// Be inside it.
        Enter = "enter",
    }
}

impl Level {
    /// The lowest level that a permission wants of a shared machine; none: it wants
    /// one's own.
    pub fn wanted_by(permission: Permission) -> Option<Level> {
        use Permission as P;
        match permission {
            P::VmRead => Some(Level::See),
            P::VmOperate => Some(Level::Operate),
            P::VmEnter => Some(Level::Enter),
            P::AccountSelf | P::CatalogueRead | P::VmWrite | P::EventRead | P::SessionRead => None,
            P::SessionKill | P::UserRead | P::UserWrite | P::BanRead | P::BanWrite | P::HostRead => None,
        }
    }
}

impl FromStr for Level {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self, Error> {
        Level::parse(s).ok_or_else(|| {
            Error::usage(format!(
                "A machine is shared to see, operate or enter, not “{}”.",
                text::short(s, 40)
            ))
        })
    }
}

/// The name of a group: a label like a VM's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct GroupName(String);

impl GroupName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GroupName {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self, Error> {
        match is_label(s) {
            true => Ok(GroupName(s.to_owned())),
            false => Err(Error::new(
                Code::BadName,
                format!("“{}” cannot be the name of a group.", text::short(s, 40)),
            )
            .hint("A letter, then letters, digits or `-`, at most 32, all lower case.")),
        }
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Who is in a group: an account, or (with `@` before it) another group, so that
/// neither is ever taken for the other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Member {
    /// An account.
    User(UserName),
    /// A group, whose members are members too.
    Group(GroupName),
}

impl FromStr for Member {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self, Error> {
        match s.strip_prefix('@') {
            Some(group) => Ok(Member::Group(group.parse()?)),
            None => Ok(Member::User(s.parse()?)),
        }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Member::User(name) => write!(f, "{name}"),
            Member::Group(name) => write!(f, "@{name}"),
        }
    }
}

impl Serialize for Member {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// A group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// Number, unique in this portal.
    pub id: i64,
    /// Its name.
    pub name: GroupName,
    /// What it is for.
    pub note: String,
    /// Who is in it, accounts first.
    pub members: Vec<Member>,
    /// Machines that are shared with it.
    pub vms: Vec<Shared>,
    /// When it was made.
    pub created_at: Time,
}

/// A machine that is shared with a group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shared {
    /// The machine, with its owner: `web1.alice`.
    pub vm: String,
    /// The group.
    pub group: GroupName,
    /// What its members may do with it.
    pub level: Level,
    /// Since when.
    pub shared_at: Time,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_never_mistaken() {
        assert!(matches!("alice".parse(), Ok(Member::User(_))));
        assert!(matches!("@alice".parse(), Ok(Member::Group(_))));
        for bad in ["", "@", "@@x", "@A", "a b", "@x\u{1b}"] {
            assert!(bad.parse::<Member>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn levels_hold_those_before_them() {
        assert!(Level::See < Level::Operate && Level::Operate < Level::Enter);
        assert_eq!(Level::wanted_by(Permission::VmWrite), None);
    }
}
