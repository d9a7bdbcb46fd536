//! The full screen, by a real `ssh` in a terminal: journeys as a person makes
//! them, read off the screen that they would see. VMs are sshds on this host.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/place.rs"]
mod place;
#[path = "support/sshd_driver.rs"]
#[allow(dead_code)]
mod sshd_driver;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common::pty::Pty;
use common::{PASSWORD, TestPortal, json, mock, until};
use place::{Place, Serving};
use sshd_driver::SshdDriver;

/// The key before a command in a tab.
const PREFIX: &str = "\x1d";

/// A portal whose VMs can be entered, an account with a key, and its VMs.
async fn with_vms(names: &[&str]) -> (TestPortal, PathBuf) {
    let portal = TestPortal::start(Arc::new(SshdDriver::default()), |_| {}).await;
    portal.install_fake_image();
    let key = portal.user_with_key("alice", "user").await;
    for name in names {
        json(&portal.run(&key, "alice", &["vm", "new", name, "--json"]).await);
    }
    (portal, key)
}

/// Alice at her screen, with the VMs' page in front.
async fn sit_down(portal: &TestPortal, key: &std::path::Path, cols: u16, rows: u16) -> Pty {
    let mut pty = Pty::spawn_sized(portal.ssh(key).args(["-t", "alice@127.0.0.1"]), cols, rows);
    pty.shows("q quit").await;
    pty.send(":vms\r").await;
    pty.shows("n new").await;
    pty
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_makes_enters_and_destroys_a_vm() {
    let portal = TestPortal::start(Arc::new(SshdDriver::default()), |_| {}).await;
    portal.install_fake_image();
    portal.user("dave", "user").await;
    let mut pty = Pty::spawn(portal.ssh_with_password(PASSWORD).args(["-t", "dave@127.0.0.1"]));
    pty.shows("q quit").await;
    pty.send(":vms\r").await;
    pty.shows("Press n to make one.").await;
    // The form: a name is suggested, and goes when another is typed.
    pty.send("n").await;
    pty.shows("[ Create vm1 ]").await;
    pty.send("Web").await;
    pty.shows("[ Create Web ]").await;
    pty.send("\x15web1").await;
    pty.shows("[ Create web1 ]").await;
    pty.send("\x13").await;
    pty.shows("web1 is ready.").await;
    pty.shows("● running web1").await;
    pty.send("\r").await;
    pty.shows("1 web1").await;
    pty.send("echo $((6*7))-in-the-vm\r").await;
    pty.shows("42-in-the-vm").await;
    // Back to the list, where the tab is told of, and into it again.
    pty.send(format!("{PREFIX}d")).await;
    pty.shows("Ctrl-] web1").await;
    pty.send(PREFIX).await;
    pty.shows("42-in-the-vm").await;
    // The shell ends well, and its tab with it.
    pty.send("exit\r").await;
    pty.hides("42-in-the-vm").await;
    pty.shows("Enter ssh").await;
    pty.send("d").await;
    pty.shows("Type its name").await;
    pty.send("web1\r").await;
    pty.shows("web1 is destroyed.").await;
    pty.shows("No VMs yet.").await;
    pty.send("q").await;
    assert_eq!(pty.ended().await, 0);
    assert!(pty.is_left_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_live_side_by_side_and_leaving_asks() {
    let (portal, key) = with_vms(&["db1", "web1"]).await;
    let mut pty = sit_down(&portal, &key, 120, 40).await;
    pty.shows("● running db1").await;
    pty.send(" ").await;
    pty.send(" \r").await;
    pty.shows("2 web1").await;
    pty.send("echo first-$((1+1))\r").await;
    pty.shows("first-2").await;
    pty.send(format!("{PREFIX}p")).await;
    pty.hides("first-2").await;
    pty.send("echo second-$((1+1))\r").await;
    pty.shows("second-2").await;
    // Both on the screen, each as wide as its half.
    pty.send(format!("{PREFIX}|")).await;
    pty.shows("first-2").await;
    pty.shows("second-2").await;
    pty.send("stty size\r").await;
    pty.shows("39 60").await;
    // One of them on the whole screen again, told of it.
    pty.send(format!("{PREFIX}z")).await;
    pty.send("stty size\r").await;
    pty.shows("39 120").await;
    // What a hidden tab says is news.
    pty.send("(sleep 0.2; echo done-$((1+1))) &\r").await;
    pty.send(format!("{PREFIX}d")).await;
    pty.shows("Enter ssh").await;
    pty.shows("•").await;
    pty.send("q").await;
    pty.shows("Leaving ends what runs in").await;
    pty.send("n").await;
    pty.hides("Leaving ends").await;
    pty.send("qy").await;
    assert_eq!(pty.ended().await, 0);
    assert!(pty.is_left_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_guest_draws_is_drawn_and_resized_with_the_window() {
    let (portal, key) = with_vms(&["web1"]).await;
    let mut pty = sit_down(&portal, &key, 80, 24).await;
    pty.send("\r").await;
    pty.shows("1 web1").await;
    pty.send("PS1='> '; printf 'a\\033[5Cb\\033[31m red\\033[0m 日本\\n'\r").await;
    pty.shows("a     b red 日本").await;
    pty.resize(100, 30).await;
    pty.send("stty size\r").await;
    pty.shows(" 100").await;
    // less takes the cursor keys as an application, and the whole pane.
    pty.send("seq 1 500 | less\r").await;
    pty.shows("\n20\n").await;
    pty.send("G").await;
    pty.shows("500").await;
    pty.send("\x1bOA").await;
    pty.send("q").await;
    // Back in the past by the keyboard, and forward again.
    pty.send("seq 1 299; echo last\r").await;
    pty.shows("\n299").await;
    pty.send(format!("{PREFIX}[")).await;
    pty.send("g").await;
    pty.hides("\n299").await;
    pty.send("q").await;
    pty.shows("\n299").await;
    pty.send(format!("{PREFIX}x")).await;
    pty.send("y").await;
    pty.shows("Enter ssh").await;
    pty.send("q").await;
    assert_eq!(pty.ended().await, 0);
    assert!(pty.is_left_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_that_somebody_destroys_takes_its_tab_with_words() {
    let (portal, key) = with_vms(&["web1"]).await;
    let mut pty = sit_down(&portal, &key, 80, 24).await;
    pty.send("\r").await;
    pty.shows("1 web1").await;
    pty.send("echo here-$((1+1))\r").await;
    pty.shows("here-2").await;
    json(&portal.run(&key, "alice", &["vm", "destroy", "web1", "--yes", "--json"]).await);
    // The sshd that stands for a VM lets its children live: the shell is ended by hand.
    pty.send("kill -9 $$\r").await;
    pty.shows("web1: the").await;
    pty.send("x").await;
    pty.shows("No VMs yet.").await;
    pty.send("q").await;
    assert_eq!(pty.ended().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_window_is_filled_at_every_size_and_help_and_filter_work() {
    let (portal, key) = with_vms(&["db1", "web1"]).await;
    let mut pty = sit_down(&portal, &key, 80, 24).await;
    for (cols, rows) in [(40, 12), (200, 60), (1, 1), (250, 70), (80, 24)] {
        pty.resize(cols, rows).await;
        if cols == 1 {
            continue;
        }
        let (at, pty) = (usize::from(rows - 1), &pty);
        until("the keys stand in the last row", async || {
            pty.screen().lines().nth(at).is_some_and(|line| line.contains("q quit"))
        })
        .await;
    }
    pty.send("?").await;
    pty.shows("Keys: VMs").await;
    pty.send("\x1b").await;
    pty.hides("Keys: VMs").await;
    pty.send("/web").await;
    pty.shows("/web  1 of 2").await;
    pty.hides("● running db1").await;
    pty.send("\r").await;
    pty.shows("Filter “web”: 1 of 2").await;
    pty.send("\x1b").await;
    pty.shows("● running db1").await;
    pty.send("q").await;
    assert_eq!(pty.ended().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn random_bytes_and_a_huge_paste_break_nothing() {
    let (portal, _driver) = mock().await;
    let key = portal.user_with_key("alice", "user").await;
    let mut pty = sit_down(&portal, &key, 80, 24).await;
    // Neither Ctrl-C nor `q`, which leave, nor Enter, which may.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..200 {
        let bytes: Vec<u8> = (0..64)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                u8::try_from(state & 0xff).unwrap()
            })
            .filter(|b| !matches!(b, 3 | 4 | 10 | 13 | b'q' | b':' | b'n' | b'y' | 0x1b))
            .collect();
        pty.send(bytes).await;
    }
    // Out of whatever the keys have led to, an Esc at a time: the line comes up.
    let began = std::time::Instant::now();
    while !pty.screen().contains("Enter run") {
        assert!(began.elapsed() < Duration::from_secs(60), "{}", pty.screen());
        pty.send("\x1b").await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        pty.send(":").await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    pty.send(format!("\x1b[200~{}\x1b[201~", "x".repeat(1 << 20))).await;
    pty.send("\x1b").await;
    pty.hides("Enter run").await;
    pty.send(":whoami\r").await;
    pty.shows("alice").await;
    pty.send(":quit\r").await;
    assert_eq!(pty.ended().await, 0);
    assert!(pty.is_left_clean());
}

/// A client of the program's own portal, in a terminal.
fn at_the_program(place: &Place, port: u16) -> Pty {
    let command = place.ssh_command(port, &[]);
    let mut ssh = tokio::process::Command::new("ssh");
    ssh.arg("-t").args(command.get_args());
    Pty::spawn(&ssh)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_one_session_with_a_sentence_and_an_event() {
    let place = Place::new();
    place.init_with_key();
    let mut command = place.command(&["serve"]);
    command.env("TWARGA_PANIC_AT", "tui.help");
    let serving = Serving::start(command);
    place.ssh(serving.port, &["whoami"]).expect(0);
    let mut other = at_the_program(&place, serving.port);
    other.shows("q quit").await;
    let mut broken = at_the_program(&place, serving.port);
    broken.shows("q quit").await;
    broken.send("?").await;
    broken.shows("this session with it").await;
    assert_eq!(broken.ended().await, 1);
    assert!(broken.is_left_clean());
    // The others do not notice.
    other.send(":whoami\r").await;
    other.shows("✓ admin").await;
    other.send("q").await;
    assert_eq!(other.ended().await, 0);
    let told = place.ssh(serving.port, &["event", "ls", "--action", "session.broke", "--json"]).expect(0);
    let told: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(told[0]["severity"], "high", "{told}");
    assert!(told[0]["details"]["panic"].as_str().unwrap().contains("a mishap at tui.help"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_up_in_the_middle_of_a_form_leaves_nothing() {
    let (portal, _driver) = mock().await;
    let key = portal.user_with_key("alice", "user").await;
    let mut pty = sit_down(&portal, &key, 80, 24).await;
    pty.send("nhalf-typed").await;
    pty.shows("half-typed").await;
    // The window is closed: the client dies with its terminal.
    drop(pty);
    until("the session is gone", async || {
        portal.portal.sessions().list().iter().all(|s| s.user_name != "alice")
    })
    .await;
    assert_eq!(json(&portal.run(&key, "alice", &["vm", "ls", "--json"]).await), serde_json::json!([]));
}

/// The recording in the manual is one: a terminal shows a VM being made and entered.
#[test]
fn the_recording_plays() {
    let text = std::fs::read_to_string("docs/first-minutes.cast").unwrap();
    let mut lines = text.lines();
    let head: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    assert_eq!(head["version"], 2);
    let side = |name: &str| u16::try_from(head[name].as_u64().unwrap()).unwrap().try_into().unwrap();
    let mut screen = vt100::Parser::new(side("height"), side("width"), 0);
    let mut wanted = vec!["No VMs yet", "web1 is ready", "Mem:", "db1 is ready", "Keys"];
    let mut last = 0.0;
    for line in lines {
        let event: (f64, String, String) = serde_json::from_str(line).unwrap();
        assert!(event.0 >= last && event.1 == "o", "{line}");
        last = event.0;
        screen.process(event.2.as_bytes());
        wanted.retain(|text| !screen.screen().contents().contains(text));
    }
    assert!(wanted.is_empty(), "never on the screen: {wanted:?}");
    assert!(last < 300.0, "longer than the first five minutes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_may_have_the_whole_terminal_and_gives_it_back() {
    let (portal, key) = with_vms(&["web1"]).await;
    let mut pty = sit_down(&portal, &key, 80, 24).await;
    pty.send(":vm ssh web1\r").await;
    pty.shows("Entering web1").await;
    pty.send("echo plain-$((1+1))\r").await;
    pty.shows("plain-2").await;
    pty.send("exit\r").await;
    pty.shows("● running web1").await;
    pty.send(":vm ssh web1 echo in-$((1+1))\r").await;
    pty.shows("Enter goes back").await;
    pty.shows("in-2").await;
    pty.send("\r").await;
    pty.shows("● running web1").await;
    pty.send("q").await;
    assert_eq!(pty.ended().await, 0);
    assert!(pty.is_left_clean());
}
