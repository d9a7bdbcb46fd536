use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::config::Config;

const SECOND: Millis = 1000;
const DAY: Millis = 86_400 * SECOND;
/// When all this happens: bans are kept by the calendar.
const START: Millis = 1_800_000_000_000;

fn guard() -> Guard {
    Guard::new(&Config::default().guard)
}

fn v4(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(n).into()
}

/// Wrong as often as it takes; how often that was.
fn wrong_until_banned(guard: &mut Guard, name: &str, from: IpAddr, now: Millis) -> (u32, Ban) {
    for count in 1..1000 {
        if let Some(ban) = guard.wrong(name, from, now).ban {
            return (count, ban);
        }
    }
    panic!("never banned");
}

fn length(ban: &Ban) -> u64 {
    ban.until.unwrap().seconds_since(ban.since)
}

#[test]
fn the_tenth_failure_bans_each_time_twice_as_long_and_quiet_forgets() {
    let (mut guard, mut now, here) = (guard(), START, v4(1));
    let mut lengths = Vec::new();
    for _ in 0..14 {
        let (_, ban) = wrong_until_banned(&mut guard, "alice", here, now);
        lengths.push(length(&ban));
        assert_ne!(guard.look("bob", here, now), Hold::Free);
        now += length(&ban) * SECOND;
        assert_eq!(guard.look("bob", here, now), Hold::Free);
    }
    assert_eq!(lengths[..5], [60, 120, 240, 480, 960]);
    assert_eq!(lengths[12..], [86_400, 86_400]);
    // Strikes still count after nearly a day of quiet, and no more after that.
    guard.prune(now + DAY - 1);
    let (count, ban) = wrong_until_banned(&mut guard, "alice", here, now + DAY - 1);
    assert_eq!((count, length(&ban)), (10, 86_400));
    now += 3 * DAY;
    assert_eq!(guard.prune(now), [Network::of(here)]);
    let (count, ban) = wrong_until_banned(&mut guard, "alice", here, now);
    assert_eq!((count, length(&ban), ban.strikes), (10, 60, 1));
}

#[test]
fn a_household_is_banned_whole_and_its_neighbour_is_not() {
    let mut guard = guard();
    let of = |net: u16, host: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, net, 0, 0, 0, host));
    for host in 0..10 {
        guard.wrong("alice", of(1, host), START);
    }
    assert_eq!(guard.look("bob", of(1, 77), START), Hold::OnlyKnown);
    assert_eq!(guard.look("bob", of(2, 77), START), Hold::Free);
}

#[test]
fn names_are_counted_once_each() {
    let mut guard = guard();
    // Strays are no failures: only their names count.
    for _ in 0..100 {
        assert_eq!(guard.stray("alice", v4(1), START), Consequence::default());
    }
    for i in 1..9 {
        assert_eq!(guard.stray(&format!("user{i}"), v4(1), START).ban, None, "{i}");
    }
    let ban = guard.stray("user9", v4(1), START).ban.unwrap();
    assert_eq!(ban.note, "too many names tried");
    // And no account is the fuller for them.
    assert_eq!(guard.look("alice", v4(2), START), Hold::Free);
}

#[test]
fn guesses_at_an_account_hold_off_whoever_is_not_known_to_it() {
    let mut guard = guard();
    let full: Vec<_> = (0..40).filter(|i| guard.wrong("alice", v4(*i), START).account_full).collect();
    assert_eq!(full, [29], "it is told of once");
    assert_eq!(guard.look("alice", v4(1000), START), Hold::Doubted);
    assert_eq!(guard.look("bob", v4(1000), START), Hold::Free);
    assert_eq!(guard.look("alice", v4(1000), START + 30 * SECOND), Hold::Free);
    // Known or not: guessing at that account from that address ends.
    wrong_until_banned(&mut guard, "alice", v4(1000), START);
    assert_eq!(guard.look("alice", v4(1000), START), Hold::Shut);
    assert_eq!(guard.look("bob", v4(1000), START), Hold::OnlyKnown);
}

