//! What the tests of faults share: the real binary with an account that has a
//! key, asked as people and probes ask it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::place::{Done, Place, Serving};
use crate::small_disk::SmallDisk;

/// The longest that anything may take to come about.
const PATIENCE: Duration = Duration::from_secs(90);

/// A portal that serves.
pub struct Portal {
    pub serving: Serving,
    /// What its data are on, if that is of the test's own.
    pub disk: Option<SmallDisk>,
    pub place: Place,
}

/// The folder of the images that tests boot, as `tests/common` has it.
pub fn images() -> PathBuf {
    let dir =
        std::env::var_os("TWARGA_IMAGES").map_or_else(|| PathBuf::from("target/test/images"), PathBuf::from);
    let dir = std::path::absolute(dir).unwrap();
    assert!(dir.join("micro/current").exists(), "no images in {}: `make images` makes them", dir.display());
    dir
}

/// Waits until `check` holds.
#[track_caller]
pub fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < deadline, "it never came to this: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The configuration of a portal on free ports, and more.
pub fn config(more: &str) -> String {
    format!("[ssh]\nlisten = \"127.0.0.1:0\"\n[http]\nlisten = \"127.0.0.1:0\"\n{more}")
}

impl Portal {
    /// Serves with the images that tests boot, and more in its configuration.
    pub fn serve(more: &str) -> Portal {
        Portal::serve_in(Place::new(), None, more)
    }

    /// The same in a place that is there already.
    pub fn serve_in(place: Place, disk: Option<SmallDisk>, more: &str) -> Portal {
        std::fs::create_dir_all(place.path("data")).unwrap();
        std::os::unix::fs::symlink(images(), place.path("data/images")).unwrap();
        place.write("twarga.toml", config(more));
        place.init_with_key();
        Portal { serving: place.serve(), disk, place }
    }

    /// `ssh admin@portal WORDS…`
    pub fn ssh(&self, words: &[&str]) -> Done {
        self.place.ssh(self.serving.port, words)
    }

    /// A login that is refused, with what the portal says about it: at the level
    /// of log that the other commands have, ssh keeps that to itself.
    pub fn refused_login(&self) -> Done {
        let command = self.place.ssh_command(self.serving.port, &["vm", "ls"]);
        let mut aloud = Command::new("ssh");
        aloud.args(["-o", "LogLevel=INFO"]).args(command.get_args());
        Begun::new(aloud).ended().expect(255)
    }

    /// `ssh admin+VM@portal COMMAND`
    pub fn inside(&self, vm: &str, command: &str) -> Done {
        self.place.ssh(self.serving.port, &["vm", "ssh", vm, command])
    }

    /// A VM as `vm show --json` has it.
    pub fn vm(&self, name: &str) -> serde_json::Value {
        serde_json::from_str(&self.ssh(&["vm", "show", name, "--json"]).expect(0).stdout).unwrap()
    }

    /// A command whose progress is watched.
    pub fn begin(&self, words: &[&str]) -> Begun {
        Begun::new(self.place.ssh_command(self.serving.port, words))
    }

    /// Status and body of an HTTP answer.
    pub fn get(&self, path: &str) -> (u16, String) {
        let address = self.serving.said.split("http://").nth(1).unwrap().split('/').next().unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: portal\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

/// A command under way.
pub struct Begun {
    child: Child,
    err: BufReader<std::process::ChildStderr>,
    said: String,
}

impl Begun {
    fn new(mut command: Command) -> Begun {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let err = BufReader::new(child.stderr.take().unwrap());
        Begun { child, err, said: String::new() }
    }

    /// Waits until a line of its standard error has these words.
    pub fn says(&mut self, words: &str) {
        while !self.said.contains(words) {
            assert_ne!(self.err.read_line(&mut self.said).unwrap(), 0, "no “{words}” in: {}", self.said);
        }
    }

    /// How it ended.
    pub fn ended(mut self) -> Done {
        let mut stdout = String::new();
        self.err.read_to_string(&mut self.said).unwrap();
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        Done { status: self.child.wait().unwrap().code().unwrap_or(-1), stdout, stderr: self.said }
    }
}
