//! Who is connected, and who must go when there is no room.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// All the seats there are.
///
/// Newcomers are never turned away: who sends a request at once is served
/// at once, however many others sit there in silence. The one to go is the
/// oldest connection of the address that holds too many, or the most.
#[derive(Debug)]
pub(super) struct Seats {
    total: usize,
    per_address: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    /// By number, so the oldest first.
    by_number: BTreeMap<u64, (IpAddr, CancellationToken)>,
}

/// One connection's place, given back on drop.
#[derive(Debug)]
pub(super) struct Seat {
    number: u64,
    lost: CancellationToken,
    seats: Arc<Seats>,
}

impl Seats {
    /// Room for so many, and for so many of one address.
    pub fn new(total: usize, per_address: usize) -> Arc<Seats> {
        Arc::new(Seats {
            total: total.max(1),
            per_address: per_address.max(1),
            taken: Mutex::new(Taken::default()),
        })
    }

    /// A seat for whoever comes from `address`.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Seat {
        let address = neighbourhood(address);
        let mut taken = self.taken();
        if taken.by_number.values().filter(|(a, _)| *a == address).count() >= self.per_address {
            taken.end_oldest_of(address);
        }
        while taken.by_number.len() >= self.total
            && let Some(heaviest) = taken.heaviest()
        {
            taken.end_oldest_of(heaviest);
        }
        let (number, lost) = (taken.next, CancellationToken::new());
        taken.next += 1;
        taken.by_number.insert(number, (address, lost.clone()));
        Seat { number, lost, seats: self.clone() }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn end_oldest_of(&mut self, address: IpAddr) {
        let oldest = self.by_number.iter().find(|(_, (a, _))| *a == address).map(|(number, _)| *number);
        if let Some((_, lost)) = oldest.and_then(|number| self.by_number.remove(&number)) {
            lost.cancel();
        }
    }

    /// Of several that hold the most, the one that has sat longest.
    fn heaviest(&self) -> Option<IpAddr> {
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for (address, _) in self.by_number.values() {
            *counts.entry(*address).or_default() += 1;
        }
        let most = counts.values().copied().max()?;
        self.by_number.values().map(|(a, _)| *a).find(|a| counts.get(a) == Some(&most))
    }
}

impl Seat {
    /// Ends when the seat is needed for somebody else.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken().by_number.remove(&self.number);
    }
}

/// An IPv6 host may use its whole /64; an IPv4 one has one address, however it is written.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(s: &str) -> IpAddr {
        s.parse().unwrap()
    }

    fn is_lost(seat: &Seat) -> bool {
        seat.lost.is_cancelled()
    }

    #[test]
    fn an_address_with_too_many_loses_its_own_oldest() {
        let seats = Seats::new(10, 2);
        let other = seats.take(ip("10.0.0.9"));
        let mine: Vec<Seat> = (0..3).map(|_| seats.take(ip("10.0.0.1"))).collect();
        assert!(is_lost(&mine[0]) && !is_lost(&mine[1]) && !is_lost(&mine[2]) && !is_lost(&other));
    }

    #[test]
    fn a_full_house_asks_the_one_with_the_most() {
        let seats = Seats::new(4, 3);
        let single = seats.take(ip("10.0.0.1"));
        let crowd: Vec<Seat> = (0..3).map(|_| seats.take(ip("10.0.0.2"))).collect();
        let newcomer = seats.take(ip("10.0.0.3"));
        assert!(is_lost(&crowd[0]) && !is_lost(&single) && !is_lost(&newcomer));
        assert_eq!(seats.taken().by_number.len(), 4);
    }

    #[test]
    fn seats_come_back() {
        let seats = Seats::new(4, 4);
        drop((0..100).map(|_| seats.take(ip("::1"))).collect::<Vec<_>>());
        assert!(seats.taken().by_number.is_empty());
    }

    #[test]
    fn a_prefix_is_one_neighbour() {
        assert_eq!(neighbourhood(ip("2001:db8::1")), neighbourhood(ip("2001:db8::ffff:1")));
        assert_ne!(neighbourhood(ip("2001:db8::1")), neighbourhood(ip("2001:db8:0:1::1")));
        assert_eq!(neighbourhood(ip("::ffff:10.0.0.1")), ip("10.0.0.1"));
    }
}
