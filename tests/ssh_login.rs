//! Signing in: who gets in, by what, and what an attacker at the door learns.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::pty::Pty;
use common::{PASSWORD, TestPortal, mock, mock_with, output, raw, status, stderr, stdout};
use russh::MethodKind;
use russh::client::AuthResult;
use tokio::process::Command;
use twarga::action::key::KeyAdd;
use twarga::action::user::{UserDisable, UserSet};
use twarga::portal::Principal;
use zeroize::Zeroizing;

/// Adds the public half of a key to an account.
async fn add_key(portal: &TestPortal, who: &Principal, key: &Path) {
    let line = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    portal.portal.perform(who, KeyAdd::of(line)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_password_lets_in_and_no_other_does() {
    let (portal, _driver) = mock().await;
    portal.user("alice", "user").await;
    let out = portal.run_with_password(PASSWORD, "alice", &["whoami"]).await;
    assert_eq!((status(&out), stdout(&out).as_str()), (0, "alice\n"), "{}", stderr(&out));
    let wrong = portal.run_with_password("seven brown foxez", "alice", &["whoami"]).await;
    let unknown = portal.run_with_password(PASSWORD, "nobody", &["whoami"]).await;
    let empty = portal.run_with_password("", "alice", &["whoami"]).await;
    for out in [&wrong, &unknown, &empty] {
        assert_eq!((status(out), stdout(out).as_str()), (255, ""));
    }
    assert_eq!(stderr(&wrong).replace("alice", "X"), stderr(&unknown).replace("nobody", "X"));
    assert!(
        stderr(&wrong).contains("Permission denied (publickey,password,keyboard-interactive)"),
        "{}",
        stderr(&wrong)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_every_modern_kind_let_in() {
    let (portal, _driver) = mock().await;
    let alice = portal.user("alice", "user").await;
    let kinds = [
        ("ed25519", "256"),
        ("ecdsa", "256"),
        ("ecdsa", "384"),
        ("ecdsa", "521"),
        ("rsa", "2048"),
        ("rsa", "3072"),
    ];
    for (kind, bits) in kinds {
        let key = portal.keygen(&format!("{kind}-{bits}"), &["-t", kind, "-b", bits]);
        let out = portal.run(&key, "alice", &["whoami"]).await;
        assert_eq!(status(&out), 255, "{kind} {bits} before it is the account's");
        add_key(&portal, &alice, &key).await;
        let out = portal.run(&key, "alice", &["whoami"]).await;
        assert_eq!(stdout(&out), "alice\n", "{kind} {bits}: {}", stderr(&out));
    }
    let key = portal.dir.path().join("key-rsa-3072");
    for hash in ["rsa-sha2-256", "rsa-sha2-512"] {
        let only = format!("PubkeyAcceptedAlgorithms={hash}");
        let out = output(portal.ssh(&key).args(["-o", &only, "alice@127.0.0.1", "whoami"])).await;
        assert_eq!(status(&out), 0, "{hash}: {}", stderr(&out));
    }
    let old = "PubkeyAcceptedAlgorithms=ssh-rsa";
    let out = output(portal.ssh(&key).args(["-o", old, "alice@127.0.0.1", "whoami"])).await;
    assert_eq!((status(&out), stdout(&out).as_str()), (255, ""), "a SHA-1 signature lets in");
}

#[tokio::test(flavor = "multi_thread")]
async fn weak_keys_cannot_be_brought() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    for (name, flags) in [("dsa", ["-t", "dsa", "-b", "1024"]), ("rsa", ["-t", "rsa", "-b", "1024"])] {
        let key = portal.keygen(name, &flags);
        let line = std::fs::read(key.with_extension("pub")).unwrap();
        let out = portal.run_with(&alice, "alice", &["key", "add", "-"], &line).await;
        assert_eq!((status(&out), stdout(&out).as_str()), (2, ""), "{name}: {}", stderr(&out));
        let every = ["-o", "PubkeyAcceptedAlgorithms=+ssh-dss,ssh-rsa", "alice@127.0.0.1", "whoami"];
        assert_eq!(status(&output(portal.ssh(&key).args(every)).await), 255, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_twentieth_key_of_an_agent_lets_in_without_a_wait() {
    let (portal, _driver) = mock().await;
    let socket = portal.dir.path().join("agent");
    let mut agent = Command::new("ssh-agent");
    agent.args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).kill_on_drop(true);
    let _agent = agent.spawn().unwrap();
    common::until("the agent's socket", async || socket.exists()).await;
    for i in 0..19 {
        let key = portal.keygen(&format!("other{i}"), &["-t", "ed25519"]);
        add_to_agent(&socket, &key).await;
    }
    let right = portal.user_with_key("alice", "user").await;
    add_to_agent(&socket, &right).await;
    let started = Instant::now();
    let mut ssh = portal.ssh_first(&["IdentitiesOnly=no"], Path::new("none"));
    let out = output(ssh.env("SSH_AUTH_SOCK", &socket).args(["alice@127.0.0.1", "whoami"])).await;
    assert_eq!(stdout(&out), "alice\n", "{}", stderr(&out));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

async fn add_to_agent(socket: &Path, key: &Path) {
    let out = output(Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", socket)).await;
    assert!(out.status.success(), "{}", stderr(&out));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_persons_key_lets_nobody_else_in() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    let _bob = portal.user_with_key("bob", "user").await;
    for login in ["bob", "admin", "nobody", "bob+web1", "alice.bob", "ALICE"] {
        let out = portal.run(&alice, login, &["whoami"]).await;
        assert_eq!((status(&out), stdout(&out).as_str()), (255, ""), "{login}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_can_be_switched_off() {
    let (portal, _driver) = mock_with(|c| c.ssh.password_auth = false).await;
    let key = portal.user_with_key("alice", "user").await;
    common::give(&portal.portal, "alice").await;
    let out = portal.run_with_password(PASSWORD, "alice", &["whoami"]).await;
    assert!(stderr(&out).contains("Permission denied (publickey)."), "{}", stderr(&out));
    let mut client = raw::connect(&portal).await;
    assert!(!raw::try_password(&mut client, "alice", PASSWORD).await, "asked without being offered");
    assert_eq!(stdout(&portal.run(&key, "alice", &["whoami"]).await), "alice\n");
}

/// An account with a one-time password; the password.
async fn newcomer(portal: &TestPortal) -> Zeroizing<String> {
    let new = twarga::action::user::UserNew {
        name: "carol".parse().unwrap(),
        role: twarga::model::RoleName::USER,
        key: None,
    };
    portal.portal.perform(&portal.admin, new).await.unwrap().one_time_password.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_does_nothing_before_choosing_a_password() {
    let (portal, _driver) = mock().await;
    let first = newcomer(&portal).await;
    for words in [&["vm", "ls", "--json"][..], &["vm", "new", "web1", "--json"], &["key", "ls", "--json"]] {
        let out = portal.run_with_password(&first, "carol", words).await;
        let error: serde_json::Value = serde_json::from_slice(&out.stderr).unwrap();
        assert_eq!((status(&out), stdout(&out).as_str()), (5, ""));
        assert_eq!(error["error"]["code"], "account.must_change_password");
    }
    let mut ssh = portal.ssh_with_password(&first);
    let file = portal.dir.path().join("passwords");
    std::fs::write(&file, format!("{}\n{PASSWORD}\n", first.as_str())).unwrap();
    ssh.args(["carol@127.0.0.1", "account", "passwd"]).stdin(std::fs::File::open(file).unwrap());
    let out = output(&mut ssh).await;
    assert_eq!(status(&out), 0, "{}", stderr(&out));
    let out = portal.run_with_password(PASSWORD, "carol", &["vm", "ls"]).await;
    assert_eq!(status(&out), 0, "{}", stderr(&out));
    assert_eq!(status(&portal.run_with_password(&first, "carol", &["vm", "ls"]).await), 255);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_at_a_terminal_is_asked_for_a_password_once() {
    let (portal, _driver) = mock().await;
    let first = newcomer(&portal).await;
    let mut ssh = portal.ssh_with_password(&first);
    let mut pty = Pty::spawn(ssh.args(["-t", "carol@127.0.0.1", "account", "passwd"]));
    pty.shows("Password so far:").await;
    pty.send(format!("{}\r", first.as_str())).await;
    pty.shows("New password:").await;
    pty.send("short\r").await;
    pty.shows("The same again:").await;
    pty.send("short\r").await;
    pty.shows("at least 10 characters").await;
    pty.send(format!("{}\r{PASSWORD}\r{PASSWORD}\r", first.as_str())).await;
    pty.shows("The password is changed.").await;
    assert_eq!(pty.ended().await, 0, "{}", pty.screen());
    assert!(!pty.all().contains(PASSWORD) && !pty.all().contains(first.as_str()), "a password is shown");
    let out = portal.run_with_password(PASSWORD, "carol", &["vm", "ls"]).await;
    assert_eq!(status(&out), 0, "{}", stderr(&out));
}

/// The middle one of an odd number of measurements.
fn middle(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_nobody_has_costs_the_same_work() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    for name in ["alice", "gone", "keysonly"] {
        portal.user(name, "user").await;
    }
    portal.user_with_key("keyonly", "user").await;
    p.perform(&portal.admin, UserDisable { name: "gone".parse().unwrap() }).await.unwrap();
    let name = "keysonly".parse().unwrap();
    let off = UserSet { name, role: None, password_login: Some(false), must_change: None };
    p.perform(&portal.admin, off).await.unwrap();
    // Of those that have one, the right password.
    let tries = [
        ("alice", "wrong"),
        ("nobody", "wrong"),
        ("keyonly", "wrong"),
        ("?x\u{1b}", "wrong"),
        ("?invite", "wrong"),
        ("gone", PASSWORD),
        ("keysonly", PASSWORD),
    ];
    // What else the machine does falls on a whole round of tries: each is measured
    // against its own round, and the middle one of many rounds counts.
    const ROUNDS: usize = 15;
    let mut shares = vec![Vec::new(); tries.len()];
    for _ in 0..ROUNDS {
        let mut round = Vec::new();
        for (name, password) in tries {
            let started = Instant::now();
            let password = Zeroizing::new(String::from(password));
            assert!(p.login(portal.address.ip()).password(name, password).await.principal().is_none());
            round.push(started.elapsed().as_secs_f64());
        }
        let usual = middle(round.clone());
        shares.iter_mut().zip(round).for_each(|(shares, took)| shares.push(took / usual));
    }
    // Without its hash a try takes a fiftieth.
    for ((name, _), shares) in tries.iter().zip(shares) {
        let share = middle(shares.clone());
        assert!((0.5..2.0).contains(&share), "{name} takes {share:.2} of the others' time: {shares:.2?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_garbage_are_refused_like_any_other() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    let long = "x".repeat(100_000);
    let names =
        ["", "+", "alice+", "+web1", "alice+a+b", "al\u{1b}[31mice", "alice\0", "alice ", "a\nb", &long];
    for name in names {
        let mut client = raw::connect(&portal).await;
        assert!(!raw::try_password(&mut client, name, PASSWORD).await, "{name:.20?}");
        let mut client = raw::connect(&portal).await;
        assert!(!raw::try_key(&mut client, name, &alice).await, "{name:.20?}");
    }
    let mut ssh = portal.ssh(&alice);
    let out =
        output(ssh.arg("-l").arg(OsString::from_vec(vec![0xff, 0xfe])).args(["127.0.0.1", "whoami"])).await;
    assert_eq!((status(&out), stdout(&out).as_str()), (255, ""));
    assert_eq!(stdout(&portal.run(&alice, "alice", &["whoami"]).await), "alice\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn enormous_passwords_do_no_harm() {
    let (portal, _driver) = mock().await;
    portal.user("alice", "user").await;
    for length in [1025, 30_000, 200_000, 1 << 20] {
        let mut client = raw::connect(&portal).await;
        let long = format!("{PASSWORD}{}", "x".repeat(length));
        assert!(!raw::try_password(&mut client, "alice", &long).await);
    }
    let mut client = raw::connect(&portal).await;
    assert!(raw::try_password(&mut client, "alice", PASSWORD).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guesser_gets_few_tries_on_a_connection() {
    let (portal, _driver) = mock().await;
    portal.user("alice", "user").await;
    let mut client = raw::connect(&portal).await;
    for _ in 0..6 {
        assert!(!raw::try_password(&mut client, "alice", "guess").await);
    }
    assert!(!raw::try_password(&mut client, "alice", PASSWORD).await, "the seventh try counts");
}

/// russh takes a method away once it was refused, unless it is told otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_mistyped_may_be_typed_again() {
    let (portal, _driver) = mock().await;
    portal.user("alice", "user").await;
    let mut client = raw::connect(&portal).await;
    let refused = client.authenticate_password("alice", "seven brown foxez").await.unwrap();
    let AuthResult::Failure { remaining_methods, partial_success } = refused else { panic!("let in") };
    assert!(remaining_methods.contains(&MethodKind::Password), "{remaining_methods:?}");
    assert!(remaining_methods.contains(&MethodKind::PublicKey) && !partial_success);
    assert!(raw::try_password(&mut client, "alice", PASSWORD).await);
}
