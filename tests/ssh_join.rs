//! Coming by an account: invitations, registration, and tokens for another
//! password, with real OpenSSH clients.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/work.rs"]
mod work;

use std::path::Path;
use std::process::{Output, Stdio};

use common::pty::Pty;
use common::{PASSWORD, TestPortal, json, mock, mock_with, output, raw, status, stderr, stdout};
use tokio::process::Command;
use twarga::action::invite::InviteNew;
use twarga::action::key::KeyLs;
use twarga::action::session::SessionLs;
use twarga::action::user::{UserPasswdReset, UserSet};
use twarga::model::RoleName;
use work::{count, database};

/// A login that an invitation gives, for so many accounts.
async fn invitation(portal: &TestPortal, uses: u32) -> String {
    let new = InviteNew {
        role: RoleName::USER,
        credits: None,
        expires: 3600,
        uses,
        group: None,
        count: None,
        csv: false,
    };
    let made = portal.portal.perform(&portal.admin, new).await.unwrap();
    format!("invite+{}", made[0].token.as_str())
}

async fn reset(portal: &TestPortal, name: &str) -> String {
    let new = UserPasswdReset { name: name.parse().unwrap() };
    let made = portal.portal.perform(&portal.admin, new).await.unwrap();
    format!("reset+{}", made.token.as_str())
}

/// `ssh` of somebody at a terminal, without a key.
fn keyless(portal: &TestPortal) -> Command {
    let options = ["BatchMode=no", "PubkeyAuthentication=no", "NumberOfPasswordPrompts=1"];
    portal.ssh_first(&options, Path::new("none"))
}

