//! Sessions that end: by somebody's word, by a change of rights, by their length.
//! The guests are real sshds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "support/sshd_driver.rs"]
#[allow(dead_code)]
mod sshd_driver;
#[path = "common/work.rs"]
mod work;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::pty::Pty;
use common::raw::{self, Client};
use common::{PATIENCE, TestPortal, json, mock_with, output, status, stderr, stdout, until};
use russh::client::Msg;
use russh::{Channel, ChannelMsg};
use sshd_driver::SshdDriver;
use work::database;

async fn portal() -> (TestPortal, PathBuf) {
    let portal = TestPortal::start(Arc::new(SshdDriver::default()), |_| {}).await;
    portal.install_fake_image();
    let alice = portal.user_with_key("alice", "user").await;
    let made = portal.run(&alice, "alice", &["vm", "new", "web1"]).await;
    assert_eq!(status(&made), 0, "{}", stderr(&made));
    (portal, alice)
}

/// A jump to the VM's SSH server, which has said its first words.
async fn jump(client: &Client, vm: &str) -> Channel<Msg> {
    let mut jump = client.channel_open_direct_tcpip(vm, 22, "127.0.0.1", 0).await.unwrap();
    flows(&mut jump).await;
    jump
}

/// Bulk from inside the VM, of which some has come.
async fn bulk(client: &Client) -> Channel<Msg> {
    let mut channel = client.channel_open_session().await.unwrap();
    channel.exec(true, "cat /dev/zero").await.unwrap();
    flows(&mut channel).await;
    channel
}

