//! The second factor at the door: by every client, by every way in, and by those
//! who would rather do without.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/authenticator.rs"]
mod authenticator;
mod common;
#[path = "support/sshd_driver.rs"]
#[allow(dead_code)]
mod sshd_driver;
#[path = "common/wire.rs"]
mod wire;
#[path = "common/work.rs"]
mod work;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;

use authenticator::{App, answering, code, ssh_with_code};
use common::pty::Pty;
use common::{PASSWORD, TestPortal, json, mock, mock_with, output, raw, status, stderr, stdout};
use russh::MethodKind;
use russh::client::{AuthResult, KeyboardInteractiveAuthResponse as Answer};
use russh::keys::PrivateKeyWithHashAlg;
use sshd_driver::SshdDriver;
use tokio::process::Command;
use twarga::action::key::KeyAdd;
use twarga::action::user::UserReset2fa;
use twarga::portal::Principal;
use twarga::portal::auth::Verdict;
use wire::{Key, Message, Wire, field, msg, open_session};
use work::{count, database, make_vm, outcome};
use zeroize::Zeroizing;

/// Alice, with password, key and second factor.
async fn alice(portal: &TestPortal) -> (Principal, PathBuf, App) {
    let who = portal.user("alice", "user").await;
    let key = portal.keygen("alice", &["-t", "ed25519"]);
    let line = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    portal.portal.perform(&who, KeyAdd::of(line)).await.unwrap();
    let app = App::set_up(portal, &who).await;
    (who, key, app)
}

async fn with_code(portal: &TestPortal, key: &Path, code: &str, login: &str, words: &[&str]) -> Output {
    output(ssh_with_code(portal, key, code).arg(format!("{login}@127.0.0.1")).args(words)).await
}

