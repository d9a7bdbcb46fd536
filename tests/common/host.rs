//! The real binary as a process over the real libvirt, to be killed at will, and
//! a look at what it leaves: from beside, as an administrator has it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::common::real::{Sweep, virsh};
use super::place::{PATIENCE, Place, Serving};

/// TCG, because each data directory would try KVM afresh.
const CONFIG: &str = "[ssh]\nlisten = \"127.0.0.1:0\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
    [driver.libvirt]\naccel = \"tcg\"\n[monitor]\nsample_s = 1\n";

/// A directory with a portal's data, and the domains of that portal.
pub struct Host {
    pub place: Place,
    sweep: OnceLock<Sweep>,
}

/// A VM as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub id: i64,
    pub name: String,
    pub uuid: String,
    pub port: u16,
}

impl Host {
    /// With an administrator `admin` who has a key, and with the tests' images.
    pub fn new() -> Host {
        let place = Place::new();
        place.write("twarga.toml", CONFIG);
        place.init_with_key();
        let images = super::common::images();
        assert!(images.join("micro/current").exists(), "no images: `make images` makes them");
        std::os::unix::fs::symlink(images, place.path("data/images")).unwrap();
        Host { place, sweep: OnceLock::new() }
    }

    /// Another data directory, empty, for the portal of this one's backup, which
    /// is called `b.tar`.
    pub fn elsewhere(&self) -> Host {
        let place = Place::new();
        place.write("twarga.toml", CONFIG);
        for file in ["b.tar", "id", "known_hosts"] {
            std::fs::copy(self.place.path(file), place.path(file)).unwrap();
        }
        std::fs::create_dir(place.path("data")).unwrap();
        std::os::unix::fs::symlink(super::common::images(), place.path("data/images")).unwrap();
        Host { place, sweep: OnceLock::new() }
    }

    /// From now on it reaches libvirt through a relay.
    pub fn relayed(&self) -> Relay {
        let relay = Relay::new(&self.place);
        let uri = format!("uri = \"qemu+unix:///system?socket={}\"\n", relay.path.display());
        let config = CONFIG.replace("accel = ", &format!("{uri}accel = "));
        self.place.write("twarga.toml", config);
        relay
    }

    pub fn serve(&self) -> Serving {
        let serving = self.place.serve();
        self.sweep.get_or_init(|| Sweep::of(&self.id()));
        serving
    }

    /// One that dies as soon as it comes to that place.
    pub fn serve_until(&self, place: &str) -> Option<Serving> {
        let mut command = self.place.command(&["serve"]);
        command.env("TWARGA_DIE_AT", place);
        let serving = Serving::try_start(command);
        self.sweep.get_or_init(|| Sweep::of(&self.id()));
        serving
    }

