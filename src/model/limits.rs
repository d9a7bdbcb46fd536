//! What a key may be limited to: where from, how long, which verbs, which VMs.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::Error;
use crate::model::{Job, Time, Vm, text};

/// Rules, verbs or VMs of one key.
pub const MOST_LIMITS: usize = 64;

/// Limits of a key; those of the default are none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyLimits {
    /// From where; empty: from anywhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<AddressRule>,
    /// Until when; none: for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// What may be asked for; empty: whatever the role allows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verbs: Vec<Verb>,
    /// Of which VMs, by their full names; empty: of any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vms: Vec<String>,
    /// Only what changes nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// No terminal (of certificates).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_pty: bool,
    /// No jumps and no forwards (of certificates).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_forwarding: bool,
    /// The client's agent is not led anywhere (of certificates).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_agent: bool,
    /// What runs, whatever is asked for (of certificates).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forced: Option<String>,
}

/// Why a key does not let in, here and now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// It is for other addresses.
    Address,
    /// Its time is over.
    Expired,
}

impl KeyLimits {
    /// Whether it lets in from there at that moment.
    pub fn admit(&self, from: IpAddr, now: Time) -> Result<(), Unfit> {
        if self.expired(now) {
            return Err(Unfit::Expired);
        }
        match self.from.is_empty() || AddressRule::admit(&self.from, from) {
            true => Ok(()),
            false => Err(Unfit::Address),
        }
    }

    /// Whether its time is over.
    pub fn expired(&self, now: Time) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Whether it may do less than its account, once it has let in.
    pub fn narrows(&self) -> bool {
        self.read_only || !self.verbs.is_empty() || !self.vms.is_empty() || self.forced.is_some()
    }

    /// Whether that action is among its verbs, or comes with one of them.
    pub fn covers(&self, action: &str) -> bool {
        let listed = |name: &str| self.verbs.iter().any(|v| v.covers(name));
        self.verbs.is_empty()
            || listed(action)
            // What changes a VM shows afterwards how the VM is.
            || (action == "vm.show" && CHANGES.iter().any(|change| listed(change)))
    }

    /// Whether that VM is among its own.
    pub fn sees(&self, vm: &Vm) -> bool {
        self.names(&vm.full_name())
    }

    /// The same of a job: its VM may be gone by now, its name is not.
    pub fn sees_work_on(&self, job: &Job) -> bool {
        self.names(&job.target)
    }

    fn names(&self, full_name: &str) -> bool {
        self.vms.is_empty() || self.vms.iter().any(|vm| vm == full_name)
    }

    /// Whether somebody may be inside that VM by it.
    pub fn may_enter(&self, vm: &Vm, now: Time) -> bool {
        let covered = self.covers("vm.ssh") || self.covers("vm.forward");
        !self.read_only && self.sees(vm) && covered && !self.expired(now)
    }

    /// As the database keeps them; none for none.
    pub fn to_json(&self) -> Option<String> {
        if *self == KeyLimits::default() { None } else { serde_json::to_string(self).ok() }
    }

    /// From the database. What this binary does not understand lets nobody in.
    pub fn from_json(json: Option<&str>) -> KeyLimits {
        let Some(json) = json else { return KeyLimits::default() };
        // A list would do for serde, and an empty one for no limits.
        let object = serde_json::from_str::<serde_json::Map<_, _>>(json);
        object
            .and_then(|o| serde_json::from_value(o.into()))
            .unwrap_or_else(|_| KeyLimits { expires_at: Some(Time::default()), ..KeyLimits::default() })
    }

    /// In a few words; empty for none.
    pub fn words(&self) -> String {
        let list = |items: Vec<String>| items.join(",");
        let mut words = Vec::new();
        if !self.from.is_empty() {
            words.push(format!("from {}", list(self.from.iter().map(ToString::to_string).collect())));
        }
        if let Some(end) = self.expires_at {
            words.push(format!("until {end}"));
        }
        if !self.verbs.is_empty() {
            words.push(format!("only {}", list(self.verbs.iter().map(ToString::to_string).collect())));
        }
        if !self.vms.is_empty() {
            words.push(format!("of {}", self.vms.join(",")));
        }
        if self.read_only {
            words.push(String::from("read only"));
        }
        words.join("; ")
    }
}

/// Verbs after which the VM is shown.
const CHANGES: [&str; 7] =
    ["vm.new", "vm.start", "vm.stop", "vm.restart", "vm.pause", "vm.resume", "vm.destroy"];

/// Addresses that are meant, or with a `!` those that are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRule {
    net: IpNet,
    except: bool,
}

