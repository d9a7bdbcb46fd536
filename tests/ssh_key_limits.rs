//! Keys that may do less than their accounts: each limit, tried from outside of it
//! by every way that OpenSSH knows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "support/sshd_driver.rs"]
#[allow(dead_code)]
mod sshd_driver;
#[path = "common/ways.rs"]
mod ways;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::process::Stdio;

use common::pty::Pty;
use common::{TestPortal, json, mock, output, status, stderr, stdout, until};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin};
use twarga::action::event::EventLs;
use twarga::action::job::JobWatch;
use twarga::action::key::{KeyAdd, KeyLs};
use twarga::action::user::UserLs;
use twarga::portal::Principal;
use twarga::portal::keys::parse_public;
use ways::{EVERY, Shown, place};

fn public(key: &Path) -> String {
    std::fs::read_to_string(key.with_extension("pub")).unwrap()
}

/// Another key of alice's, added with those flags and options.
async fn limited(portal: &TestPortal, alice: &Shown, name: &str, flags: &str, options: &str) -> Shown {
    let key = portal.keygen(name, &["-t", "ed25519"]);
    let line = format!("{options} {}", public(&key));
    let out = alice.feed(portal, "alice", &["key", "add", "-", flags], line.as_bytes()).await;
    assert_eq!(status(&out), 0, "{flags}: {}", stderr(&out));
    Shown::key(&key)
}

/// The exit status of each line.
async fn statuses<const N: usize>(portal: &TestPortal, shown: &Shown, lines: [&str; N]) -> [i32; N] {
    let mut codes = [0; N];
    for (code, line) in codes.iter_mut().zip(lines) {
        *code = shown.say(portal, line).await.0;
    }
    codes
}

const NO_WAY: BTreeSet<&str> = BTreeSet::new();
/// Exit statuses of the contract.
const NOT_FOUND: i32 = 3;
const FORBIDDEN: i32 = 5;

