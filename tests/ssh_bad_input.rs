//! What people and programs get wrong, by a real ssh client: each mistake gets
//! its answer, in clean words, and the session goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use common::pty::Pty;
use common::{TestPortal, json, mock, raw, status, stderr, stdout, until};
use russh::ChannelMsg;
use twarga::model::text;

/// What the portal must answer in, whatever a machine does.
const SOON: Duration = Duration::from_secs(3);

async fn with_alice() -> (TestPortal, PathBuf) {
    let (portal, _driver) = mock().await;
    let key = portal.user_with_key("alice", "user").await;
    (portal, key)
}

#[track_caller]
fn is_clean(said: &str) {
    assert!(!said.replace('\n', "").chars().any(text::is_unsafe), "{said:?}");
    assert!(said.len() < 600, "{} bytes: {said:.80}", said.len());
}

/// Every argument of every verb, with what it cannot be.
#[tokio::test(flavor = "multi_thread")]
async fn arguments_that_cannot_be_are_refused_by_every_verb() {
    let (portal, alice) = with_alice().await;
    let admin = portal.user_with_key("root", "admin").await;
    let long = "x".repeat(10_000);
    let odd = ["../../etc/passwd", "'a b'", "\u{1b}[2J", "'\u{7}'", "\u{202e}x", "''", "-1", &long];
    let places = [
        ("alice", "vm start X"),
        ("alice", "vm stop web1 X"),
        ("alice", "vm ssh X"),
        ("alice", "vm console X"),
        ("alice", "vm stats X"),
        ("alice", "vm new web1 --image X"),
        ("alice", "vm new web1 --plan X"),
        ("alice", "vm new web1 --ram X"),
        ("alice", "vm new web1 --cpu X"),
        ("alice", "vm new web1 --disk X"),
        ("alice", "job show X"),
        ("alice", "job watch X"),
        ("alice", "job cancel X"),
        ("alice", "key add X"),
        ("alice", "key rm X"),
        ("alice", "event show X"),
        ("alice", "event ls --since X"),
        ("alice", "event ls --severity X"),
        ("alice", "event ls --limit X"),
        ("alice", "help X"),
        ("alice", "X"),
        ("alice", "vm X"),
        ("alice", "vm ls --nonX"),
        ("root", "user new X"),
        ("root", "user new bob --role X"),
        ("root", "user new bob --key X"),
        ("root", "user show X"),
    ];
    let (alice, root) =
        (raw::sign_in(&portal, "alice", &alice).await, raw::sign_in(&portal, "root", &admin).await);
    for (who, place) in places {
        let client = if who == "root" { &root } else { &alice };
        for word in odd {
            let line = place.replace('X', word);
            let answer = raw::exec(client, line.as_str()).await;
            // `help ''` is help; what is only unknown is 3.
            let refused = matches!(answer.status, Some(2 | 3)) && answer.out.is_empty();
            assert!(refused || place == "help X", "{line:.60?}: {:?} {}", answer.status, answer.errors());
            is_clean(&answer.errors());
        }
    }
    let left = json(&portal.run(&admin, "root", &["user", "ls", "--json"]).await);
    assert_eq!(left.as_array().unwrap().len(), 3, "{left}");
    assert_eq!(
        json(&portal.run(&admin, "root", &["vm", "ls", "--all", "--json"]).await),
        serde_json::json!([])
    );
}

/// Lines in a pipe: each has its answer, until one is too long to be a line.
#[tokio::test(flavor = "multi_thread")]
async fn lines_in_a_pipe_that_are_no_commands() {
    let (portal, alice) = with_alice().await;
    let lines =
        [&b"\xff\xfe\n"[..], b"vm show \0\n", b"'open\n", b"\x1b[31m\n", b"\r\n", b"   \n", b"whoami\n"]
            .concat();
    let out = portal.run_with(&alice, "alice", &["-T"], &lines).await;
    assert_eq!((status(&out), stdout(&out).as_str()), (0, "alice\n"), "{}", stderr(&out));
    assert_eq!(stderr(&out).lines().count(), 4, "{}", stderr(&out));
    is_clean(&stderr(&out));
    for length in [65_537, 70_000, 1 << 20, 8 << 20] {
        for (after, code, said) in
            [(&b"\nwhoami\n"[..], 0, "alice\nalice\n"), (b"\n", 2, "alice\n"), (b"", 2, "alice\n")]
        {
            let long = [b"whoami\n", &vec![b'a'; length][..], after].concat();
            let out = portal.run_with(&alice, "alice", &["-T"], &long).await;
            assert_eq!((status(&out), stdout(&out).as_str()), (code, said), "{length}: {}", stderr(&out));
            assert_eq!(stderr(&out).matches("too long").count(), 1, "{}", stderr(&out));
        }
    }
}