#[test]
fn signing_in_takes_back_ones_own_failures_only() {
    let mut guard = guard();
    for _ in 0..8 {
        guard.wrong("alice", v4(1), START);
    }
    guard.right("alice", v4(1), START);
    let (count, _) = wrong_until_banned(&mut guard, "alice", v4(1), START);
    assert_eq!(count, 10);
    // With an account of one's own one does not guess at others for ever.
    for _ in 0..9 {
        assert_eq!(guard.wrong("bob", v4(2), START).ban, None);
        guard.right("mallory", v4(2), START);
    }
    assert!(guard.wrong("bob", v4(2), START).ban.is_some());
}

#[test]
fn allowed_networks_are_free_and_fill_nothing() {
    let mut config = Config::default().guard;
    config.allow = vec!["10.0.0.0/8".parse().unwrap()];
    let mut guard = Guard::new(&config);
    let inside = "10.1.2.3".parse().unwrap();
    for _ in 0..1000 {
        assert_eq!(guard.wrong("alice", inside, START), Consequence::default());
    }
    assert_eq!(guard.look("alice", inside, START), Hold::Free);
    assert_eq!(guard.look("alice", v4(1), START), Hold::Free);
    assert_eq!(guard.sources.len() + guard.accounts.len() + guard.pairs.len(), 0);
}

#[test]
fn bans_by_hand_hold_for_networks_and_until_they_are_lifted() {
    let mut guard = guard();
    let network: Network = "192.0.2.0/24".parse().unwrap();
    let by = Some(String::from("admin"));
    guard.bans.insert(Ban { network, since: time(START), until: None, strikes: 0, by, note: String::new() });
    let inside = "192.0.2.200".parse().unwrap();
    assert_eq!(guard.look("alice", inside, START + 1000 * DAY), Hold::OnlyKnown);
    assert_eq!(guard.look("alice", "192.0.3.1".parse().unwrap(), START), Hold::Free);
    assert!(guard.prune(START + 1000 * DAY).is_empty());
    assert_eq!(guard.lift(network, START).unwrap().network, network);
    assert_eq!(guard.look("alice", inside, START), Hold::Free);
    assert!(guard.bans.of(inside, time(START)).is_none() && guard.bans.len() == 0);
}

#[test]
fn a_ban_by_hand_is_left_alone_and_no_ban_grows_while_it_holds() {
    let (mut guard, here, now) = (guard(), v4(1), START);
    let network = Network::of(here);
    let by = Some(String::from("admin"));
    let ban = Ban { network, since: time(now), until: None, strikes: 0, by, note: String::from("noise") };
    guard.bans.insert(ban.clone());
    for i in 0..100 {
        assert_eq!(guard.wrong("alice", here, now + i).ban, None);
        assert_eq!(guard.stray(&format!("user{i}"), here, now + i).ban, None);
    }
    assert_eq!(guard.bans.strike(network, time(now), guard.lengths, String::new()), (ban.clone(), vec![]));
    assert_eq!(guard.bans.of(here, time(now + 1000 * DAY)), Some(&ban));
    // The guard's own is made once, and its like is twice as long only when it is over.
    let there = v4(2);
    assert_eq!(length(&wrong_until_banned(&mut guard, "alice", there, now).1), 60);
    for i in 0..1000 {
        assert_eq!(guard.wrong("alice", there, now + i), Consequence::default());
    }
    assert_eq!(guard.bans.of(there, time(now)).unwrap().strikes, 1);
    assert_eq!(length(&wrong_until_banned(&mut guard, "alice", there, now + 60 * SECOND).1), 120);
}

#[test]
fn codes_from_everywhere_end_and_the_accounts_own_addresses_are_left() {
    let mut guard = guard();
    for n in 0..30 {
        assert_eq!(guard.look_at_code("alice", v4(n), START), Hold::Free, "{n}");
        guard.wrong_code_of_unknown("alice", v4(n), START);
    }
    // Only whoever is known may go on; passwords are another thing, and so is bob.
    assert_eq!(guard.look_at_code("alice", v4(1000), START), Hold::OnlyKnown);
    assert_eq!(guard.look("alice", v4(1000), START), Hold::Free);
    assert_eq!(guard.look_at_code("bob", v4(1000), START), Hold::Free);
    // It drains, slowly.
    assert_eq!(guard.look_at_code("alice", v4(1000), START + 599 * SECOND), Hold::OnlyKnown);
    assert_eq!(guard.look_at_code("alice", v4(1000), START + 600 * SECOND), Hold::Free);
    // Banned, it is the same; and what was guessed at from there is shut.
    wrong_until_banned(&mut guard, "carol", v4(2000), START);
    assert_eq!(guard.look_at_code("bob", v4(2000), START), Hold::OnlyKnown);
    assert_eq!(guard.look_at_code("carol", v4(2000), START), Hold::Shut);
    for n in 0..100_000 {
        guard.wrong_code_of_unknown(&format!("user{n}"), v4(n), START);
    }
    assert!(guard.codes.len() <= MOST_ACCOUNTS);
}

