//! The portal's disk full, read-only and broken, and its database damaged: the
//! real binary on a small filesystem of its own.
#![cfg(feature = "libvirt")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/faults.rs"]
mod faults;
#[path = "common/own_libvirt.rs"]
mod own_libvirt;
#[path = "common/place.rs"]
mod place;
#[path = "common/small_disk.rs"]
mod small_disk;

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use faults::{Portal, eventually};
use own_libvirt::OwnLibvirt;
use place::{Done, Place, files, install_fake_image};
use small_disk::SmallDisk;

/// A driver that boots nothing.
const NO_VMS: &str = "[driver.libvirt]\nuri = \"test:///default\"\n[monitor]\nsample_s = 1\n";

/// Somebody who signed in before the trouble: what their next command comes to.
struct SignedIn(std::process::Child);

impl SignedIn {
    fn new(portal: &Portal) -> SignedIn {
        let mut command = portal.place.ssh_command(portal.serving.port, &[]);
        let mut child = command.arg("-T").stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(b"whoami\n").unwrap();
        let mut name = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut name).unwrap();
        assert_eq!(&name, b"admin\n");
        SignedIn(child)
    }

    fn run(mut self, line: &str) -> Done {
        writeln!(self.0.stdin.take().unwrap(), "{line}").unwrap();
        let out = self.0.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Done { status: out.status.code().unwrap_or(-1), stdout: text(out.stdout), stderr: text(out.stderr) }
    }
}

fn assert_only_web1(portal: &Portal, own: &OwnLibvirt, gone: &str) {
    eventually("nothing is left of what failed", || portal.ssh(&["vm", "show", gone]).status == 3);
    assert_eq!(files(&portal.place.path("data/vms")).len(), 1);
    let domains = String::from_utf8_lossy(&own.virsh(&["list", "--all", "--name"]).stdout).into_owned();
    assert_eq!(domains.split_whitespace().count(), 1, "{domains}");
    assert_eq!(portal.vm("web1")["state"], "running");
}

#[test]
fn a_full_disk_stops_what_it_must_and_nothing_for_good() {
    let place = Place::new();
    let disk = SmallDisk::mount(&place.path("data"), 64);
    // After the mount, which it has to see.
    let own = OwnLibvirt::start_seeing(&place.path("data"));
    let more =
        format!("[driver.libvirt]\nuri = \"{}\"\naccel = \"tcg\"\n[monitor]\nsample_s = 1\n", own.uri());
    let portal = Portal::serve_in(place, Some(disk), &more);
    let disk = portal.disk.as_ref().unwrap();
    portal.ssh(&["vm", "new", "web1"]).expect(0);

    // Room for what is written down, none for a VM.
    disk.fill(700 << 10);
    portal
        .ssh(&["vm", "new", "web2"])
        .expect(7)
        .says("disk is full.")
        .says("An administrator must free some space");
    assert_only_web1(&portal, &own, "web2");

    // No room at all: nothing can be written down, so nothing is done.
    let signed_in: Vec<_> = (0..2).map(|_| SignedIn::new(&portal)).collect();
    disk.fill(0);
    eventually("nobody signs in any more", || portal.ssh(&["vm", "ls"]).status == 255);
    for someone in signed_in {
        someone.run("vm new web3").expect(7).says("The portal's disk is full.").says("free some space");
    }
    portal.refused_login().says("Nobody can sign in now. The portal's disk is full.");
    eventually("/readyz says so", || portal.get("/readyz").1 == "not ready: database\n");
    assert!(portal.get("/readyz?verbose").1.contains("database: unhealthy: The portal's disk is full."));
    let told = portal.place.run(&["doctor"]).expect(1).stdout;
    assert!(told.contains("FAIL  disk space   The disk is full."), "{told}");

    disk.empty();
    eventually("/readyz is ready again", || portal.get("/readyz").0 == 200);
    assert_only_web1(&portal, &own, "web3");
    portal.ssh(&["vm", "new", "web3"]).expect(0);
    for vm in ["web1", "web3"] {
        portal.ssh(&["vm", "destroy", vm, "--yes"]).expect(0);
    }
    portal.ssh(&["event", "ls", "--action", "vm.new"]).expect(0);
}