/// What would end a limit, or make a way around it.
const ESCAPES: [&str; 7] = [
    "key ls",
    "key rm 1",
    "key rename 1 mine",
    "key add 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINFhLegUWqjZglcjUkHz21BNKt++IKA2NUHt/tHXtkND'",
    "account set theme dark",
    "user new eve",
    "ca ls",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_key_for_one_vm_knows_no_other() {
    let (portal, alice, [one, two]) = place().await;
    assert_eq!(alice.ways(&portal, &one).await, EVERY.into());
    let ci = limited(&portal, &alice, "ci", "--vm web1", "").await;
    assert_eq!(ci.ways(&portal, &one).await, EVERY.into());
    assert_eq!(ci.ways(&portal, &two).await, NO_WAY);
    // As if it were not there.
    let said = ci.say(&portal, "vm show web2").await;
    let nothing = ci.say(&portal, "vm show web9").await;
    assert_eq!((said.0, said.2.replace("web2", "web9")), (NOT_FOUND, nothing.2));
    let list = json(&ci.run(&portal, "alice", &["vm", "ls", "--json"]).await);
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(list[0]["name"], "web1");
    let config = ci.say(&portal, "ssh-config").await.1;
    assert!(config.contains("Host web1\n") && !config.contains("web2"), "{config}");
    let done = ["whoami", "vm stop web1", "vm start web1", "vm stats web1", "job ls"];
    assert_eq!(statuses(&portal, &ci, done).await, [0, 0, 0, 0, FORBIDDEN]);
    let other =
        ["vm stop web2", "vm stop web1 web2", "vm destroy --yes web2", "vm start web2.alice", "vm new web3"];
    assert_eq!(statuses(&portal, &ci, other).await, [NOT_FOUND, NOT_FOUND, NOT_FOUND, NOT_FOUND, FORBIDDEN]);
    // The jobs of the other one too: the second that alice had.
    assert_eq!(
        statuses(&portal, &ci, ["job show 1", "job show 2", "job watch 2"]).await,
        [0, NOT_FOUND, NOT_FOUND]
    );
    assert_eq!(statuses(&portal, &ci, ESCAPES).await, [FORBIDDEN; 7]);
    assert_eq!(statuses(&portal, &ci, ["event ls", "session ls", "image ls"]).await, [FORBIDDEN; 3]);
    let lines = ci.feed(&portal, "alice", &["-T"], b"vm show web1\nvm show web2\n").await;
    assert!(stdout(&lines).contains("web1.alice") && status(&lines) == NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_key_looks_and_does_no_more() {
    let (portal, alice, [one, _]) = place().await;
    let eye = limited(&portal, &alice, "eye", "--read-only", "").await;
    assert_eq!(eye.ways(&portal, &one).await, NO_WAY);
    let looks =
        ["whoami", "vm ls", "vm show web1", "job ls", "event ls", "plan ls", "account show", "key ls"];
    assert_eq!(statuses(&portal, &eye, looks).await, [0; 8]);
    let acts = [
        "vm stop web1",
        "vm start web1",
        "vm new web3",
        "vm destroy web1 --yes",
        "job retry 1",
        "session kill x",
    ];
    assert_eq!(statuses(&portal, &eye, acts).await, [FORBIDDEN; 6]);
    assert_eq!(
        statuses(&portal, &eye, ESCAPES).await,
        [0, FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN]
    );
    let passwd = eye.feed(&portal, "alice", &["account", "passwd"], b"seven green foxes\n").await;
    assert_eq!(status(&passwd), FORBIDDEN, "{}", stderr(&passwd));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_for_some_commands_runs_those() {
    let (portal, alice, [one, two]) = place().await;
    // By a flag, and by an option of the line.
    let power = limited(&portal, &alice, "power", "--command 'vm start,vm stop'", "").await;
    let again = limited(&portal, &alice, "again", "", "command=\"vm start,vm stop\"").await;
    for power in [power, again] {
        assert_eq!(power.ways(&portal, &one).await, NO_WAY);
        // They wait for their jobs, and show what became of them.
        assert_eq!(statuses(&portal, &power, ["vm stop web1", "vm start web1", "whoami"]).await, [0; 3]);
        let others = ["vm ls", "vm restart web1", "vm pause web1", "job ls", "event ls", "vm new web3"];
        assert_eq!(statuses(&portal, &power, others).await, [FORBIDDEN; 6]);
        assert_eq!(statuses(&portal, &power, ESCAPES).await, [FORBIDDEN; 7]);
        // The job that made the VM is not of its kind.
        assert_eq!(statuses(&portal, &power, ["job watch 1", "job show 1"]).await, [FORBIDDEN; 2]);
        let who = by_key(&portal, "alice", &power.key, "127.0.0.1").await.unwrap();
        let watched = portal.portal.perform(&who, JobWatch { id: 1 }).await;
        assert_eq!(watched.unwrap_err().code.as_str(), "job.not_found");
    }
    let shell = limited(&portal, &alice, "shell", "--command 'vm ssh' --vm web1", "").await;
    let ways = ["vm ssh", "alice+vm", "sftp", "forward inside"];
    assert_eq!((shell.ways(&portal, &one).await, shell.ways(&portal, &two).await), (ways.into(), NO_WAY));
    let jump = limited(&portal, &alice, "jump", "--command 'vm forward'", "").await;
    assert_eq!(jump.ways(&portal, &one).await, ["jump"].into());
    let all = limited(&portal, &alice, "all", "--command 'vm *'", "").await;
    assert_eq!(all.ways(&portal, &one).await, EVERY.into());
    assert_eq!(statuses(&portal, &all, ["vm ls", "job ls"]).await, [0, FORBIDDEN]);
    // Not even one that lists them may change the account.
    let thief =
        limited(&portal, &alice, "thief", "--command 'key add,key rm,key rename,account passwd'", "").await;
    assert_eq!(statuses(&portal, &thief, ESCAPES).await, [FORBIDDEN; 7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrators_limited_key_makes_no_accounts() {
    let (portal, _driver) = mock().await;
    let p = &portal.portal;
    for (name, flags) in
        [("a", KeyAdd { read_only: true, ..KeyAdd::default() }), ("b", verbs("user *")), ("c", verbs("ca *"))]
    {
        let key = portal.keygen(name, &["-t", "ed25519"]);
        p.perform(&portal.admin, KeyAdd { key: vec![public(&key)], ..flags }).await.unwrap();
        let root = by_key(&portal, "admin", &key, "127.0.0.1").await.unwrap();
        let new = twarga::action::user::UserNew {
            name: "eve".parse().unwrap(),
            role: twarga::model::RoleName::ADMIN,
            key: None,
        };
        assert_eq!(p.perform(&root, new).await.unwrap_err().code.as_str(), "forbidden");
        let ca = twarga::action::ca::CaAdd { key: vec![public(&key)], name: None };
        assert_eq!(p.perform(&root, ca).await.unwrap_err().code.as_str(), "forbidden");
        assert_eq!(p.perform(&root, UserLs {}).await.is_ok(), name != "c");
    }
}

fn verbs(list: &str) -> KeyAdd {
    KeyAdd { commands: list.split(',').map(|v| v.parse().unwrap()).collect(), ..KeyAdd::default() }
}

async fn by_key(portal: &TestPortal, name: &str, key: &Path, from: &str) -> Option<Principal> {
    let mut login = portal.portal.login(from.parse::<IpAddr>().unwrap());
    let fingerprint = parse_public(&public(key)).unwrap().fingerprint;
    let worth_it = login.would_accept_key(name, fingerprint.clone()).await;
    let who = login.key(name, fingerprint).await.principal();
    assert_eq!(worth_it, who.is_some(), "what is said of an offer is not what comes of it");
    who
}

/// The latest refused login that alice can read of.
async fn refused(alice: &Principal, portal: &TestPortal) -> Option<twarga::model::Event> {
    let ls = EventLs {
        since: None,
        severity: None,
        actor: None,
        action: Some("session.login".into()),
        attempts: false,
        limit: 50,
    };
    let events = portal.portal.perform(alice, ls).await.unwrap();
    events.into_iter().find(|e| e.outcome == twarga::model::Outcome::Failure)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_for_some_addresses_is_unknown_at_others() {
    let (portal, _driver) = mock().await;
    let alice = portal.user("alice", "user").await;
    let key = portal.keygen("office", &["-t", "ed25519"]);
    let line = format!("from=\"10.0.0.0/8,!10.1.0.0/16,2001:db8::/32\" {}", public(&key));
    portal.portal.perform(&alice, KeyAdd::of(line)).await.unwrap();
    for from in ["10.0.0.1", "10.2.255.255", "::ffff:10.0.0.9", "2001:db8::7"] {
        assert!(by_key(&portal, "alice", &key, from).await.is_some(), "{from}");
    }
    assert!(refused(&alice, &portal).await.is_none());
    for from in ["11.0.0.1", "10.1.0.1", "::ffff:10.1.0.1", "2001:db9::1", "127.0.0.1", "::1"] {
        assert!(by_key(&portal, "alice", &key, from).await.is_none(), "{from}");
        assert!(by_key(&portal, "bob", &key, from).await.is_none());
    }
    until("alice hears of it", async || refused(&alice, &portal).await.is_some()).await;
    let e = refused(&alice, &portal).await.unwrap();
    assert!(e.message.contains("not among those"), "{e:?}");
    let keys = portal.portal.perform(&alice, KeyLs {}).await.unwrap();
    assert_eq!(keys[0].last_used_from.as_deref(), Some("2001:db8::7"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_at_the_wrong_address_is_refused_as_an_unknown_one() {
    let (portal, _driver) = mock().await;
    let alice = Shown::key(&portal.user_with_key("alice", "user").await);
    let near = limited(&portal, &alice, "near", "--from 127.0.0.2", "").await;
    let far = limited(&portal, &alice, "far", "", "from=\"10.0.0.0/8\"").await;
    let over = limited(&portal, &alice, "over", "--expires 30d", "").await;
    assert!(over.lets_in(&portal).await);
    let stranger = Shown::key(&portal.keygen("stranger", &["-t", "ed25519"]));
    assert!(near.with("BindAddress=127.0.0.2").lets_in(&portal).await);
    let db = rusqlite::Connection::open(portal.dir.path().join("data/twarga.db")).unwrap();
    db.busy_timeout(common::PATIENCE).unwrap();
    let changed = db.execute(
        "UPDATE ssh_keys SET limits = '{\"expires_at\":\"2020-01-01T00:00:00Z\"}' WHERE note = 'over'",
        [],
    );
    assert_eq!(changed.unwrap(), 1);
    let verbose = async |shown: &Shown| {
        let out =
            output(shown.ssh(&portal).args(["-o", "LogLevel=DEBUG1", "alice@127.0.0.1", "whoami"])).await;
        assert_eq!(status(&out), 255);
        // Whether the server wanted a signature.
        (stderr(&out).contains("Server accepts key"), stdout(&out))
    };
    let unknown = verbose(&stranger.with("LogLevel=DEBUG1")).await;
    assert!(!unknown.0);
    for shown in [&near, &far, &over] {
        assert_eq!(verbose(&shown.with("LogLevel=DEBUG1")).await, unknown);
    }
    // A row that this binary does not understand lets nobody in.
    db.execute("UPDATE ssh_keys SET limits = '{\"tea_only\":true}' WHERE note = 'near'", []).unwrap();
    assert!(!near.with("BindAddress=127.0.0.2").lets_in(&portal).await);
    let list = json(&alice.run(&portal, "alice", &["key", "ls", "--json"]).await);
    let of = |note: &str| list.as_array().unwrap().iter().find(|k| k["note"] == note).unwrap().clone();
    assert_eq!(of("far")["limits"]["from"], serde_json::json!(["10.0.0.0/8"]));
    assert_eq!(of("near")["last_used_from"], "127.0.0.2");
    assert_eq!(of("far")["last_used_at"], Value::Null);
}

/// A client with more to come on its standard input.
struct Lasting {
    child: Child,
    _input: Option<ChildStdin>,
}

/// Something of alice's that lasts: an ssh that has said its first line.
async fn lasting(shown: &Shown, portal: &TestPortal, login: &str, words: &[&str]) -> Lasting {
    let mut ssh = shown.ssh(portal);
    ssh.arg(format!("{login}@127.0.0.1")).args(words).stdin(Stdio::piped());
    let mut child = ssh.spawn().unwrap();
    let input = child.stdin.take();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let first = tokio::time::timeout(common::PATIENCE, lines.next_line()).await.expect("it says nothing");
    assert!(first.unwrap().is_some(), "{words:?} ended at once");
    Lasting { child, _input: input }
}

const LOOP: &str = "while echo here; do sleep 0.2; done";

async fn ends(lasting: &mut Lasting) {
    let ended = tokio::time::timeout(std::time::Duration::from_secs(20), lasting.child.wait());
    ended.await.expect("it does not end").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_with_the_time_of_their_key() {
    let (portal, alice, [one, _]) = place().await;
    let brief = limited(&portal, &alice, "brief", "--expires 6s", "").await;
    let mut inside = lasting(&brief, &portal, "alice+web1", &[LOOP]).await;
    let mut jump = lasting(&brief, &portal, "alice", &["-W", "web1:22"]).await;
    let mut tail = lasting(&brief, &portal, "alice", &["event tail"]).await;
    let mut for_ever = lasting(&alice, &portal, "alice", &["event tail"]).await;
    for child in [&mut inside, &mut jump, &mut tail] {
        ends(child).await;
    }
    assert!(!brief.lets_in(&portal).await);
    assert_eq!(brief.ways(&portal, &one).await, NO_WAY);
    assert!(for_ever.child.try_wait().unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_with_the_removal_of_their_key() {
    let (portal, alice, [_, _]) = place().await;
    let lost = limited(&portal, &alice, "lost", "", "").await;
    let jump = ["-W", "web1:22"];
    let mut theirs = vec![
        lasting(&lost, &portal, "alice+web1", &[LOOP]).await,
        lasting(&lost, &portal, "alice", &jump).await,
        lasting(&lost, &portal, "alice", &["event tail"]).await,
    ];
    let mut mine = lasting(&alice, &portal, "alice+web1", &[LOOP]).await;
    let fingerprint = parse_public(&public(&lost.key)).unwrap().fingerprint;
    let gone = json(&alice.run(&portal, "alice", &["key", "rm", &fingerprint, "--json"]).await);
    assert_eq!(gone["fingerprint"], fingerprint.as_str());
    for child in &mut theirs {
        ends(child).await;
    }
    assert!(!lost.lets_in(&portal).await);
    assert!(mine.child.try_wait().unwrap().is_none());
    // Whoever removes his own hears that it is done, and is out.
    let own = limited(&portal, &alice, "own", "", "").await;
    let mut ending = lasting(&own, &portal, "alice", &["event tail"]).await;
    let name = parse_public(&public(&own.key)).unwrap().fingerprint;
    let lines = format!("key rm {name}\nkey ls\n");
    let out = own.feed(&portal, "alice", &["-T"], lines.as_bytes()).await;
    assert!(stdout(&out).contains(&name), "{}", stderr(&out));
    assert!(!stdout(&out).contains("FINGERPRINT"), "a session goes on without its key: {}", stdout(&out));
    ends(&mut ending).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_key_gets_lines_and_no_full_screen() {
    let (portal, _driver) = mock().await;
    let alice = Shown::key(&portal.user_with_key("alice", "user").await);
    let eye = limited(&portal, &alice, "eye", "--read-only", "").await;
    let mut ssh = eye.ssh(&portal);
    ssh.args(["-tt", "alice@127.0.0.1"]);
    let mut pty = Pty::spawn(&ssh);
    pty.shows("twarga>").await;
    pty.send("vm new web1\r").await;
    pty.shows("does not allow").await;
    pty.send("exit\r").await;
    assert_eq!(pty.ended().await, 0);
    // Limits of where and when leave all else as it is.
    let here = limited(&portal, &alice, "here", "--from 127.0.0.0/8 --expires 1d", "").await;
    let mut ssh = here.ssh(&portal);
    ssh.args(["-tt", "alice@127.0.0.1"]);
    let pty = Pty::spawn(&ssh);
    pty.shows("Dashboard").await;
    assert_eq!(statuses(&portal, &here, ["key ls", "account set theme dark"]).await, [0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_are_given_keys_that_may_enter_them() {
    let (portal, alice, [_, _]) = place().await;
    for (name, flags) in [
        ("one", "--vm web1"),
        ("eye", "--read-only"),
        ("power", "--command 'vm stop'"),
        ("shell", "--command 'vm ssh'"),
        ("soon", "--expires 1d"),
    ] {
        limited(&portal, &alice, name, flags, "").await;
    }
    assert_eq!(
        statuses(&portal, &alice, ["vm restart web1 --force", "vm restart web2 --force"]).await,
        [0, 0]
    );
    let mut given = Vec::new();
    for vm in ["web1", "web2"] {
        assert_eq!(alice.say(&portal, &format!("vm stop {vm} --force")).await.0, 0);
        assert_eq!(alice.say(&portal, &format!("vm start {vm}")).await.0, 0);
    }
    for dir in std::fs::read_dir(portal.portal.config().data_dir.join("vms")).unwrap() {
        let text = std::fs::read_to_string(dir.unwrap().path().join("authorized_keys")).unwrap();
        given.push(text.lines().filter_map(|l| Some(l.rsplit_once(' ')?.1.to_owned())).collect::<Vec<_>>());
    }
    given.sort_by_key(Vec::len);
    assert_eq!(given[0], ["twarga-portal", "alice", "shell", "soon"]);
    assert_eq!(given[1], ["twarga-portal", "alice", "one", "shell", "soon"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_keys_are_added_renamed_and_removed() {
    let (portal, _driver) = mock().await;
    let alice = Shown::key(&portal.user_with_key("alice", "user").await);
    let files: Vec<_> = ["a", "b", "c"].iter().map(|n| portal.keygen(n, &["-t", "ed25519"])).collect();
    let lines: String = files.iter().map(|f| public(f)).collect();
    let add = async |flags: &[&str], input: &str| {
        alice.feed(&portal, "alice", &[&["key", "add", "-"], flags].concat(), input.as_bytes()).await
    };
    let count =
        async || json(&alice.run(&portal, "alice", &["key", "ls", "--json"]).await).as_array().unwrap().len();
    // All or nothing: a bad line, an option, one that is there already, a name for three.
    for (bad, flags, what) in [
        (format!("{lines}nonsense\n"), "", "Line 4: "),
        (format!("{lines}restrict {}", public(&files[0])), "", "Line 4: There is no option"),
        (format!("{lines}{}", public(&files[1])), "", "Line 4: "),
        (format!("{lines}{}", public(&alice.key)), "", "on this account already"),
        (lines.clone(), "--name x", "One name does not do for 3 keys"),
        (lines.clone(), "--expires yesterday", "an end is written"),
        (lines.clone(), "--expires 2020-01-01", "over already"),
        (lines.clone(), "--from example.com", "neither an address"),
        (lines.clone(), "--from '!10.0.0.1'", "leave none"),
        (lines.clone(), "--command 'vm strat'", "There is no command"),
        (lines.clone(), "--command 'vm ls web1'", "is no command"),
        (lines.clone(), "--vm ../web", "cannot be the name of a VM"),
        (format!("command=\"vm sl\" {}", public(&files[0])), "", "There is no command"),
        (format!("from=\"10.0.0.1\" {}", public(&files[0])), "--from 10.0.0.2", "says already"),
        (std::fs::read_to_string(&files[0]).unwrap(), "", "private key"),
        (String::from("\n# nothing\n"), "", "nothing there"),
        (format!("ssh-ed25519-cert-v01@openssh.com AAAA {}", "x"), "", "certificate"),
        (public(&files[0]).repeat(101), "", "101 keys"),
        (String::from_utf8(vec![b'x'; 1 << 20]).unwrap(), "", "more than 512.0 KiB on standard input"),
    ] {
        let out = add(&[flags], &bad).await;
        let said = stderr(&out);
        assert!(
            [2, 4].contains(&status(&out)) && said.contains(what),
            "{flags} {what}: {} {said}",
            status(&out)
        );
        assert!(said.len() < 500 && !said.contains("b3BlbnNzaC1"), "{said}");
    }
    assert_eq!(count().await, 1);
    let added = json(&add(&["--json", "--read-only"], &lines).await);
    assert_eq!((added.as_array().unwrap().len(), &added[2]["note"]), (3, &Value::from("c")));
    assert_eq!(added[0]["limits"], serde_json::json!({ "read_only": true }));
    let text = alice.say(&portal, "key ls").await.1;
    assert!(text.contains("read only") && text.contains("127.0.0.1"), "{text}");
    let ids: Vec<String> = added.as_array().unwrap().iter().map(|k| k["id"].to_string()).collect();
    let line = format!("key rename {} build server", ids[0]);
    assert_eq!(alice.say(&portal, &line).await.0, 0);
    assert!(alice.say(&portal, "key ls").await.1.contains("build server"));
    assert_eq!(alice.say(&portal, "key rename 999 x").await.0, NOT_FOUND);
    assert_eq!(alice.say(&portal, &format!("key rename {} ''", ids[0])).await.0, 2);
    // One that is not there keeps the others.
    assert_eq!(alice.say(&portal, &format!("key rm {} {} 999", ids[0], ids[1])).await.0, NOT_FOUND);
    assert_eq!(count().await, 4);
    assert_eq!(alice.say(&portal, &format!("key rm {} {} {}", ids[0], ids[1], ids[0])).await.0, 0);
    assert_eq!(count().await, 2);
    let bob = portal.user("bob", "user").await;
    let rm = twarga::action::key::KeyRm { keys: vec![ids[2].clone()] };
    assert_eq!(portal.portal.perform(&bob, rm).await.unwrap_err().code.as_str(), "key.not_found");
}
