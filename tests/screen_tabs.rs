//! VMs in tabs of the full screen, by a real `ssh` in a terminal: programs that
//! take the whole terminal, floods, and ends of all kinds. VMs are sshds on this host.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "support/sshd_driver.rs"]
#[allow(dead_code)]
mod sshd_driver;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::pty::Pty;
use common::{TestPortal, json};
use sshd_driver::SshdDriver;

/// The key before a command in a tab.
const PREFIX: &str = "\x1d";
/// What another's key, and what stops a flood, must be answered in.
const SOON: Duration = Duration::from_secs(5);

async fn with_vm() -> (TestPortal, PathBuf) {
    let portal = TestPortal::start(Arc::new(SshdDriver::default()), |_| {}).await;
    portal.install_fake_image();
    let key = portal.user_with_key("alice", "user").await;
    json(&portal.run(&key, "alice", &["vm", "new", "web1", "--json"]).await);
    (portal, key)
}

/// Alice in a tab of web1, behind a prompt that nothing else looks like.
async fn inside(portal: &TestPortal, key: &Path) -> Pty {
    let mut pty = Pty::spawn(portal.ssh(key).args(["-t", "alice@127.0.0.1"]));
    pty.shows("q quit").await;
    pty.send(":vms\r").await;
    pty.shows("● running web1").await;
    pty.send("\r").await;
    pty.shows("1 web1").await;
    pty.send("exec env PS1='in-web1> ' ENV= sh\r").await;
    pty.shows("\nin-web1>").await;
    pty
}

#[tokio::test(flavor = "multi_thread")]
async fn tmux_in_a_tab_is_tmux() {
    let (portal, key) = with_vm().await;
    let mut pty = inside(&portal, &key).await;
    let socket = portal.dir.path().join("tmux");
    let line = format!("tmux -S '{}' -f /dev/null new \"env PS1='> ' ENV= sh\"", socket.display());
    pty.send(format!("{line}\r")).await;
    pty.shows("[0] 0:").await;
    pty.send("\x02\"").await;
    pty.shows("────").await;
    pty.send("seq 1 50\r").await;
    pty.shows("\n50").await;
    // Its lower half ends above its last row, which is the screen's.
    let screen = pty.screen();
    let rows: Vec<&str> = screen.lines().collect();
    assert!(rows[23].starts_with("[0] 0:"), "{screen}");
    assert!(rows[12].starts_with("────"), "{screen}");
    pty.send("while stty size; do sleep 0.1; done\r").await;
    pty.shows(" 80").await;
    pty.resize(60, 16).await;
    pty.shows(" 60").await;
    pty.send("\x03").await;
    pty.send("exit\r").await;
    pty.hides("────").await;
    pty.send(format!("{PREFIX}x")).await;
    pty.shows("its shell still runs").await;
    pty.send("y").await;
    pty.shows("q quit").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_in_a_tab_is_stopped_and_slows_nobody_else() {
    let (portal, key) = with_vm().await;
    let mut flood = inside(&portal, &key).await;
    let mut other = Pty::spawn(portal.ssh(&key).args(["-t", "alice@127.0.0.1"]));
    other.shows("q quit").await;
    flood.send("yes a-flood\r").await;
    flood.shows("a-flood\na-flood\na-flood").await;
    for _ in 0..10 {
        let began = Instant::now();
        other.send(":").await;
        other.shows("Enter run").await;
        other.send("\x1b").await;
        other.hides("Enter run").await;
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    }
    flood.send("\x03").await;
    let began = Instant::now();
    flood.shows("^C").await;
    flood.send("echo calm-$((1+1))\r").await;
    flood.shows("calm-2").await;
    println!("the flood was over {:?} after Ctrl-C", began.elapsed());
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    // What it said can be looked at, as much as is kept.
    flood.send(format!("{PREFIX}[g")).await;
    flood.shows("line 1 of 2").await;
    flood.shows("a-flood").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_are_told_and_a_tab_is_entered_again() {
    let (portal, key) = with_vm().await;
    let mut pty = inside(&portal, &key).await;
    pty.send("exit 3\r").await;
    pty.shows("web1: the shell ended with status 3. Enter reopens it, x closes it.").await;
    pty.send("\r").await;
    pty.hides("status 3").await;
    pty.send("kill -9 $PPID; sleep 1; echo still-here\r").await;
    pty.shows("web1: the").await;
    assert!(!pty.screen().contains("\nstill-here"), "{}", pty.screen());
    // A VM that is gone says so when it is to be entered again.
    json(&portal.run(&key, "alice", &["vm", "destroy", "web1", "--yes", "--json"]).await);
    pty.send("\r").await;
    pty.shows("No VM called “web1”").await;
    pty.send("x").await;
    pty.shows("q quit").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_go_to_the_persons_clipboard_and_a_guests_do_not() {
    let (portal, key) = with_vm().await;
    let mut pty = inside(&portal, &key).await;
    pty.send("printf '\\033]52;c;Z3Vlc3Q=\\007\\033]0;a-title\\007'; echo copy-$((1+1))\r").await;
    pty.shows("copy-2").await;
    pty.shows("a-title").await;
    pty.send(format!("{PREFIX}[")).await;
    pty.send("/copy-2\r").await;
    pty.send("y").await;
    pty.shows("Copied a line.").await;
    let all = pty.all();
    assert!(all.contains("\x1b]52;c;Y29weS0y"), "“copy-2” in base64");
    assert!(!all.contains("Z3Vlc3Q=\x07") && !all.contains("\x1b]0;"));
}
