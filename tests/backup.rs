//! `twarga backup` and `twarga restore`, with the real binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/place.rs"]
mod place;

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use place::{Place, files};
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

/// The bytes of a database, as a backup has it.
async fn database(place: &Place, version: Option<i64>) -> Vec<u8> {
    let path = place.path("made.db");
    let store = Store::open(&path).unwrap();
    let copy = place.path("copy.db");
    store.backup_to(copy.clone()).await.unwrap();
    if let Some(version) = version {
        let connection = rusqlite::Connection::open(&copy).unwrap();
        connection.pragma_update(None, "user_version", version).unwrap();
        let _: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get(0)).unwrap();
    }
    let bytes = std::fs::read(&copy).unwrap();
    for file in ["made.db", "copy.db"] {
        std::fs::remove_file(place.path(file)).unwrap();
    }
    bytes
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
    assert!(portal.login_password("admin", Zeroizing::new(PASSWORD.to_owned()), from).await.is_some());
    assert!(
        portal.login_password("admin", Zeroizing::new(String::from("another one")), from).await.is_none()
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
    let good = database(&place, None).await;
    let newer = database(&place, Some(9999)).await;
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
    let tree = || [".", "data", "host-keys"].map(|d| files(&place.path(d)));
    let key = || std::fs::read(place.path("host-keys/ssh_host_ed25519_key")).unwrap();
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
