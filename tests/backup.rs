//! `twarga backup` and `twarga restore`, with the real binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/host.rs"]
mod host;
#[path = "common/place.rs"]
mod place;

use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use std::process::Stdio;

use host::{Host, check_database, until};
use place::{Place, Serving, files};
use twarga::config::Config;
use twarga::driver::mock::MockDriver;
use twarga::portal::Portal;
use twarga::store::Store;
use zeroize::Zeroizing;

const PASSWORD: &str = "seven brown foxes";

/// An archive with these members.
fn archive(place: &Place, name: &str, members: &[(&str, &[u8])]) {
    let mut builder = tar::Builder::new(std::fs::File::create(place.path(name)).unwrap());
    for (path, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        // As `..` and absolute names are not let through by the crate itself.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.finish().unwrap();
}

fn key_of(place: &Place) -> Vec<u8> {
    std::fs::read(place.path("host-keys/ssh_host_ed25519_key")).unwrap()
}

/// The bytes of a database, as a backup has it.
async fn database(version: Option<i64>) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("made.db")).unwrap();
    let copy = dir.path().join("copy.db");
    store.backup_to(copy.clone()).await.unwrap();
    if let Some(version) = version {
        let connection = rusqlite::Connection::open(&copy).unwrap();
        connection.pragma_update(None, "user_version", version).unwrap();
        let _: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get(0)).unwrap();
    }
    std::fs::read(&copy).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_serving_portal_is_the_same_portal_elsewhere() {
    let place = Place::new();
    place.init_with_key();
    place.feed(&["user", "passwd", "admin", "--password-stdin"], PASSWORD).expect(0);
    let serving = place.serve();
    place.ssh(serving.port, &["user", "new", "alice"]).expect(0);
    place.run(&["backup", "b.tar"]).expect(0);
    assert_eq!(std::fs::metadata(place.path("b.tar")).unwrap().permissions().mode() & 0o777, 0o600);
    // What comes after it is not in it.
    place.ssh(serving.port, &["user", "new", "late"]).expect(0);
    assert_eq!(serving.terminate(), 0);

    let other = Place::new();
    for file in ["b.tar", "id", "known_hosts"] {
        std::fs::copy(place.path(file), other.path(file)).unwrap();
    }
    other.run(&["restore", "b.tar"]).expect(0);
    assert_eq!(files(&other.path("host-keys")), files(&place.path("host-keys")));
    let mode = |f: &str| std::fs::metadata(other.path(f)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("data/twarga.db"), mode("host-keys/ssh_host_ed25519_key")), (0o600, 0o600));
    let serving = other.serve();
    // The host key that was pinned there is known here.
    assert_eq!(other.ssh(serving.port, &["whoami"]).expect(0).stdout, "admin\n");
    let users = other.ssh(serving.port, &["user", "ls", "--json"]).expect(0).stdout;
    assert!(users.contains("alice") && !users.contains("late"), "{users}");
    assert_eq!(serving.terminate(), 0);

    let config =
        Config { data_dir: other.path("data"), host_key_dir: other.path("host-keys"), ..Config::default() };
    let store = Store::open(&config.data_dir.join("twarga.db")).unwrap();
    let portal = Portal::open(config, store, Arc::new(MockDriver::new())).await.unwrap();
    let from = IpAddr::from([127, 0, 0, 1]);
    assert!(
        portal.login(from).password("admin", Zeroizing::new(PASSWORD.to_owned())).await.principal().is_some()
    );
    assert!(
        portal
            .login(from)
            .password("admin", Zeroizing::new(String::from("another one")))
            .await
            .principal()
            .is_none()
    );
}

#[test]
fn restoring_keeps_what_was_there_before() {
    let place = Place::new();
    place.init_with_key();
    place.run(&["backup", "b.tar"]).expect(0);
    place.feed(&["user", "passwd", "admin", "--password-stdin"], PASSWORD).expect(0);
    let done = place.run(&["restore", "b.tar"]).expect(0);
    assert!(done.stdout.contains("kept as"), "{}", done.stdout);
    let hash = |file: &str| -> Option<String> {
        let connection = rusqlite::Connection::open(place.path("data").join(file)).unwrap();
        connection.query_row("SELECT password_hash FROM users", [], |r| r.get(0)).unwrap()
    };
    assert_eq!(hash("twarga.db"), None);
    let kept: Vec<_> = files(&place.path("data")).into_iter().filter(|f| f.contains("before-")).collect();
    let kept = kept.iter().find(|f| !f.ends_with("-wal") && !f.ends_with("-shm")).unwrap();
    assert!(hash(kept).is_some(), "the database of before is lost");
}

