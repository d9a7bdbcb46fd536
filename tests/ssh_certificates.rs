//! OpenSSH certificates: whom they let in, and who is kept out by what is in them.
//! They are made by ssh-keygen, and shown by ssh.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "support/sshd_driver.rs"]
#[allow(dead_code)]
mod sshd_driver;
#[path = "common/ways.rs"]
mod ways;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use common::pty::Pty;
use common::{TestPortal, json, mock, output, raw, status, stderr, stdout, until};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin};
use twarga::action::ca::{CaAdd, CaLs, CaRevoke, CaRm};
use twarga::action::event::EventLs;
use twarga::action::session::SessionLs;
use twarga::portal::keys::parse_public;
use ways::{EVERY, Shown, place};

fn public(key: &Path) -> String {
    std::fs::read_to_string(key.with_extension("pub")).unwrap()
}

/// An authority with a key of its own for people.
struct Office<'a> {
    portal: &'a TestPortal,
    ca: PathBuf,
}

impl<'a> Office<'a> {
    fn new(portal: &'a TestPortal, name: &str) -> Office<'a> {
        Office { portal, ca: portal.keygen(name, &["-t", "ed25519"]) }
    }

    async fn trusted(portal: &'a TestPortal, name: &str) -> Office<'a> {
        let office = Office::new(portal, name);
        office.trust().await;
        office
    }

    async fn trust(&self) {
        let add = CaAdd { key: vec![public(&self.ca)], name: None };
        self.portal.portal.perform(&self.portal.admin, add).await.unwrap();
    }

    /// A certificate by these flags for a key of its own.
    fn sign(&self, name: &str, flags: &[&str]) -> Shown {
        self.sign_key(&self.portal.keygen(name, &["-t", "ed25519"]), flags)
    }

    fn sign_key(&self, key: &Path, flags: &[&str]) -> Shown {
        self.sign_by(&["-s", self.ca.to_str().unwrap()], key, flags)
    }

    fn sign_by(&self, by: &[&str], key: &Path, flags: &[&str]) -> Shown {
        let signed = std::process::Command::new("ssh-keygen")
            .args(["-q", "-I", "for tests"])
            .args(by)
            .args(flags)
            .arg(key.with_extension("pub"))
            .stdin(Stdio::null())
            .status();
        assert!(signed.unwrap().success(), "{flags:?}");
        let stem = key.file_name().unwrap().to_str().unwrap();
        let certificate = key.with_file_name(format!("{stem}-cert.pub"));
        // As its own file: else ssh would offer the bare key after it, too.
        Shown::key(key).with(format!("CertificateFile={}", certificate.display()))
    }
}

/// The latest login that was refused, or let in, as administrators read of it.
async fn latest_login(portal: &TestPortal, outcome: &str) -> Option<Value> {
    let ls = EventLs {
        since: None,
        severity: None,
        actor: None,
        action: Some(String::from("session.login")),
        attempts: false,
        limit: 100,
    };
    let events = portal.portal.perform(&portal.admin, ls).await.unwrap();
    let found = events.into_iter().find(|e| e.outcome.as_str() == outcome)?;
    Some(serde_json::to_value(found).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_opens_every_way() {
    let (portal, _, [one, two]) = place().await;
    let office = Office::new(&portal, "office");
    let shown = office.sign("laptop", &["-n", "alice,root", "-V", "-5m:+1h", "-z", "77"]);
    assert!(!shown.lets_in(&portal).await, "nobody trusts it yet");
    office.trust().await;
    assert!(shown.lets_in(&portal).await);
    for vm in [&one, &two] {
        assert_eq!(shown.ways(&portal, vm).await, EVERY.into());
    }
    let login = latest_login(&portal, "success").await.unwrap();
    assert_eq!(login["details"]["method"], "certificate");
    assert_eq!(login["details"]["authority"], "office");
    assert_eq!(login["details"]["key_id"], "for tests");
    assert_eq!(login["details"]["serial"], 77);
    let fingerprint = parse_public(&public(&shown.key)).unwrap().fingerprint;
    assert_eq!(login["details"]["fingerprint"], fingerprint.as_str());
    // Whom it names, and only by the certificate.
    let bare = Shown::key(&portal.keygen("bare", &["-t", "ed25519"]));
    assert!(!bare.lets_in(&portal).await);
    portal.user("bob", "user").await;
    for other in ["bob", "admin", "nobody"] {
        assert_eq!(status(&shown.run(&portal, other, &["whoami"]).await), 255, "{other}");
    }
    // `root` is named, and is no account.
    assert_eq!(status(&shown.run(&portal, "root", &["whoami"]).await), 255);
    // The full screen, as by any key.
    let mut ssh = shown.ssh(&portal);
    ssh.args(["-tt", "alice@127.0.0.1"]);
    Pty::spawn(&ssh).shows("Dashboard").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_every_kind_can_be_certified_and_certify() {
    let (portal, _driver) = mock().await;
    portal.user("alice", "user").await;
    for (kind, bits) in [("ed25519", "256"), ("ecdsa", "256"), ("ecdsa", "521"), ("rsa", "2048")] {
        let name = format!("{kind}-{bits}");
        let office =
            Office { portal: &portal, ca: portal.keygen(&format!("ca-{name}"), &["-t", kind, "-b", bits]) };
        office.trust().await;
        let key = portal.keygen(&name, &["-t", kind, "-b", bits]);
        assert!(office.sign_key(&key, &["-n", "alice"]).lets_in(&portal).await, "{name}");
    }
    let office = Office { portal: &portal, ca: portal.dir.path().join("key-ca-rsa-2048") };
    // SHA-1, on either side; and a key that is too weak.
    let key = portal.keygen("sha1", &["-t", "rsa", "-b", "2048"]);
    let old = office.sign_by(&["-t", "ssh-rsa", "-s", office.ca.to_str().unwrap()], &key, &["-n", "alice"]);
    assert!(!old.with("CASignatureAlgorithms=+ssh-rsa").lets_in(&portal).await);
    let shown = office.sign_key(&key, &["-n", "alice"]);
    let old = "PubkeyAcceptedAlgorithms=ssh-rsa-cert-v01@openssh.com";
    assert!(shown.lets_in(&portal).await && !shown.with(old).lets_in(&portal).await);
    let weak = portal.keygen("weak", &["-t", "rsa", "-b", "1024"]);
    let weak = office.sign_key(&weak, &["-n", "alice"]);
    assert!(!weak.with("RequiredRSASize=1024").lets_in(&portal).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_certificate_is_for_administrators() {
    let (portal, _driver) = mock().await;
    portal.user("alice", "user").await;
    let office = Office::trusted(&portal, "office").await;
    let unsaid =
        Office::new(&portal, "unsaid").sign("u", &["-n", "alice"]).run(&portal, "alice", &["whoami"]).await;
    let n = ["-n", "alice"];
    for (name, flags, why) in [
        ("expired", [&n[..], &["-V", "-2h:-1h"]].concat(), "expired"),
        ("early", [&n[..], &["-V", "+1h:+2h"]].concat(), "not valid yet"),
        ("bobs", vec!["-n", "bob"], "names others"),
        ("cased", vec!["-n", "Alice"], "names others"),
        ("vms", vec!["-n", "alice+web1"], "names others"),
        ("star", vec!["-n", "*"], "names others"),
        ("anybody", vec![], "names others, or nobody"),
        ("unknown", [&n[..], &["-O", "critical:tea@example.com=hot"]].concat(), "option that is not known"),
        ("pin", [&n[..], &["-O", "verify-required"]].concat(), "PIN"),
        ("far", [&n[..], &["-O", "source-address=10.0.0.0/8"]].concat(), "this address"),
        ("forced", [&n[..], &["-O", "force-command=/bin/sh"]].concat(), "force-command"),
        ("forced2", [&n[..], &["-O", "force-command=shell"]].concat(), "force-command"),
        ("forced3", [&n[..], &["-O", "force-command=vm ls; vm ls"]].concat(), "force-command"),
    ] {
        let out = office.sign(name, &flags).run(&portal, "alice", &["whoami"]).await;
        assert_eq!((status(&out), stdout(&out).as_str()), (255, ""), "{name}");
        // Whoever shows it hears what a stranger hears.
        assert_eq!(stderr(&out), stderr(&unsaid), "{name}");
        // russh has looked at times itself, and tells nobody.
        if ["expired", "early"].contains(&name) {
            continue;
        }
        let heard = async || {
            let refused = latest_login(&portal, "failure").await;
            refused.is_some_and(|e| {
                e["message"].as_str().unwrap().contains(why) && e["details"]["authority"] == "office"
            })
        };
        until(&format!("{name}: {why}"), heard).await;
    }
    // OpenSSH does not even show one that is for hosts.
    let host = portal.keygen("host", &["-t", "ed25519"]);
    office.sign_key(&host, &["-n", "alice", "-h"]);
    let certificate = std::fs::read_to_string(portal.dir.path().join("key-host-cert.pub")).unwrap();
    let certificate = russh::keys::Certificate::from_openssh(&certificate).unwrap();
    let mut client = raw::connect(&portal).await;
    let shown = client.authenticate_openssh_cert("alice", raw::private(&host), certificate).await;
    assert!(!shown.unwrap().success());
    let near = office.sign("near", &["-n", "alice", "-O", "source-address=127.0.0.0/8,::1/128"]);
    assert!(near.lets_in(&portal).await);
    let always = office.sign("always", &["-n", "alice", "-V", "always:forever"]);
    assert!(always.lets_in(&portal).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn others_authorities_do_not_count() {
    let (portal, _driver) = mock().await;
    portal.user("alice", "user").await;
    Office::trusted(&portal, "office").await;
    let other = Office::new(&portal, "other");
    assert!(!other.sign("a", &["-n", "alice"]).lets_in(&portal).await);
    // A key of the account is no authority, and neither is the portal's own key.
    let alice = portal.user_with_key("carol", "user").await;
    let own = Office { portal: &portal, ca: alice };
    assert!(!own.sign("b", &["-n", "alice"]).lets_in(&portal).await);
    let host =
        Office { portal: &portal, ca: portal.portal.config().host_key_dir.join("ssh_host_ed25519_key") };
    assert!(!host.sign("c", &["-n", "alice"]).lets_in(&portal).await);
    // With an authority trusted, offered keys are to be signed with; that lets in
    // nobody whose key is not on the account.
    let mut client = raw::connect(&portal).await;
    let stranger = portal.keygen("stranger", &["-t", "ed25519"]);
    for name in ["alice", "admin", "nobody"] {
        assert!(!raw::try_key(&mut client, name, &stranger).await);
    }
    assert!(!raw::try_key(&mut client, "alice", &own.ca).await);
    assert!(raw::try_key(&mut client, "carol", &own.ca).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_certificate_does_not_permit_is_not_to_be_had() {
    let (portal, _, [one, _]) = place().await;
    let office = Office::trusted(&portal, "office").await;
    let n = ["-n", "alice"];
    let plain = office.sign("plain", &[&n[..], &["-O", "clear"]].concat());
    assert_eq!(plain.ways(&portal, &one).await, ["vm ssh", "alice+vm", "sftp"].into());
    let out = plain.run(&portal, "alice+web1", &["-tt", "tty"]).await;
    assert!(stderr(&out).contains("PTY allocation request failed"), "{} {}", stdout(&out), stderr(&out));
    let pty = office.sign("pty", &[&n[..], &["-O", "clear", "-O", "permit-pty"]].concat());
    assert_eq!(pty.ways(&portal, &one).await, ["vm ssh", "alice+vm", "sftp", "console"].into());
    let forward =
        office.sign("forward", &[&n[..], &["-O", "clear", "-O", "permit-port-forwarding"]].concat());
    let but_console = ["vm ssh", "alice+vm", "sftp", "jump", "forward inside"];
    assert_eq!(forward.ways(&portal, &one).await, but_console.into());
    // One that lets somebody in is a terminal's worth of lines without a terminal.
    let lines = plain.feed(&portal, "alice", &["-T"], b"whoami\n").await;
    assert_eq!(stdout(&lines), "alice\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_command_is_all_that_runs() {
    let (portal, _, [one, _]) = place().await;
    let office = Office::trusted(&portal, "office").await;
    let ls = office.sign("ls", &["-n", "alice", "-O", "force-command=vm ls --json"]);
    for (login, words) in [
        ("alice", &["whoami"][..]),
        ("alice", &["vm destroy web1 --yes"]),
        ("alice", &["-T"]),
        ("alice", &["-tt"]),
        ("alice+web1", &["echo inside"]),
        ("alice+web1", &["-tt"]),
    ] {
        let out = ls.run(&portal, login, words).await;
        let list: Value =
            serde_json::from_str(stdout(&out).trim()).unwrap_or_else(|e| panic!("{words:?}: {e}"));
        assert_eq!((status(&out), list.as_array().unwrap().len()), (0, 2), "{login} {words:?}");
    }
    let ways = ls.ways(&portal, &one).await;
    assert!(ways.is_subset(&["sftp", "console"].into()), "{ways:?}");
    let sftp = ls.run(&portal, "alice+web1", &["-s", "sftp"]).await;
    assert!(stdout(&sftp).starts_with('['), "{}", stdout(&sftp));
    let inside = office.sign(
        "inside",
        &["-n", "alice", "-O", "force-command=vm ssh web1 echo $SSH_ORIGINAL_COMMAND inside"],
    );
    let out = inside.run(&portal, "alice", &["vm ssh web2 hostname"]).await;
    assert_eq!(stdout(&out).trim(), "inside");
    assert!(!inside.ways(&portal, &one).await.contains("jump"));
    let forward = inside.run(&portal, "alice+web1", &["-W", "127.0.0.1:22"]).await;
    assert!(status(&forward) != 0 && stdout(&forward).is_empty(), "{}", stdout(&forward));
}

/// A client with more to come on its standard input.
struct Lasting {
    child: Child,
    _input: Option<ChildStdin>,
}

/// Something that lasts, which has said its first line.
async fn lasting(shown: &Shown, portal: &TestPortal, words: &[&str]) -> Lasting {
    let mut ssh = shown.ssh(portal);
    ssh.arg("alice@127.0.0.1").args(words).stdin(Stdio::piped());
    let mut child = ssh.spawn().unwrap();
    let input = child.stdin.take();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let first = tokio::time::timeout(common::PATIENCE, lines.next_line()).await.expect("it says nothing");
    assert!(first.unwrap().is_some(), "{words:?} ended at once");
    Lasting { child, _input: input }
}

async fn ends(lasting: &mut Lasting) {
    let ended = tokio::time::timeout(std::time::Duration::from_secs(20), lasting.child.wait());
    ended.await.expect("it does not end").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_certificates_and_authorities_end_sessions_and_let_in_no_more() {
    let (portal, alice, _) = place().await;
    let office = Office::trusted(&portal, "office").await;
    let admin = &portal.admin;
    let p = &portal.portal;
    let one = office.sign("one", &["-n", "alice", "-z", "11"]);
    let two = office.sign("two", &["-n", "alice", "-I", "alice's second"]);
    let three = office.sign("three", &["-n", "alice", "-z", "13"]);
    let jump = ["-W", "web1:22"];
    let tail = ["event tail"];
    let mut first = [lasting(&one, &portal, &jump).await, lasting(&one, &portal, &tail).await];
    let mut second = lasting(&two, &portal, &jump).await;
    let mut third = lasting(&three, &portal, &jump).await;
    let mut by_key = lasting(&alice, &portal, &tail).await;
    let revoke = |certificate: &str, undo| CaRevoke { certificate: certificate.into(), ca: None, undo };
    p.perform(admin, revoke("11", false)).await.unwrap();
    for child in &mut first {
        ends(child).await;
    }
    assert!(!one.lets_in(&portal).await && two.lets_in(&portal).await);
    p.perform(admin, revoke("alice's second", false)).await.unwrap();
    ends(&mut second).await;
    assert!(!two.lets_in(&portal).await && three.lets_in(&portal).await);
    assert_eq!(p.perform(admin, revoke("11", false)).await.unwrap_err().code.as_str(), "exists");
    for bad in ["", "0", "\u{1b}", &"x".repeat(1000)] {
        assert_eq!(p.perform(admin, revoke(bad, false)).await.unwrap_err().code.as_str(), "usage", "{bad:?}");
    }
    p.perform(admin, revoke("11", true)).await.unwrap();
    assert!(one.lets_in(&portal).await);
    assert_eq!(p.perform(admin, revoke("11", true)).await.unwrap_err().code.as_str(), "not_found");
    p.perform(admin, CaRm { ca: String::from("office") }).await.unwrap();
    ends(&mut third).await;
    assert!(!three.lets_in(&portal).await);
    assert!(by_key.child.try_wait().unwrap().is_none(), "who came by a key stays");
    // What was revoked stays so, should the authority come back.
    office.trust().await;
    assert!(three.lets_in(&portal).await && !two.lets_in(&portal).await);
    let list = p.perform(admin, CaLs {}).await.unwrap();
    assert_eq!((list.authorities.len(), list.revoked.len()), (1, 1));
    let sessions = p.perform(admin, SessionLs { all: true }).await.unwrap();
    assert!(!sessions.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_its_certificate() {
    let (portal, _, _) = place().await;
    let office = Office::trusted(&portal, "office").await;
    let end = seconds_on(8);
    let brief = office.sign("brief", &["-n", "alice", "-V", &format!("-1m:{end}")]);
    let mut jump = lasting(&brief, &portal, &["-W", "web1:22"]).await;
    ends(&mut jump).await;
    assert!(!brief.lets_in(&portal).await);
}

/// So many seconds from now, as ssh-keygen reads it.
fn seconds_on(seconds: i64) -> String {
    let out = std::process::Command::new("date")
        .args(["-u", "+%Y%m%d%H%M%SZ", "-d", &format!("+{seconds} seconds")])
        .output()
        .unwrap();
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_are_an_administrators() {
    let (portal, _driver) = mock().await;
    let root = portal.user_with_key("root2", "admin").await;
    let alice = portal.user_with_key("alice", "user").await;
    let ca = portal.keygen("office", &["-t", "ed25519"]);
    let add = |key: &Path, line: &[u8]| {
        let (key, line) = (key.to_owned(), line.to_vec());
        let portal = &portal;
        async move {
            let login = if key.ends_with("key-root2") { "root2" } else { "alice" };
            portal.run_with(&key, login, &["ca", "add", "-", "--json"], &line).await
        }
    };
    assert_eq!(status(&add(&alice, public(&ca).as_bytes()).await), 5);
    let made = json(&add(&root, public(&ca).as_bytes()).await);
    assert_eq!((&made["name"], &made["added_by"]), (&Value::from("office"), &Value::from("root2")));
    assert_eq!(status(&add(&root, public(&ca).as_bytes()).await), 4);
    for bad in
        [&b""[..], b"ssh-ed25519 AAAA", b"-----BEGIN OPENSSH PRIVATE KEY-----", &std::fs::read(&ca).unwrap()]
    {
        let out = add(&root, bad).await;
        assert_eq!((status(&out), stdout(&out).as_str()), (2, ""), "{}", stderr(&out));
    }
    let nameless = public(&ca).rsplit_once(' ').unwrap().0.to_owned();
    assert_eq!(status(&add(&root, nameless.as_bytes()).await), 2);
    let ls = portal.run(&root, "root2", &["ca", "ls"]).await;
    assert!(stdout(&ls).contains("office") && stdout(&ls).contains("by root2"), "{}", stdout(&ls));
    assert_eq!(status(&portal.run(&alice, "alice", &["ca", "ls"]).await), 5);
    assert_eq!(status(&portal.run(&root, "root2", &["ca", "rm", "nobody"]).await), 3);
    assert_eq!(status(&portal.run(&root, "root2", &["ca", "rm", "office"]).await), 0);
    assert_eq!(status(&portal.run(&root, "root2", &["ca", "revoke", "7"]).await), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_certificates_are_no_trouble() {
    let (portal, _driver) = mock().await;
    let alice = Shown::key(&portal.user_with_key("alice", "user").await);
    let office = Office::trusted(&portal, "office").await;
    let shown = office.sign("many", &["-n", &vec!["alice"; 200].join(","), "-I", &"x".repeat(3000)]);
    assert!(shown.lets_in(&portal).await);
    let login = latest_login(&portal, "success").await.unwrap();
    assert!(login["details"]["key_id"].as_str().unwrap().chars().count() <= 80);
    // A certificate instead of a key.
    let path = portal.dir.path().join("key-many-cert.pub");
    let line = std::fs::read(&path).unwrap();
    let out = alice.feed(&portal, "alice", &["key", "add", "-"], &line).await;
    assert!(status(&out) == 2 && stderr(&out).contains("certificate"), "{}", stderr(&out));
    // Shown for another's key.
    let stolen = Shown::key(&portal.keygen("thief", &["-t", "ed25519"]))
        .with(format!("CertificateFile={}", path.display()));
    assert!(!stolen.lets_in(&portal).await);
    let out = output(alice.ssh(&portal).args(["alice@127.0.0.1", "whoami"])).await;
    assert_eq!(stdout(&out), "alice\n");
}
