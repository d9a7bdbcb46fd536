//! What guessing costs, and whom it does not cost anything; rights that change
//! while somebody follows something.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/work.rs"]
mod work;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{PASSWORD, PATIENCE, TestPortal, mock, mock_with, until};
use twarga::action::ban::{BanAdd, BanLs, BanRm};
use twarga::action::event::{EventLs, EventTail};
use twarga::action::host::HostFollow;
use twarga::action::job::JobFollow;
use twarga::action::session::{SessionFollow, SessionKill, SessionLs};
use twarga::action::vm::VmFollow;
use twarga::driver::mock::MockDriver;
use twarga::error::{Code, Error};
use twarga::model::{Ban, Event};
use twarga::portal::Principal;
use work::*;
use zeroize::Zeroizing;

/// Addresses of 192.0.2.0/24.
fn host(n: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, n).into()
}

async fn try_password(portal: &TestPortal, name: &str, password: &str, from: IpAddr) -> Option<Principal> {
    let password = Zeroizing::new(password.to_owned());
    portal.portal.login(from).password(name, password).await.principal()
}

async fn guess(portal: &TestPortal, name: &str, from: IpAddr, times: u32) {
    for _ in 0..times {
        assert!(try_password(portal, name, "seven brown foxez", from).await.is_none());
    }
}

async fn bans(portal: &TestPortal) -> Vec<Ban> {
    portal.portal.perform(&portal.admin, BanLs {}).await.unwrap()
}

async fn events(portal: &TestPortal, who: &Principal, action: &str) -> Vec<Event> {
    let action = Some(String::from(action));
    let ls = EventLs { since: None, severity: None, actor: None, action, attempts: false, limit: 1000 };
    portal.portal.perform(who, ls).await.unwrap()
}