async fn flows(channel: &mut Channel<Msg>) {
    let flowing = async {
        loop {
            match channel.wait().await {
                Some(ChannelMsg::Data { .. }) => return,
                Some(_) => {}
                None => panic!("nothing flows"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, flowing).await.expect("nothing flows");
}

/// How long the channel takes to end, while it is read.
async fn ends(mut channel: Channel<Msg>) -> Duration {
    let started = Instant::now();
    let ending = async {
        while let Some(message) = channel.wait().await {
            if matches!(message, ChannelMsg::Close) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, ending).await.expect("the channel stays");
    started.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_a_session_ends_jumps_and_transfers_within_a_second() {
    let (portal, alice) = portal().await;
    let through = raw::sign_in(&portal, "alice", &alice).await;
    let jump = jump(&through, "web1").await;
    let straight = raw::sign_in(&portal, "alice+web1", &alice).await;
    let bulk = bulk(&straight).await;
    let mut list = json(&portal.run(&alice, "alice", &["session", "ls", "--json"]).await);
    let list = list.as_array_mut().unwrap();
    let routes: Vec<_> = list.iter().map(|s| s["route"].as_str().unwrap()).collect();
    assert_eq!(routes, ["jump", "vm web1", "portal"]);
    assert!(list.iter().take(2).all(|s| s["vms"] == serde_json::json!(["web1.alice"])), "{list:?}");
    assert!(list.iter().all(|s| s["method"] == "publickey"), "{list:?}");
    let id = list[0]["id"].as_str().unwrap();
    let shown = stdout(&portal.run(&alice, "alice", &["session", "show", id]).await);
    assert!(shown.contains("jump") && shown.contains("web1.alice"), "{shown}");
    let killed = portal.run(&alice, "alice", &["session", "kill", "--user", "alice", "--json"]).await;
    assert_eq!(json(&killed).as_array().unwrap().len(), 2);
    let (jump, bulk) = tokio::join!(ends(jump), ends(bulk));
    assert!(jump < Duration::from_secs(1) && bulk < Duration::from_secs(1), "{jump:?} {bulk:?}");
    until("both are gone", async || through.is_closed() && straight.is_closed()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_account_has_no_session_left() {
    let (portal, alice) = portal().await;
    let straight = raw::sign_in(&portal, "alice+web1", &alice).await;
    let bulk = bulk(&straight).await;
    let mut ssh = portal.ssh(&alice);
    let pty = Pty::spawn(ssh.args(["-tt", "alice@127.0.0.1", "shell"]));
    pty.shows("twarga>").await;
    let db = database(&portal);
    db.execute("UPDATE users SET enabled = 0 WHERE name = 'alice'", []).unwrap();
    portal.portal.rights_changed();
    assert!(ends(bulk).await < Duration::from_secs(2));
    pty.shows("This account was disabled.").await;
    until("they are gone", async || straight.is_closed()).await;
    assert_eq!(status(&portal.run(&alice, "alice", &["whoami"]).await), 255);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_be_in_a_vm_any_more_is_led_out_of_it() {
    let (portal, alice) = portal().await;
    let bob = portal.user_with_key("bob", "user").await;
    let admin = portal.user_with_key("root", "admin").await;
    let told = async |key: &PathBuf, who: &str, words: &[&str]| {
        let out = portal.run(key, who, words).await;
        assert_eq!(status(&out), 0, "{words:?}: {}", stderr(&out));
    };
    told(&admin, "root", &["group", "new", "team"]).await;
    told(&admin, "root", &["group", "add", "team", "alice", "bob"]).await;
    told(&alice, "alice", &["vm", "share", "web1", "team"]).await;
    let straight = raw::sign_in(&portal, "bob+web1.alice", &bob).await;
    let inside = bulk(&straight).await;
    let through = raw::sign_in(&portal, "bob", &bob).await;
    let jumped = jump(&through, "web1.alice").await;
    let own = raw::sign_in(&portal, "alice+web1", &alice).await;
    let mut of_owner = bulk(&own).await;
    told(&alice, "alice", &["vm", "unshare", "web1", "team"]).await;
    let (inside, jumped) = tokio::join!(ends(inside), ends(jumped));
    assert!(inside < Duration::from_secs(2) && jumped < Duration::from_secs(2), "{inside:?} {jumped:?}");
    // The login in the VM that is there still does not serve him again.
    let again = straight.channel_open_session().await.unwrap();
    again.exec(true, "echo still here").await.unwrap();
    let mut again = again;
    let answer = raw::collect(&mut again).await;
    assert!(!answer.text().contains("still here"), "{}", answer.text());
    assert_eq!(raw::exec(&through, "whoami").await.text(), "bob\n", "the session itself goes on");
    flows(&mut of_owner).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lasts_as_long_as_the_role_allows() {
    let (portal, alice) = portal().await;
    let db = database(&portal);
    db.execute("INSERT OR REPLACE INTO roles (name, max_session_s, created_at) VALUES ('user', 4, 1)", [])
        .unwrap();
    let mut ssh = portal.ssh(&alice);
    let started = Instant::now();
    let pty = Pty::spawn(ssh.args(["-tt", "alice@127.0.0.1", "shell"]));
    pty.shows("twarga>").await;
    pty.shows("Your role allows no longer sessions").await;
    pty.shows("This session has lasted as long as your role allows.").await;
    let lasted = started.elapsed();
    assert!(lasted > Duration::from_secs(3) && lasted < Duration::from_secs(20), "{lasted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_read_the_banner_and_members_the_message_of_the_day() {
    let words = |c: &mut twarga::config::Config| {
        c.ssh.banner = String::from("Members only.\nAll is written down.");
        c.ssh.motd = String::from("Mind the gap.");
    };
    let (portal, _driver) = mock_with(words).await;
    let alice = portal.user_with_key("alice", "user").await;
    let out = output(portal.ssh_first(&["LogLevel=INFO"], &alice).args(["alice@127.0.0.1", "whoami"])).await;
    assert!(stderr(&out).contains("Members only.\r\nAll is written down.\r\n"), "{:?}", stderr(&out));
    assert_eq!(stdout(&out), "alice\n", "no message where no person is");
    let mut ssh = portal.ssh(&alice);
    let pty = Pty::spawn(ssh.args(["-tt", "alice@127.0.0.1", "shell"]));
    pty.shows("Mind the gap.").await;
    pty.shows("Last login: ").await;
    let mut ssh = portal.ssh(&alice);
    let pty = Pty::spawn(ssh.args(["-tt", "alice@127.0.0.1"]));
    pty.shows("Mind the gap.").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_is_banned_and_reads_what_everybody_reads() {
    let (portal, _driver) = mock_with(|c| c.guard.failures = 2).await;
    let alice = portal.user_with_key("alice", "user").await;
    let mut said = Vec::new();
    for _ in 0..4 {
        let out = portal.run_with_password("seven brown foxez", "alice", &["whoami"]).await;
        assert_eq!(status(&out), 255);
        said.push(stderr(&out));
    }
    said.dedup();
    assert_eq!(said.len(), 1, "{said:?}");
    // Behind the same address, the right key opens, and what it opens tells of the ban.
    assert_eq!(stdout(&portal.run(&alice, "alice", &["whoami"]).await), "alice\n");
    let admin = portal.user_with_key("root", "admin").await;
    let bans = json(&portal.run(&admin, "root", &["ban", "ls", "--json"]).await);
    assert_eq!(bans[0]["network"], "127.0.0.1");
    let refused = portal.run(&alice, "alice", &["ban", "rm", "127.0.0.1"]).await;
    assert_eq!(status(&refused), 5, "{}", stderr(&refused));
    assert_eq!(status(&portal.run(&admin, "root", &["ban", "rm", "127.0.0.1"]).await), 0);
    let added = portal
        .run(&admin, "root", &["ban", "add", "203.0.113.0/24", "--for", "1h", "--note", "'noise'"])
        .await;
    assert!(stdout(&added).contains("203.0.113.0/24"), "{}", stderr(&added));
    for bad in [["ban", "add", "web1"], ["ban", "rm", "192.0.2.1/99"]] {
        assert_eq!(status(&portal.run(&admin, "root", &bad).await), 2);
    }
}
