//! The guard: what wrong passwords and codes cost whoever tries them.
//!
//! ```text
//! buckets   leaky buckets, in bounded memory
//! bans      who is banned, and until when
//! gate      what a login asks the guard, and what is written down
//! ```
//!
//! Each failure goes into four buckets: of its address (of IPv6 its /64), of the
//! account, of both together, and, if the address had not tried that name of late,
//! of the names tried from there. An address whose bucket runs over is banned, each
//! time twice as long. An account whose bucket is full takes no password, but from
//! addresses that it has signed in from. Neither keeps a right key out, and somebody
//! known from an address is held off by nothing but guesses at that very account
//! from that very address. Wrong codes from where the account never signed in from fill
//! one more: full, it takes no code but from where it did.
//!
//! Here is no clock and no randomness but what is given: `now` is an argument.

mod bans;
mod buckets;
mod gate;

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

use self::bans::{Bans, Lengths};
use self::buckets::{Bounded, Bucket, Drains, Millis, Size};
use crate::config;
use crate::model::{Ban, Network, Time};

pub(super) use gate::Gate;

/// Addresses, accounts, and pairs of both that are remembered.
const MOST_SOURCES: usize = 16_384;
const MOST_ACCOUNTS: usize = 16_384;
const MOST_PAIRS: usize = 16_384;
/// Names that are remembered of one address.
const MOST_NAMES: usize = 16;
/// How much slower names drain than failures.
const NAMES_LAST: u64 = 10;
/// How much slower an account's wrong codes from unknown addresses do: a few hundred a
/// day of a million.
const CODES_LAST: u64 = 20;

/// A name as it is remembered: strangers may try long ones.
type Name = u64;

/// What is remembered of an address.
#[derive(Debug, Default)]
struct Source {
    failures: Bucket,
    names: Bucket,
    /// The names tried of late, the newest last, each with its failures.
    tried: Vec<(Name, u32)>,
}

impl Drains for Source {
    fn empty_at(&self) -> Millis {
        self.failures.empty_at().max(self.names.empty_at())
    }
}

/// What stands between somebody and a check of what they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// Nothing.
    Free,
    /// Only whoever is known from there may try, or has a second factor beside.
    Doubted,
    /// Only whoever is known from there may try.
    OnlyKnown,
    /// Nobody may.
    Shut,
}

/// What a failure came to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Consequence {
    /// The address is banned now.
    pub ban: Option<Ban>,
    /// Bans that made room.
    pub gone: Vec<Network>,
    /// The account takes passwords from known addresses only from now on.
    pub account_full: bool,
}

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Guard {
    allow: Vec<Network>,
    size: Size,
    names: Size,
    account: Size,
    code: Size,
    lengths: Lengths,
    sources: Bounded<Network, Source>,
    accounts: Bounded<Name, Bucket>,
    /// Wrong codes from unknown addresses: each after a right first factor.
    codes: Bounded<Name, Bucket>,
    pairs: Bounded<(Name, Network), Bucket>,
    bans: Bans,
    hasher: RandomState,
}

impl Guard {
    pub fn new(config: &config::Guard) -> Guard {
        let each = config.drain_s * 1000;
        Guard {
            allow: config.allow.clone(),
            size: Size { most: config.failures, each },
            names: Size { most: config.names, each: each * NAMES_LAST },
            account: Size { most: config.account_failures, each },
            code: Size { most: config.account_failures, each: each * CODES_LAST },
            lengths: Lengths {
                first_ms: config.ban_s * 1000,
                longest_ms: config.longest_ban_s.max(config.ban_s) * 1000,
                forget_ms: config.forget_s * 1000,
            },
            sources: Bounded::new(MOST_SOURCES),
            accounts: Bounded::new(MOST_ACCOUNTS),
            codes: Bounded::new(MOST_ACCOUNTS),
            pairs: Bounded::new(MOST_PAIRS),
            bans: Bans::default(),
            hasher: RandomState::new(),
        }
    }

    fn name(&self, name: &str) -> Name {
        self.hasher.hash_one(name)
    }

    fn is_allowed(&self, from: IpAddr) -> bool {
        self.allow.iter().any(|n| n.contains(from))
    }

    /// Whether somebody from there may try at that account.
    pub fn look(&self, name: &str, from: IpAddr, now: Millis) -> Hold {
        let name = self.name(name);
        let full = self.accounts.get(name).is_some_and(|b| b.is_full(now, self.account));
        self.hold(name, from, now, full.then_some(Hold::Doubted))
    }

    /// The same of codes, after a right first factor.
    pub fn look_at_code(&self, name: &str, from: IpAddr, now: Millis) -> Hold {
        let name = self.name(name);
        let full = self.codes.get(name).is_some_and(|b| b.is_full(now, self.code));
        self.hold(name, from, now, full.then_some(Hold::OnlyKnown))
    }