impl AddressRule {
    /// Whether that address is meant by one of the rules and excepted by none.
    pub fn admit(rules: &[AddressRule], address: IpAddr) -> bool {
        let address = address.to_canonical();
        let meant = |except| rules.iter().any(|r| r.except == except && r.net.contains(&address));
        meant(false) && !meant(true)
    }

    /// Reads a list such as `10.0.0.0/8,!10.1.0.0/16`.
    ///
    /// # Errors
    /// `usage` if a rule cannot be read, if they are too many, or if they mean nothing.
    pub fn list(text: &str) -> Result<Vec<AddressRule>, Error> {
        let rules = text.split(',').map(str::parse).collect::<Result<Vec<AddressRule>, _>>()?;
        AddressRule::check(&rules)?;
        Ok(rules)
    }

    /// Whether those rules may stand together.
    ///
    /// # Errors
    /// `usage` if they are too many, or if they mean nothing.
    pub fn check(rules: &[AddressRule]) -> Result<(), Error> {
        if rules.len() > MOST_LIMITS {
            return Err(Error::usage(format!("A key has at most {MOST_LIMITS} rules of addresses.")));
        }
        if !rules.is_empty() && rules.iter().all(|r| r.except) {
            return Err(Error::usage("Addresses that are all excepted leave none.")
                .hint("Begin with what is meant: `0.0.0.0/0,!10.0.0.0/8`."));
        }
        Ok(())
    }
}

impl FromStr for AddressRule {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self, Error> {
        let bad = |why: &str| {
            Error::usage(format!("“{}” {why}.", text::short(s, 60)))
                .hint("Such as 192.0.2.7, 10.0.0.0/8, 2001:db8::/32 or !10.1.0.0/16.")
        };
        let (except, written) = match s.trim().strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, s.trim()),
        };
        let address = written.parse::<IpAddr>().ok().map(|a| IpNet::from(a.to_canonical()));
        let net = address.or_else(|| written.parse().ok());
        let net = net.ok_or_else(|| bad("is neither an address nor a network"))?;
        if net.trunc() != net {
            return Err(bad("has more bits than its prefix"));
        }
        match net {
            IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some() => {
                Err(bad("is an IPv4 network in IPv6's dress"))
            }
            IpNet::V4(_) | IpNet::V6(_) => Ok(AddressRule { net, except }),
        }
    }
}

impl fmt::Display for AddressRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.except { "!" } else { "" };
        match self.net.prefix_len() == self.net.max_prefix_len() {
            true => write!(f, "{sign}{}", self.net.addr()),
            false => write!(f, "{sign}{}", self.net),
        }
    }
}

/// An action, or with a `*` all of a noun, as `vm ls` or `vm *`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verb {
    noun: String,
    /// None: every one.
    verb: Option<String>,
}

/// Words that stand alone, and the actions that they are.
const ALONE: [(&str, &str, &str); 2] = [("whoami", "account", "whoami"), ("ssh-config", "vm", "ssh-config")];

impl Verb {
    /// Whether that action, such as `vm.ls`, is meant.
    pub fn covers(&self, action: &str) -> bool {
        let Some((noun, verb)) = action.split_once('.') else { return false };
        self.noun == noun && self.verb.as_ref().is_none_or(|v| v.replace('-', "_") == verb)
    }

    /// As its words stand on a line; a `*` for all verbs.
    pub fn words(&self) -> (&str, &str) {
        (&self.noun, self.verb.as_deref().unwrap_or("*"))
    }

    /// The action, if it is one.
    pub fn action(&self) -> Option<String> {
        self.verb.as_ref().map(|verb| format!("{}.{}", self.noun, verb.replace('-', "_")))
    }
}

impl FromStr for Verb {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self, Error> {
        let words: Vec<&str> = s.split_whitespace().collect();
        let word = |w: &str| {
            !w.is_empty()
                && w.len() <= 32
                && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        match words.as_slice() {
            [one] => ALONE.iter().find(|(alone, ..)| alone == one).map(|(_, noun, verb)| (*noun, *verb)),
            [noun, "*"] if word(noun) => Some((*noun, "*")),
            [noun, verb] if word(noun) && word(verb) => Some((*noun, *verb)),
            _ => None,
        }
        .map(|(noun, verb)| Verb { noun: noun.to_owned(), verb: (verb != "*").then(|| verb.to_owned()) })
        .ok_or_else(|| {
            Error::usage(format!("“{}” is no command.", text::short(s, 40)))
                .hint("Write it in full, without its arguments, such as `vm start`, or `vm *`.")
        })
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (noun, verb) = self.words();
        match ALONE.iter().find(|(_, n, v)| (*n, *v) == (noun, verb)) {
            Some((alone, ..)) => f.write_str(alone),
            None => write!(f, "{noun} {verb}"),
        }
    }
}

/// Both are kept, and shown, as they are written.
macro_rules! as_text {
    ($($type:ident)+) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(de::Error::custom)
            }
        }
    )+};
}

