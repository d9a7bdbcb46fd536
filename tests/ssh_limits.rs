//! What strangers and members may take up: time, places, connections.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use common::pty::Pty;
use common::{PASSWORD, TestPortal, mock_with, output, raw, status, stderr, stdout, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use twarga::driver::mock::Op;

/// A connection from another address of the loopback.
async fn dial(portal: &TestPortal, from: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, from), 0))).unwrap();
    socket.connect(portal.address).await.unwrap()
}

/// The first bytes that the portal says.
async fn greeting(stream: &mut TcpStream) -> String {
    let mut buffer = [0; 64];
    let n =
        tokio::time::timeout(Duration::from_secs(10), stream.read(&mut buffer)).await.unwrap().unwrap_or(0);
    String::from_utf8_lossy(&buffer[..n]).into_owned()
}

/// Waits until the portal has closed the connection.
async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let reading = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest));
    let _ = reading.await.expect("the connection is left open");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_sign_in_is_cut_after_the_grace() {
    let (portal, _driver) = mock_with(|c| c.ssh.login_grace_s = 1).await;
    let started = Instant::now();
    let mut silent = dial(&portal, 1).await;
    let mut half = dial(&portal, 1).await;
    half.write_all(b"SSH-2.0-half").await.unwrap();
    let mut version = dial(&portal, 1).await;
    version.write_all(b"SSH-2.0-whole\r\n").await.unwrap();
    let client = raw::connect(&portal).await;
    let mut dripping = dial(&portal, 1).await;
    let drip = async {
        while dripping.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), drip).await.expect("a dripping connection stays");
    for stream in [&mut silent, &mut half, &mut version] {
        closed(stream).await;
    }
    until("the client after its key exchange is cut", async || client.is_closed()).await;
    assert!(started.elapsed() > Duration::from_millis(900), "cut before the grace");
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grace_is_not_for_those_who_have_signed_in() {
    let (portal, _driver) = mock_with(|c| c.ssh.login_grace_s = 1).await;
    let alice = portal.user_with_key("alice", "user").await;
    let client = raw::sign_in(&portal, "alice", &alice).await;
    let mut silent = dial(&portal, 1).await;
    closed(&mut silent).await;
    assert_eq!(raw::exec(&client, "whoami").await.text(), "alice\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_takes_its_places_and_no_more() {
    let (portal, _driver) = mock_with(|c| c.ssh.max_startups_per_ip = 3).await;
    let alice = portal.user_with_key("alice", "user").await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = dial(&portal, 2).await;
        assert!(greeting(&mut stream).await.starts_with("SSH-2.0-Twarga"));
        held.push(stream);
    }
    let mut fourth = dial(&portal, 2).await;
    assert_eq!(greeting(&mut fourth).await, "Exceeded MaxStartups\r\n");
    closed(&mut fourth).await;
    assert_eq!(stdout(&portal.run(&alice, "alice", &["whoami"]).await), "alice\n", "another address");
    held.pop();
    until("the place is free again", async || {
        let mut stream = dial(&portal, 2).await;
        greeting(&mut stream).await.starts_with("SSH-2.0-")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_addresses_together_take_their_places_and_no_more() {
    let (portal, _driver) = mock_with(|c| c.ssh.max_startups = 3).await;
    let mut held = Vec::new();
    for from in 2..5 {
        let mut stream = dial(&portal, from).await;
        assert!(greeting(&mut stream).await.starts_with("SSH-2.0-Twarga"));
        held.push(stream);
    }
    let mut fourth = dial(&portal, 5).await;
    assert_eq!(greeting(&mut fourth).await, "Exceeded MaxStartups\r\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_free_again_after_the_login() {
    let (portal, _driver) = mock_with(|c| c.ssh.max_startups_per_ip = 1).await;
    let alice = portal.user_with_key("alice", "user").await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let client = raw::sign_in(&portal, "alice", &alice).await;
        assert_eq!(raw::exec(&client, "whoami").await.text(), "alice\n");
        clients.push(client);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_strangers_leaves_room_for_members() {
    let (portal, _driver) = mock_with(|_| {}).await;
    let alice = portal.user_with_key("alice", "user").await;
    let mut held = Vec::new();
    for _ in 0..200 {
        held.push(dial(&portal, 2).await);
    }
    let started = Instant::now();
    for _ in 0..3 {
        let out = portal.run(&alice, "alice", &["whoami"]).await;
        assert_eq!(stdout(&out), "alice\n", "{}", stderr(&out));
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    let mut let_in = 0;
    for stream in &mut held {
        let_in += usize::from(greeting(stream).await.starts_with("SSH-2.0-"));
    }
    assert_eq!(let_in, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_has_so_many_connections_and_no_more() {
    let (portal, _driver) = mock_with(|c| c.ssh.max_sessions_per_user = 2).await;
    let alice = portal.user_with_key("alice", "user").await;
    let bob = portal.user_with_key("bob", "user").await;
    let first = raw::sign_in(&portal, "alice", &alice).await;
    let _second = raw::sign_in(&portal, "alice", &alice).await;
    assert_eq!(status(&portal.run(&alice, "alice", &["whoami"]).await), 255);
    assert_eq!(status(&portal.run(&bob, "bob", &["whoami"]).await), 0, "bob pays for alice");
    drop(first);
    until("the place is free again", async || status(&portal.run(&alice, "alice", &["whoami"]).await) == 0)
        .await;
}

/// Sessions of that account that the portal believes to be there.
fn sessions_of(portal: &TestPortal, name: &str) -> usize {
    portal.portal.sessions().list().iter().filter(|s| s.user_name == name).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_hung_up_on_leaves_no_session() {
    // Those that were hung up on have their places until their hash is done.
    let (portal, _driver) = mock_with(|c| c.ssh.max_startups_per_ip = 100).await;
    portal.user("dave", "user").await;
    let before = sessions_of(&portal, "dave");
    let logins = async || {
        let filter = twarga::action::event::EventLs {
            since: None,
            severity: None,
            actor: Some(String::from("dave")),
            action: Some(String::from("session.login")),
            attempts: false,
            limit: 100,
        };
        portal.portal.perform(&portal.admin, filter).await.unwrap().len()
    };
    // Hanging up too early asks for nothing: a slow machine is given longer, until
    // twelve were let in who were not there any more, or only just.
    let mut wait = Duration::from_millis(2);
    while logins().await < 12 {
        let mut client = raw::connect(&portal).await;
        let login = client.authenticate_password("dave", PASSWORD);
        // The hash takes longer than this: the answer finds nobody.
        let _ = tokio::time::timeout(wait, login).await;
        drop(client);
        wait += Duration::from_millis(5);
        assert!(wait < Duration::from_secs(1), "nobody is let in");
    }
    until("no session is left", async || sessions_of(&portal, "dave") == before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_types_nothing_is_warned_and_then_cut() {
    let (portal, _driver) = mock_with(|c| c.ssh.idle_timeout_s = 4).await;
    let alice = portal.user_with_key("alice", "user").await;
    let mut pty = Pty::spawn(portal.ssh(&alice).args(["-t", "alice@127.0.0.1", "shell"]));
    pty.shows("twarga> ").await;
    let started = Instant::now();
    pty.shows("this session ends in").await;
    assert_eq!(sessions_of(&portal, "alice"), 1, "cut without a warning");
    assert_eq!(pty.ended().await, 255);
    assert!(pty.screen().contains("Goodbye"), "{}", pty.screen());
    assert!(started.elapsed() > Duration::from_secs(3), "{:?}", started.elapsed());
    until("the session is gone", async || sessions_of(&portal, "alice") == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_keeps_a_session_and_output_does_not() {
    let (portal, driver) = mock_with(|c| c.ssh.idle_timeout_s = 3).await;
    let alice = portal.user_with_key("alice", "user").await;
    let mut typist = Pty::spawn(portal.ssh(&alice).args(["-t", "alice@127.0.0.1", "shell"]));
    typist.shows("twarga> ").await;
    // A bar is drawn every second, and nobody types.
    let gate = driver.hold(Op::Start);
    let started = Instant::now();
    let mut watcher = Pty::spawn(portal.ssh(&alice).args(["-t", "alice@127.0.0.1", "vm", "new", "web1"]));
    watcher.shows("░").await;
    let typing = async {
        loop {
            typist.send("x").await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let code = tokio::select! {
        code = watcher.ended() => code,
        () = typing => unreachable!(),
    };
    assert_eq!(code, 255, "{}", watcher.screen());
    assert!(started.elapsed() > Duration::from_millis(2500), "{:?}", started.elapsed());
    typist.send("\x15whoami\r").await;
    typist.shows("\nalice").await;
    assert!(!typist.screen().contains("session ends"), "{}", typist.screen());
    gate.open();
    until("the job went on without its watcher", async || {
        let out = output(portal.ssh(&alice).args(["alice@127.0.0.1", "vm", "ls", "--json"])).await;
        stdout(&out).contains("\"running\"")
    })
    .await;
}

/// The kernel asks a silent client whether it is still there: its timer for that
/// (`tr` 02 in `/proc/net/tcp`) is set on the portal's end.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_clients_machine_is_asked_for() {
    let (portal, _driver) = mock_with(|_| {}).await;
    let mut client = dial(&portal, 2).await;
    assert!(greeting(&mut client).await.starts_with("SSH-2.0-"));
    let (here, there) = (portal.address.port(), client.local_addr().unwrap().port());
    let (here, there) = (format!(":{here:04X}"), format!(":{there:04X}"));
    until("the kernel's timer", async || {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        rows.any(|row| row[1].ends_with(&here) && row[2].ends_with(&there) && row[5].starts_with("02:"))
    })
    .await;
}

/// Ansible and a ControlMaster type nothing: they ask for one command after another.
#[tokio::test(flavor = "multi_thread")]
async fn commands_keep_a_connection_though_nothing_is_typed() {
    let (portal, _driver) = mock_with(|c| c.ssh.idle_timeout_s = 3).await;
    let alice = portal.user_with_key("alice", "user").await;
    let client = raw::sign_in(&portal, "alice", &alice).await;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(7) {
        assert_eq!(raw::exec(&client, "whoami").await.text(), "alice\n", "after {:?}", started.elapsed());
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}
