//! Every way into a VM by real OpenSSH clients, and which of them are open.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::common::{PATIENCE, TestPortal, json, output, status, stderr, stdout};
use crate::sshd_driver::SshdDriver;

/// All of them.
pub const EVERY: [&str; 6] = ["vm ssh", "alice+vm", "sftp", "jump", "forward inside", "console"];

/// What a client of alice's shows to be let in.
#[derive(Clone)]
pub struct Shown {
    pub key: PathBuf,
    pub options: Vec<String>,
}

impl Shown {
    pub fn key(key: &Path) -> Shown {
        Shown { key: key.to_owned(), options: Vec::new() }
    }

    pub fn with(&self, option: impl Into<String>) -> Shown {
        let mut more = self.clone();
        more.options.push(option.into());
        more
    }

    pub fn ssh(&self, portal: &TestPortal) -> Command {
        let options: Vec<&str> = self.options.iter().map(String::as_str).collect();
        portal.ssh_first(&options, &self.key)
    }

    /// Runs `ssh LOGIN@portal WORDS…` with something on standard input.
    pub async fn feed(&self, portal: &TestPortal, login: &str, words: &[&str], input: &[u8]) -> Output {
        let mut command = self.ssh(portal);
        command.arg(format!("{login}@127.0.0.1")).args(words).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        tokio::spawn(async move {
            let _ = stdin.write_all(&input).await;
        });
        tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("ssh hangs").unwrap()
    }

    /// Runs `ssh LOGIN@portal WORDS…`.
    pub async fn run(&self, portal: &TestPortal, login: &str, words: &[&str]) -> Output {
        output(self.ssh(portal).arg(format!("{login}@127.0.0.1")).args(words)).await
    }

    /// A command of alice's: status, output, errors.
    pub async fn say(&self, portal: &TestPortal, line: &str) -> (i32, String, String) {
        let out = self.run(portal, "alice", &[line]).await;
        (status(&out), stdout(&out), stderr(&out))
    }

    /// Whether it lets in at all.
    pub async fn lets_in(&self, portal: &TestPortal) -> bool {
        let (code, out, said) = self.say(portal, "whoami").await;
        assert!(matches!((code, out.as_str()), (0, "alice\n") | (255, "")), "{code} {out} {said}");
        code == 0
    }

    /// Which ways into that VM of alice's are open.
    pub async fn ways(&self, portal: &TestPortal, vm: &Machine) -> BTreeSet<&'static str> {
        let name = vm.name.as_str();
        let inside = format!("alice+{name}");
        let there = format!("127.0.0.1:{}", vm.port);
        let banner = |out: &Output| stdout(out).starts_with("SSH-2.0-OpenSSH");
        let mut open = BTreeSet::new();
        let mut note = |way: &'static str, yes: bool| {
            if yes {
                open.insert(way);
            }
        };
        let out = self.run(portal, "alice", &[&format!("vm ssh {name} echo inside")]).await;
        note("vm ssh", stdout(&out) == "inside\n");
        let out = self.run(portal, &inside, &["echo inside"]).await;
        note("alice+vm", stdout(&out) == "inside\n");
        let out = self.run(portal, &inside, &["-s", "sftp"]).await;
        note("sftp", status(&out) == 0);
        let out = output(self.ssh(portal).args(["-W", &format!("{name}:22"), "alice@127.0.0.1"])).await;
        note("jump", banner(&out));
        let out = output(self.ssh(portal).args(["-W", &there, &format!("{inside}@127.0.0.1")])).await;
        note("forward inside", banner(&out));
        let out = self.feed(portal, "alice", &["-tt", &format!("vm console {name}")], b"\x1d").await;
        note("console", status(&out) == 0);
        open
    }
}

/// A VM of alice's whose guest is an sshd.
pub struct Machine {
    pub name: String,
    pub port: u64,
}

/// A portal over sshds, with alice, her key, and her VMs `web1` and `web2`.
pub async fn place() -> (TestPortal, Shown, [Machine; 2]) {
    let portal = TestPortal::start(Arc::new(SshdDriver::default()), |_| {}).await;
    portal.install_fake_image();
    let alice = Shown::key(&portal.user_with_key("alice", "user").await);
    let mut machines = Vec::new();
    for name in ["web1", "web2"] {
        let made = json(&alice.run(&portal, "alice", &["vm", "new", name, "--json"]).await);
        machines.push(Machine { name: name.to_owned(), port: made["ssh_port"].as_u64().unwrap() });
    }
    let [one, two] = machines.try_into().ok().unwrap();
    (portal, alice, [one, two])
}
