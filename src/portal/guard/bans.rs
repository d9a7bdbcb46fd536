//! Who is banned: those whom the guard has banned, and those whom somebody has.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::model::{Ban, Network, Time};

/// Bans at once by the guard; those that end first make room.
const MOST: usize = 4096;
/// Bans at once by people, which nothing but a person takes away.
pub(super) const MOST_BY_HAND: usize = 1000;
/// Doublings that count: more would be longer than anybody's longest ban.
const MOST_STRIKES: u32 = 30;

/// How long bans are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lengths {
    /// The first.
    pub first_ms: u64,
    /// However often.
    pub longest_ms: u64,
    /// How long after the end of a ban it still counts.
    pub forget_ms: u64,
}

/// Every ban, and those of late that count for the next.
#[derive(Debug, Default)]
pub(super) struct Bans {
    rows: BTreeMap<Network, Ban>,
    /// Those that are not what one address stands for.
    wide: Vec<Network>,
    /// The guard's, by when they end.
    by_end: BTreeSet<(Option<Time>, Network)>,
}

fn later(t: Time, ms: u64) -> Time {
    Time::from_millis(t.millis().saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)))
}

impl Bans {
    /// The ban that holds for that address, if one does.
    pub fn of(&self, address: IpAddr, now: Time) -> Option<&Ban> {
        let own = self.rows.get(&Network::of(address));
        let wide = || self.wide.iter().filter(|n| n.contains(address)).filter_map(|n| self.rows.get(n));
        own.filter(|b| b.holds(now)).or_else(|| wide().find(|b| b.holds(now)))
    }

    /// Takes a ban in, in place of one of the same network; those that made room for it.
    pub fn insert(&mut self, ban: Ban) -> Vec<Network> {
        self.remove(ban.network);
        let mut gone = Vec::new();
        if ban.by.is_none() {
            while self.by_end.len() >= MOST
                && let Some((_, first)) = self.by_end.first().copied()
            {
                self.remove(first);
                gone.push(first);
            }
            self.by_end.insert((ban.until, ban.network));
        }
        if !ban.network.is_one() {
            self.wide.push(ban.network);
        }
        self.rows.insert(ban.network, ban);
        gone
    }

    /// Takes a ban away.
    pub fn remove(&mut self, network: Network) -> Option<Ban> {
        let ban = self.rows.remove(&network)?;
        self.by_end.remove(&(ban.until, network));
        if !network.is_one() {
            self.wide.retain(|n| *n != network);
        }
        Some(ban)
    }

    /// Bans for what has just happened; twice as long as the last time. Somebody's ban
    /// that holds is left as it is.
    pub fn strike(
        &mut self,
        network: Network,
        now: Time,
        lengths: Lengths,
        note: String,
    ) -> (Ban, Vec<Network>) {
        if let Some(standing) = self.rows.get(&network).filter(|b| b.by.is_some() && b.holds(now)) {
            return (standing.clone(), Vec::new());
        }
        let before = self.rows.get(&network).filter(|b| b.by.is_none() && !is_forgotten(b, now, lengths));
        let strikes = before.map_or(0, |b| b.strikes).saturating_add(1).min(MOST_STRIKES);
        let length = lengths.first_ms.saturating_mul(1 << (strikes - 1)).min(lengths.longest_ms);
        let ban = Ban { network, since: now, until: Some(later(now, length)), strikes, by: None, note };
        let gone = self.insert(ban.clone());
        (ban, gone)
    }

    /// Forgets what is over and does not count any more; what was forgotten.
    pub fn prune(&mut self, now: Time, lengths: Lengths) -> Vec<Network> {
        let old: Vec<_> =
            self.rows.values().filter(|b| is_forgotten(b, now, lengths)).map(|b| b.network).collect();
        for network in &old {
            self.remove(*network);
        }
        old
    }

    /// Those that hold, the newest first.
    pub fn list(&self, now: Time) -> Vec<Ban> {
        let mut list: Vec<_> = self.rows.values().filter(|b| b.holds(now)).cloned().collect();
        list.sort_by_key(|b| std::cmp::Reverse(b.since));
        list
    }

    /// How many hold.
    pub fn count(&self, now: Time) -> usize {
        self.rows.values().filter(|b| b.holds(now)).count()
    }

    /// How many were made by people.
    pub fn by_hand(&self) -> usize {
        self.rows.len() - self.by_end.len()
    }

    /// How many are kept.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.rows.len()
    }
}

/// What a person made is over at its end; what the guard made counts for a while longer.
fn is_forgotten(ban: &Ban, now: Time, lengths: Lengths) -> bool {
    let quiet = if ban.by.is_none() { lengths.forget_ms } else { 0 };
    ban.until.is_some_and(|until| later(until, quiet) <= now)
}
