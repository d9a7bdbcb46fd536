//! What guessing costs, and whom it does not cost anything; rights that change
//! while somebody follows something.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/authenticator.rs"]
mod authenticator;
mod common;
#[path = "common/work.rs"]
mod work;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use authenticator::App;
use common::{PASSWORD, PATIENCE, TestPortal, mock, mock_with, until};
use twarga::action::account::AccountPasswd;
use twarga::action::ban::{BanAdd, BanLs, BanRm};
use twarga::action::event::{EventLs, EventTail};
use twarga::action::host::HostFollow;
use twarga::action::job::JobFollow;
use twarga::action::key::KeyAdd;
use twarga::action::session::{SessionFollow, SessionKill, SessionLs};
use twarga::action::totp::{TotpBackupCodes, TotpDisable};
use twarga::action::vm::VmFollow;
use twarga::driver::mock::MockDriver;
use twarga::error::{Code, Error};
use twarga::model::{Ban, Event};
use twarga::portal::Principal;
use twarga::portal::auth::{Errand, Verdict};
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

/// Alice, with password, key and second factor; the key's fingerprint, and the app.
async fn with_factor(portal: &TestPortal) -> (Principal, String, App) {
    let who = portal.user("alice", "user").await;
    let key = portal.keygen("alice", &["-t", "ed25519"]);
    let line = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    portal.portal.perform(&who, KeyAdd::of(line)).await.unwrap();
    let app = App::set_up(portal, &who).await;
    (who, fingerprint(&key), app)
}

/// Her key, and then that code.
async fn answer(portal: &TestPortal, key: &str, from: IpAddr, code: String) -> Option<Principal> {
    let mut login = portal.portal.login(from);
    assert!(matches!(login.key("alice", key.to_owned()).await, Verdict::More));
    login.code("alice", &Zeroizing::new(code)).await.principal()
}

