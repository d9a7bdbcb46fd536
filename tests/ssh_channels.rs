//! Channels: the order of things at their end, and that none of them can hold
//! up, break or outlive the rest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::process::Stdio;
use std::time::Duration;

use common::pty::Pty;
use common::raw::{self, Client};
use common::{json, mock, output, status, stderr, stdout, until};
use russh::ChannelMsg;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use twarga::driver::mock::Op;

/// What the portal must answer in, whatever another channel does.
const SOON: Duration = Duration::from_secs(3);

/// An answer by another channel of the connection, in time.
async fn still_answers(client: &Client) {
    let answer =
        tokio::time::timeout(SOON, raw::exec(client, "whoami")).await.expect("another channel hangs");
    assert_eq!((answer.text().as_str(), answer.status), ("alice\n", Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_whole_when_the_client_sends_nothing() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    let whole = stdout(&portal.run(&alice, "alice", &["help", "vm", "new"]).await);
    assert!(whole.len() > 300 && whole.ends_with('\n'));
    for _ in 0..5 {
        let out = output(portal.ssh(&alice).args(["-n", "alice@127.0.0.1", "help", "vm", "new"])).await;
        assert_eq!((status(&out), stdout(&out) == whole), (0, true));
    }
    let lines = "help vm new\n".repeat(300);
    let out = portal.run_with(&alice, "alice", &["-T"], lines.as_bytes()).await;
    assert_eq!(out.stdout.len(), whole.len() * 300, "{}", stderr(&out));
}

#[tokio::test(flavor = "multi_thread")]
async fn output_comes_first_then_the_status_then_the_end() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    let client = raw::sign_in(&portal, "alice", &alice).await;
    for (command, code) in [("help", 0), ("vm show web9", 3), ("", 0), ("nonsense", 2)] {
        let answer = raw::exec(&client, command).await;
        assert_eq!(answer.status, Some(code), "{command}");
        let order: Vec<_> = answer.order.iter().filter(|k| **k != "data").copied().collect();
        assert_eq!(order, ["success", "status", "eof", "close"], "{command}");
        assert!(!answer.order.contains(&"data") || answer.order[1] == "data", "{:?}", answer.order);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_whose_client_does_not_read_holds_up_no_other() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    // Small windows fill soon, and russh gives none back before the data is read.
    let config =
        russh::client::Config { window_size: 64 * 1024, channel_buffer_size: 4096, ..Default::default() };
    let mut client = raw::connect_as(&portal, config).await.unwrap();
    assert!(raw::try_key(&mut client, "alice", &alice).await);
    let mut stalled = client.channel_open_session().await.unwrap();
    stalled.request_shell(true).await.unwrap();
    let lines = "help\n".repeat(1500);
    let mut typing = stalled.make_writer();
    let feed = tokio::spawn(async move { typing.write_all(lines.as_bytes()).await });
    for _ in 0..5 {
        still_answers(&client).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let _ = feed.await;
    stalled.eof().await.unwrap();
    let answer = raw::collect(&mut stalled).await;
    assert_eq!(answer.status, Some(0));
    assert!(answer.text().ends_with('\n'));
}

/// OpenSSH's own multiplexing: the master reads for its slave, so the slave is
/// stopped and its pipe fills up.
#[tokio::test(flavor = "multi_thread")]
async fn a_multiplexed_session_that_is_stopped_holds_up_no_other() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    let socket = format!("ControlPath={}", portal.dir.path().join("mux").display());
    let mut master = portal.ssh_first(&["ControlMaster=yes", &socket], &alice);
    let _master = master.args(["-N", "alice@127.0.0.1"]).spawn().unwrap();
    until("the master listens", async || portal.dir.path().join("mux").exists()).await;
    let mut slave = portal.ssh_first(&[&socket], &alice);
    let mut stopped = slave.args(["-T", "alice@127.0.0.1"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = stopped.stdin.take().unwrap();
    let feed = tokio::spawn(async move { stdin.write_all("help\n".repeat(3000).as_bytes()).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    for _ in 0..3 {
        let mut other = portal.ssh_first(&[&socket], &alice);
        let out = tokio::time::timeout(SOON, output(other.args(["alice@127.0.0.1", "whoami"]))).await;
        assert_eq!(stdout(&out.expect("the other session hangs")), "alice\n");
    }
    feed.abort();
    let mut read = stopped.stdout.take().unwrap();
    let mut some = [0; 16];
    assert!(read.read(&mut some).await.unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_asks_for_nothing_holds_up_no_other() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    let client = raw::sign_in(&portal, "alice", &alice).await;
    let kept = client.channel_open_session().await.unwrap();
    for i in 0..400 {
        kept.set_env(false, "LC_X", i.to_string()).await.unwrap();
        kept.data(&b"nobody reads this"[..]).await.unwrap();
    }
    still_answers(&client).await;
    // Nor does one whose face is over.
    let over = client.channel_open_session().await.unwrap();
    over.exec(true, "whoami").await.unwrap();
    for _ in 0..400 {
        let _ = over.data(&b"nor this"[..]).await;
    }
    still_answers(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_of_any_size_are_borne() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    let client = raw::sign_in(&portal, "alice", &alice).await;
    for (cols, rows) in [(0, 0), (1, 1), (65535, 65535), (u32::MAX, u32::MAX), (3, 0)] {
        let mut channel = client.channel_open_session().await.unwrap();
        channel.request_pty(true, "xterm", cols, rows, u32::MAX, 0, &[]).await.unwrap();
        channel.request_shell(true).await.unwrap();
        channel.window_change(u32::MAX, 0, 0, 0).await.unwrap();
        channel.window_change(rows, cols, 0, 0).await.unwrap();
        channel.data(&b"whoami\rexit\r"[..]).await.unwrap();
        let mut gone = Vec::new();
        let reading = async {
            while let Some(message) = channel.wait().await {
                if let ChannelMsg::ExitStatus { exit_status } = message {
                    gone.push(exit_status);
                }
            }
        };
        // The screen may want other keys to leave; it must not break.
        let _ = tokio::time::timeout(Duration::from_secs(1), reading).await;
        assert!(gone.is_empty() || gone == [0], "{cols}x{rows}: {gone:?}");
        let _ = channel.close().await;
    }
    still_answers(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn few_variables_are_let_through() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    let client = raw::sign_in(&portal, "alice", &alice).await;
    let long = "x".repeat(20_000);
    let good = ["LANG", "LC_ALL", "LC_CTYPE", "COLORTERM", "NO_COLOR"];
    let bad = ["LD_PRELOAD", "PATH", "BASH_ENV", "TERM\0", "LANGUAGE", "", "lc_all", "IFS", &long];
    for (name, let_through) in good.iter().map(|n| (*n, true)).chain(bad.iter().map(|n| (*n, false))) {
        let mut channel = client.channel_open_session().await.unwrap();
        channel.set_env(true, name, "C.UTF-8").await.unwrap();
        let answer = channel.wait().await;
        assert_eq!(matches!(answer, Some(ChannelMsg::Success)), let_through, "{name:.30}: {answer:?}");
        channel.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_packets_cut_are_put_together() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    let mut pty = Pty::spawn(portal.ssh(&alice).args(["-t", "alice@127.0.0.1", "shell"]));
    pty.shows("twarga> ").await;
    // Two arrows left, cut in the middle, between the letters of `whoami`.
    for piece in ["whmi", "\x1b", "[", "D", "\x1b[", "D", "oa", "\r"] {
        pty.send(piece).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    pty.shows("\nalice").await;
    // A character of two bytes in two packets, an arrow and Enter in one.
    pty.send(b"help \xc3").await;
    pty.send(b"\xa9x\x1b[C\r").await;
    pty.shows("There is no help on “éx”").await;
    pty.send("exit\r").await;
    assert_eq!(pty.ended().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn command_lines_of_any_bytes_get_an_answer() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    for line in
        [vec![0xff, 0xfe], b"vm show web\0".to_vec(), vec![b'a'; 30_000], vec![b'\''; 999], vec![0; 4096]]
    {
        let client = raw::sign_in(&portal, "alice", &alice).await;
        let answer = raw::exec(&client, line.clone()).await;
        assert_eq!((answer.status, answer.out.len()), (Some(2), 0), "{:.30?}", line);
        assert!(answer.errors().len() < 400 && !answer.errors().trim_end().contains(char::is_control));
        still_answers(&client).await;
    }
    for length in [100_000, 200_000, 1 << 20] {
        let client = raw::sign_in(&portal, "alice", &alice).await;
        let mut channel = client.channel_open_session().await.unwrap();
        let _ = channel.exec(true, vec![b'a'; length]).await;
        let answer = raw::collect(&mut channel).await;
        // Refused by the shell, or by the longest packet there is.
        assert!(matches!(answer.status, Some(2) | None), "{length}: {:?}", answer.status);
    }
    assert_eq!(stdout(&portal.run(&alice, "alice", &["whoami"]).await), "alice\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_128_channels_and_no_more() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    let client = raw::sign_in(&portal, "alice", &alice).await;
    let mut open = Vec::new();
    for _ in 0..128 {
        open.push(client.channel_open_session().await.unwrap());
    }
    assert!(client.channel_open_session().await.is_err());
    assert!(client.channel_open_direct_tcpip("web1", 22, "127.0.0.1", 1).await.is_err());
    open.pop().unwrap().close().await.unwrap();
    until("the place is free again", async || client.channel_open_session().await.is_ok()).await;
    let mut first = open.remove(0);
    first.exec(true, "whoami").await.unwrap();
    assert_eq!(raw::collect(&mut first).await.text(), "alice\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_channel_ends_its_face_even_if_that_waits() {
    let (portal, driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    let mut gate = driver.hold(Op::Start);
    let job = json(&portal.run(&alice, "alice", &["vm", "new", "web1", "--no-wait", "--json"]).await);
    gate.reached(1).await;
    let client = raw::sign_in(&portal, "alice", &alice).await;
    let watch = format!("job watch {}", job["id"]);
    let mut watching = Vec::new();
    for _ in 0..128 {
        let mut channel = client.channel_open_session().await.unwrap();
        channel.exec(true, watch.as_str()).await.unwrap();
        // The job's step: the face is there and waits.
        while !matches!(channel.wait().await, Some(ChannelMsg::ExtendedData { .. }) | None) {}
        watching.push(channel);
    }
    assert!(client.channel_open_session().await.is_err());
    for channel in &watching {
        channel.close().await.unwrap();
    }
    until("the places are free again", async || client.channel_open_session().await.is_ok()).await;
    gate.open();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_dies_ends_its_session_and_not_its_job() {
    let (portal, driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    let mut gate = driver.hold(Op::Start);
    let mut ssh = portal.ssh(&alice).args(["alice@127.0.0.1", "vm", "new", "web1"]).spawn().unwrap();
    gate.reached(1).await;
    ssh.kill().await.unwrap();
    let sessions = || portal.portal.sessions().list().iter().filter(|s| s.user_name == "alice").count();
    until("the session is gone", async || sessions() == 0).await;
    gate.open();
    until("the VM runs", async || {
        stdout(&portal.run(&alice, "alice", &["vm", "ls", "--json"]).await).contains("\"running\"")
    })
    .await;
    // One that waits for a person.
    let pty = Pty::spawn(portal.ssh(&alice).args(["-t", "alice@127.0.0.1", "vm", "destroy", "web1"]));
    pty.shows("[y/N]").await;
    assert_eq!(sessions(), 1);
    drop(pty);
    until("the session of the terminal is gone", async || sessions() == 0).await;
    assert_eq!(status(&portal.run(&alice, "alice", &["vm", "show", "web1"]).await), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_face_that_does_not_read_its_input_holds_up_no_other() {
    let (portal, driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    let mut gate = driver.hold(Op::Start);
    let client = raw::sign_in(&portal, "alice", &alice).await;
    let waiting = client.channel_open_session().await.unwrap();
    waiting.exec(true, "vm new web1").await.unwrap();
    gate.reached(1).await;
    let mut typing = waiting.make_writer();
    let feed = tokio::spawn(async move { typing.write_all(&vec![b'x'; 16 << 20]).await });
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        still_answers(&client).await;
    }
    feed.abort();
    gate.open();
}