#[test]
fn a_disk_that_fails_is_told_and_mended_without_a_loss() {
    let place = Place::new();
    let disk = SmallDisk::mount(&place.path("data"), 32);
    let portal = Portal::serve_in(place, Some(disk), NO_VMS);
    let signed_in = SignedIn::new(&portal);
    // What the kernel does when a disk breaks: no write succeeds from now on.
    portal.disk.as_ref().unwrap().break_down();
    signed_in.run("key ls").expect(7).says("The portal's disk ").says("An administrator must");
    portal.refused_login().says("Nobody can sign in now. The portal's disk ");
    eventually("/readyz says so", || portal.get("/readyz").1 == "not ready: database\n");
    let Portal { serving, disk, place } = portal;
    drop(serving);

    let disk = disk.unwrap();
    let refused = place.run(&["serve"]).expect(2).says("read-only");
    assert!(!refused.stdout.contains("password"), "{refused:?}");
    let told = place.run(&["doctor"]).expect(1).stdout;
    assert!(told.contains("FAIL  data dir") && told.contains("mounted read-only"), "{told}");

    disk.mend();
    let portal = Portal { serving: place.serve(), disk: Some(disk), place };
    portal.ssh(&["whoami"]).expect(0);
}

#[test]
fn a_disk_that_is_read_only_at_the_start_is_named() {
    let place = Place::new();
    let disk = SmallDisk::mount(&place.path("data"), 32);
    place.write("twarga.toml", faults::config(NO_VMS));
    disk.read_only();
    for command in ["serve", "doctor"] {
        let done = place.run(&[command]);
        assert_ne!(done.status, 0);
        assert!((done.stdout.clone() + &done.stderr).contains("mounted read-only"), "{command}: {done:?}");
    }
    assert_eq!(files(&place.path("data")), ["lost+found"]);
}

/// Every file below a folder with its content; not the lock, which is taken, and
/// not the log's index, which is SQLite's to build anew for any reader.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.insert(path.clone(), Vec::new());
            found.extend(contents(&path));
        } else if !path.ends_with("twarga.lock") && !path.ends_with("twarga.db-shm") {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = std::fs::File::options().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

/// A place that was served from, with a backup beside it; nobody serves now.
fn once_served() -> Place {
    let place = Place::new();
    place.write("twarga.toml", faults::config(NO_VMS));
    install_fake_image(&place);
    place.init_with_key();
    let serving = place.serve();
    place.ssh(serving.port, &["vm", "new", "web1"]).expect(0);
    place.run(&["backup", "backup.tar"]).expect(0);
    assert_eq!(serving.terminate(), 0);
    take_log_in(&place);
    place
}

/// What is in the log would stand in for what is damaged in the database.
fn take_log_in(place: &Place) {
    let busy: i64 = place.database().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get(0)).unwrap();
    assert_eq!(busy, 0, "the log could not be taken into the database");
}

#[test]
fn a_damaged_database_is_refused_left_alone_and_replaced_by_its_backup() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 7] = [
        ("bytes of its header", |db| overwrite(db, 4, b"rubbish")),
        ("its first page", |db| overwrite(db, 100, &[0xff; 200])),
        ("another page", |db| overwrite(db, 4096 * 3, &[0xff; 64])),
        ("half of it is cut off", |db| {
            let length = std::fs::metadata(db).unwrap().len();
            std::fs::File::options().write(true).open(db).unwrap().set_len(length / 2 / 4096 * 4096).unwrap();
        }),
        ("it is empty, with an earlier one beside it", |db| {
            std::fs::rename(db, db.with_extension("db.before-1")).unwrap();
            std::fs::write(db, "").unwrap();
        }),
        ("it is gone, with VMs there", |db| {
            std::fs::create_dir_all(db.with_file_name("vms").join("0b9f5b8e")).unwrap();
            std::fs::remove_file(db).unwrap();
        }),
        ("its log is no log", |db| std::fs::write(db.with_extension("db-wal"), [0x55; 9000]).unwrap()),
    ];
    let place = once_served();
    let data = place.path("data");
    for (what, harm) in harms {
        harm(&data.join("twarga.db"));
        let before = contents(&data);
        let mut commands = vec![&["serve"][..]];
        if data.join("twarga.db").exists() {
            commands.extend([&["user", "passwd", "admin", "--password-stdin"][..], &["backup", "other.tar"]]);
        } else {
            commands.push(&["init", "--admin", "eve", "--key", "id.pub"]);
        }
        for command in commands {
            let done = place.run(command);
            assert_eq!(done.status, 7, "{what}: {command:?}: {done:?}");
            assert!(done.stderr.contains("twarga restore FILE"), "{what}: {command:?}: {done:?}");
            assert!(!done.stdout.contains("password"), "{what}: taken for a new one: {done:?}");
        }
        let told = place.run(&["doctor"]).expect(1).stdout;
        assert!(told.contains("FAIL  database") && told.contains("twarga restore FILE"), "{what}: {told}");
        let after = contents(&data);
        assert!(before.keys().eq(after.keys()), "{what}: {:?}, {:?} before", after.keys(), before.keys());
        assert!(before == after, "{what}: it was changed");

        place.run(&["restore", "backup.tar"]).expect(0);
        let serving = place.serve();
        let listed = place.ssh(serving.port, &["vm", "ls"]).expect(0);
        assert!(listed.stdout.contains("web1"), "{what}: {listed:?}");
        assert_eq!(serving.terminate(), 0);
        take_log_in(&place);
        for name in files(&data) {
            if name.contains("before-") {
                std::fs::remove_file(data.join(name)).unwrap();
            }
        }
    }
}