fn assert_kept_out(out: &Output, what: &str) {
    assert_eq!((status(out), stdout(out).as_str()), (255, ""), "{what}: {}", stderr(out));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_counts_when_it_is_confirmed_and_from_then_on() {
    let (portal, _driver) = mock().await;
    let key = portal.user_with_key("alice", "user").await;
    let run = async |words: &[&str]| portal.run(&key, "alice", words).await;
    let made = json(&run(&["account", "totp", "enable", "--text", "--json"]).await);
    let first = made["secret"].as_str().unwrap().to_owned();
    assert!(made["uri"].as_str().unwrap().starts_with("otpauth://totp/Twarga:alice?secret="), "{made}");
    // Another in its place, for it was not confirmed.
    let shown = stdout(&run(&["account", "totp", "enable", "--text"]).await);
    let secret = shown.lines().next().unwrap().strip_prefix("secret").unwrap().trim().to_owned();
    assert!(shown.contains(&format!("secret={secret}&issuer=Twarga")) && secret != first, "{shown}");
    assert_eq!(status(&run(&["whoami"]).await), 0, "it is asked for before it is confirmed");

    let wrong = run(&["account", "totp", "confirm", "--json", &code(&first, 0)]).await;
    assert_eq!((status(&wrong), stdout(&wrong).as_str()), (2, ""));
    assert!(stderr(&wrong).contains("account.code"), "{}", stderr(&wrong));
    // As apps show it, with a blank in the middle.
    let right = code(&secret, 0);
    let confirmed = json(&run(&["account", "totp", "confirm", &right[..3], &right[3..], "--json"]).await);
    let codes = confirmed["backup_codes"].as_array().unwrap();
    assert_eq!(codes.len(), 10);

    let out = run(&["whoami"]).await;
    assert_kept_out(&out, "BatchMode");
    assert!(stderr(&out).contains("Permission denied (keyboard-interactive)"), "{}", stderr(&out));
    assert_kept_out(
        &with_code(&portal, &key, &right, "alice", &["whoami"]).await,
        "the code it was confirmed with",
    );
    let next = code(&secret, 1);
    assert_eq!(stdout(&with_code(&portal, &key, &next, "alice", &["whoami"]).await), "alice\n");
    assert_kept_out(&with_code(&portal, &key, &next, "alice", &["whoami"]).await, "a code once more");
    assert_kept_out(
        &with_code(&portal, &key, &code(&secret, 0), "alice", &["whoami"]).await,
        "a code before it",
    );
    let backup = codes[3].as_str().unwrap();
    let show = ["account", "totp", "show", "--json"];
    let shown = json(&with_code(&portal, &key, backup, "alice", &show).await);
    assert_eq!((shown["enabled"].as_bool(), shown["backup_codes_left"].as_i64()), (Some(true), Some(9)));
    assert_kept_out(&with_code(&portal, &key, backup, "alice", &["whoami"]).await, "a backup code once more");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_comes_after_a_password_and_after_a_key_by_every_method() {
    let (portal, _driver) = mock().await;
    let (_, key, app) = alice(&portal).await;
    let none = Path::new("none");
    let base = ["BatchMode=no", "NumberOfPasswordPrompts=1"];
    for methods in ["password,keyboard-interactive", "keyboard-interactive", "keyboard-interactive,password"]
    {
        let preferred = format!("PreferredAuthentications={methods}");
        let options = [&base[..], &[preferred.as_str(), "PubkeyAuthentication=no"]].concat();
        let run = async |password: &str, code: &str| {
            let mut ssh = portal.ssh_first(&options, none);
            output(answering(&portal, &mut ssh, password, code).args(["alice@127.0.0.1", "whoami"])).await
        };
        let out = run(PASSWORD, &app.fresh(&portal)).await;
        assert_eq!(stdout(&out), "alice\n", "{methods}: {}", stderr(&out));
        assert_kept_out(&run("seven brown foxez", &app.fresh(&portal)).await, "a wrong password");
        assert_kept_out(&run(PASSWORD, &app.wrong()).await, "a wrong code");
        assert_kept_out(&run(PASSWORD, PASSWORD).await, "the password as a code");
    }
    let spaced = app.fresh(&portal);
    let spaced = format!(" {} {} ", &spaced[..3], &spaced[3..]);
    assert_eq!(stdout(&with_code(&portal, &key, &spaced, "alice", &["whoami"]).await), "alice\n");
    let digits = "1".repeat(10_000);
    for no in ["", "abcdef", "12345", "1234567", "123456 123456", digits.as_str(), "\u{1b}[31m", "1234５6"] {
        assert_kept_out(&with_code(&portal, &key, no, "alice", &["whoami"]).await, no);
    }
    let out = with_code(&portal, &key, &app.fresh(&portal), "alice", &["whoami"]).await;
    assert_eq!(stdout(&out), "alice\n", "{}", stderr(&out));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_twenty_keys_and_then_a_code() {
    let (portal, _driver) = mock().await;
    let socket = portal.dir.path().join("agent");
    let mut agent = Command::new("ssh-agent");
    agent.args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).kill_on_drop(true);
    let _agent = agent.spawn().unwrap();
    common::until("the agent's socket", async || socket.exists()).await;
    let (_, right, app) = alice(&portal).await;
    let others: Vec<_> = (0..19).map(|i| portal.keygen(&format!("other{i}"), &["-t", "ed25519"])).collect();
    for key in others.iter().chain([&right]) {
        let out = output(Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", &socket)).await;
        assert!(out.status.success(), "{}", stderr(&out));
    }
    let options = ["IdentitiesOnly=no", "BatchMode=no", "NumberOfPasswordPrompts=1"];
    let mut ssh = portal.ssh_first(&options, Path::new("none"));
    answering(&portal, &mut ssh, "none", &app.fresh(&portal)).env("SSH_AUTH_SOCK", &socket);
    let out = output(ssh.args(["alice@127.0.0.1", "whoami"])).await;
    assert_eq!(stdout(&out), "alice\n", "{}", stderr(&out));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_connection_is_asked_once() {
    let (portal, _driver) = mock().await;
    let (_, key, app) = alice(&portal).await;
    let control = format!("ControlPath={}", portal.dir.path().join("master").display());
    let mut master = ssh_with_code(&portal, &key, &app.fresh(&portal));
    master.args(["-o", "ControlMaster=yes", "-o", &control, "-N", "alice@127.0.0.1"]);
    let _master = master.spawn().unwrap();
    common::until("the master", async || portal.dir.path().join("master").exists()).await;
    for _ in 0..3 {
        let mut ssh = portal.ssh(&key);
        let out = output(ssh.args(["-o", &control, "alice@127.0.0.1", "whoami"])).await;
        assert_eq!(stdout(&out), "alice\n", "{}", stderr(&out));
    }
}

/// A client that jumps through the portal into `web1`.
fn jump(portal: &TestPortal, key: &Path) -> Command {
    let dir = portal.dir.path();
    let config = dir.join("jump_config");
    let text = format!(
        "Host portal\nHostName 127.0.0.1\nPort {}\nUser alice\nNumberOfPasswordPrompts 1\n\
         Host *\nIdentityFile {}\nIdentitiesOnly yes\nLogLevel INFO\nStrictHostKeyChecking accept-new\n\
         UserKnownHostsFile {}\n",
        portal.address.port(),
        key.display(),
        dir.join("known_jumps").display()
    );
    std::fs::write(&config, text).unwrap();
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(config).args(["-J", "portal", "root@web1", "echo inside"]);
    ssh.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    ssh
}

fn sftp(portal: &TestPortal, key: &Path, file: &Path) -> Command {
    let batch = portal.dir.path().join("sftp_batch");
    std::fs::write(&batch, format!("get /etc/hostname {}\n", file.display())).unwrap();
    let mut sftp = Command::new("sftp");
    // Not by `-b`, which switches questions off; and the first value counts.
    sftp.args(["-o", "BatchMode=no", "-o", "NumberOfPasswordPrompts=1"]).args(portal.flags(key));
    sftp.args(["-q", "-P", &portal.address.port().to_string()]);
    sftp.arg("alice+web1@127.0.0.1").stdin(std::fs::File::open(batch).unwrap());
    sftp.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    sftp
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_in_asks_for_it() {
    let portal = TestPortal::start(Arc::new(SshdDriver::default()), |_| {}).await;
    portal.install_fake_image();
    let (who, key, app) = alice(&portal).await;
    make_vm(&portal.portal, &who, "web1").await;

    // A command, lines from a pipe, a command inside.
    for (login, words) in
        [("alice", &["whoami"][..]), ("alice", &[]), ("alice+web1", &["echo", "inside"]), ("alice+web1", &[])]
    {
        for code in [None, Some(app.wrong())] {
            let out = match code {
                None => portal.run(&key, login, words).await,
                Some(code) => with_code(&portal, &key, &code, login, words).await,
            };
            assert_kept_out(&out, &format!("{login} {words:?}"));
        }
        let out = with_code(&portal, &key, &app.fresh(&portal), login, words).await;
        assert_eq!(status(&out), 0, "{login} {words:?}: {}", stderr(&out));
    }
    // The full screen.
    let mut ssh = ssh_with_code(&portal, &key, &app.wrong());
    let mut pty = Pty::spawn(ssh.args(["-t", "alice@127.0.0.1"]));
    assert_eq!(pty.ended().await, 255, "{}", pty.screen());
    let mut ssh = ssh_with_code(&portal, &key, &app.fresh(&portal));
    let mut pty = Pty::spawn(ssh.args(["-t", "alice@127.0.0.1"]));
    pty.shows("web1").await;
    pty.send("q").await;
    // A jump.
    let mut ssh = jump(&portal, &key);
    answering(&portal, &mut ssh, "none", &app.wrong());
    assert_kept_out(&output(&mut ssh).await, "-J");
    let mut ssh = jump(&portal, &key);
    answering(&portal, &mut ssh, "none", &app.fresh(&portal));
    let out = output(&mut ssh).await;
    assert_eq!(stdout(&out), "inside\n", "{}", stderr(&out));
    // Files.
    let file = portal.dir.path().join("got");
    let mut wrong = sftp(&portal, &key, &file);
    let out = output(answering(&portal, &mut wrong, "none", &app.wrong())).await;
    assert!(status(&out) != 0 && !file.exists(), "{}", stderr(&out));
    let mut right = sftp(&portal, &key, &file);
    let out = output(answering(&portal, &mut right, "none", &app.fresh(&portal))).await;
    assert!(status(&out) == 0 && file.exists(), "{}", stderr(&out));
}

/// What an attacker has who has stolen a key.
async fn half_way(portal: &TestPortal, key: &Path) -> Wire {
    let mut wire = Wire::connect(portal.address, 1).await.unwrap();
    wire.ask_to_sign_in().await.unwrap();
    let request = wire.signed_request("alice", &Key::read(key));
    wire.writer.packet(request).await.unwrap();
    assert_eq!(failure(&mut wire).await, ("keyboard-interactive".to_owned(), true));
    wire
}

/// The next word on the login: the methods that are left, and whether part of it is done.
async fn failure(wire: &mut Wire) -> (String, bool) {
    let kinds = [msg::USERAUTH_FAILURE, msg::USERAUTH_SUCCESS, msg::CHANNEL_OPEN_CONFIRMATION];
    let answer = wire.reader.next_of(&kinds).await.unwrap();
    assert_eq!(answer[0], msg::USERAUTH_FAILURE, "let in, or a channel is open");
    let (methods, at) = field(&answer, 1);
    (String::from_utf8(methods.to_vec()).unwrap(), answer[at] == 1)
}

fn info_response(answers: &[&str]) -> Vec<u8> {
    let message = Message::new(msg::USERAUTH_INFO_RESPONSE).int(u32::try_from(answers.len()).unwrap());
    answers.iter().fold(message, |m, answer| m.text(answer)).0
}

fn ask_interactively(login: &str) -> Vec<u8> {
    let request = Message::new(msg::USERAUTH_REQUEST).text(login).text("ssh-connection");
    request.text("keyboard-interactive").text("").text("").0
}

#[tokio::test(flavor = "multi_thread")]
async fn no_channel_is_had_between_the_two_factors() {
    let (portal, _driver) = mock().await;
    let (who, key, app) = alice(&portal).await;
    make_vm(&portal.portal, &who, "web1").await;
    let mut wire = half_way(&portal, &key).await;
    let forward = Message::new(msg::CHANNEL_OPEN).text("direct-tcpip").int(1).int(1 << 20).int(1 << 15);
    let forward = forward.text("web1").int(22).text("127.0.0.1").int(1).0;
    let streamlocal = Message::new(msg::CHANNEL_OPEN).text("direct-streamlocal@openssh.com");
    let streamlocal = streamlocal.int(2).int(1 << 20).int(1 << 15).text("/run/x").text("").int(0).0;
    let listen = Message::new(msg::GLOBAL_REQUEST).text("tcpip-forward").byte(1).text("").int(0).0;
    for attempt in [open_session(0, 1 << 20, 1 << 15), forward, streamlocal, listen] {
        wire.writer.packet(attempt).await.unwrap();
    }
    // The next answer is one on the login: to those there was none, and no channel.
    wire.writer.packet(wire::password("alice", "wrong")).await.unwrap();
    assert_eq!(failure(&mut wire).await, ("keyboard-interactive".to_owned(), false));
    // A first factor twice is not two.
    wire.writer.packet(wire::password("alice", PASSWORD)).await.unwrap();
    assert_eq!(failure(&mut wire).await, ("keyboard-interactive".to_owned(), true));
    let again = wire.signed_request("alice", &Key::read(&key));
    wire.writer.packet(again).await.unwrap();
    assert_eq!(failure(&mut wire).await, ("keyboard-interactive".to_owned(), true));
    // An answer to what was not asked.
    wire.writer.packet(info_response(&[&app.fresh(&portal)])).await.unwrap();
    failure(&mut wire).await;
    let db = database(&portal);
    let logins = "SELECT count(*) FROM events WHERE action = 'session.login' AND outcome = 'success' AND actor = 'alice'";
    // By its password, when the test set it up.
    assert_eq!(count(&db, logins), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_counts_for_the_name_that_showed_the_first_factor() {
    let (portal, _driver) = mock().await;
    let (_, key, app) = alice(&portal).await;
    let bob = portal.user("bob", "user").await;
    let bobs = App::set_up(&portal, &bob).await;
    // Bob's code after alice's key, for either of them.
    for (login, code) in
        [("bob", bobs.fresh(&portal)), ("alice", bobs.fresh(&portal)), ("bob", app.fresh(&portal))]
    {
        let mut wire = half_way(&portal, &key).await;
        wire.writer.packet(ask_interactively(login)).await.unwrap();
        wire.reader.next_of(&[msg::USERAUTH_PK_OK]).await.unwrap();
        wire.writer.packet(info_response(&[&code])).await.unwrap();
        assert!(!failure(&mut wire).await.1, "{login}");
        if login == "bob" {
            // And back: what alice had shown is forgotten.
            wire.writer.packet(ask_interactively("alice")).await.unwrap();
            wire.reader.next_of(&[msg::USERAUTH_PK_OK]).await.unwrap();
            wire.writer.packet(info_response(&[&app.fresh(&portal)])).await.unwrap();
            assert!(!failure(&mut wire).await.1);
        }
    }
    // A VM of hers is still she.
    let mut wire = half_way(&portal, &key).await;
    wire.writer.packet(ask_interactively("alice+web1")).await.unwrap();
    wire.reader.next_of(&[msg::USERAUTH_PK_OK]).await.unwrap();
    wire.writer.packet(info_response(&[&app.fresh(&portal), "more", ""])).await.unwrap();
    wire.reader.next_of(&[msg::USERAUTH_SUCCESS]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn three_wrong_codes_end_a_connection_and_ten_an_address_for_a_while() {
    let (portal, _driver) = mock().await;
    let (_, key, app) = alice(&portal).await;
    let from = "127.0.0.9".parse().unwrap();
    let mut client = raw::connect(&portal).await;
    let shown = PrivateKeyWithHashAlg::new(raw::private(&key), None);
    let AuthResult::Failure { remaining_methods, partial_success } =
        client.authenticate_publickey("alice", shown).await.unwrap()
    else {
        panic!("let in by a key alone")
    };
    assert!(
        partial_success && *remaining_methods == [MethodKind::KeyboardInteractive],
        "{remaining_methods:?}"
    );
    for _ in 0..3 {
        let asked = client.authenticate_keyboard_interactive_start("alice", None).await.unwrap();
        assert!(
            matches!(&asked, Answer::InfoRequest { prompts, .. } if prompts[0].prompt == "Code: " && !prompts[0].echo)
        );
        let answer = client.authenticate_keyboard_interactive_respond(vec![app.wrong()]).await.unwrap();
        assert!(matches!(answer, Answer::Failure { .. }), "{answer:?}");
    }
    assert!(client.authenticate_keyboard_interactive_start("alice", None).await.is_err(), "it goes on");

    let seen = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let fingerprint = twarga::portal::keys::parse_public(&seen).unwrap().fingerprint;
    let answer = async |from, code: String| {
        let mut login = portal.portal.login(from);
        assert!(matches!(login.key("alice", fingerprint.clone()).await, Verdict::More));
        login.code("alice", &Zeroizing::new(code)).await.principal().is_some()
    };
    for _ in 0..10 {
        assert!(!answer(from, app.wrong()).await);
    }
    assert!(!answer(from, app.fresh(&portal)).await, "the eleventh try from there counts");
    // Not from elsewhere: nobody is locked out by somebody else's guesses.
    assert!(answer("127.0.0.10".parse().unwrap(), app.fresh(&portal)).await);
    let told = "SELECT count(*) FROM events WHERE action = 'session.second_factor' AND severity = 'medium'
        AND actor = 'alice' AND outcome = 'failure' AND source_ip = '127.0.0.9'";
    assert_eq!(count(&database(&portal), told), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_use_one_backup_code_at_once_one_gets_in() {
    let (portal, _driver) = mock().await;
    let (_, _, app) = alice(&portal).await;
    for backup in app.backup_codes.iter().take(5) {
        let tries: Vec<_> = (0..8)
            .map(|n| {
                let (p, code) = (portal.portal.clone(), Zeroizing::new(backup.to_uppercase()));
                tokio::spawn(async move {
                    let mut login = p.login(std::net::IpAddr::from([127, 0, 1, n]));
                    let first = login.password("alice", Zeroizing::new(PASSWORD.to_owned())).await;
                    assert!(matches!(first, Verdict::More));
                    login.code("alice", &code).await.principal().is_some()
                })
            })
            .collect();
        let mut let_in = 0;
        for one in tries {
            let_in += u32::from(one.await.unwrap());
        }
        assert_eq!(let_in, 1);
    }
    let left = "SELECT count(*) FROM backup_codes WHERE used_at IS NULL";
    assert_eq!(count(&database(&portal), left), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_use_one_code_at_once_one_gets_in() {
    let (portal, _driver) = mock().await;
    let (_, _, app) = alice(&portal).await;
    let code = Zeroizing::new(app.fresh(&portal));
    let tries: Vec<_> = (0..8)
        .map(|n| {
            let (p, code) = (portal.portal.clone(), code.clone());
            tokio::spawn(async move {
                let mut login = p.login(std::net::IpAddr::from([127, 0, 2, n]));
                let _ = login.password("alice", Zeroizing::new(PASSWORD.to_owned())).await;
                login.code("alice", &code).await.principal().is_some()
            })
        })
        .collect();
    let mut let_in = 0;
    for one in tries {
        let_in += u32::from(one.await.unwrap());
    }
    assert_eq!(let_in, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_address_is_not_asked_again_and_others_are() {
    let (portal, _driver) = mock_with(|c| c.ssh.remember_second_factor_s = 3600).await;
    let (_, key, app) = alice(&portal).await;
    assert_kept_out(&portal.run(&key, "alice", &["whoami"]).await, "nobody was there before");
    assert_kept_out(&with_code(&portal, &key, &app.wrong(), "alice", &["whoami"]).await, "a wrong code");
    assert_kept_out(&portal.run(&key, "alice", &["whoami"]).await, "after a wrong code");
    let out = with_code(&portal, &key, &app.fresh(&portal), "alice", &["whoami"]).await;
    assert_eq!(stdout(&out), "alice\n", "{}", stderr(&out));
    assert_eq!(stdout(&portal.run(&key, "alice", &["whoami"]).await), "alice\n");
    let elsewhere = ["-b", "127.0.0.7", "alice@127.0.0.1", "whoami"];
    assert_kept_out(&output(portal.ssh(&key).args(elsewhere)).await, "from elsewhere");
    let db = database(&portal);
    let told = "SELECT count(*) FROM events WHERE action = 'session.login' AND outcome = 'success'
        AND details LIKE '%remembered_address%'";
    assert_eq!(count(&db, told), 1);
    db.execute("UPDATE remembered_addresses SET proven_at = proven_at - 3600000", []).unwrap();
    assert_kept_out(&portal.run(&key, "alice", &["whoami"]).await, "long after");
}

/// From now on accounts with the role `user` have to have one.
fn demand(portal: &TestPortal) {
    let sql = "INSERT INTO roles (name, second_factor, created_at) VALUES ('user', 1, 0)";
    database(portal).execute(sql, []).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_yet_to_set_one_up_does_nothing_else() {
    let portal = TestPortal::start(Arc::new(SshdDriver::default()), |_| {}).await;
    portal.install_fake_image();
    let key = portal.user_with_key("alice", "user").await;
    let run = async |words: &[&str]| portal.run(&key, "alice", words).await;
    assert_eq!(status(&run(&["vm", "new", "web1"]).await), 0);
    demand(&portal);
    for words in [&["vm", "ls", "--json"][..], &["vm", "new", "web2", "--json"], &["key", "ls", "--json"]] {
        let out = run(words).await;
        let error: serde_json::Value = serde_json::from_slice(&out.stderr).unwrap();
        assert_eq!((status(&out), stdout(&out).as_str()), (5, ""));
        assert_eq!(error["error"]["code"], "account.second_factor_missing");
    }
    for words in [&["whoami"][..], &["account", "show"], &["account", "totp", "show"], &["help"]] {
        assert_eq!(status(&run(words).await), 0, "{words:?}");
    }
    let inside = portal.run(&key, "alice+web1", &["echo", "inside"]).await;
    assert_eq!((status(&inside), stdout(&inside).as_str()), (5, ""));
    assert!(stderr(&inside).contains("A second factor is demanded"), "{}", stderr(&inside));
    let jumped = output(&mut jump(&portal, &key)).await;
    assert_kept_out(&jumped, "-J");
    assert!(stderr(&jumped).contains("A second factor is demanded"), "{}", stderr(&jumped));

    let shown = json(&run(&["account", "totp", "enable", "--json"]).await);
    let secret = shown["secret"].as_str().unwrap();
    assert_eq!(status(&run(&["account", "totp", "confirm", &code(secret, 0)]).await), 0);
    let next = code(secret, 1);
    assert_eq!(status(&with_code(&portal, &key, &next, "alice", &["vm", "ls"]).await), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_terminal_it_is_set_up_then_and_there() {
    let (portal, _driver) = mock().await;
    let key = portal.user_with_key("alice", "user").await;
    demand(&portal);
    let mut ssh = portal.ssh(&key);
    let mut pty = Pty::spawn_sized(ssh.args(["-t", "alice@127.0.0.1"]), 100, 40);
    pty.shows("Your role demands a second factor").await;
    pty.shows("The code that it shows:").await;
    assert!(pty.screen().contains('▀') && pty.all().contains("\u{1b}[38;5;16;48;5;231m"), "{}", pty.screen());
    let screen = pty.screen();
    let secret = screen.split("type it in: ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    pty.send("000\r").await;
    pty.shows("That code is not right").await;
    pty.send(format!("{}\r", code(&secret, 0))).await;
    pty.shows("Backup codes").await;
    pty.send("\r").await;
    pty.shows("Dashboard").await;
    pty.send("q").await;
    assert_kept_out(&portal.run(&key, "alice", &["whoami"]).await, "from now on it is asked for");
    let mut ssh = ssh_with_code(&portal, &key, &code(&secret, 1));
    let pty = Pty::spawn(ssh.args(["-t", "alice@127.0.0.1"]));
    pty.shows("Dashboard").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_taken_off_by_the_password_and_by_administrators() {
    let (portal, _driver) = mock().await;
    let (_, key, app) = alice(&portal).await;
    let feed = async |words: &[&str], input: &str| {
        let file = portal.dir.path().join("input");
        std::fs::write(&file, input).unwrap();
        let mut ssh = ssh_with_code(&portal, &key, &app.fresh(&portal));
        let stdin = std::fs::File::open(file).unwrap();
        output(ssh.arg("alice@127.0.0.1").args(words).stdin(stdin)).await
    };
    let again = feed(&["account", "totp", "enable"], "").await;
    assert_eq!(status(&again), 4, "{}", stderr(&again));
    let renewed = json(&feed(&["account", "totp", "backup-codes", "--json"], PASSWORD).await);
    let backup = renewed["backup_codes"][0].as_str().unwrap();
    assert_kept_out(
        &with_code(&portal, &key, &app.backup_codes[0], "alice", &["whoami"]).await,
        "an old backup code",
    );
    for (input, expected) in [("", 2), ("not it\n", 2), (backup, 2)] {
        let out = feed(&["account", "totp", "disable"], input).await;
        assert_eq!(status(&out), expected, "{input}: {}", stderr(&out));
    }
    assert_eq!(status(&feed(&["account", "totp", "backup-codes"], "nothing\n").await), 2);
    let out = feed(&["account", "totp", "disable"], &format!("{PASSWORD}\n")).await;
    assert_eq!(status(&out), 0, "{}", stderr(&out));
    assert_eq!(stdout(&portal.run(&key, "alice", &["whoami"]).await), "alice\n");

    let alice = portal.sign_in("alice", PASSWORD).await;
    App::set_up(&portal, &alice).await;
    assert_kept_out(&portal.run(&key, "alice", &["whoami"]).await, "it is on again");
    let reset = || UserReset2fa { name: "alice".parse().unwrap() };
    assert_eq!(outcome(&portal.portal, &portal.admin, reset()).await, "done");
    assert_eq!(outcome(&portal.portal, &portal.admin, reset()).await, "not_found");
    assert_eq!(stdout(&portal.run(&key, "alice", &["whoami"]).await), "alice\n");
    let told = "SELECT count(*) FROM events WHERE action = 'user.reset_2fa' AND outcome = 'success' AND target = 'alice'";
    assert_eq!(count(&database(&portal), told), 1);
}