    /// `ssh admin@portal WORDS…`, of which nobody waits for the end.
    pub fn ask(&self, port: u16, words: &[&str]) -> Child {
        let mut command = self.place.ssh_command(port, words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// `ssh admin+VM@portal COMMAND`
    pub fn inside(&self, port: u16, vm: &str, command: &str) -> Command {
        let given = self.place.ssh_command(port, &[]);
        let login = format!("admin+{vm}@");
        let args = given.get_args().map(|a| a.to_str().unwrap().replace("admin@", &login));
        let mut ssh = Command::new("ssh");
        ssh.args(args).arg(command);
        ssh
    }

    /// The JSON answer to a command that succeeds.
    pub fn json(&self, port: u16, words: &[&str]) -> serde_json::Value {
        let done = self.place.ssh(port, &[words, &["--json"]].concat()).expect(0);
        serde_json::from_str(&done.stdout).unwrap()
    }

    /// The portal's own identity.
    pub fn id(&self) -> String {
        let sql = "SELECT value FROM meta WHERE key = 'portal_id'";
        self.place.database().query_row(sql, [], |r| r.get(0)).unwrap()
    }

    /// The VMs that are written down.
    pub fn rows(&self) -> Vec<Row> {
        let db = self.place.database();
        let mut statement = db.prepare("SELECT id, name, uuid, ssh_port FROM vms ORDER BY id").unwrap();
        let row = |r: &rusqlite::Row<'_>| {
            Ok(Row { id: r.get(0)?, name: r.get(1)?, uuid: r.get(2)?, port: r.get(3)? })
        };
        statement.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap()
    }

    pub fn row(&self, name: &str) -> Option<Row> {
        self.rows().into_iter().find(|r| r.name == name)
    }

    /// The number of the latest job.
    pub fn last_job(&self) -> i64 {
        self.place.database().query_row("SELECT max(id) FROM jobs", [], |r| r.get(0)).unwrap()
    }

    /// The state of a job, as it is written down.
    pub fn job_state(&self, id: i64) -> String {
        let sql = "SELECT state FROM jobs WHERE id = ?1";
        self.place.database().query_row(sql, [id], |r| r.get(0)).unwrap()
    }

    /// Names of this portal's domains.
    pub fn domains(&self) -> BTreeSet<String> {
        let listed = virsh(&["list", "--all", "--name"]);
        assert!(listed.status.success(), "{listed:?}");
        let prefix = format!("twarga-{}-", self.id());
        let names = String::from_utf8(listed.stdout).unwrap();
        names.lines().filter(|n| n.starts_with(&prefix)).map(str::to_owned).collect()
    }

    /// The process of a VM's emulator.
    pub fn qemu(&self, name: &str) -> Option<u32> {
        let uuid = self.row(name)?.uuid;
        std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).into_owned();
            (line.contains("qemu-system") && line.contains(&uuid)).then_some(pid)
        })
    }

    /// Everything that there is belongs to a row, and every job is over. `gone`
    /// are VMs of before: where they are not any more, nobody holds their ports.
    pub fn check(&self, gone: &[Row], when: &str) {
        check_database(&self.place, when);
        let unfinished = "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')";
        let jobs: i64 = self.place.database().query_row(unfinished, [], |r| r.get(0)).unwrap();
        assert_eq!(jobs, 0, "{when}: a job is still at work");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let wrong = self.leftovers(gone);
            if wrong.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "{when}: {wrong:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn leftovers(&self, gone: &[Row]) -> Vec<String> {
        let rows = self.rows();
        let mut wrong = Vec::new();
        for domain in self.domains() {
            let id = domain.split('-').nth(2).and_then(|id| id.parse().ok());
            if !rows.iter().any(|r| Some(r.id) == id) {
                wrong.push(format!("the domain {domain}"));
            }
        }
        for folder in super::place::files(&self.place.path("data/vms")) {
            if !rows.iter().any(|r| r.uuid == folder) {
                wrong.push(format!("the folder {folder}"));
            }
        }
        for row in gone.iter().filter(|g| !rows.iter().any(|r| r.port == g.port)) {
            if TcpStream::connect(("127.0.0.1", row.port)).is_ok() {
                wrong.push(format!("the port {}", row.port));
            }
        }
        wrong
    }

    /// Waits until a VM is in that state, as people see it.
    pub fn until_state(&self, port: u16, name: &str, state: &str) {
        until(&format!("{name} is {state}"), || self.json(port, &["vm", "show", name])["state"] == state);
    }

    /// Makes a VM that runs, without waiting until it answers.
    pub fn make(&self, serving: &Serving, name: &str) {
        self.json(serving.port, &["vm", "new", name, "--image", "micro", "--no-wait"]);
        self.until_state(serving.port, name, "running");
    }
}

/// Waits until `check` holds.
pub fn until(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < deadline, "it never came to this: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The database of that place is whole, by SQLite's own account.
pub fn check_database(place: &Place, when: &str) {
    let db = place.database();
    let verdict: String = db.query_row("PRAGMA integrity_check", [], |r| r.get(0)).unwrap();
    assert_eq!(verdict, "ok", "{when}");
    let lost: i64 = db.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |r| r.get(0)).unwrap();
    assert_eq!(lost, 0, "{when}");
}

/// Between a portal and libvirt: carries everything, or hangs.
pub struct Relay {
    pub path: PathBuf,
    hung: Arc<AtomicBool>,
}

impl Relay {
    pub fn new(place: &Place) -> Relay {
        let path = place.path("libvirt.sock");
        let hung = Arc::new(AtomicBool::new(false));
        let (listener, mood) = (UnixListener::bind(&path).unwrap(), Arc::clone(&hung));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = UnixStream::connect("/run/libvirt/libvirt-sock").unwrap();
                carry(client.try_clone().unwrap(), server.try_clone().unwrap(), Arc::clone(&mood));
                carry(server, client, Arc::clone(&mood));
            }
        });
        Relay { path, hung }
    }

    /// Takes bytes, and carries none, until told otherwise.
    pub fn hang(&self, hung: bool) {
        self.hung.store(hung, Ordering::SeqCst);
    }
}

fn carry(mut from: UnixStream, mut to: UnixStream, hung: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let mut chunk = [0; 16 * 1024];
        while let Ok(n @ 1..) = from.read(&mut chunk) {
            while hung.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(5));
            }
            if to.write_all(&chunk[..n]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
        let _ = from.shutdown(std::net::Shutdown::Both);
    });
}