fn fingerprint(key: &std::path::Path) -> String {
    let line = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    twarga::portal::keys::parse_public(&line).unwrap().fingerprint
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_keeps_guesses_out_and_nobody_who_has_a_right_key() {
    let (portal, _driver) = mock_with(|c| c.guard.failures = 3).await;
    let alice = portal.user("alice", "user").await;
    let key = portal.user_with_key("bob", "user").await;
    guess(&portal, "alice", host(1), 3).await;
    let list = bans(&portal).await;
    assert_eq!((list.len(), list[0].network.to_string().as_str(), list[0].strikes), (1, "192.0.2.1", 1));
    // The right password is not looked at any more; elsewhere it is; and a key opens.
    assert!(try_password(&portal, "alice", PASSWORD, host(1)).await.is_none());
    assert!(try_password(&portal, "alice", PASSWORD, host(2)).await.is_some());
    let bob = portal.portal.login(host(1)).key("bob", fingerprint(&key)).await.principal();
    assert!(bob.is_some(), "somebody else's guesses keep a right key out");
    // The administrator is told, and nobody else.
    until("the ban is told", async || !events(&portal, &portal.admin, "ban.*").await.is_empty()).await;
    let told = events(&portal, &portal.admin, "ban.made").await;
    assert_eq!((told.len(), told[0].severity.as_str()), (1, "medium"), "{told:?}");
    assert_eq!(told[0].category.as_str(), "intrusion_detection");
    assert_eq!(told[0].target.as_deref(), Some("192.0.2.1"));
    assert!(events(&portal, &alice, "ban.made").await.is_empty());
    // Lifted, it is as if nothing had been.
    let network = || "192.0.2.1".parse().unwrap();
    portal.portal.perform(&portal.admin, BanRm { network: network() }).await.unwrap();
    assert!(try_password(&portal, "alice", PASSWORD, host(1)).await.is_some());
    let again = refused(&portal.portal, &portal.admin, BanRm { network: network() }).await;
    assert_eq!(again.code, Code::BanNotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_banned_cannot_tell() {
    let (portal, _driver) = mock_with(|c| c.guard.failures = 3).await;
    portal.user("alice", "user").await;
    guess(&portal, "bob", host(1), 3).await;
    assert_eq!(bans(&portal).await.len(), 1);
    // In turn, so that what else the machine does is the same for both.
    let (mut banned, mut free) = (Vec::new(), Vec::new());
    for n in 0..15 {
        for (from, times) in [(host(1), &mut banned), (host(100 + n), &mut free)] {
            let started = Instant::now();
            guess(&portal, "alice", from, 1).await;
            times.push(started.elapsed());
        }
    }
    banned.sort();
    free.sort();
    let (banned, free) = (banned[7], free[7]);
    assert!(banned < free * 2 && free < banned * 2, "{banned:?} banned, {free:?} not");
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_from_everywhere_hold_an_account_off_but_not_its_owner() {
    let (portal, _driver) = mock_with(|c| c.guard.account_failures = 4).await;
    portal.user("alice", "user").await;
    let key = portal.user_with_key("keyed", "user").await;
    assert!(try_password(&portal, "alice", PASSWORD, host(1)).await.is_some());
    for n in 10..14 {
        guess(&portal, "alice", host(n), 1).await;
        guess(&portal, "keyed", host(n), 1).await;
        guess(&portal, "nobody", host(n), 1).await;
    }
    assert!(bans(&portal).await.is_empty(), "nobody of them has guessed often");
    assert!(try_password(&portal, "alice", PASSWORD, host(20)).await.is_none());
    assert!(try_password(&portal, "alice", PASSWORD, host(1)).await.is_some(), "known from there");
    let keyed = portal.portal.login(host(20)).key("keyed", fingerprint(&key)).await.principal();
    assert!(keyed.is_some());
    until("it is told", async || events(&portal, &portal.admin, "ban.account").await.len() == 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bans_survive_a_restart() {
    let (portal, _driver) = mock_with(|c| c.guard.failures = 2).await;
    portal.user("alice", "user").await;
    guess(&portal, "alice", host(1), 2).await;
    let by_hand = |s: &str, forever| BanAdd {
        network: s.parse().unwrap(),
        for_s: None,
        forever,
        note: String::from("noise"),
    };
    portal.portal.perform(&portal.admin, by_hand("198.51.100.0/24", true)).await.unwrap();
    portal.portal.perform(&portal.admin, by_hand("2001:db8::/32", false)).await.unwrap();
    let db = database(&portal);
    until("it is written down", async || count(&db, "SELECT count(*) FROM bans") == 3).await;
    let before = bans(&portal).await;
    let dir = portal.stop().await;
    let portal = TestPortal::start_in(dir, Arc::new(MockDriver::new()), |c| c.guard.failures = 2).await;
    assert_eq!(bans(&portal).await, before);
    assert!(try_password(&portal, "alice", PASSWORD, host(1)).await.is_none());
    assert!(try_password(&portal, "alice", PASSWORD, "198.51.100.77".parse().unwrap()).await.is_none());
    assert!(try_password(&portal, "alice", PASSWORD, "2001:db8:7::1".parse().unwrap()).await.is_none());
    assert!(try_password(&portal, "alice", PASSWORD, host(2)).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_keys_are_no_guesses_and_names_by_the_hundred_are() {
    let (portal, _driver) = mock().await;
    let key = portal.user_with_key("alice", "user").await;
    let right = fingerprint(&key);
    // An agent with many keys is asked about each, and signs with none that is not taken.
    for n in 0..100 {
        assert!(!portal.portal.login(host(1)).would_accept_key("alice", format!("SHA256:{n}")).await);
    }
    let mut login = portal.portal.login(host(1));
    for n in 0..30 {
        assert!(login.key("alice", format!("SHA256:{n}")).await.principal().is_none());
    }
    assert!(bans(&portal).await.is_empty(), "one name");
    for n in 0..30 {
        assert!(login.key(&format!("user{n}"), right.clone()).await.principal().is_none());
    }
    assert_eq!(bans(&portal).await.len(), 1);
    assert!(login.key("alice", right).await.principal().is_some());
}

/// The error that a feed ends with, whatever it told before.
async fn end<T>(mut next: impl AsyncFnMut() -> Result<T, Error>) -> Error {
    let ending = async {
        loop {
            if let Err(e) = next().await {
                return e;
            }
        }
    };
    tokio::time::timeout(PATIENCE, ending).await.expect("it is followed still")
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_is_looked_at_again_when_rights_change() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    let carol = portal.user("carol", "admin").await;
    let db = database(&portal);
    let tail = EventTail { severity: None, actor: None, action: None, attempts: false, limit: 1 };
    let mut events = p.perform(&carol, tail).await.unwrap();
    let mut vms = p.perform(&carol, VmFollow { all: true }).await.unwrap();
    let mut jobs = p.perform(&carol, JobFollow { all: true }).await.unwrap();
    let mut sessions = p.perform(&carol, SessionFollow { all: true }).await.unwrap();
    let mut host = p.perform(&carol, HostFollow {}).await.unwrap();
    // A change that is none of hers ends nothing.
    p.rights_changed();
    events.next().await.unwrap();
    vms.next().await.unwrap();
    jobs.next().await.unwrap();
    sessions.next().await.unwrap();
    host.next().await.unwrap();
    db.execute("UPDATE users SET role = 'user' WHERE name = 'carol'", []).unwrap();
    p.rights_changed();
    let ended = [
        end(async || events.next().await.map(drop)).await,
        end(async || vms.next().await.map(drop)).await,
        end(async || jobs.next().await.map(drop)).await,
        end(async || sessions.next().await.map(drop)).await,
        end(async || host.next().await.map(drop)).await,
    ];
    assert!(ended.iter().all(|e| e.code == Code::Forbidden), "{ended:?}");
    // What a user may follow he follows anew.
    let mut sessions = p.perform(&carol, SessionFollow { all: true }).await.unwrap();
    assert!(sessions.next().await.unwrap().iter().all(|s| s.user == "carol"));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_sessions_of_an_account_end_at_once_but_the_one_that_asks() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    let alice = portal.user("alice", "user").await;
    let bob = portal.user("bob", "user").await;
    let others = [portal.sign_in("alice", PASSWORD).await, portal.sign_in("alice", PASSWORD).await];
    let kill = |name: &str| SessionKill { id: None, user: Some(name.parse().unwrap()) };
    assert_eq!(refused(p, &bob, kill("alice")).await.code, Code::UserNotFound);
    assert_eq!(p.perform(&alice, kill("alice")).await.unwrap().len(), 2);
    assert!(others.iter().all(|o| o.session().kill.is_cancelled()));
    assert!(!alice.session().kill.is_cancelled());
    assert_eq!(p.perform(&portal.admin, kill("alice")).await.unwrap().len(), 3);
    assert!(alice.session().kill.is_cancelled() && !bob.session().kill.is_cancelled());
    let mine = p.perform(&bob, SessionLs { all: true }).await.unwrap();
    assert_eq!((mine[0].method.as_str(), mine[0].route.as_str()), ("password", "portal"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_login_is_told_with_its_address() {
    let (portal, _driver) = mock_with(|c| c.ssh.motd = String::from("Mind the gap.")).await;
    let key = portal.user_with_key("alice", "user").await;
    let enter =
        async |from| portal.portal.login(from).key("alice", fingerprint(&key)).await.principal().unwrap();
    let first = enter(host(1)).await;
    assert_eq!(portal.portal.greeting(&first), ["Mind the gap."]);
    let second = enter(host(2)).await;
    assert_eq!(second.session().before().unwrap().from, "192.0.2.1");
    assert!(portal.portal.greeting(&second)[1].ends_with(" from 192.0.2.1."));
    // Of each account a few addresses are kept.
    for n in 3..40 {
        enter(host(n)).await;
    }
    assert_eq!(
        count(&database(&portal), "SELECT count(*) FROM login_addresses WHERE address LIKE '192.0.2.%'"),
        16
    );
}

/// Two hundred at once with slow hashes: nobody who is here waits for them.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_passwords_holds_up_nobody_who_is_here() {
    let (portal, _driver) = mock_with(|c| c.guard.allow = vec!["0.0.0.0/0".parse().unwrap()]).await;
    let alice = portal.user("alice", "user").await;
    let quiet = Instant::now();
    portal.portal.perform(&alice, BanLs {}).await.unwrap_err();
    let quiet = quiet.elapsed();
    let storm: Vec<_> = (0..60)
        .map(|n| {
            let login = portal.portal.login(host(n));
            tokio::spawn(async move {
                let mut login = login;
                login.password("alice", Zeroizing::new(String::from("not this one"))).await
            })
        })
        .collect();
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let started = Instant::now();
        portal.portal.perform(&alice, BanLs {}).await.unwrap_err();
        slowest = slowest.max(started.elapsed());
    }
    assert!(storm.iter().any(|s| !s.is_finished()), "the storm was over too soon");
    for one in storm {
        assert!(one.await.unwrap().principal().is_none());
    }
    assert!(slowest < quiet.max(Duration::from_millis(50)) * 10, "{slowest:?}, {quiet:?} when it is quiet");
}