fn proof(s: &str) -> Zeroizing<String> {
    Zeroizing::new(s.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_code_is_looked_at_that_comes_from_a_banned_address() {
    let (portal, _driver) = mock_with(|c| c.guard.failures = 3).await;
    let (_, key, app) = with_factor(&portal).await;
    assert!(answer(&portal, &key, host(2), app.fresh(&portal)).await.is_some());
    for n in [1, 2] {
        guess(&portal, "bob", host(n), 3).await;
    }
    assert_eq!(bans(&portal).await.len(), 2);
    assert!(answer(&portal, &key, host(1), app.fresh(&portal)).await.is_none());
    for _ in 0..5 {
        assert!(answer(&portal, &key, host(1), app.wrong()).await.is_none());
    }
    // What is not looked at is not wrong.
    assert!(events(&portal, &portal.admin, "session.second_factor").await.is_empty());
    assert!(bans(&portal).await.iter().all(|b| b.strikes == 1));
    // From where she has signed in she does, whatever others do there.
    assert!(answer(&portal, &key, host(2), app.fresh(&portal)).await.is_some());
    assert!(answer(&portal, &key, host(3), app.fresh(&portal)).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_guessed_from_everywhere_come_to_an_end_but_not_for_their_owner() {
    let (portal, _driver) = mock_with(|c| c.guard.account_failures = 4).await;
    let (_, key, app) = with_factor(&portal).await;
    assert!(answer(&portal, &key, host(1), app.fresh(&portal)).await.is_some());
    for n in 10..14 {
        assert!(answer(&portal, &key, host(n), app.wrong()).await.is_none());
    }
    assert!(bans(&portal).await.is_empty());
    assert!(answer(&portal, &key, host(20), app.fresh(&portal)).await.is_none());
    assert!(answer(&portal, &key, host(1), app.fresh(&portal)).await.is_some(), "known from there");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_noise_hides_a_wrong_code() {
    let (portal, _driver) = mock().await;
    let (_, key, app) = with_factor(&portal).await;
    for n in 0..8 {
        for name in 0..25 {
            let mut login = portal.portal.login(host(n));
            assert!(login.key(&format!("user{name}"), key.clone()).await.principal().is_none());
        }
    }
    assert!(answer(&portal, &key, host(1), app.wrong()).await.is_none());
    let told = events(&portal, &portal.admin, "session.second_factor").await;
    assert_eq!((told.len(), told[0].actor.as_str()), (1, "alice"));
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_banned_address_a_second_factor_makes_no_difference() {
    let (portal, _driver) = mock_with(|c| c.guard.failures = 3).await;
    with_factor(&portal).await;
    guess(&portal, "bob", host(1), 3).await;
    let say = async |from| portal.portal.login(from).password("alice", proof(PASSWORD)).await;
    assert!(matches!(say(host(1)).await, Verdict::No));
    assert!(matches!(say(host(2)).await, Verdict::More));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_changed_by_whoever_has_shown_it() {
    let (portal, _driver) = mock_with(|c| c.ssh.remember_second_factor_s = 3600).await;
    let p = &portal.portal;
    // She came before there was one.
    let (before, key, app) = with_factor(&portal).await;
    let with_code = answer(&portal, &key, host(1), app.fresh(&portal)).await.unwrap();
    let remembered = p.login(host(1)).key("alice", key.clone()).await.principal().expect("remembered");
    for who in [&before, &remembered] {
        let disable = TotpDisable { proof: proof(PASSWORD) };
        assert_eq!(refused(p, who, disable).await.code, Code::BadCode);
        let renew = TotpBackupCodes { proof: proof(PASSWORD) };
        assert_eq!(refused(p, who, renew).await.code, Code::BadCode);
    }
    let renew = TotpBackupCodes { proof: proof(&app.fresh(&portal)) };
    let codes = p.perform(&remembered, renew).await.unwrap().backup_codes;
    p.perform(&with_code, TotpBackupCodes { proof: proof(PASSWORD) }).await.unwrap();
    p.perform(&with_code, TotpDisable { proof: proof(PASSWORD) }).await.unwrap();
    // Another one: whoever gave a code of that one has given none of this.
    App::set_up(&portal, &before).await;
    for used in [PASSWORD, codes[0].as_str()] {
        let disable = TotpDisable { proof: proof(used) };
        assert_eq!(refused(p, &with_code, disable).await.code, Code::BadCode);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_not_guessed_from_inside_either() {
    let (portal, _driver) = mock_with(|c| c.guard.failures = 3).await;
    portal.user("alice", "user").await;
    let alice = try_password(&portal, "alice", PASSWORD, host(1)).await.unwrap();
    let change = |old: &str| AccountPasswd { old: Some(proof(old)), new: proof("nine purple toads") };
    for _ in 0..3 {
        assert_eq!(
            refused(&portal.portal, &alice, change("seven brown foxez")).await.code,
            Code::BadPassword
        );
    }
    assert_eq!(bans(&portal).await.len(), 1);
    assert_eq!(refused(&portal.portal, &alice, change(PASSWORD)).await.code, Code::BadPassword);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_asked_for_at_registration_are_names_tried() {
    let (portal, _driver) = mock_with(|c| {
        c.registration.mode = String::from("open");
        c.guard.names = 3;
    })
    .await;
    portal.user("alice", "user").await;
    portal.user("bob", "user").await;
    let come = async |from| portal.portal.login(from).come_in(Errand::Register, None).await;
    let newcomer = come(host(1)).await.unwrap();
    for name in ["alice", "bob"] {
        assert_eq!(newcomer.check_name(name).await.unwrap_err().code, Code::Exists);
    }
    newcomer.check_name("nobody").await.unwrap();
    assert!(bans(&portal).await.is_empty(), "a name that is free is none that is found out");
    let taken = newcomer.make_account("admin2".parse().unwrap(), Some(proof(PASSWORD))).await.unwrap().name;
    let again = newcomer.make_account(taken.parse().unwrap(), Some(proof(PASSWORD))).await;
    assert_eq!(again.unwrap_err().code, Code::Exists);
    assert_eq!(bans(&portal).await.len(), 1);
    assert!(come(host(1)).await.is_none());
    assert!(come(host(2)).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_has_to_count_still_when_the_code_is_given() {
    let (portal, _driver) = mock().await;
    let (_, _, app) = with_factor(&portal).await;
    let db = database(&portal);
    let changes = [
        ("UPDATE users SET must_change_password = 0 WHERE name = 'alice'", true),
        ("UPDATE users SET password_login = 0 WHERE name = 'alice'", false),
        ("UPDATE users SET password_login = 1, password_hash = 'other' WHERE name = 'alice'", false),
    ];
    for (change, lets_in) in changes {
        let mut login = portal.portal.login(host(1));
        assert!(matches!(login.password("alice", proof(PASSWORD)).await, Verdict::More), "{change}");
        db.execute(change, []).unwrap();
        let code = Zeroizing::new(app.fresh(&portal));
        assert_eq!(login.code("alice", &code).await.principal().is_some(), lets_in, "{change}");
        if change.contains("password_login = 0") {
            db.execute("UPDATE users SET password_login = 1", []).unwrap();
        }
    }
}
