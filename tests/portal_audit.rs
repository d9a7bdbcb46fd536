//! What is written down of everything that is asked, and that nothing runs when
//! nothing can be written down.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/work.rs"]
mod work;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use common::{PASSWORD, mock, until};
use twarga::action::account::{AccountPasswd, Whoami};
use twarga::action::enter::{VmConsole, VmSsh};
use twarga::action::event::EventLs;
use twarga::action::key::KeyAdd;
use twarga::action::user::{UserLs, UserNew};
use twarga::action::vm::{VmNew, VmShow};
use twarga::driver::mock::{MockDriver, Op};
use twarga::model::{Event, Outcome};
use work::*;
use zeroize::Zeroizing;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn events(attempts: bool) -> EventLs {
    EventLs { since: None, severity: None, actor: None, action: None, attempts, limit: 10_000 }
}

fn user_new(name: &str) -> UserNew {
    UserNew { name: name.parse().unwrap(), role: twarga::model::RoleName::USER, key: None }
}

fn passwd(old: &str, new: &str) -> AccountPasswd {
    let [old, new] = [old, new].map(|p| Zeroizing::new(p.to_owned()));
    AccountPasswd { old: Some(old), new }
}

fn work_done(driver: &MockDriver) -> usize {
    [Op::Prepare, Op::Define, Op::Start, Op::Undefine, Op::Console].iter().map(|op| driver.calls(*op)).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_has_its_row_and_its_outcome() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    let alice = portal.user("alice", "user").await;
    let db = database(&portal);
    let before = count(&db, "SELECT max(id) FROM events");
    assert_eq!(outcome(p, &alice, Whoami {}).await, "done");
    assert_eq!(outcome(p, &alice, UserLs {}).await, "forbidden");
    assert_eq!(outcome(p, &alice, VmShow { name: vm("web9") }).await, "vm.not_found");
    let sql = "SELECT a.action || ' ' || a.outcome || ' ' || o.outcome || ' ' || o.severity || ' ' || coalesce(o.target, '-')
               FROM events a JOIN events o ON o.attempt_id = a.id WHERE a.id > ?1 ORDER BY a.id";
    let mut statement = db.prepare(sql).unwrap();
    let rows: Vec<String> =
        statement.query_map([before], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
    let expected = [
        "account.whoami unknown success info -",
        "user.ls unknown failure medium -",
        "vm.show unknown failure low web9",
    ];
    assert_eq!(rows, expected);
    let shown = |all: Vec<Event>| all.iter().filter(|e| e.outcome == Outcome::Unknown).count();
    // The question itself is under way when it is answered, so it shows.
    assert_eq!(shown(p.perform(&portal.admin, events(false)).await.unwrap()), 1);
    assert!(shown(p.perform(&portal.admin, events(true)).await.unwrap()) > 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_up_loses_neither_the_work_nor_its_outcome() {
    let (portal, driver) = mock().await;
    let p = portal.portal.clone();
    let alice = portal.user("alice", "user").await;
    make_vm(&p, &alice, "web").await;
    let mut gate = driver.hold(Op::Console);
    let (portal2, alice2) = (p.clone(), alice.clone());
    let asked = tokio::spawn(async move {
        let _ = portal2.perform(&alice2, VmConsole { name: vm("web") }).await;
    });
    gate.reached(1).await;
    let consoles = || EventLs { action: Some(String::from("vm.console")), ..events(false) };
    let seen = p.perform(&alice, consoles()).await.unwrap();
    assert_eq!((seen.len(), seen[0].outcome), (1, Outcome::Unknown), "an attempt under way is shown");
    asked.abort();
    assert!(asked.await.unwrap_err().is_cancelled());
    gate.open();
    until("the outcome is written down", async || {
        let seen = p.perform(&alice, consoles()).await.unwrap();
        seen.len() == 1 && seen[0].outcome == Outcome::Success
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_and_nobody_gets_in_when_events_cannot_be_written() {
    let (portal, driver) = mock().await;
    let p = &portal.portal;
    let alice = portal.user("alice", "user").await;
    let key = portal.keygen("alice", &["-t", "ed25519"]);
    let line = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let fingerprint = p.perform(&alice, KeyAdd::of(line)).await.unwrap()[0].fingerprint.clone();
    let db = database(&portal);
    let sessions = p.sessions().list().len();
    let remembered = "SELECT count(*) FROM ssh_keys WHERE last_used_at IS NOT NULL";
    assert_eq!(count(&db, remembered), 0);
    db.execute_batch("CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE (ABORT, 'full'); END")
        .unwrap();
    assert_ne!(outcome(p, &alice, vm_new("web")).await, "done");
    assert_ne!(outcome(p, &alice, Whoami {}).await, "done");
    assert_ne!(outcome(p, &portal.admin, user_new("eve")).await, "done");
    assert!(p.login(HERE).password("alice", Zeroizing::new(PASSWORD.to_owned())).await.principal().is_none());
    assert!(p.login(HERE).key("alice", fingerprint.clone()).await.principal().is_none());
    assert_eq!(count(&db, remembered), 0, "a login that did not happen is remembered");
    assert_eq!(work_done(&driver), 0);
    assert_eq!(count(&db, "SELECT count(*) FROM vms") + count(&db, "SELECT count(*) FROM jobs"), 0);
    assert_eq!(count(&db, "SELECT count(*) FROM users WHERE name = 'eve'"), 0);
    assert_eq!(p.sessions().list().len(), sessions, "a refused login leaves no session");
    db.execute_batch("DROP TRIGGER full").unwrap();
    assert!(p.login(HERE).key("alice", fingerprint).await.principal().is_some());
    make_vm(p, &alice, "web").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_cannot_be_remembered_is_not_written_down_as_one() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    portal.user("alice", "user").await;
    let db = database(&portal);
    let logins = "SELECT count(*) FROM events WHERE action = 'session.login' AND outcome = 'success'";
    let before = count(&db, logins);
    db.execute_batch(
        "CREATE TRIGGER full BEFORE UPDATE OF last_login_at ON users BEGIN SELECT RAISE (ABORT, 'full'); END",
    )
    .unwrap();
    assert!(p.login(HERE).password("alice", Zeroizing::new(PASSWORD.to_owned())).await.principal().is_none());
    assert_eq!(count(&db, logins), before, "a login that did not happen is in the audit");
    db.execute_batch("DROP TRIGGER full").unwrap();
    assert!(p.login(HERE).password("alice", Zeroizing::new(PASSWORD.to_owned())).await.principal().is_some());
    assert_eq!(count(&db, logins), before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_told_as_done_and_its_outcome_written_down_later() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    let db = database(&portal);
    db.execute_batch(
        "CREATE TRIGGER full BEFORE INSERT ON events WHEN NEW.attempt_id IS NOT NULL
         BEGIN SELECT RAISE (ABORT, 'full'); END",
    )
    .unwrap();
    assert_eq!(outcome(p, &portal.admin, user_new("eve")).await, "done");
    assert_eq!(outcome(p, &portal.admin, user_new("eve")).await, "exists");
    assert_eq!(count(&db, "SELECT count(*) FROM users WHERE name = 'eve'"), 1);
    let written = "SELECT count(*) FROM events WHERE action = 'user.new' AND target IS NULL
        AND attempt_id IS NOT NULL AND details LIKE '%eve%'";
    let of = |outcome: &str| count(&db, &format!("{written} AND outcome = '{outcome}'"));
    assert_eq!((of("success"), of("failure")), (0, 0));
    db.execute_batch("DROP TRIGGER full").unwrap();
    until("the outcomes are written down", async || (of("success"), of("failure")) == (1, 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_added_at_once_do_not_outrun_the_limit() {
    let (portal, _driver) = mock().await;
    let (p, alice) = (portal.portal.clone(), portal.user("alice", "user").await);
    let db = database(&portal);
    for i in 0..96 {
        let sql = "INSERT INTO ssh_keys (user_id, algorithm, fingerprint, note, line, created_at)
            SELECT id, 'ssh-ed25519', ?1, '', '', 1 FROM users WHERE name = 'alice'";
        db.execute(sql, [format!("SHA256:{i}")]).unwrap();
    }
    let keys: Vec<String> = (0..12)
        .map(|i| {
            let key = portal.keygen(&format!("k{i}"), &["-t", "ed25519"]);
            std::fs::read_to_string(key.with_extension("pub")).unwrap()
        })
        .collect();
    let adding: Vec<_> = keys
        .into_iter()
        .map(|key| {
            let (p, alice) = (p.clone(), alice.clone());
            tokio::spawn(async move { outcome(&p, &alice, KeyAdd::of(key)).await })
        })
        .collect();
    let mut got = Vec::new();
    for one in adding {
        got.push(one.await.unwrap());
    }
    assert_eq!(got.iter().filter(|o| **o == "done").count(), 4, "{got:?}");
    assert_eq!(got.iter().filter(|o| **o == "quota").count(), 8, "{got:?}");
    let sql = "SELECT count(*) FROM ssh_keys k JOIN users u ON u.id = k.user_id WHERE u.name = 'alice'";
    assert_eq!(count(&db, sql), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_stays_locked_stops_actions_and_then_lets_them_go_on() {
    let (portal, driver) = mock().await;
    let p = &portal.portal;
    let alice = portal.user("alice", "user").await;
    let db = database(&portal);
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(outcome(p, &alice, vm_new("web")).await, "database.unavailable");
    assert_eq!(work_done(&driver), 0);
    db.execute_batch("ROLLBACK").unwrap();
    make_vm(p, &alice, "web").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_job_cannot_be_written_down_leaves_no_machine() {
    let (portal, driver) = mock().await;
    let p = &portal.portal;
    let db = database(&portal);
    db.execute_batch("CREATE TRIGGER full BEFORE INSERT ON jobs BEGIN SELECT RAISE (ABORT, 'full'); END")
        .unwrap();
    assert_ne!(outcome(p, &portal.admin, vm_new("web")).await, "done");
    db.execute_batch("DROP TRIGGER full").unwrap();
    assert_nothing_left(&portal, &driver, "no job").await;
    assert_eq!(work_done(&driver), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_in_no_event_and_passwords_nowhere() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    let admin = portal.admin.clone();
    let made = p.perform(&admin, user_new("alice")).await.unwrap();
    let first = made.one_time_password.unwrap();
    let alice = portal.sign_in("alice", &first).await;
    let chosen = "PLANTED-phrase-1";
    p.perform(&alice, passwd(&first, chosen)).await.unwrap();
    let wrong = "PLANTED-phrase-2";
    assert_eq!(outcome(p, &alice, passwd(wrong, wrong)).await, "account.password");
    assert!(p.login(HERE).password("alice", Zeroizing::new(wrong.to_owned())).await.principal().is_none());
    let private = std::fs::read_to_string(portal.keygen("stray", &["-t", "ed25519"])).unwrap();
    let line = private.lines().nth(2).unwrap().to_owned();
    for key in [private.clone(), private.replace('\n', " "), line.clone()] {
        assert_eq!(outcome(p, &alice, KeyAdd::of(key.clone())).await, "key.invalid");
        let with_key = UserNew { key: Some(key), ..user_new("dave") };
        assert_eq!(outcome(p, &admin, with_key).await, "key.invalid");
    }
    let data = "#cloud-config\n# PLANTED-user-data\n";
    let order = VmNew { user_data: Some(data.to_owned()), ..vm_new("web") };
    let job = p.perform(&alice, order).await.unwrap();
    finished(p, &alice, job.id).await;
    let inside = VmSsh { name: vm("web"), command: vec![String::from("PLANTED-command")] };
    assert_eq!(outcome(p, &alice, inside).await, "vm.unreachable");

    let db = database(&portal);
    let columns = "actor || coalesce(target, '') || message || details";
    let planted = format!("SELECT count(*) FROM events WHERE {columns} LIKE '%PLANTED%'");
    assert_eq!(count(&db, &planted), 0);
    assert_eq!(count(&db, &format!("SELECT count(*) FROM events WHERE instr({columns}, 'PRIVATE KEY')")), 0);
    assert_eq!(count(&db, "SELECT count(*) FROM jobs WHERE step || coalesce(error, '') LIKE '%PLANTED%'"), 0);
    let mut bytes = std::fs::read(portal.dir.path().join("data/twarga.db")).unwrap();
    bytes.extend(std::fs::read(portal.dir.path().join("data/twarga.db-wal")).unwrap_or_default());
    let has = |what: &str| bytes.windows(what.len()).any(|w| w == what.as_bytes());
    assert!(has("alice") && has("PLANTED-user-data"), "the search itself works");
    for secret in [chosen, wrong, first.as_str(), &line, "PLANTED-command", PASSWORD] {
        assert!(!has(secret), "the database holds {secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_strangers_cause_a_bounded_number_of_rows() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    let began = Instant::now();
    for i in 0..10_000 {
        let name = format!("stranger-{i}-{}", "x".repeat(200));
        assert!(p.login(HERE).key(&name, String::from("SHA256:none")).await.principal().is_none());
    }
    let minutes = i64::try_from(began.elapsed().as_secs() / 60).unwrap() + 2;
    let db = database(&portal);
    let rows =
        count(&db, "SELECT count(*) FROM events WHERE action = 'session.login' AND outcome = 'failure'");
    assert!(rows > 0 && rows <= 120 * minutes, "{rows} rows in at most {minutes} minutes");
    let longest = count(&db, "SELECT max(length(actor) + length(message) + length(details)) FROM events");
    assert!(longest < 1000, "{longest}");
    // Nobody who belongs here is kept out by them.
    assert!(p.login(HERE).password("admin", Zeroizing::new(PASSWORD.to_owned())).await.principal().is_some());
    assert!(began.elapsed() < Duration::from_secs(100));
}