/// The same without a terminal, with that on standard input.
async fn keyless_with(portal: &TestPortal, login: &str, words: &[&str], input: &str) -> Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), input).unwrap();
    let mut ssh = keyless(portal);
    // Nobody is there to be asked.
    ssh.env("SSH_ASKPASS", "/bin/false").env("SSH_ASKPASS_REQUIRE", "force");
    ssh.arg(format!("{login}@127.0.0.1")).args(words).stdin(Stdio::from(file.reopen().unwrap()));
    output(&mut ssh).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_with_a_key_takes_one_command() {
    let (portal, _driver) = mock().await;
    let key = portal.keygen("alice", &["-t", "ed25519"]);
    let login = invitation(&portal, 2).await;
    let out = portal.run(&key, &login, &["alice"]).await;
    assert_eq!(status(&out), 0, "{}", stderr(&out));
    assert!(stdout(&out).contains("alice@PORTAL"), "{}", stdout(&out));
    assert_eq!(stdout(&portal.run(&key, "alice", &["whoami"]).await), "alice\n");
    for (words, code, said) in [
        (&["alice"][..], 4, "already"),
        (&["Alice"], 2, "cannot be the name"),
        (&["register"], 2, "something else"),
        (&[], 2, "missing"),
        (&["a", "b"], 2, "nothing else"),
        (&["vm", "ls"], 2, "nothing else"),
    ] {
        let out = portal.run(&key, &login, words).await;
        assert_eq!((status(&out), stdout(&out).as_str()), (code, ""), "{words:?}: {}", stderr(&out));
        assert!(stderr(&out).contains(said), "{words:?}: {}", stderr(&out));
    }
    let out = portal.run(&key, &login, &["admin", "--json"]).await;
    let error: serde_json::Value = serde_json::from_slice(&out.stderr).unwrap();
    assert_eq!((error["error"]["code"].as_str(), stdout(&out).as_str()), (Some("exists"), ""));
    let made = json(&portal.run(&key, &login, &["bob", "--json"]).await);
    assert_eq!((made["name"].as_str(), made["role"].as_str()), (Some("bob"), Some("user")));
    assert_eq!(status(&portal.run(&key, &login, &["carol"]).await), 255, "it is used up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_with_a_key_is_walked_through_on_a_terminal() {
    let (portal, _driver) = mock().await;
    let key = portal.keygen("alice", &["-t", "ed25519"]);
    let login = invitation(&portal, 1).await;
    let mut pty = Pty::spawn(portal.ssh(&key).args(["-t", &format!("{login}@127.0.0.1")]));
    pty.shows("What shall your account be called?").await;
    pty.send("Alice\r").await;
    pty.shows("cannot be the name").await;
    pty.send("admin\r").await;
    pty.shows("“admin” already").await;
    pty.send("alice\r").await;
    pty.shows("Sign in with that key").await;
    pty.send("\r").await;
    pty.shows("The account alice is made").await;
    pty.shows("alice@PORTAL").await;
    assert_eq!(pty.ended().await, 0, "{}", pty.screen());
    assert_eq!(stdout(&portal.run(&key, "alice", &["whoami"]).await), "alice\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_without_a_key_chooses_a_password() {
    let (portal, _driver) = mock().await;
    let login = invitation(&portal, 1).await;
    let mut pty = Pty::spawn(keyless(&portal).args(["-t", &format!("{login}@127.0.0.1")]));
    pty.shows("What shall your account be called?").await;
    pty.send("alice\r").await;
    pty.shows("New password").await;
    pty.send("password1234\rpassword1234\r").await;
    pty.shows("too easy to guess").await;
    pty.send(format!("{PASSWORD}\rsomething else\r")).await;
    pty.shows("not the same").await;
    pty.send(format!("{PASSWORD}\r{PASSWORD}\r")).await;
    pty.shows("The account alice is made").await;
    assert_eq!(pty.ended().await, 0, "{}", pty.screen());
    assert!(!pty.all().contains(PASSWORD), "the password is shown");
    let out = portal.run_with_password(PASSWORD, "alice", &["whoami"]).await;
    assert_eq!(stdout(&out), "alice\n", "{}", stderr(&out));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_the_password_comes_from_standard_input() {
    let (portal, _driver) = mock().await;
    let login = invitation(&portal, 1).await;
    let out = keyless_with(&portal, &login, &["alice"], "").await;
    assert_eq!(status(&out), 2, "{}", stderr(&out));
    let out = keyless_with(&portal, &login, &["alice"], "qwertyuiop12\n").await;
    assert_eq!(status(&out), 2, "{}", stderr(&out));
    let out = keyless_with(&portal, &login, &["alice"], &"x".repeat(100_000)).await;
    assert_eq!(status(&out), 2, "{}", stderr(&out));
    let out = keyless_with(&portal, &login, &["alice"], &format!("{PASSWORD}\r\n")).await;
    assert_eq!(status(&out), 0, "{}", stderr(&out));
    let out = portal.run_with_password(PASSWORD, "alice", &["whoami"]).await;
    assert_eq!(stdout(&out), "alice\n", "{}", stderr(&out));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_worth_nothing_looks_like_a_name_that_nobody_has() {
    let (portal, _driver) = mock().await;
    let key = portal.keygen("x", &["-t", "ed25519"]);
    let (used, expired) = (invitation(&portal, 1).await, invitation(&portal, 1).await);
    assert_eq!(status(&portal.run(&key, &used, &["alice"]).await), 0);
    let db = database(&portal);
    db.execute("UPDATE invitations SET expires_at = 1 WHERE used = 0", []).unwrap();
    let unknown = portal.run(&key, "nobody", &["bob"]).await;
    let with_password = portal.run_with_password(PASSWORD, "nobody", &["bob"]).await;
    for login in
        [&used, &expired, "invite+garbage", "invite+", "reset+garbage", "reset+", "register", "invite"]
    {
        for (out, as_of) in [
            (portal.run(&key, login, &["bob"]).await, &unknown),
            (portal.run_with_password(PASSWORD, login, &["bob"]).await, &with_password),
        ] {
            assert_eq!((status(&out), stdout(&out).as_str()), (255, ""), "{login}");
            assert_eq!(stderr(&out).replace(login, "X"), stderr(as_of).replace("nobody", "X"));
        }
    }
    assert_eq!(count(&db, "SELECT count(*) FROM users"), 2);
    for login in [&used, &expired] {
        let token = login.split('+').nth(1).unwrap();
        let sql = format!("SELECT count(*) FROM events WHERE instr(actor || message || details, '{token}')");
        assert_eq!(count(&db, &sql), 0, "a token is in the events");
    }
    assert!(count(&db, "SELECT count(*) FROM events WHERE actor = '?invite' AND outcome = 'failure'") > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_has_a_welcome_and_nothing_else() {
    let (portal, _driver) = mock().await;
    let key = portal.keygen("x", &["-t", "ed25519"]);
    let login = invitation(&portal, 5).await;
    let client = raw::sign_in(&portal, &login, &key).await;
    for (host, port) in [("web1", 22), ("127.0.0.1", 22), ("localhost", u32::from(portal.address.port()))] {
        assert!(client.channel_open_direct_tcpip(host, port, "127.0.0.1", 1).await.is_err(), "{host}");
    }
    let first = client.channel_open_session().await.unwrap();
    assert!(client.channel_open_session().await.is_err(), "two welcomes at once");
    let listed = portal.portal.perform(&portal.admin, SessionLs { all: true }).await.unwrap();
    let newcomer = listed.iter().find(|s| s.user == "?invite").expect("listed");
    portal.portal.sessions().get(&newcomer.id).unwrap().kill.cancel();
    drop(first);
    common::until("its connection ends", async || client.is_closed()).await;
    let client = raw::sign_in(&portal, &login, &key).await;
    let mut channel = client.channel_open_session().await.unwrap();
    channel.request_subsystem(true, "sftp").await.unwrap();
    assert_eq!(raw::collect(&mut channel).await.status, Some(2));
    let mut ssh = portal.ssh(&key);
    let out = output(ssh.args(["-W", "web1:22", &format!("{login}@127.0.0.1")])).await;
    assert_eq!((status(&out), stdout(&out).as_str()), (255, ""));
    assert_eq!(count(&database(&portal), "SELECT count(*) FROM users"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_registration_is_open_anybody_may_come() {
    let (portal, _driver) = mock_with(|c| c.registration.mode = String::from("open")).await;
    let key = portal.keygen("alice", &["-t", "ed25519"]);
    assert_eq!(status(&portal.run(&key, "register", &["alice"]).await), 0);
    assert_eq!(stdout(&portal.run(&key, "alice", &["whoami"]).await), "alice\n");
    let mut pty = Pty::spawn(keyless(&portal).args(["-t", "register@127.0.0.1"]));
    pty.shows("What shall your account be called?").await;
    pty.send("bob\r").await;
    pty.shows("New password").await;
    pty.send(format!("{PASSWORD}\r{PASSWORD}\r")).await;
    pty.shows("The account bob is made").await;
    assert_eq!(pty.ended().await, 0);
    // Whoever thinks better of it leaves nothing.
    let mut pty = Pty::spawn(keyless(&portal).args(["-t", "register@127.0.0.1"]));
    pty.shows("What shall your account be called?").await;
    pty.send("\x03").await;
    assert_eq!(pty.ended().await, 1);
    for name in ["carol", "dave", "erin"] {
        assert_eq!(status(&portal.run(&key, "register", &[name]).await), 0);
    }
    let out = portal.run(&key, "register", &["frank"]).await;
    assert_eq!(status(&out), 6, "{}", stderr(&out));
    assert_eq!(count(&database(&portal), "SELECT count(*) FROM users"), 6);
    let roles = "SELECT count(*) FROM users WHERE role <> 'user'";
    assert_eq!(count(&database(&portal), roles), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_another_password_asks_for_that_and_nothing_else() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    let alice = portal.user("alice", "user").await;
    let login = reset(&portal, "alice").await;
    let mut pty = Pty::spawn(keyless(&portal).args(["-t", &format!("{login}@127.0.0.1")]));
    pty.shows("Another password for alice").await;
    pty.send("short\rshort\r").await;
    pty.shows("at least 10 characters").await;
    pty.send("nine purple toads\rnine purple toads\r").await;
    pty.shows("is changed").await;
    assert_eq!(pty.ended().await, 0, "{}", pty.screen());
    assert!(alice.session().kill.is_cancelled());
    assert_eq!(status(&keyless_with(&portal, &login, &[], "seven green snails\n").await), 255, "twice");
    assert_eq!(stdout(&portal.run_with_password("nine purple toads", "alice", &["whoami"]).await), "alice\n");
    assert_eq!(status(&portal.run_with_password(PASSWORD, "alice", &["whoami"]).await), 255);
    let login = reset(&portal, "alice").await;
    assert_eq!(status(&keyless_with(&portal, &login, &["eve"], "seven green snails\n").await), 2);
    assert_eq!(status(&keyless_with(&portal, &login, &[], "seven green snails\n").await), 0);
    let alice = portal.sign_in("alice", "seven green snails").await;
    assert!(p.perform(&alice, KeyLs {}).await.unwrap().is_empty());
    // It is no way around what keeps an account from signing in with a password.
    let login = reset(&portal, "alice").await;
    let name = "alice".parse().unwrap();
    let off = UserSet { name, role: None, password_login: Some(false), must_change: None };
    p.perform(&portal.admin, off).await.unwrap();
    assert_eq!(status(&keyless_with(&portal, &login, &[], &format!("{PASSWORD}\n")).await), 0);
    assert_eq!(status(&portal.run_with_password(PASSWORD, "alice", &["whoami"]).await), 255);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_is_invited_and_imported_by_one_command() {
    let (portal, _driver) = mock().await;
    let admin = portal.user_with_key("boss", "admin").await;
    assert_eq!(status(&portal.run(&admin, "boss", &["group", "new", "class7"]).await), 0);
    let words = ["invite", "new", "--group", "class7", "--count", "30", "--csv"];
    let out = portal.run(&admin, "boss", &words).await;
    let text = stdout(&out);
    assert_eq!((status(&out), text.lines().count()), (0, 31), "{}", stderr(&out));
    assert_eq!(text.lines().next(), Some("id,command,role,group,expires_at"));
    let login = text.lines().nth(1).unwrap().split(['@', ' ']).find(|w| w.starts_with("invite+")).unwrap();
    let key = portal.keygen("pupil", &["-t", "ed25519"]);
    assert_eq!(status(&portal.run(&key, login, &["pupil"]).await), 0);
    let listed = json(&portal.run(&admin, "boss", &["invite", "ls", "--json"]).await);
    assert_eq!(listed.as_array().unwrap().len(), 30);
    let one = json(&portal.run(&admin, "boss", &["invite", "new", "--json"]).await);
    assert!(one["token"].as_str().unwrap().len() >= 26 && one["uses"] == 1);

    let list = "name,group\r\nanna,class7\r\nbert,class7\r\n";
    let out = portal.run_with(&admin, "boss", &["user", "import"], list.as_bytes()).await;
    assert_eq!(status(&out), 0, "{}", stderr(&out));
    let row: Vec<String> = stdout(&out).lines().nth(1).unwrap().split(',').map(str::to_owned).collect();
    assert_eq!(row[..3], ["anna", "user", "class7"]);
    let out = portal.run_with_password(&row[3], "anna", &["whoami"]).await;
    assert_eq!(stdout(&out), "anna\n", "{}", stderr(&out));
    let list = b"name\ncl\xe4ra\n";
    let out = portal.run_with(&admin, "boss", &["user", "import", "-"], list).await;
    assert_eq!((status(&out), stdout(&out).as_str()), (2, ""));
    assert!(stderr(&out).contains("line 2: it is not UTF-8"), "{}", stderr(&out));
    let long = "x\n".repeat(100_000);
    let out = portal.run_with(&admin, "boss", &["user", "import"], format!("name\n{long}").as_bytes()).await;
    assert_eq!(status(&out), 2);
    assert_eq!(status(&portal.run(&admin, "boss", &["user", "rm", "anna"]).await), 2, "without --yes");
    assert_eq!(status(&portal.run(&admin, "boss", &["user", "rm", "anna", "--yes"]).await), 0);
    assert_eq!(status(&portal.run(&admin, "boss", &["user", "show", "anna"]).await), 3);
}