#[test]
fn from_a_banned_address_a_second_factor_is_nothing_special() {
    let mut guard = guard();
    for n in 0..30 {
        guard.wrong("alice", v4(n), START);
    }
    // Her bucket is full: elsewhere her factor would let her try.
    assert_eq!(guard.look("alice", v4(1000), START), Hold::Doubted);
    wrong_until_banned(&mut guard, "bob", v4(1000), START);
    assert_eq!(guard.look("alice", v4(1000), START), Hold::OnlyKnown);
}

/// A million addresses, each wrong as often as bans it, at names of their own.
#[test]
fn a_million_failing_addresses_stay_within_bounds() {
    let mut config = Config::default().guard;
    config.failures = 1;
    let mut guard = Guard::new(&config);
    // What somebody has banned outlasts them.
    let network: Network = "198.51.100.7".parse().unwrap();
    let by = Some(String::from("admin"));
    guard.bans.insert(Ban { network, since: time(START), until: None, strikes: 0, by, note: String::new() });
    let (mut rows, mut made) = (1usize, 0);
    for n in 0..1_000_000u32 {
        let now = START + u64::from(n / 100);
        let came = guard.wrong(&format!("user{n}"), v4(n), now);
        if came.ban.is_some() {
            rows += 1;
            made += 1;
        }
        rows -= came.gone.len();
    }
    assert_eq!(made, 1_000_000, "each is banned when its turn comes");
    assert_eq!(rows, guard.bans.len(), "what is written down is what is remembered");
    assert!(rows <= 4097, "{rows} rows");
    assert!(guard.sources.len() <= MOST_SOURCES && guard.accounts.len() <= MOST_ACCOUNTS);
    assert!(guard.pairs.len() <= MOST_PAIRS);
    assert!(guard.bans.of("198.51.100.7".parse().unwrap(), time(START + DAY)).is_some());
    // All of it goes by itself.
    let gone = guard.prune(START + 3 * DAY);
    assert_eq!((gone.len(), guard.bans.len()), (rows - 1, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens before: without failures of its own and a ban, an address that
    /// an account is known from is let try.
    #[test]
    fn nobody_known_is_shut_out_by_others(
        steps in prop::collection::vec((0u32..4, 0usize..3, 0u64..40_000, 0u8..4), 0..400)
    ) {
        let mut guard = guard();
        let mut now = START;
        let names = ["bob", "carol", "alice"];
        for (host, name, pause, what) in steps {
            now += pause;
            let name = names[name];
            // Alice's own address guesses at everybody but at alice.
            if host == 0 && name == "alice" {
                continue;
            }
            match what {
                0 => guard.right(name, v4(host), now),
                1 => { guard.stray(name, v4(host), now); }
                _ => { guard.wrong(name, v4(host), now); }
            }
            prop_assert_ne!(guard.look("alice", v4(0), now), Hold::Shut);
        }
    }

    /// However somebody spreads his guesses at one account over names, times and logins
    /// of his own: within a time no more of them are looked at than the buckets let through.
    #[test]
    fn guesses_that_are_looked_at_are_bounded(
        steps in prop::collection::vec((0u64..20_000, any::<bool>()), 1..400)
    ) {
        let mut guard = guard();
        let (mut now, mut looked_at) = (START, 0u64);
        for (pause, own) in steps {
            now += pause;
            if own {
                guard.right("mallory", v4(1), now);
            } else if guard.look("alice", v4(1), now) == Hold::Free {
                looked_at += 1;
                guard.wrong("alice", v4(1), now);
            }
        }
        prop_assert!(looked_at <= 10 + (now - START) / (30 * SECOND));
    }
}
