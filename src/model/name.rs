//! Names that people choose, checked once at the edge.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::error::{Code, Error};
use crate::model::text;

/// The name of a VM: a DNS label (RFC 1035 §2.3.1) of at most 32 characters,
/// `[a-z]([a-z0-9-]{0,30}[a-z0-9])?`, so that it can be its host name too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct VmName(String);

impl VmName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether that is a label of at most 32 characters.
pub(super) fn is_label(s: &str) -> bool {
    s.len() <= 32
        && s.starts_with(|c: char| c.is_ascii_lowercase())
        && !s.ends_with('-')
        && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

impl FromStr for VmName {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self, Error> {
        if is_label(s) {
            Ok(VmName(s.to_owned()))
        } else {
            Err(Error::new(Code::BadName, format!("“{}” cannot be the name of a VM.", text::short(s, 40))))
        }
    }
}

impl fmt::Display for VmName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A VM as somebody names it: `web1`, or `web1.alice` for one of another's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VmRef {
    /// The VM's own name.
    pub name: VmName,
    /// Whose it is; the asker's own if none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<UserName>,
}

impl FromStr for VmRef {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self, Error> {
        match s.split_once('.') {
            Some((name, owner)) => Ok(VmRef { name: name.parse()?, owner: Some(owner.parse()?) }),
            None => Ok(VmRef { name: s.parse()?, owner: None }),
        }
    }
}

impl fmt::Display for VmRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.owner {
            Some(owner) => write!(f, "{}.{owner}", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}

/// Words that stand for something else where an account's name may: errands at the
/// door, actors of events. Not for new accounts.
const RESERVED: [&str; 6] = ["invite", "register", "reset", "system", "portal", "twarga"];

/// The name of an account: like a VM's name, and `_` besides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct UserName(String);

impl UserName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl UserName {
    /// The name, if a new account may have it.
    ///
    /// # Errors
    /// `usage.name` if it stands for something else.
    pub fn for_new(self) -> Result<Self, Error> {
        if !RESERVED.contains(&self.as_str()) {
            return Ok(self);
        }
        Err(Error::new(Code::BadName, format!("“{self}” means something else here."))
            .hint("Choose another name."))
    }
}

impl FromStr for UserName {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self, Error> {
        if is_label(&s.replace('_', "-")) {
            Ok(UserName(s.to_owned()))
        } else {
            Err(Error::new(
                Code::BadName,
                format!("“{}” cannot be the name of an account.", text::short(s, 40)),
            )
            .hint("A letter, then letters, digits, `-` or `_`, at most 32, all lower case."))
        }
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tags of one VM.
pub const MOST_TAGS: usize = 16;
/// The longest tag, characters.
pub const LONGEST_TAG: usize = 40;

/// Whether a VM may have those tags.
///
/// # Errors
/// `usage` if they are too many, or one of them is empty, too long, or would act
/// on a terminal.
pub fn check_tags(tags: &[String]) -> Result<(), Error> {
    let good =
        |t: &String| !t.is_empty() && t.chars().count() <= LONGEST_TAG && !t.chars().any(text::is_unsafe);
    if tags.len() <= MOST_TAGS && tags.iter().all(good) {
        return Ok(());
    }
    Err(Error::usage(format!("A VM has at most {MOST_TAGS} tags of at most {LONGEST_TAG} characters."))
        .hint("Without control characters."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_of_the_contract() {
        for good in ["a", "web1", "a-b", "a234567890123456789012345678901b"] {
            assert!(good.parse::<VmName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "1a",
            "-a",
            "a-",
            "A",
            "a_b",
            "a.b",
            "../x",
            "a b",
            "a\n",
            "é",
            "a2345678901234567890123456789012b",
        ] {
            assert!(bad.parse::<VmName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_that_mean_something_else() {
        for reserved in RESERVED {
            let name: UserName = reserved.parse().unwrap();
            assert_eq!(name.for_new().unwrap_err().code, Code::BadName);
        }
        assert!("alice".parse::<UserName>().unwrap().for_new().is_ok());
    }

    #[test]
    fn others_vms() {
        let r: VmRef = "web1.alice".parse().unwrap();
        assert_eq!(r.to_string(), "web1.alice");
        assert!("web1.".parse::<VmRef>().is_err());
        assert!(".alice".parse::<VmRef>().is_err());
    }

    #[test]
    fn errors_carry_no_control_characters() {
        let e = "\u{1b}[31mx".parse::<VmName>().unwrap_err();
        assert!(!e.message.contains('\u{1b}'));
        let e = "x".repeat(10_000).parse::<VmName>().unwrap_err();
        assert!(e.message.len() < 200);
    }
}