#[test]
fn damage_met_while_serving_is_told_and_stops_every_change() {
    let place = once_served();
    let portal = Portal { serving: place.serve(), disk: None, place };
    for _ in 0..20 {
        portal.ssh(&["key", "ls"]).expect(0);
    }
    let signed_in = SignedIn::new(&portal);
    let db = portal.place.path("data/twarga.db");
    take_log_in(&portal.place);
    let length = std::fs::metadata(&db).unwrap().len();
    overwrite(&db, 4096, &vec![0xff; usize::try_from(length).unwrap() - 4096]);
    // Whoever reads a damaged page first is told, and from then on everybody.
    let met = signed_in.run("event ls");
    assert_eq!(met.status, 7, "{met:?}");
    met.says("The database is damaged.").says("twarga restore FILE");
    eventually("/readyz says so", || portal.get("/readyz").1 == "not ready: database\n");
    let told = portal.get("/readyz?verbose").1;
    assert!(told.contains("database: unhealthy: The database is damaged. Restore a backup"), "{told}");
    portal.refused_login().says("Nobody can sign in now. The database is damaged.");
    let Portal { serving, place, .. } = portal;
    assert_eq!(serving.terminate(), 0);
    place.run(&["serve"]).expect(7).says("twarga restore FILE");
    place.run(&["restore", "backup.tar"]).expect(0);
    let serving = place.serve();
    place.ssh(serving.port, &["key", "ls"]).expect(0);
}

#[test]
fn doctor_changes_nothing() {
    // Where nothing is yet.
    let place = Place::new();
    place.write("twarga.toml", faults::config(NO_VMS));
    place.run(&["doctor"]).expect(0);
    assert_eq!(files(place.dir.path()), ["twarga.toml"]);

    // Where a portal was killed, with its log beside the database.
    let place = once_served();
    let serving = place.serve();
    place.ssh(serving.port, &["key", "ls"]).expect(0);
    let told = place.run(&["doctor"]).expect(0).stdout;
    assert!(told.contains("is whole."), "{told}");
    drop(serving);
    let before = contents(&place.path("data"));
    assert!(before.keys().any(|p| p.ends_with("twarga.db-wal")));
    place.run(&["doctor"]).expect(0);
    let after = contents(&place.path("data"));
    assert!(before == after, "{:?}, {:?} before", after.keys(), before.keys());

    // And where it ended in good order.
    let serving = place.serve();
    assert_eq!(serving.terminate(), 0);
    let before = contents(&place.path("data"));
    place.run(&["doctor"]).expect(0);
    let after = contents(&place.path("data"));
    let changed: Vec<_> =
        before.keys().chain(after.keys()).filter(|p| before.get(*p) != after.get(*p)).collect();
    assert!(changed.is_empty(), "{changed:?}");
}

#[test]
fn an_image_with_a_wrong_hash_makes_no_vm() {
    let place = once_served();
    let portal = Portal { serving: place.serve(), disk: None, place };
    let images = portal.place.path("data/images/micro");
    let build = std::fs::read_to_string(images.join("current")).unwrap();
    let kernel = images.join(build.trim()).join("kernel");
    let mut content = std::fs::read(&kernel).unwrap();
    content[0] ^= 1;
    std::fs::remove_file(&kernel).unwrap();
    std::fs::write(&kernel, content).unwrap();
    let done =
        portal.ssh(&["vm", "new", "web2"]).expect(7).says("The image “micro” cannot be used: its kernel");
    done.says("twarga image build");
    portal.ssh(&["vm", "show", "web2"]).expect(3);
    let told = portal.place.run(&["doctor"]).expect(1).stdout;
    assert!(told.contains("FAIL  images"), "{told}");
}