as_text! { AddressRule Verb }

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<AddressRule> {
        AddressRule::list(text).unwrap()
    }

    fn admits(rules: &str, address: &str) -> bool {
        AddressRule::admit(&list(rules), address.parse().unwrap())
    }

    #[test]
    fn addresses_and_exceptions() {
        assert!(admits("10.0.0.0/8", "10.255.0.1") && !admits("10.0.0.0/8", "11.0.0.0"));
        assert!(admits("192.0.2.7", "192.0.2.7") && !admits("192.0.2.7", "192.0.2.8"));
        // Whichever stands first.
        for rules in ["10.0.0.0/8,!10.1.0.0/16", "!10.1.0.0/16,10.0.0.0/8"] {
            assert!(admits(rules, "10.2.0.1") && !admits(rules, "10.1.0.1"), "{rules}");
        }
        assert!(admits("2001:db8::/32", "2001:db8::1") && !admits("2001:db8::/32", "2001:db9::1"));
        assert!(admits("10.0.0.0/8", "::ffff:10.0.0.1") && admits("::ffff:10.0.0.1", "10.0.0.1"));
        assert!(!admits("0.0.0.0/0", "2001:db8::1") && admits("0.0.0.0/0,::/0", "2001:db8::1"));
        assert_eq!(list(" !10.0.0.1 , ::/0")[0].to_string(), "!10.0.0.1");
    }

    #[test]
    fn what_is_no_address() {
        let long = vec!["10.0.0.1"; MOST_LIMITS + 1].join(",");
        for bad in [
            "",
            ",",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10.0.0",
            "example.com",
            "10.0.*",
            "!!10.0.0.1",
            "!10.0.0.0/8",
            "10.0.0.0/8,",
            "::ffff:10.0.0.0/104",
            "10.0.0.1 10.0.0.2",
            &long,
        ] {
            assert!(AddressRule::list(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn verbs() {
        let verb = |s: &str| s.parse::<Verb>().unwrap();
        assert!(verb("vm ls").covers("vm.ls") && !verb("vm ls").covers("vm.list"));
        assert!(verb("vm *").covers("vm.forward") && !verb("vm *").covers("job.ls"));
        assert!(verb("user passwd-reset").covers("user.passwd_reset"));
        assert!(verb("ssh-config").covers("vm.ssh_config") && verb("whoami").covers("account.whoami"));
        for same in ["vm ls", "vm *", "ssh-config", "whoami", "user passwd-reset"] {
            assert_eq!(verb(same).to_string(), same);
        }
        for bad in ["", "*", "* *", "* ls", "ls", "vm", "vm ls web1", "VM ls", "vm.ls", "vm l*", "vm \u{1b}"]
        {
            assert!(bad.parse::<Verb>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn limits_survive_the_database_or_let_nobody_in() {
        let limits = KeyLimits {
            from: list("10.0.0.0/8,!10.1.0.0/16"),
            expires_at: Some(Time::from_millis(1_784_000_000_000)),
            verbs: vec!["vm ls".parse().unwrap(), "vm *".parse().unwrap()],
            vms: vec!["web1.alice".into()],
            read_only: true,
            ..KeyLimits::default()
        };
        assert_eq!(KeyLimits::from_json(limits.to_json().as_deref()), limits);
        assert_eq!(KeyLimits::default().to_json(), None);
        assert_eq!(KeyLimits::from_json(None), KeyLimits::default());
        let now = Time::now();
        for strange in ["", "{", "[]", r#"{"tea_only":true}"#, r#"{"from":["far"]}"#, r#"{"verbs":["x"]}"#] {
            let read = KeyLimits::from_json(Some(strange));
            assert_eq!(read.admit("10.0.0.1".parse().unwrap(), now), Err(Unfit::Expired), "{strange}");
        }
    }

    #[test]
    fn what_comes_with_a_verb() {
        let only = |verb: &str| KeyLimits { verbs: vec![verb.parse().unwrap()], ..KeyLimits::default() };
        assert!(only("vm start").covers("vm.show") && !only("vm start").covers("vm.ls"));
        assert!(!only("vm ls").covers("vm.show"));
        assert!(KeyLimits::default().covers("user.new") && !KeyLimits::default().narrows());
    }
}
