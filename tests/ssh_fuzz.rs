//! Random packets against the SSH server, before and after the login. The time
//! is `TWARGA_FUZZ_SECONDS` for each of the two; the seed is printed, and
//! `TWARGA_FUZZ_SEED` gives the same lives again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
mod fuzz_support;
#[path = "common/wire.rs"]
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use common::{TestPortal, mock_with, raw, until};
use fuzz_support::life::{Phase, Reached, Target};

/// Connections at once.
const HANDS: u64 = 6;
/// What the process may grow by meanwhile, MiB, both sides of every connection
/// and the allocator's slack included. It follows from the connections at once,
/// not from their number: after minutes it was 190.
const GROWTH_MIB: u64 = 300;
/// The longest that an honest person waits for an answer, however busy the machine.
const SOON: Duration = Duration::from_secs(10);

static PANICS: AtomicU64 = AtomicU64::new(0);
/// Memory and descriptors are the process's: one at a time.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|v| v.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Resident memory, MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// Counts every panic of the process, wherever it is caught.
fn count_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Relaxed);
        usual(info);
    }));
}

/// Answers an old connection and a new one; both in time.
async fn honest(portal: &TestPortal, key: &std::path::Path, old: &raw::Client) {
    let started = Instant::now();
    let answer = tokio::time::timeout(SOON, raw::exec(old, "whoami")).await.expect("an old session hangs");
    assert_eq!(answer.text(), "bob\n");
    let new = async {
        let client = raw::sign_in(portal, "bob", key).await;
        assert_eq!(raw::exec(&client, "whoami").await.text(), "bob\n");
    };
    tokio::time::timeout(SOON, new).await.expect("a new session hangs");
    assert!(started.elapsed() < SOON);
}

async fn fuzz(phase: Phase) -> Arc<Reached> {
    let _alone = ALONE.lock().await;
    count_panics();
    let seconds = number("TWARGA_FUZZ_SECONDS").unwrap_or(25);
    let seed = number("TWARGA_FUZZ_SEED").unwrap_or_else(|| {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap();
        u64::from(since.subsec_nanos()) ^ since.as_secs()
    });
    println!("TWARGA_FUZZ_SEED={seed} {phase:?} for {seconds} s");
    let (portal, _driver) = mock_with(|c| {
        c.ssh.max_sessions_per_user = 1000;
        c.ssh.max_startups = 1000;
    })
    .await;
    let alice = portal.user_with_key("alice", "user").await;
    let bob = portal.user_with_key("bob", "user").await;
    let old = raw::sign_in(&portal, "bob", &bob).await;
    honest(&portal, &bob, &old).await;
    let reached = Arc::new(Reached::default());
    let target = Arc::new(Target {
        address: portal.address,
        login: "alice",
        key: wire::Key::read(&alice),
        reached: Arc::clone(&reached),
    });
    // Warm: what the first lives allocate once is not growth.
    for n in 0..HANDS {
        target.live(seed.wrapping_sub(n + 1), phase).await;
    }
    until("nobody of the first is there", async || portal.portal.sessions().list().len() == 2).await;
    let (tasks_before, descriptors_before, memory_before) = (tasks(), descriptors(), resident());
    let end = Instant::now() + Duration::from_secs(seconds);
    let hands: Vec<_> = (0..HANDS)
        .map(|hand| {
            let target = Arc::clone(&target);
            tokio::spawn(async move {
                let mut n = hand;
                while Instant::now() < end {
                    target.live(seed.wrapping_add(n), phase).await;
                    n += HANDS;
                }
            })
        })
        .collect();
    let mut most = 0;
    while Instant::now() < end {
        honest(&portal, &bob, &old).await;
        most = most.max(resident());
        assert_eq!(PANICS.load(Relaxed), 0, "something panicked; seed {seed}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for hand in hands {
        hand.await.unwrap();
    }
    honest(&portal, &bob, &old).await;
    println!("{phase:?}: {reached:?}; {memory_before} MiB before, at most {most} MiB");
    assert_eq!(PANICS.load(Relaxed), 0, "something panicked; seed {seed}");
    assert!(most < memory_before + GROWTH_MIB, "{memory_before} MiB before, {most} MiB then; seed {seed}");
    until("no session is left", async || portal.portal.sessions().list().len() == 2).await;
    until("no descriptor is left", async || descriptors() <= descriptors_before).await;
    until("no task is left", async || tasks() <= tasks_before).await;
    reached
}

/// A fuzzer that reaches nothing finds nothing.
#[track_caller]
fn reached(what: &str, count: &AtomicU64, least: u64) {
    assert!(count.load(Relaxed) >= least, "{what}: {} of at least {least}", count.load(Relaxed));
}

#[tokio::test(flavor = "multi_thread")]
async fn random_packets_before_the_login() {
    let done = fuzz(Phase::Before).await;
    reached("lives", &done.lives, 20);
    reached("key exchanges", &done.key_exchanges, 10);
    reached("messages", &done.sent, 500);
    reached("logins by chance", &done.logins, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn random_packets_after_the_login() {
    let done = fuzz(Phase::After).await;
    reached("lives", &done.lives, 20);
    reached("logins", &done.logins, 15);
    reached("messages", &done.sent, 500);
    reached("channels", &done.channels, 15);
    reached("output", &done.channel_data, 15);
    reached("exit statuses", &done.statuses, 5);
}
