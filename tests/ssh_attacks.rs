//! Reaching for what is not one's own: the portal's host, its loopback, other
//! people's machines, jobs and keys.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Output, Stdio};

use common::{TestPortal, json, mock, output, raw, status, stderr, stdout};

/// A service of the host's own that nobody may reach through the portal.
struct Canary(TcpListener);

impl Canary {
    fn new() -> Canary {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Canary(listener)
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    fn untouched(&self) -> bool {
        self.0.accept().is_err()
    }
}

/// The host's own names and addresses.
fn own_names() -> Vec<String> {
    let said = |words: &[&str]| {
        let out = std::process::Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output();
        out.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default()
    };
    let names = format!("{} {}", said(&["uname", "-n"]), said(&["hostname", "-I"]));
    names.split_whitespace().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_forward_leads_to_the_portals_own_host() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    let admin = portal.user_with_key("root", "admin").await;
    let canary = Canary::new();
    let plain =
        ["127.0.0.1", "localhost", "::1", "0.0.0.0", "127.1", "2130706433", "0x7f000001", "::ffff:127.0.0.1"];
    let odd = ["", ".", "localhost.", "web1\u{1b}[31m", "we\0b1", "../web1", "[::1]", "web1.root.", "WEB1"];
    let long = "x".repeat(9000);
    let mut hosts: Vec<String> = plain.iter().chain(&odd).map(|h| (*h).to_owned()).collect();
    hosts.extend(own_names());
    hosts.push(long);
    for (name, key) in [("alice", &alice), ("root", &admin)] {
        let client = raw::sign_in(&portal, name, key).await;
        for host in &hosts {
            for port in [u32::from(canary.port()), u32::from(portal.address.port()), 22, 0, 70_000] {
                let opened = client.channel_open_direct_tcpip(host, port, "127.0.0.1", 1).await;
                assert!(opened.is_err(), "{name} gets to {host:.40?}:{port}");
            }
        }
        assert_eq!(raw::exec(&client, "whoami").await.text(), format!("{name}\n"));
    }
    assert!(canary.untouched());
}

/// `ssh -W TARGET` through the portal.
async fn forward(portal: &TestPortal, key: &Path, login: &str, target: &str) -> Output {
    let mut ssh = portal.ssh_first(&["LogLevel=INFO"], key);
    output(ssh.args(["-W", target, &format!("{login}@127.0.0.1")])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn anothers_machine_gets_the_answer_of_one_that_is_not_there() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    let bob = portal.user_with_key("bob", "user").await;
    json(&portal.run(&bob, "bob", &["vm", "new", "bobsvm", "--json"]).await);
    let there = forward(&portal, &alice, "alice", "bobsvm.bob:22").await;
    let gone = forward(&portal, &alice, "alice", "nosuch.bob:22").await;
    let nobody = forward(&portal, &alice, "alice", "bobsvm.nobody:22").await;
    for (out, name) in [(&there, "bobsvm.bob"), (&gone, "nosuch.bob"), (&nobody, "bobsvm.nobody")] {
        assert_eq!((status(out), stdout(out).as_str()), (255, ""));
        assert!(stderr(out).contains(&format!("No VM called \"{name}\".")), "{}", stderr(out));
        assert_eq!(stderr(out).replace(name, "X"), stderr(&there).replace("bobsvm.bob", "X"));
    }
    let mut words: Vec<Vec<&str>> = vec![vec![]];
    words.extend(["show", "start", "stop", "pause", "ssh", "stats"].map(|verb| vec!["vm", verb]));
    words.push(vec!["vm", "destroy", "--yes"]);
    for verb in &words[1..] {
        let ask = async |name: &str| portal.run(&alice, "alice", &[verb, &[name][..]].concat()).await;
        let (there, gone) = (ask("bobsvm.bob").await, ask("nosuch.bob").await);
        assert_eq!((status(&there), status(&gone)), (3, 3), "{verb:?}: {}", stderr(&there));
        assert_eq!(stderr(&there).replace("bobsvm", "X"), stderr(&gone).replace("nosuch", "X"));
    }
    for login in ["alice+bobsvm", "alice+bobsvm.bob", "alice+nosuch", "alice+nosuch.bob"] {
        let name = login.split_once('+').unwrap().1;
        let out = portal.run(&alice, login, &["id"]).await;
        assert_eq!((status(&out), stdout(&out).as_str()), (3, ""), "{login}");
        assert_eq!(stderr(&out), format!("No VM called “{name}”. `vm ls` shows yours.\n"));
    }
    assert_eq!(status(&portal.run(&bob, "bob", &["vm", "show", "bobsvm"]).await), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_into_a_machine_is_not_a_way_round_the_rules() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    let canary = Canary::new();
    json(&portal.run(&alice, "alice", &["vm", "new", "web1", "--json"]).await);
    // Nothing answers in a machine of the mock's: above all the host must not.
    let target = format!("127.0.0.1:{}", canary.port());
    for login in ["alice+web1", "alice+nosuch"] {
        assert_eq!(status(&forward(&portal, &alice, login, &target).await), 255, "{login}");
    }
    let target = format!("web1:{}", canary.port());
    assert_eq!(status(&forward(&portal, &alice, "alice", &target).await), 255);
    assert!(canary.untouched());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_listens_for_a_client_at_the_portal() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for forward in [format!("{free}:127.0.0.1:22"), format!("*:{free}:127.0.0.1:22"), format!("{free}")] {
        let mut ssh = portal.ssh_first(&["ExitOnForwardFailure=yes"], &alice);
        let out = output(ssh.args(["-R", &forward, "alice@127.0.0.1", "whoami"])).await;
        assert_eq!((status(&out), stdout(&out).as_str()), (255, ""), "{forward}");
        assert!(std::net::TcpStream::connect(("127.0.0.1", free)).is_err());
    }
    let client = raw::sign_in(&portal, "alice", &alice).await;
    assert!(client.tcpip_forward("0.0.0.0", 0).await.is_err());
    assert!(client.streamlocal_forward("/tmp/twarga-evil.sock").await.is_err());
    assert!(client.channel_open_direct_streamlocal("/var/run/libvirt/libvirt-sock").await.is_err());
    assert!(client.channel_open_x11("127.0.0.1", 1).await.is_err());
    assert_eq!(raw::exec(&client, "whoami").await.text(), "alice\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn displays_tunnels_and_subsystems_are_refused_and_the_session_goes_on() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    let mut ssh = portal.ssh_first(&["LogLevel=INFO"], &alice);
    ssh.env("DISPLAY", ":99").env("XAUTHORITY", portal.dir.path().join("xauthority"));
    let out = output(ssh.args(["-Y", "alice@127.0.0.1", "whoami"])).await;
    assert_eq!((status(&out), stdout(&out).as_str()), (0, "alice\n"), "{}", stderr(&out));
    assert!(stderr(&out).contains("X11 forwarding request failed"), "{}", stderr(&out));
    let mut ssh = portal.ssh_first(&["LogLevel=INFO", "ForwardAgent=yes"], &alice);
    let out = output(ssh.args(["alice@127.0.0.1", "whoami"])).await;
    assert_eq!((status(&out), stdout(&out).as_str()), (0, "alice\n"));
    let out = output(portal.ssh(&alice).args(["-s", "alice@127.0.0.1", "nonsense"])).await;
    assert_ne!(status(&out), 0);
    assert!(stdout(&out).is_empty() && stderr(&out).contains("subsystem request failed"), "{}", stderr(&out));
    let client = raw::sign_in(&portal, "alice", &alice).await;
    let mut channel = client.channel_open_session().await.unwrap();
    channel.request_x11(true, false, "MIT-MAGIC-COOKIE-1", "00", 0).await.unwrap();
    assert!(matches!(channel.wait().await, Some(russh::ChannelMsg::Failure)));
    channel.agent_forward(true).await.unwrap();
    assert!(matches!(channel.wait().await, Some(russh::ChannelMsg::Failure)));
    channel.exec(true, "whoami").await.unwrap();
    assert_eq!(raw::collect(&mut channel).await.text(), "alice\n");
}

/// What a client can tell of how the portal answered it.
async fn shape(portal: &TestPortal, key: &Path, login: &str, options: &[&str]) -> Vec<String> {
    let mut ssh = portal.ssh_first(&[&["LogLevel=DEBUG1"], options].concat(), key);
    let out = output(ssh.args(["-v", &format!("{login}@127.0.0.1"), "whoami"])).await;
    assert_eq!(status(&out), 255, "{login}");
    let keep = [
        "Authentications that can continue",
        "Permission denied",
        "Next authentication method",
        "Server accepts",
    ];
    let said = stderr(&out).replace(login, "X");
    said.lines().filter(|l| keep.iter().any(|k| l.contains(k))).map(|l| l.trim_end().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_learns_at_the_door_which_accounts_there_are() {
    let (portal, _driver) = mock().await;
    portal.user_with_key("alice", "user").await;
    portal.user("dave", "user").await;
    let stranger = portal.keygen("stranger", &["-t", "ed25519"]);
    for options in [&["PreferredAuthentications=publickey"][..], &["PreferredAuthentications=none"], &[]] {
        let unknown = shape(&portal, &stranger, "nobody", options).await;
        assert!(!unknown.is_empty());
        for login in ["alice", "dave", "alice+web1", "admin", "+", "x y"] {
            assert_eq!(shape(&portal, &stranger, login, options).await, unknown, "{login} {options:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_other_peoples_things_lead_nowhere() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    let bob = portal.user_with_key("bob", "user").await;
    json(&portal.run(&bob, "bob", &["vm", "new", "bobsvm", "--json"]).await);
    let ids = async |words: &[&str]| -> Vec<String> {
        let found = json(&portal.run(&bob, "bob", words).await);
        found.as_array().unwrap().iter().map(|v| v["id"].to_string()).collect()
    };
    let job = ids(&["job", "ls", "--json"]).await.remove(0);
    let key = ids(&["key", "ls", "--json"]).await.remove(0);
    let event = ids(&["event", "ls", "--json"]).await.remove(0);
    let missing = "999999";
    for (words, id) in [
        (["job", "show"], &job),
        (["job", "watch"], &job),
        (["job", "cancel"], &job),
        (["key", "rm"], &key),
        (["event", "show"], &event),
    ] {
        let theirs = portal.run(&alice, "alice", &[words[0], words[1], id]).await;
        let nothing = portal.run(&alice, "alice", &[words[0], words[1], missing]).await;
        assert_eq!((status(&theirs), stdout(&theirs).as_str()), (3, ""), "{words:?}");
        assert_eq!(stderr(&theirs).replace(id.as_str(), "N"), stderr(&nothing).replace(missing, "N"));
    }
    for words in [["vm", "ls", "--all", "--json"], ["job", "ls", "--all", "--json"]] {
        assert_eq!(json(&portal.run(&alice, "alice", &words).await), serde_json::json!([]), "{words:?}");
    }
    let events = json(&portal.run(&alice, "alice", &["event", "ls", "--attempts", "--json"]).await);
    assert!(events.as_array().unwrap().iter().all(|e| e["actor"] == "alice"), "{events}");
    let asked = portal.run(&alice, "alice", &["event", "ls", "--actor", "bob", "--json"]).await;
    assert_eq!(json(&asked), serde_json::json!([]));
    assert!(ids(&["key", "ls", "--json"]).await.contains(&key), "bob's key is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_runs_the_place_makes_accounts_and_sees_them() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    let root = portal.user_with_key("root", "admin").await;
    let bob = portal.keygen("bob", &["-t", "ed25519"]);
    let line = std::fs::read(bob.with_extension("pub")).unwrap();
    let words = ["user", "new", "bob", "--role", "user", "--key", "-", "--json"];
    assert_eq!(status(&portal.run_with(&alice, "alice", &words, &line).await), 5);
    let made = json(&portal.run_with(&root, "root", &words, &line).await);
    assert_eq!((made["name"].as_str(), made.get("one_time_password")), (Some("bob"), None));
    assert_eq!(stdout(&portal.run(&bob, "bob", &["whoami"]).await), "bob\n");
    assert_eq!(status(&portal.run_with(&root, "root", &words, &line).await), 4, "the name is taken");
    for name in ["alice", "root", "nobody"] {
        let out = portal.run(&alice, "alice", &["user", "show", name]).await;
        assert_eq!((status(&out), stdout(&out).as_str()), (5, ""));
    }
    assert_eq!(status(&portal.run(&root, "root", &["user", "show", "nobody"]).await), 3);
    let all = json(&portal.run(&root, "root", &["user", "ls", "--json"]).await);
    assert_eq!(all.as_array().unwrap().len(), 4);
    assert!(!all.to_string().contains("argon2"), "{all}");
}
