//! A clock that jumps a day forward, and two back, under a portal that serves:
//! the real binary with libfaketime between it and the host's clock. What only
//! counts seconds is not to notice.
#![cfg(feature = "libvirt")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/faults.rs"]
mod faults;
#[path = "common/place.rs"]
mod place;
#[path = "common/small_disk.rs"]
mod small_disk;

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use faults::{Portal, eventually};
use place::{Place, Serving, install_fake_image};

/// Seconds without input after which a session ends.
const IDLE_S: u64 = 24;

/// Debian's package `faketime` puts it into the folder of the architecture.
fn libfaketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().map(|e| e.unwrap().path());
    let mut found = folders.map(|d| d.join("faketime/libfaketimeMT.so.1")).filter(|p| p.exists());
    found.next().expect("libfaketime: scripts/install-deps installs it")
}

fn set_clock(place: &Place, by: &str) {
    let next = place.write("clock.new", by);
    std::fs::rename(next, place.path("clock")).unwrap();
}

fn serve() -> Portal {
    let place = Place::new();
    place.write(
        "twarga.toml",
        format!(
            "[ssh]\nlisten = \"127.0.0.1:0\"\nidle_timeout_s = {IDLE_S}\n[http]\nlisten = \"127.0.0.1:0\"\n\
             [driver.libvirt]\nuri = \"test:///default\"\n[monitor]\nsample_s = 1\n"
        ),
    );
    install_fake_image(&place);
    place.init_with_key();
    set_clock(&place, "+0");
    let mut command = place.command(&["serve"]);
    command.env("LD_PRELOAD", libfaketime()).env("FAKETIME_TIMESTAMP_FILE", place.path("clock"));
    // The steady clock is steady, whatever an administrator or NTP does to the other.
    command
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("DONT_FAKE_MONOTONIC", "1");
    Portal { serving: Serving::start(command), disk: None, place }
}

/// Somebody in the line shell.
struct Typist {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    err: BufReader<std::process::ChildStderr>,
}

impl Typist {
    fn new(portal: &Portal) -> Typist {
        let mut command = portal.place.ssh_command(portal.serving.port, &[]);
        let mut child = command.arg("-T").stdin(Stdio::piped()).spawn().unwrap();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let mut typist = Typist { child, out: BufReader::new(out), err: BufReader::new(err) };
        typist.is_there();
        typist
    }

    fn is_there(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"whoami\n").unwrap();
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        assert_eq!(line, "admin\n", "the session has ended");
    }

    /// Waits for a line that the portal says beside.
    fn hears(&mut self, words: &str) -> String {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            assert_ne!(self.err.read_line(&mut line).unwrap(), 0, "the session ended without “{words}”");
        }
        line
    }
}

fn health(portal: &Portal) -> serde_json::Value {
    serde_json::from_str(&portal.get("/healthz").1).unwrap()
}

/// What holds whatever the clock says.
fn assert_sound(portal: &Portal, served_at_most: Duration) {
    for _ in 0..10 {
        assert_eq!(portal.get("/readyz"), (200, String::from("ready\n")));
    }
    let uptime = health(portal)["uptime_s"].as_u64().unwrap();
    assert!(uptime <= served_at_most.as_secs() + 1, "up {uptime} s after {served_at_most:?}");
    let metrics = portal.get("/metrics").1;
    for line in metrics.lines().filter(|l| !l.starts_with('#')) {
        let value: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(value >= 0.0, "{line}");
    }
    for verb in ["stop", "start"] {
        portal.ssh(&["vm", verb, "web1"]).expect(0);
    }
    assert!(portal.vm("web1")["uptime_s"].as_u64().unwrap() < 60, "{}", portal.vm("web1"));
    // The newest is the newest, and counts as of now.
    let newest = |words: &[&str]| -> i64 {
        let all: serde_json::Value = serde_json::from_str(&portal.ssh(words).expect(0).stdout).unwrap();
        let ids: Vec<i64> = all.as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect();
        assert!(ids.is_sorted_by(|a, b| a > b), "{words:?}: {ids:?}");
        ids[0]
    };
    let (event, job) =
        (newest(&["event", "ls", "--since", "1h", "--json"]), newest(&["job", "ls", "--json"]));
    portal.ssh(&["vm", "restart", "web1", "--force"]).expect(0);
    assert!(newest(&["event", "ls", "--since", "1h", "--json"]) > event);
    assert!(newest(&["job", "ls", "--json"]) > job);
    let jobs = portal.ssh(&["job", "ls"]).expect(0).stdout;
    assert!(!jobs.contains("-1") && !jobs.contains("1d "), "{jobs}");
}

#[test]
fn a_clock_that_jumps_a_day_ends_no_session_and_ages_nothing() {
    let portal = serve();
    let began = Instant::now();
    portal.ssh(&["vm", "new", "web1"]).expect(0);
    let today = health(&portal)["at"].as_str().unwrap()[..10].to_owned();
    let mut typist = Typist::new(&portal);
    set_clock(&portal.place, "+1d");
    eventually("the portal sees the jump", || health(&portal)["at"].as_str().unwrap()[..10] > *today);
    // Nobody has typed for a day, says the clock on the wall.
    let warned = typist.hears("this session ends in");
    let left: u64 = warned.split("ends in ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(left > IDLE_S / 4, "{warned}");
    typist.is_there();
    assert_sound(&portal, began.elapsed());

    let mut typist = Typist::new(&portal);
    set_clock(&portal.place, "-1d");
    eventually("the portal sees the jump", || health(&portal)["at"].as_str().unwrap()[..10] < *today);
    assert_sound(&portal, began.elapsed());
    // Somebody typed a day in the future: idle all the same.
    let typed = Instant::now();
    typist.hears("Nothing was typed for too long.");
    assert!(typed.elapsed() < Duration::from_secs(IDLE_S + 20), "{:?}", typed.elapsed());

    // A start under the clock that was set back finds all that is "of tomorrow".
    let Portal { serving, place, .. } = portal;
    assert_eq!(serving.terminate(), 0);
    let portal = Portal { serving: place.serve(), disk: None, place };
    assert_eq!(portal.vm("web1")["state"].as_str().map(str::is_empty), Some(false));
    portal.ssh(&["event", "ls"]).expect(0);
}
