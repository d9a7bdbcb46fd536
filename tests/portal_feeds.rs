//! What a screen is told of by push: jobs, events, connections; and what somebody
//! has set for themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/work.rs"]
mod work;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{PASSWORD, PATIENCE, mock};
use twarga::action::account::{AccountPrefs, AccountSet};
use twarga::action::event::{EventFeed, EventLs, EventTail, News};
use twarga::action::host::HostFollow;
use twarga::action::job::{JobFeed, JobFollow, JobShow};
use twarga::action::key::KeyLs;
use twarga::action::session::{SessionFollow, SessionKill};
use twarga::action::vm::{VmPause, VmResume};
use twarga::driver::mock::Op;
use twarga::error::Code;
use twarga::model::{Job, JobState, Preferences, Setting};
use work::*;

fn set(key: Setting, value: &str) -> AccountSet {
    AccountSet { key, value: value.to_owned() }
}

fn tail(limit: u32) -> EventTail {
    EventTail { severity: None, actor: None, action: None, attempts: false, limit }
}

async fn news(feed: &mut EventFeed) -> News {
    tokio::time::timeout(PATIENCE, feed.next()).await.expect("no news").unwrap()
}

/// The first list in which the latest job is as wished.
async fn list_where(feed: &mut JobFeed, what: &str, wished: impl Fn(&Job) -> bool) -> Vec<Arc<Job>> {
    let found = async {
        loop {
            let list = feed.next().await.unwrap();
            if list.first().is_some_and(|job| wished(job)) {
                return list;
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("never {what}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn preferences_are_the_accounts_own_and_stay() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    let alice = portal.user("alice", "user").await;
    let bob = portal.user("bob", "user").await;
    assert_eq!(p.perform(&alice, AccountPrefs {}).await.unwrap(), Preferences::default());
    p.perform(&alice, set(Setting::Theme, "light")).await.unwrap();
    p.perform(&alice, set(Setting::Theme, "contrast")).await.unwrap();
    p.perform(&alice, set(Setting::TimeZone, "europe/berlin")).await.unwrap();
    let e = refused(p, &alice, set(Setting::TimeZone, "Europe/Berln")).await;
    assert_eq!((e.code, e.hint.as_ref()), (Code::Usage, "Did you mean `Europe/Berlin`?"));
    let again = portal.sign_in("alice", PASSWORD).await;
    let kept = p.perform(&again, AccountPrefs {}).await.unwrap();
    assert_eq!(kept.value(Setting::Theme), "contrast");
    assert_eq!(kept.value(Setting::TimeZone), "Europe/Berlin");
    assert_eq!(p.perform(&bob, AccountPrefs {}).await.unwrap(), Preferences::default());
    // What is known no more, such as a zone, is as it is by default; the rest stays.
    let db = database(&portal);
    db.execute("UPDATE preferences SET value = 'Europe/Nowhere' WHERE setting = 'time_zone'", []).unwrap();
    db.execute("INSERT INTO preferences VALUES (?1, 'of_later', 'x')", [alice.user_id()]).unwrap();
    let kept = p.perform(&alice, AccountPrefs {}).await.unwrap();
    assert_eq!(
        (kept.value(Setting::Theme), kept.value(Setting::TimeZone)),
        ("contrast".into(), "UTC".into())
    );
    let asked = EventLs {
        since: None,
        severity: None,
        actor: None,
        action: Some(String::from("account.set")),
        attempts: false,
        limit: 10,
    };
    let audited = p.perform(&alice, asked).await.unwrap();
    assert_eq!(audited.len(), 4);
    assert_eq!(audited[1].details, serde_json::json!({ "key": "time_zone", "value": "europe/berlin" }));
    // They go with the account.
    db.execute("DELETE FROM users WHERE name = 'alice'", []).unwrap();
    assert_eq!(count(&db, "SELECT count(*) FROM preferences"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_screen_is_told_of_jobs_step_by_step() {
    let (portal, driver) = mock().await;
    let p = &portal.portal;
    let alice = portal.user("alice", "user").await;
    let bob = portal.user("bob", "user").await;
    let mut feed = p.perform(&alice, JobFollow { all: false }).await.unwrap();
    let mut all = p.perform(&portal.admin, JobFollow { all: true }).await.unwrap();
    assert!(feed.next().await.unwrap().is_empty());
    let mut gate = driver.hold(Op::Define);
    let job = p.perform(&alice, vm_new("web")).await.unwrap();
    gate.reached(1).await;
    let list = list_where(&mut feed, "at work", |j| j.step == "defining the machine").await;
    assert_eq!((list[0].id, list[0].state, list[0].percent), (job.id, JobState::Running, 30));
    list_where(&mut all, "seen by the administrator", |j| j.id == job.id && j.percent == 30).await;
    gate.open();
    let done = list_where(&mut feed, "done", |j| j.state == JobState::Succeeded).await;
    let words: Vec<_> = done[0].steps.iter().map(|s| s.step.as_str()).collect();
    assert_eq!(words, ["checking the image", "preparing the disk", "defining the machine", "starting"]);
    assert!(done[0].steps.is_sorted_by_key(|s| (s.time, s.percent)), "{:?}", done[0].steps);
    // They are kept with the job.
    let kept = p.perform(&alice, JobShow { id: job.id }).await.unwrap();
    assert_eq!(kept.steps, done[0].steps);
    // What fails tells where.
    driver.fail_next(Op::Start, twarga::error::Error::new(Code::TimedOut, "It took too long."));
    p.perform(&alice, vm_new("db")).await.unwrap();
    let failed = list_where(&mut feed, "failed", |j| j.state == JobState::Failed).await;
    assert_eq!(failed[0].steps.last().map(|s| s.step.as_str()), Some("starting"));
    // Of bob nothing came to alice.
    make_vm(p, &bob, "web").await;
    let mut his = p.perform(&bob, JobFollow { all: true }).await.unwrap();
    assert!(his.next().await.unwrap().iter().all(|j| j.target == "web.bob"));
    assert!(failed.iter().all(|j| j.target.ends_with(".alice")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hurry_of_jobs_makes_few_lists() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    let alice = portal.user("alice", "user").await;
    make_vm(p, &alice, "web").await;
    let mut feed = p.perform(&alice, JobFollow { all: false }).await.unwrap();
    feed.next().await.unwrap();
    let work = tokio::spawn({
        let (p, alice) = (p.clone(), alice.clone());
        async move {
            for _ in 0..20 {
                change(&p, &alice, VmPause { names: vms(&["web"]), no_wait: false }).await.unwrap();
                change(&p, &alice, VmResume { names: vms(&["web"]), no_wait: false }).await.unwrap();
            }
        }
    });
    let mut before = Instant::now();
    let mut lists = 0;
    loop {
        let list =
            tokio::time::timeout(PATIENCE, feed.next()).await.expect("the last list is missing").unwrap();
        // The first comes at once.
        let since = before.elapsed();
        assert!(lists == 0 || since >= Duration::from_millis(240), "after {since:?}");
        before = Instant::now();
        lists += 1;
        if list.len() == 41 && list.iter().all(|j| j.state.is_final()) {
            break;
        }
    }
    work.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_told_as_they_happen() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    let alice = portal.user("alice", "user").await;
    let bob = portal.user("bob", "user").await;
    for _ in 0..5 {
        p.perform(&alice, KeyLs {}).await.unwrap();
    }
    let mut feed = p.perform(&alice, tail(3)).await.unwrap();
    let mut all = p.perform(&portal.admin, tail(0)).await.unwrap();
    let severe = EventTail { severity: Some(String::from("medium")), ..tail(0) };
    let mut severe = p.perform(&portal.admin, severe).await.unwrap();
    let first = news(&mut feed).await;
    let names: Vec<_> = first.events.iter().map(|e| e.action.as_str()).collect();
    assert_eq!((names, first.missed), (vec!["key.ls", "key.ls", "event.tail"], false));
    assert!(first.events.is_sorted_by_key(|e| e.id));
    for feed in [&mut all, &mut severe] {
        assert_eq!(news(feed).await, News::default());
    }
    p.perform(&bob, KeyLs {}).await.unwrap();
    refused(p, &alice, HostFollow {}).await;
    let told = news(&mut feed).await.events;
    assert_eq!((told.len(), told[0].action.as_str(), told[0].actor.as_str()), (1, "host.follow", "alice"));
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.extend(news(&mut all).await.events.into_iter().map(|e| e.actor));
    }
    assert_eq!(seen, ["bob", "alice"]);
    assert_eq!(news(&mut severe).await.events[0].id, told[0].id);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_lags_behind_catches_up_or_is_told_so() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    let alice = portal.user("alice", "user").await;
    let mut feed = p.perform(&alice, tail(0)).await.unwrap();
    news(&mut feed).await;
    let mut seen = Vec::new();
    // Attempts and outcomes are more than may wait.
    for _ in 0..200 {
        p.perform(&alice, KeyLs {}).await.unwrap();
    }
    while seen.len() < 200 {
        let news = news(&mut feed).await;
        assert!(!news.missed);
        seen.extend(news.events.into_iter().map(|e| e.id));
    }
    assert!(seen.is_sorted() && seen.len() == 200, "{seen:?}");
    for _ in 0..400 {
        p.perform(&alice, KeyLs {}).await.unwrap();
    }
    let late = news(&mut feed).await;
    assert!(late.missed && late.events.len() == 256, "{} events", late.events.len());
    // What comes now comes once.
    p.perform(&alice, KeyLs {}).await.unwrap();
    let next = news(&mut feed).await;
    assert!(!next.missed && next.events.len() == 1 && next.events[0].id > late.events[255].id, "{next:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_and_goes_is_told() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    let alice = portal.user("alice", "user").await;
    let mut feed = p.perform(&alice, SessionFollow { all: false }).await.unwrap();
    let before = feed.next().await.unwrap();
    assert!(before.iter().any(|s| s.current), "{before:?}");
    let other = portal.sign_in("alice", PASSWORD).await;
    let id = &other.session().id;
    let told = async |feed: &mut twarga::action::session::SessionFeed, there: bool| {
        let wished = async { while feed.next().await.unwrap().iter().any(|s| s.id == *id) != there {} };
        tokio::time::timeout(PATIENCE, wished).await.expect("nobody tells");
    };
    told(&mut feed, true).await;
    p.perform(&alice, SessionKill { id: Some(id.clone()), user: None }).await.unwrap();
    // Who has no connection of SSH is forgotten by hand.
    p.sessions().close(other.session());
    told(&mut feed, false).await;
}
