//! How many connections may be in the house before they have signed in: in
//! total, and from one address (all of a /64 counts as one IPv6 address).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use crate::model::Network;

/// Connections that have not signed in.
#[derive(Debug)]
pub(super) struct Startups {
    total_limit: usize,
    address_limit: usize,
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    total: usize,
    by_address: HashMap<Network, usize>,
}

/// A place among the startups; dropped when the connection signs in or ends.
#[derive(Debug)]
pub(super) struct Startup {
    startups: Arc<Startups>,
    address: Network,
}

impl Startups {
    pub fn new(total_limit: u32, address_limit: u32) -> Arc<Self> {
        Arc::new(Startups {
            total_limit: total_limit as usize,
            address_limit: address_limit as usize,
            now: Mutex::default(),
        })
    }

    /// A place for a connection from there; none if there are too many.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Startup> {
        let address = Network::of(address);
        let mut now = self.now.lock().ok()?;
        let here = now.by_address.get(&address).copied().unwrap_or(0);
        if now.total >= self.total_limit || here >= self.address_limit {
            return None;
        }
        now.total += 1;
        now.by_address.insert(address, here + 1);
        Some(Startup { startups: Arc::clone(self), address })
    }

    pub fn count(&self) -> usize {
        self.now.lock().map_or(0, |now| now.total)
    }
}

impl Drop for Startup {
    fn drop(&mut self) {
        let Ok(mut now) = self.startups.now.lock() else { return };
        now.total = now.total.saturating_sub(1);
        if let Some(here) = now.by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                now.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_and_given_back() {
        let startups = Startups::new(3, 2);
        let a: IpAddr = "192.0.2.1".parse().unwrap();
        let b: IpAddr = "192.0.2.2".parse().unwrap();
        let first = startups.admit(a).unwrap();
        let _second = startups.admit(a).unwrap();
        assert!(startups.admit(a).is_none());
        let _third = startups.admit(b).unwrap();
        assert!(startups.admit(b).is_none());
        drop(first);
        assert!(startups.admit(a).is_some());
    }

    #[test]
    fn a_whole_64_is_one_address() {
        let startups = Startups::new(10, 1);
        let _one = startups.admit("2001:db8::1".parse().unwrap()).unwrap();
        assert!(startups.admit("2001:db8::2".parse().unwrap()).is_none());
        assert!(startups.admit("2001:db8:0:1::1".parse().unwrap()).is_some());
    }
}
