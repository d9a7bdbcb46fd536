//! The database: many at once, damage, and what stands in its way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::json;
use twarga::error::{Code, Error};
use twarga::model::{Category, EventDraft, Outcome, RoleName, Severity};
use twarga::store::{EventFilter, NewKey, NewUser, SCHEMA_VERSION, Store};

fn draft(message: String) -> EventDraft {
    EventDraft {
        category: Category::Host,
        action: "test.write",
        outcome: Outcome::Success,
        severity: Severity::Info,
        actor: String::from("system"),
        actor_id: None,
        source_ip: None,
        target: None,
        session: None,
        message,
        details: json!({}),
    }
}

fn everything() -> EventFilter {
    EventFilter { attempts: true, limit: 100_000, ..EventFilter::default() }
}

/// An account with a key: two rows that belong together.
fn account(name: String) -> NewUser {
    let key = NewKey {
        algorithm: String::from("ssh-ed25519"),
        fingerprint: format!("SHA256:{name}"),
        note: String::new(),
        line: String::from("ssh-ed25519 AAAA"),
        limits: twarga::model::KeyLimits::default(),
    };
    NewUser { name, role: RoleName::USER, password_hash: None, must_change_password: false, key: Some(key) }
}

fn opening(path: &Path) -> Error {
    match Store::open(path) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(e) => e,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_tasks_write_and_read_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("twarga.db")).unwrap();
    let tasks: Vec<_> = (0..100)
        .map(|i| {
            let store = store.clone();
            tokio::spawn(async move {
                for j in 0..10 {
                    let event = store.event_insert(draft(format!("{i} {j}")), None).await.unwrap();
                    let found = store.event(event.id, None).await.unwrap().unwrap();
                    assert_eq!(found.message, format!("{i} {j}"));
                }
                let user = store.user_insert(account(format!("user{i}"))).await.unwrap();
                assert_eq!(store.keys(user.id).await.unwrap().len(), 1);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(store.user_count().await.unwrap(), 100);
    let mut ids: Vec<_> = store.events(everything()).await.unwrap().iter().map(|e| e.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=1000).collect::<Vec<i64>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_want_one_name_one_gets_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("twarga.db")).unwrap();
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.user_insert(account(String::from("alice"))).await })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => made += 1,
            Err(e) => assert_eq!(e.code, Code::Exists),
        }
    }
    assert_eq!(made, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_who_hang_up_take_no_connection_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("twarga.db")).unwrap();
    for i in 0..3000 {
        store.event_insert(draft(format!("{i}")), None).await.unwrap();
    }
    for round in 0..200 {
        let impatient = tokio::time::timeout(Duration::from_micros(round * 5), store.events(everything()));
        let _ = impatient.await;
        let four = [store.user_count(), store.user_count(), store.user_count(), store.user_count()];
        for read in four {
            read.await.unwrap_or_else(|e| panic!("round {round}: {e}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_while_writing_is_consistent_and_opens() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("twarga.db")).unwrap();
    let writing = store.clone();
    let writer = tokio::spawn(async move {
        for i in 0.. {
            writing.user_insert(account(format!("user{i}"))).await.unwrap();
        }
    });
    let mut before = 0;
    for round in 0..10 {
        while store.user_count().await.unwrap() < before + 20 {
            tokio::task::yield_now().await;
        }
        let file = dir.path().join(format!("copy-{round}.db"));
        store.backup_to(file.clone()).await.unwrap();
        let copy = Store::open(&file).unwrap();
        let users = copy.users().await.unwrap();
        assert!(users.len() as u32 >= before + 20, "round {round}: rows are missing");
        for user in &users {
            assert_eq!(copy.keys(user.id).await.unwrap().len(), 1, "half of {} was copied", user.name);
        }
        before = u32::try_from(users.len()).unwrap();
    }
    writer.abort();
}

/// A database with a few hundred pages, all of them in the one file.
async fn full_database(dir: &Path) -> PathBuf {
    let path = dir.join("twarga.db");
    let store = Store::open(&path).unwrap();
    for i in 0..500 {
        store.event_insert(draft(format!("{i} {}", "x".repeat(900))), None).await.unwrap();
    }
    drop(store);
    let mut busy = 1;
    let connection = Connection::open(&path).unwrap();
    while busy != 0 {
        busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get(0)).unwrap();
    }
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database_is_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let good = std::fs::read(full_database(dir.path()).await).unwrap();
    let pages = good.len() / 4096;
    assert!(pages > 50, "{pages} pages");
    let flipped = |page: usize| {
        let mut bytes = good.clone();
        bytes[page * 4096..(page + 1) * 4096].iter_mut().for_each(|b| *b = !*b);
        bytes
    };
    let damaged = [
        ("a page in the middle", flipped(pages / 2)),
        ("a page near the end", flipped(pages - 5)),
        ("the first page", flipped(0)),
        ("half of it is missing", good[..pages / 2 * 4096].to_vec()),
        ("the end is missing", good[..good.len() - 5 * 4096].to_vec()),
        ("something else", b"this is no database at all, but long enough to be looked at. ".repeat(200)),
    ];
    for (what, bytes) in damaged {
        let path = dir.path().join("damaged.db");
        std::fs::write(&path, &bytes).unwrap();
        let e = opening(&path);
        assert_eq!(e.code, Code::DatabaseCorrupt, "{what}: {e}");
        assert!(e.hint.contains("twarga restore"), "{what}: {e}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{what}: it was changed");
    }
    std::fs::write(dir.path().join("good.db"), &good).unwrap();
    Store::open(&dir.path().join("good.db")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_twarga_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = full_database(dir.path()).await;
    let connection = Connection::open(&path).unwrap();
    let newer = i64::try_from(SCHEMA_VERSION).unwrap() + 1;
    connection.pragma_update(None, "user_version", newer).unwrap();
    let e = opening(&path);
    assert_eq!((e.code, e.exit() as u8), (Code::DatabaseNewer, 7));
    assert!(e.hint.contains("newer"), "{e}");
    let version: i64 = connection.pragma_query_value(None, "user_version", |r| r.get(0)).unwrap();
    assert_eq!(version, newer);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_owner_reads_the_database() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("twarga.db");
    let store = Store::open(&path).unwrap();
    store.user_insert(account(String::from("alice"))).await.unwrap();
    store.backup_to(dir.path().join("copy.db")).await.unwrap();
    for file in ["twarga.db", "twarga.db-wal", "twarga.db-shm", "copy.db"] {
        let mode = std::fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file}: {mode:o}");
    }
    // One that was made more open by an older twarga, or by hand.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    Store::open(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0);
}

/// Runs one of these tests again as somebody whom permissions hold back.
fn again_as_nobody(test: &str, dir: &Path) {
    let own = dir.join("test-program");
    std::fs::copy(std::env::current_exe().unwrap(), &own).unwrap();
    let mut command = Command::new(own);
    command.args(["--exact", test, "--nocapture"]).env("TWARGA_TEST_DIR", dir).current_dir(dir);
    if rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(String::from_utf8_lossy(&out.stdout).contains("1 passed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_written_is_told_as_that() {
    if let Some(dir) = std::env::var_os("TWARGA_TEST_DIR") {
        for place in ["closed/new.db", "closed/twarga.db", "nonesuch/twarga.db", "secret/twarga.db"] {
            let e = opening(&Path::new(&dir).join(place));
            assert_eq!((e.code, e.exit() as u8), (Code::DatabaseUnavailable, 7), "{place}: {e}");
        }
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for (folder, file_mode) in [("closed", 0o444), ("secret", 0o000)] {
        let folder = dir.path().join(folder);
        std::fs::create_dir(&folder).unwrap();
        let path = full_database(&folder).await;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(file_mode)).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o555)).unwrap();
    }
    again_as_nobody("what_may_not_be_written_is_told_as_that", dir.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_that_writes_for_a_while_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("twarga.db");
    let store = Store::open(&path).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let writing = tokio::spawn({
        let store = store.clone();
        async move { store.user_insert(account(String::from("alice"))).await }
    });
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(1) {
        // Reading goes on meanwhile.
        assert_eq!(store.user_count().await.unwrap(), 0);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!writing.is_finished());
    other.execute_batch("COMMIT").unwrap();
    writing.await.unwrap().unwrap();

    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let since = Instant::now();
    let e = store.user_insert(account(String::from("bob"))).await.unwrap_err();
    assert_eq!((e.code, e.exit() as u8), (Code::DatabaseUnavailable, 7), "{e}");
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    other.execute_batch("ROLLBACK").unwrap();
    store.user_insert(account(String::from("bob"))).await.unwrap();
}

/// A file system of 4 MiB; none where we may not mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(dir.path()).output().ok()?;
        mounted.status.success().then_some(SmallDisk(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_as_that_and_loses_nothing() {
    let Some(disk) = SmallDisk::new() else {
        println!("not run: no file system can be mounted here");
        return;
    };
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![0; 1 << 20]).unwrap();
    let store = Store::open(&disk.0.path().join("twarga.db")).unwrap();
    let mut written = 0;
    let e = loop {
        match store.event_insert(draft("x".repeat(10_000)), None).await {
            Ok(_) => written += 1,
            Err(e) => break e,
        }
    };
    assert_eq!((e.code, e.exit() as u8), (Code::DatabaseUnavailable, 7), "{e}");
    assert!(e.message.contains("full"), "{e}");
    assert_eq!(store.events(everything()).await.unwrap().len(), written);
    std::fs::remove_file(ballast).unwrap();
    store.event_insert(draft(String::from("again")), None).await.unwrap();
    assert_eq!(store.events(everything()).await.unwrap().len(), written + 1);
}