/// Each packet is a quarter of a million lines, and none of them says anything.
#[tokio::test(flavor = "multi_thread")]
async fn lines_that_are_empty_cost_nothing() {
    let (portal, alice) = with_alice().await;
    let started = std::time::Instant::now();
    let out =
        portal.run_with(&alice, "alice", &["-T"], &[&vec![b'\n'; 4 << 20][..], b"whoami\n"].concat()).await;
    assert_eq!((status(&out), stdout(&out).as_str()), (0, "alice\n"), "{}", stderr(&out));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

/// At the prompt: keys that mean nothing, a megabyte that is pasted, bytes that
/// are no text.
#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_bears_any_keys() {
    let (portal, alice) = with_alice().await;
    let mut pty = Pty::spawn(portal.ssh(&alice).args(["-t", "alice@127.0.0.1", "shell"]));
    pty.shows("twarga> ").await;
    let pasted = format!("\x1b[200~{}\x1b[201~", "paste \u{202e}".repeat(100_000));
    for keys in [
        &b"\xff\xfe\xc3"[..],
        b"\x1b[99999999999;99;99~\x1bOZ\x1b]0;t\x07",
        b"\x00\x1c\x1d\x1f",
        pasted.as_bytes(),
    ] {
        pty.send(keys).await;
    }
    // What is on the line is given up, and the next one works.
    pty.send("\x03").await;
    pty.send("whoami\r").await;
    pty.shows("\nalice").await;
    pty.send("exit\r").await;
    assert_eq!(pty.ended().await, 0);
}

/// A screen is as large as its window is now.
#[tokio::test(flavor = "multi_thread")]
async fn a_screen_follows_its_window() {
    let (portal, alice) = with_alice().await;
    let client = raw::sign_in(&portal, "alice", &alice).await;
    let mut channel = client.channel_open_session().await.unwrap();
    channel.request_pty(true, "xterm-256color", 60, 20, 0, 0, &[]).await.unwrap();
    channel.request_shell(true).await.unwrap();
    for (cols, rows) in [(60_u16, 20_u16), (132, 50), (40, 12)] {
        channel.window_change(cols.into(), rows.into(), 0, 0).await.unwrap();
        // One column and row more than there are: what is drawn there would be seen.
        let mut screen =
            vt100::Parser::new((rows + 1).try_into().unwrap(), (cols + 1).try_into().unwrap(), 0);
        let drawn = async {
            loop {
                match channel.wait().await.unwrap() {
                    ChannelMsg::Data { data } => screen.process(&data),
                    _ => continue,
                }
                let shown: Vec<String> = screen.screen().rows(0, cols + 1).collect();
                let widest = shown.iter().map(|r| r.trim_end().chars().count()).max().unwrap();
                let lowest = shown.iter().rposition(|r| !r.trim().is_empty()).unwrap_or(0);
                // A margin at the edges, and nothing beyond them.
                let fits = |used: usize, room: u16, margin: usize| {
                    (usize::from(room) - margin..=usize::from(room)).contains(&used)
                };
                if fits(widest, cols, 8) && fits(lowest + 1, rows, 2) {
                    return;
                }
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), drawn).await;
        assert!(waited.is_ok(), "{cols}x{rows}:\n{}", screen.screen().contents());
    }
}

/// A machine whose SSH server takes connections and says nothing is waited for
/// by whoever wants it, and by nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_says_nothing_holds_up_no_other_channel() {
    let (portal, alice) = with_alice().await;
    let vm = json(&portal.run(&alice, "alice", &["vm", "new", "web1", "--json"]).await);
    let silent =
        TcpListener::bind(("127.0.0.1", u16::try_from(vm["ssh_port"].as_u64().unwrap()).unwrap())).unwrap();
    silent.set_nonblocking(true).unwrap();
    let client = raw::sign_in(&portal, "alice", &alice).await;
    let direct = raw::sign_in(&portal, "alice+web1", &alice).await;
    let mut waiting = Vec::new();
    for client in [&client, &direct] {
        let channel = client.channel_open_session().await.unwrap();
        channel.exec(true, "vm ssh web1").await.unwrap();
        waiting.push(channel);
    }
    let dialled = std::cell::RefCell::new(Vec::new());
    until("both are at the machine's door", || {
        dialled.borrow_mut().extend(silent.accept().ok());
        std::future::ready(dialled.borrow().len() == 2)
    })
    .await;
    let answer = tokio::time::timeout(SOON, raw::exec(&client, "whoami")).await;
    assert_eq!(answer.expect("another channel hangs").text(), "alice\n");
    let opened = tokio::time::timeout(SOON, direct.channel_open_session()).await;
    opened.expect("the connection into the machine hangs").unwrap();
}
