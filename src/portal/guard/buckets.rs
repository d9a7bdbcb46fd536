//! Leaky buckets, as many as fit and no more.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// Milliseconds of the guard's clock.
pub(super) type Millis = u64;

/// A bucket that drips: full after so many, each of which takes a while to drain.
/// The moment at which it will be empty is all there is to remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Bucket {
    empty_at: Millis,
}

/// How much a bucket holds, and how fast it drains.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// The one that fills it.
    pub most: u32,
    /// How long one takes to drain.
    pub each: Millis,
}

impl Bucket {
    /// One more.
    pub fn add(&mut self, now: Millis, size: Size) {
        // Not further than full: whoever is refused the rest does not make it longer.
        let full = now.saturating_add(size.each.saturating_mul(u64::from(size.most)));
        self.empty_at = self.empty_at.max(now).saturating_add(size.each).min(full);
    }

    /// So many fewer, because they were meant well.
    pub fn take_back(&mut self, count: u32, size: Size) {
        self.empty_at = self.empty_at.saturating_sub(size.each.saturating_mul(u64::from(count)));
    }

    /// Whether it holds as many as it may.
    pub fn is_full(&self, now: Millis, size: Size) -> bool {
        let room_until = size.each.saturating_mul(u64::from(size.most.saturating_sub(1)));
        self.empty_at.saturating_sub(now) > room_until
    }

    pub fn empty_at(&self) -> Millis {
        self.empty_at
    }
}

/// What can be kept in a [`Bounded`].
pub(super) trait Drains: Default {
    /// When nothing of it is worth keeping any more.
    fn empty_at(&self) -> Millis;
}

impl Drains for Bucket {
    fn empty_at(&self) -> Millis {
        Bucket::empty_at(self)
    }
}

/// A map of at most so many: what is emptiest makes room for what is new.
#[derive(Debug)]
pub(super) struct Bounded<K, V> {
    most: usize,
    rows: HashMap<K, V>,
    /// The same by when they are empty.
    order: BTreeSet<(Millis, K)>,
}

impl<K: Copy + Eq + Hash + Ord, V: Drains> Bounded<K, V> {
    pub fn new(most: usize) -> Self {
        Bounded { most, rows: HashMap::new(), order: BTreeSet::new() }
    }

    pub fn get(&self, key: K) -> Option<&V> {
        self.rows.get(&key)
    }

    /// Changes what is kept there, or what would be.
    pub fn update<T>(&mut self, key: K, now: Millis, change: impl FnOnce(&mut V) -> T) -> T {
        let mut value = self.rows.remove(&key).unwrap_or_default();
        self.order.remove(&(value.empty_at(), key));
        let outcome = change(&mut value);
        if value.empty_at() > now {
            self.make_room(now);
            self.order.insert((value.empty_at(), key));
            self.rows.insert(key, value);
        }
        outcome
    }

    /// Lets go of what is empty, and of the emptiest if there is no room still.
    fn make_room(&mut self, now: Millis) {
        // Two at a time: so nothing empty stays for long, and no call takes long.
        for _ in 0..2 {
            let full = self.rows.len() >= self.most;
            match self.order.first().copied() {
                Some((empty_at, key)) if empty_at <= now || full => {
                    self.order.pop_first();
                    self.rows.remove(&key);
                }
                Some(_) | None => return,
            }
        }
    }

    /// How many are kept.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.rows.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: Size = Size { most: 10, each: 30_000 };

    #[test]
    fn the_tenth_fills_it_and_one_drains_every_half_minute() {
        let mut bucket = Bucket::default();
        for _ in 0..9 {
            bucket.add(1000, SIZE);
            assert!(!bucket.is_full(1000, SIZE));
        }
        bucket.add(1000, SIZE);
        assert!(bucket.is_full(1000, SIZE));
        assert!(bucket.is_full(30_999, SIZE) && !bucket.is_full(31_000, SIZE));
        // However many come, it is no fuller than full.
        for _ in 0..1000 {
            bucket.add(31_000, SIZE);
        }
        assert!(!bucket.is_full(61_000, SIZE));
    }

    #[test]
    fn the_emptiest_makes_room() {
        let mut map: Bounded<u32, Bucket> = Bounded::new(100);
        for _ in 0..9 {
            map.update(7, 0, |b| b.add(0, SIZE));
        }
        for key in 100..1_000_000 {
            map.update(key, 0, |b| b.add(0, SIZE));
            assert!(map.len() <= 100 && map.order.len() == map.rows.len());
        }
        assert!(map.get(7).is_some(), "what is nearly full is kept");
    }

    proptest! {
        /// Against a model that counts one by one: never more than allowed within a time.
        #[test]
        fn no_more_than_the_burst_and_what_has_drained(
            pauses in prop::collection::vec(0u64..100_000, 1..200)
        ) {
            let (mut bucket, mut now, mut taken) = (Bucket::default(), 0u64, 0u64);
            for pause in pauses {
                now += pause;
                if !bucket.is_full(now, SIZE) {
                    bucket.add(now, SIZE);
                    taken += 1;
                }
                prop_assert!(taken <= u64::from(SIZE.most) + now / SIZE.each);
            }
        }

        #[test]
        fn rows_and_their_order_agree(
            steps in prop::collection::vec((0u32..50, 0u64..5_000, any::<bool>()), 1..500)
        ) {
            let mut map: Bounded<u32, Bucket> = Bounded::new(8);
            let mut now = 0;
            for (key, pause, back) in steps {
                now += pause;
                map.update(key, now, |b| match back {
                    true => b.take_back(1, SIZE),
                    false => b.add(now, SIZE),
                });
                prop_assert!(map.len() <= 8);
                prop_assert_eq!(map.rows.len(), map.order.len());
                for (empty_at, key) in &map.order {
                    prop_assert_eq!(map.rows[key].empty_at(), *empty_at);
                }
            }
        }
    }
}
