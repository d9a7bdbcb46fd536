//! The whole table: everything that somebody can show, by every way in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "common/authenticator.rs"]
#[allow(dead_code)]
mod authenticator;
mod common;
#[path = "support/sshd_driver.rs"]
#[allow(dead_code)]
mod sshd_driver;
#[path = "common/work.rs"]
mod work;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use authenticator::{App, answering};
use common::pty::Pty;
use common::{PASSWORD, TestPortal, output, stderr, stdout};
use sshd_driver::SshdDriver;
use tokio::process::Command;
use twarga::action::ca::CaAdd;
use twarga::action::key::KeyAdd;
use twarga::portal::Principal;
use work::make_vm;

const WAYS: [&str; 5] = ["TUI", "exec", "sftp", "user+vm", "-J"];

/// What is shown to the portal: whose account, and the client's options for it.
struct Proof {
    what: &'static str,
    user: &'static str,
    options: String,
    lets_in: bool,
}

struct House {
    portal: TestPortal,
    key: PathBuf,
    app: App,
}

fn public(key: &Path) -> String {
    std::fs::read_to_string(key.with_extension("pub")).unwrap()
}

async fn with_key(portal: &TestPortal, who: &Principal, key: &Path) {
    portal.portal.perform(who, KeyAdd::of(public(key))).await.unwrap();
}

impl House {
    /// A client of that proof, whatever it is asked.
    fn client(&self, program: &str, proof: &Proof) -> Command {
        let dir = self.portal.dir.path();
        let config = dir.join(format!("config-{}", proof.what.replace(' ', "-")));
        let text = format!(
            "Host portal\nHostName 127.0.0.1\nPort {}\nUser {}\nNumberOfPasswordPrompts 1\n{}\n\
             Host web1\nUser root\nBatchMode yes\nIdentityFile {}\nIdentitiesOnly yes\n\
             Host *\nLogLevel ERROR\nStrictHostKeyChecking accept-new\nUserKnownHostsFile {}\n",
            self.portal.address.port(),
            proof.user,
            proof.options,
            self.key.display(),
            // A name of its own for each: both have a web1.
            dir.join(format!("known-{}", proof.user)).display(),
        );
        std::fs::write(&config, text).unwrap();
        let mut client = Command::new(program);
        client.arg("-F").arg(config).env_remove("SSH_AUTH_SOCK");
        client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        answering(&self.portal, &mut client, PASSWORD, &self.app.fresh(&self.portal));
        client
    }

    /// Whether that way is open, seen by what is behind it.
    async fn opens(&self, proof: &Proof, way: &str) -> Result<(), String> {
        let inside = format!("{}+web1@portal", proof.user);
        let mut ssh = self.client("ssh", proof);
        let (out, wanted) = match way {
            "TUI" => {
                let mut pty = Pty::spawn(ssh.args(["-tt", "portal"]));
                if !proof.lets_in {
                    return if pty.ended().await == 255 { Err(pty.screen()) } else { Ok(()) };
                }
                pty.shows("web1").await;
                pty.send("q").await;
                pty.ended().await;
                return Ok(());
            }
            "exec" => (output(ssh.args(["portal", "whoami"])).await, proof.user),
            "user+vm" => (output(ssh.args([inside.as_str(), "echo inside"])).await, "inside"),
            "-J" => (output(ssh.args(["-J", "portal", "root@web1", "echo inside"])).await, "inside"),
            _ => {
                let (batch, got) = (self.portal.dir.path().join("batch"), self.portal.dir.path().join("got"));
                let _ = std::fs::remove_file(&got);
                std::fs::write(&batch, format!("get /etc/hostname {}\n", got.display())).unwrap();
                let mut sftp = self.client("sftp", proof);
                let out = output(sftp.args(["-q", &inside]).stdin(std::fs::File::open(batch).unwrap())).await;
                return if got.exists() { Ok(()) } else { Err(stderr(&out)) };
            }
        };
        if stdout(&out).trim() == wanted { Ok(()) } else { Err(format!("{}{}", stdout(&out), stderr(&out))) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_can_be_shown_opens_every_way_or_none() {
    let portal = TestPortal::start(Arc::new(SshdDriver::default()), |_| {}).await;
    portal.install_fake_image();
    let key = portal.keygen("shown", &["-t", "ed25519"]);
    let alice = portal.user("alice", "user").await;
    let dora = portal.user("dora", "user").await;
    for who in [&alice, &dora] {
        with_key(&portal, who, &key).await;
        make_vm(&portal.portal, who, "web1").await;
    }
    let app = App::set_up(&portal, &dora).await;

    // An authority, and a key of nobody's that it vouches for.
    let ca = portal.keygen("office", &["-t", "ed25519"]);
    let add = CaAdd { key: vec![public(&ca)], name: None };
    portal.portal.perform(&portal.admin, add).await.unwrap();
    let bare = portal.keygen("bare", &["-t", "ed25519"]);
    let signed = std::process::Command::new("ssh-keygen")
        .args(["-q", "-I", "test", "-n", "alice", "-s"])
        .arg(&ca)
        .arg(bare.with_extension("pub"))
        .status();
    assert!(signed.unwrap().success());
    let certificate = bare.with_file_name("key-bare-cert.pub");

    // An agent with nineteen keys of nobody's before the right one.
    let socket = portal.dir.path().join("agent");
    let mut agent = Command::new("ssh-agent");
    agent.args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).kill_on_drop(true);
    let _agent = agent.spawn().unwrap();
    common::until("the agent's socket", async || socket.exists()).await;
    let others: Vec<_> = (0..19).map(|i| portal.keygen(&format!("other{i}"), &["-t", "ed25519"])).collect();
    for key in others.iter().chain([&key]) {
        let out = output(Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", &socket)).await;
        assert!(out.status.success(), "{}", stderr(&out));
    }

    let file = |path: &Path| format!("IdentityFile {}\nIdentitiesOnly yes\n", path.display());
    let only = |path: &Path| file(path) + "BatchMode yes\n";
    let master = portal.dir.path().join("m-%r");
    let no_key = String::from("PubkeyAuthentication no\n");
    let proof = |what, user, options| Proof { what, user, options, lets_in: true };
    let proofs = [
        proof("password", "alice", no_key.clone()),
        proof("key", "alice", only(&key)),
        proof("certificate", "alice", only(&bare) + &format!("CertificateFile {}\n", certificate.display())),
        proof("key and code", "dora", file(&key)),
        proof("password and code", "dora", no_key),
        proof("agent", "alice", format!("IdentityAgent {}\nBatchMode yes\n", socket.display())),
        proof(
            "ControlMaster",
            "dora",
            file(&key) + &format!("ControlMaster auto\nControlPath {}\nControlPersist 3\n", master.display()),
        ),
        // Nobody can be asked for the code.
        Proof { lets_in: false, ..proof("BatchMode", "dora", only(&key)) },
    ];
    let house = House { portal, key, app };
    let mut wrong = Vec::new();
    for proof in &proofs {
        for way in WAYS {
            let got = house.opens(proof, way).await;
            if got.is_ok() != proof.lets_in {
                wrong.push(format!("{} by {way}: {got:?}", proof.what));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