    /// What holds somebody from there off; `full`: what the account's bucket does.
    fn hold(&self, name: Name, from: IpAddr, now: Millis, full: Option<Hold>) -> Hold {
        if self.is_allowed(from) {
            return Hold::Free;
        }
        let guessed = || self.pairs.get((name, Network::of(from))).is_some_and(|b| b.is_full(now, self.size));
        // A ban is first: there no account is unlike others.
        let held = if self.is_banned(from, now) { Some(Hold::OnlyKnown) } else { full };
        match held {
            None => Hold::Free,
            Some(_) if guessed() => Hold::Shut,
            Some(hold) => hold,
        }
    }

    /// Whether a ban holds for that address.
    pub fn is_banned(&self, from: IpAddr, now: Millis) -> bool {
        !self.is_allowed(from) && self.bans.of(from, time(now)).is_some()
    }

    /// Somebody from there was wrong about that account.
    pub fn wrong(&mut self, name: &str, from: IpAddr, now: Millis) -> Consequence {
        let (id, network) = (self.name(name), Network::of(from));
        let mut consequence = Consequence::default();
        if self.is_allowed(from) {
            return consequence;
        }
        let (size, account) = (self.size, self.account);
        self.pairs.update((id, network), now, |b| b.add(now, size));
        consequence.account_full = self.accounts.update(id, now, |b| {
            let before = b.is_full(now, account);
            b.add(now, account);
            !before && b.is_full(now, account)
        });
        let names = self.names;
        let over = self.sources.update(network, now, |s| {
            s.failures.add(now, size);
            s.tried(id, 1, now, names);
            s.over(now, size, names)
        });
        self.ban(from, over, now, &mut consequence);
        consequence
    }

    /// A code for that account was wrong, from where it never signed in from.
    pub fn wrong_code_of_unknown(&mut self, name: &str, from: IpAddr, now: Millis) {
        if !self.is_allowed(from) {
            let (id, size) = (self.name(name), self.code);
            self.codes.update(id, now, |b| b.add(now, size));
        }
    }

    /// Somebody from there tried a name in a way that guesses nothing but names.
    pub fn stray(&mut self, name: &str, from: IpAddr, now: Millis) -> Consequence {
        let (id, network) = (self.name(name), Network::of(from));
        let mut consequence = Consequence::default();
        if !self.is_allowed(from) {
            let (size, names) = (self.size, self.names);
            let over = self.sources.update(network, now, |s| {
                s.tried(id, 0, now, names);
                s.over(now, size, names)
            });
            self.ban(from, over, now, &mut consequence);
        }
        consequence
    }

    /// One ban at a time: nobody's gets longer by what is tried while it holds.
    fn ban(&mut self, from: IpAddr, over: Option<&str>, now: Millis, to: &mut Consequence) {
        if let Some(why) = over
            && !self.is_banned(from, now)
        {
            let (ban, gone) = self.bans.strike(Network::of(from), time(now), self.lengths, why.to_owned());
            (to.ban, to.gone) = (Some(ban), gone);
        }
    }

    /// Somebody from there has signed in: what they were wrong about before was meant well.
    pub fn right(&mut self, name: &str, from: IpAddr, now: Millis) {
        let (id, network) = (self.name(name), Network::of(from));
        let size = self.size;
        self.pairs.update((id, network), now, |b| *b = Bucket::default());
        self.sources.update(network, now, |s| {
            // Only what they did themselves: nobody guesses at others with an account
            // of his own that empties the bucket.
            if let Some(at) = s.tried.iter().position(|(tried, _)| *tried == id) {
                let (_, failures) = s.tried.remove(at);
                s.failures.take_back(failures, size);
            }
        });
    }

    /// Lifts a ban, and lets those who were banned begin anew.
    pub fn lift(&mut self, network: Network, now: Millis) -> Option<Ban> {
        self.sources.update(network, now, |s| *s = Source::default());
        self.bans.remove(network)
    }

    /// Forgets what does not count any more; bans that are forgotten.
    pub fn prune(&mut self, now: Millis) -> Vec<Network> {
        self.bans.prune(time(now), self.lengths)
    }
}

impl Source {
    /// Counts a try at that name, which was so many failures.
    fn tried(&mut self, name: Name, more: u32, now: Millis, names: Size) {
        let failures = match self.tried.iter().position(|(tried, _)| *tried == name) {
            Some(at) => self.tried.remove(at).1,
            None => {
                self.names.add(now, names);
                0
            }
        };
        if self.tried.len() >= MOST_NAMES {
            self.tried.remove(0);
        }
        self.tried.push((name, failures.saturating_add(more)));
    }

    /// What runs over, in words.
    fn over(&self, now: Millis, size: Size, names: Size) -> Option<&'static str> {
        if self.failures.is_full(now, size) {
            Some("too many wrong passwords or codes")
        } else if self.names.is_full(now, names) {
            Some("too many names tried")
        } else {
            None
        }
    }
}

/// The guard's clock as it is shown.
fn time(now: Millis) -> Time {
    Time::from_millis(i64::try_from(now).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