#[test]
fn nothing_is_restored_while_the_portal_serves() {
    let place = Place::new();
    place.init_with_key();
    place.run(&["backup", "b.tar"]).expect(0);
    let before = files(&place.path("data"));
    let serving = place.serve();
    place.run(&["restore", "b.tar"]).expect(4).says("serving");
    assert_eq!(place.ssh(serving.port, &["whoami"]).expect(0).stdout, "admin\n");
    assert_eq!(serving.terminate(), 0);
    let left: Vec<_> = files(&place.path("data")).into_iter().filter(|f| f.contains("restored")).collect();
    assert!(left.is_empty(), "{left:?} {before:?}");
    place.run(&["restore", "b.tar"]).expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_backup_is_refused_and_changes_nothing() {
    let place = Place::new();
    place.init_with_key();
    let good = database(None).await;
    let newer = database(Some(9999)).await;
    let mut damaged = good.clone();
    let middle = damaged.len() / 8192 * 4096;
    damaged[middle..middle + 4096].iter_mut().for_each(|b| *b = !*b);
    place.write("junk.tar", b"rubbish".repeat(1000));
    place.write("empty.tar", "");
    archive(&place, "no-database.tar", &[("host-keys/x", b"x")]);
    archive(&place, "up.tar", &[("twarga.db", &good), ("../evil", b"x")]);
    archive(&place, "up2.tar", &[("twarga.db", &good), ("host-keys/../../evil", b"x")]);
    archive(&place, "root.tar", &[("twarga.db", &good), ("/tmp/twarga-evil", b"x")]);
    archive(&place, "hidden.tar", &[("twarga.db", &good), ("host-keys/.evil", b"x")]);
    archive(&place, "dots.tar", &[("twarga.db", &good), ("host-keys/..", b"x")]);
    archive(&place, "other.tar", &[("twarga.db", &good), ("vms/evil", b"x")]);
    archive(&place, "newer.tar", &[("twarga.db", &newer)]);
    archive(&place, "damaged.tar", &[("twarga.db", &damaged)]);
    archive(&place, "nonsense.tar", &[("twarga.db", b"not a database at all")]);
    let host_key = "host-keys/ssh_host_ed25519_key";
    archive(&place, "no-key.tar", &[("twarga.db", &good), (host_key, b"not a key at all")]);
    let long = [key_of(&place).as_slice(), &vec![b'\n'; 1 << 20]].concat();
    archive(&place, "long-key.tar", &[("twarga.db", &good), (host_key, &long)]);
    archive(&place, "half-key.tar", &[("twarga.db", &good), (host_key, &key_of(&place)[..200])]);
    let tree = || [".", "data", "host-keys"].map(|d| files(&place.path(d)));
    let key = || key_of(&place);
    let (before, key_before) = (tree(), key());
    let refused = [
        ("nonesuch.tar", 2),
        ("junk.tar", 2),
        ("empty.tar", 2),
        ("no-database.tar", 2),
        ("up.tar", 2),
        ("up2.tar", 2),
        ("root.tar", 2),
        ("hidden.tar", 2),
        ("dots.tar", 2),
        ("other.tar", 2),
        ("no-key.tar", 2),
        ("long-key.tar", 2),
        ("half-key.tar", 2),
        ("newer.tar", 7),
        ("damaged.tar", 7),
        ("nonsense.tar", 7),
        ("data", 2),
    ];
    for (file, status) in refused {
        let done = place.run(&["restore", file]);
        assert_eq!(done.status, status, "{file}: {done:?}");
        let left = tree();
        let data: Vec<_> = left[1].iter().filter(|f| *f != "twarga.lock").cloned().collect();
        let was: Vec<_> = before[1].iter().filter(|f| *f != "twarga.lock").cloned().collect();
        assert_eq!(data, was, "{file} left something");
        assert_eq!((&left[0], &left[2]), (&before[0], &before[2]), "{file} left something");
    }
    assert_eq!(key(), key_before);
    assert!(!std::path::Path::new("/tmp/twarga-evil").exists());
    // A good one after all that.
    archive(&place, "good.tar", &[("twarga.db", &good)]);
    place.run(&["restore", "good.tar"]).expect(0);
}

#[test]
fn a_backup_needs_a_portal_and_a_place() {
    let place = Place::new();
    place.run(&["backup", "b.tar"]).expect(7).says("no database");
    assert_eq!(files(place.dir.path()), ["twarga.toml"]);
    place.init_with_key();
    let before = files(place.dir.path());
    place.run(&["backup", "nonesuch/b.tar"]).expect(7);
    assert_eq!(files(place.dir.path()), before);
    // A second one takes the place of the first.
    for _ in 0..2 {
        place.run(&["backup", "b.tar"]).expect(0);
    }
    assert_eq!(files(place.dir.path()).len(), before.len() + 1);
}

#[test]
fn a_restore_that_is_killed_anywhere_is_no_portal_until_it_is_done() {
    let place = Place::new();
    place.init_with_key();
    let serving = place.serve();
    place.ssh(serving.port, &["whoami"]).expect(0);
    assert_eq!(serving.terminate(), 0);
    place.run(&["backup", "b.tar"]).expect(0);
    for step in ["restoring", "set aside", "keys are back", "database is back"] {
        // Another portal's database and keys are there meanwhile.
        for folder in ["data", "host-keys"] {
            std::fs::remove_dir_all(place.path(folder)).unwrap();
        }
        place.feed(&["init", "--admin", "other", "--password-stdin"], PASSWORD).expect(0);
        let other_key = key_of(&place);
        let mut restore = place.command(&["restore", "b.tar"]);
        let killed = restore.env("TWARGA_DIE_AT", step).output().unwrap();
        assert_eq!(killed.status.code(), None, "{step}: {killed:?}");
        for words in [&["serve"][..], &["backup", "c.tar"], &["init", "--password-stdin"]] {
            let done = place.feed(words, PASSWORD).expect(7);
            done.says("A restore from b.tar was interrupted").says("twarga restore");
        }
        place.feed(&["user", "passwd", "admin", "--password-stdin"], PASSWORD).expect(7);
        assert!(!place.path("c.tar").exists());
        place.run(&["restore", "b.tar"]).expect(0);
        let serving = place.serve();
        assert_eq!(place.ssh(serving.port, &["whoami"]).expect(0).stdout, "admin\n", "{step}");
        assert_eq!(serving.terminate(), 0);
        check_database(&place, step);
        // What was there before is kept, key and all.
        let kept = |folder: &str, name: &str| {
            let all = files(&place.path(folder));
            let name = all.iter().find(|f| f.starts_with(&format!("{name}.before-")) && !f.contains("-wal"));
            place.path(folder).join(name.unwrap_or_else(|| panic!("{step}: {all:?}")))
        };
        let other = kept("data", "twarga.db");
        let connection = rusqlite::Connection::open(other).unwrap();
        let name: String = connection.query_row("SELECT name FROM users", [], |r| r.get(0)).unwrap();
        assert_eq!(name, "other", "{step}");
        assert_eq!(std::fs::read(kept("host-keys", "ssh_host_ed25519_key")).unwrap(), other_key, "{step}");
    }
}

#[test]
fn a_database_that_is_gone_is_not_taken_for_a_new_portals() {
    let place = Place::new();
    place.init_with_key();
    place.run(&["backup", "b.tar"]).expect(0);
    place.run(&["restore", "b.tar"]).expect(0);
    let database = place.path("data/twarga.db");
    for (empty, says) in [(false, "it is gone"), (true, "it is empty")] {
        std::fs::remove_file(&database).unwrap();
        if empty {
            std::fs::write(&database, "").unwrap();
        }
        let done = place.run(&["serve"]).expect(7).says(says).says("twarga restore");
        assert_eq!(done.stdout, "", "a password is made");
        place.feed(&["init", "--password-stdin"], PASSWORD).expect(7);
        assert_eq!(std::fs::metadata(&database).map_or(0, |m| m.len()), 0, "one was made");
        place.run(&["restore", "b.tar"]).expect(0);
    }
    let serving = place.serve();
    assert_eq!(place.ssh(serving.port, &["whoami"]).expect(0).stdout, "admin\n");
    assert_eq!(serving.terminate(), 0);
}

#[test]
fn the_database_of_a_portal_that_serves_is_not_migrated_from_beside() {
    let place = Place::new();
    place.init_with_key();
    let serving = place.serve();
    // As if an older twarga served, which knows nothing of the latest column.
    let db = place.database();
    let older = i64::try_from(twarga::store::SCHEMA_VERSION).unwrap() - 1;
    db.pragma_update(None, "user_version", older).unwrap();
    let version = || -> i64 { db.pragma_query_value(None, "user_version", |r| r.get(0)).unwrap() };
    place.run(&["backup", "b.tar"]).expect(0);
    assert_eq!(version(), older, "a backup migrates");
    let passwd = ["user", "passwd", "admin", "--password-stdin"];
    place.feed(&passwd, PASSWORD).expect(7).says("older twarga");
    assert_eq!(version(), older, "a recovery migrates what another serves");
    assert_eq!(serving.terminate(), 0);
}

/// Shells that make accounts as fast as they can, until they are dropped.
struct Load(Vec<std::process::Child>);

impl Load {
    fn on(place: &Place, port: u16) -> Load {
        let shell = |shell: usize| {
            let mut command = place.ssh_command(port, &[]);
            command.arg("-T").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            let mut stdin = child.stdin.take().unwrap();
            std::thread::spawn(move || {
                (0..100_000).try_for_each(|i| writeln!(stdin, "user new s{shell}n{i}\nvm ls --all"))
            });
            child
        };
        Load((0..3).map(shell).collect())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn accounts(place: &Place) -> i64 {
    place.database().query_row("SELECT count(*) FROM users", [], |r| r.get(0)).unwrap()
}

#[test]
fn a_backup_taken_under_load_is_a_portal_whose_machines_start() {
    let host = Host::new();
    let place = &host.place;
    let serving: Serving = host.serve();
    let port = serving.port;
    for name in ["runs", "idle"] {
        place.ssh(port, &["vm", "new", name, "--image", "micro"]).expect(0);
    }
    place.ssh(port, &["vm", "stop", "idle", "--force"]).expect(0);
    let load = Load::on(place, port);
    let mut ordered = host.ask(port, &["vm", "new", "half", "--image", "micro", "--no-wait"]);
    until("the load is on", || accounts(place) > 10 && host.row("half").is_some());
    let before = accounts(place);
    place.run(&["backup", "b.tar"]).expect(0);
    // They wrote all the while, and write on.
    let after = accounts(place);
    until("the load goes on", || accounts(place) > after);
    host.make(&serving, "late");
    ordered.wait().unwrap();
    drop(load);
    assert_eq!(serving.terminate(), 0);
    let late = host.row("late").unwrap();

    let other = host.elsewhere();
    other.place.run(&["restore", "b.tar"]).expect(0);
    check_database(&other.place, "restored");
    assert!((before..=after).contains(&accounts(&other.place)), "not a picture of one moment");
    // The disks are not in it: whoever moves a portal takes them along.
    std::fs::rename(place.path("data/vms"), other.place.path("data/vms")).unwrap();
    let doctor = other.place.run(&["doctor"]).expect(0);
    assert!(!doctor.stdout.contains("FAIL"), "{}", doctor.stdout);
    let serving = other.serve();
    // A machine of after the backup is set aside, disk and all, and no other.
    other.check(std::slice::from_ref(&late), "restored");
    let orphan = other.place.path("data/orphans").join(&late.uuid);
    assert!(orphan.join("disk.qcow2").exists());
    let port = serving.port;
    other.until_state(port, "runs", "running");
    assert_eq!(other.json(port, &["vm", "show", "idle"])["state"], "stopped");
    other.place.ssh(port, &["vm", "stop", "runs", "--force"]).expect(0);
    other.place.ssh(port, &["vm", "start", "runs", "idle"]).expect(0);
    for row in other.rows().iter().filter(|r| r.name != "half") {
        let said = other.inside(port, &row.name, "hostname").stdin(Stdio::null()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), row.name, "{said:?}");
    }
    assert_eq!(serving.terminate(), 0);
}
