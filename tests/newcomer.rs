//! The first five minutes, taken from the README as it is written: the real
//! binary, real OpenSSH clients, a real VM. Only the port and the home
//! directory are others.
#![cfg(feature = "libvirt")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::pty::Pty;
use common::real::Sweep;

const PASSWORD: &str = "seven brown foxes";

/// The portal, served by the binary in a directory of its own.
struct Portal {
    dir: tempfile::TempDir,
    child: Child,
    port: String,
    password: String,
    _sweep: Sweep,
}

impl Drop for Portal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Portal {
    fn serve() -> Portal {
        let dir = tempfile::Builder::new().prefix("twarga-newcomer-").tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::create_dir_all(dir.path().join("data")).unwrap();
        std::os::unix::fs::symlink(common::images(), dir.path().join("data/images")).unwrap();
        let config = "[ssh]\nlisten = \"127.0.0.1:0\"\n[http]\nlisten = \"127.0.0.1:0\"\n";
        std::fs::write(dir.path().join("twarga.toml"), config).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_twarga"))
            .arg("serve")
            .current_dir(dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said: Vec<String> = Vec::new();
        for line in lines {
            said.push(line.unwrap());
            if said.last().unwrap().starts_with("Status page:") {
                break;
            }
        }
        let password = said.iter().find(|l| l.starts_with("    ")).unwrap().trim().to_owned();
        let sign_in = said.iter().find(|l| l.starts_with("Sign in:")).unwrap();
        let port = sign_in.split_whitespace().skip_while(|w| *w != "-p").nth(1).unwrap().to_owned();
        let database = rusqlite::Connection::open(dir.path().join("data/twarga.db")).unwrap();
        let id: String =
            database.query_row("SELECT value FROM meta WHERE key = 'portal_id'", [], |r| r.get(0)).unwrap();
        Portal { dir, child, port, password, _sweep: Sweep::of(&id) }
    }
}

/// A home directory with a key, and ssh and scp that look there.
struct Home {
    path: PathBuf,
}

impl Home {
    fn new(portal: &Portal) -> Home {
        let path = portal.dir.path().join("home");
        std::fs::create_dir_all(path.join(".ssh")).unwrap();
        std::fs::create_dir_all(path.join("bin")).unwrap();
        let home = Home { path };
        let show = |name: &str| home.path.join(name).display().to_string();
        // What ssh would take from its user's home of itself.
        let config = format!(
            "Host *\n    IdentityFile {}\n    UserKnownHostsFile {}\n    StrictHostKeyChecking accept-new\n    \
             IdentitiesOnly yes\n    LogLevel ERROR\n",
            show(".ssh/id_ed25519"),
            show(".ssh/known_hosts"),
        );
        std::fs::write(home.path.join(".ssh/config"), config).unwrap();
        for tool in ["ssh", "scp"] {
            let script = format!("#!/bin/sh\nexec /usr/bin/{tool} -F {} \"$@\"\n", show(".ssh/config"));
            home.script(tool, &script);
        }
        home.script("answer", &format!("#!/bin/sh\necho '{PASSWORD}'\n"));
        home
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.path.join("bin").join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// Runs a line of the README in a shell; its output.
    fn run(&self, line: &str) -> String {
        let out = Command::new("sh")
            .args(["-ec", line])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("HOME", &self.path)
            .env("PATH", format!("{}:{}", self.path.join("bin").display(), std::env::var("PATH").unwrap()))
            .env("SSH_ASKPASS", self.path.join("bin/answer"))
            .env("SSH_ASKPASS_REQUIRE", "force")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success(), "{line}\n{text}\n{}", String::from_utf8_lossy(&out.stderr));
        text
    }
}

/// The lines of the README's shell blocks below that heading.
fn lines_below(heading: &str) -> Vec<String> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let section = readme.split(heading).nth(1).unwrap().split("\n## ").next().unwrap().to_owned();
    let blocks = section.split("```sh\n").skip(1).map(|b| b.split("```").next().unwrap().to_owned());
    blocks.flat_map(|b| b.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_five_minutes_are_as_the_readme_says() {
    let portal = tokio::task::spawn_blocking(Portal::serve).await.unwrap();
    let home = Home::new(&portal);
    home.run("ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519");
    first_login(&portal, &home).await;
    let here = |line: &str| {
        let line = line.split(" #").next().unwrap().trim();
        let line = line
            .replace("-p 2222", &format!("-p {}", portal.port))
            .replace("-P 2222", &format!("-P {}", portal.port));
        line.replace("localhost:2222", &format!("localhost:{}", portal.port))
            .replace("~/", &format!("{}/", home.path.display()))
    };
    let mut ran = 0;
    for line in lines_below("## The first five minutes") {
        let command = here(&line);
        let said = if command.ends_with("alice+web1@localhost") {
            // A shell inside, for a person; here it gets its words from a pipe.
            home.run(&format!("echo 'id -un; hostname' | {command}"))
        } else if command.ends_with("admin@localhost") {
            // Done above, at a terminal.
            continue;
        } else if command.starts_with("ssh -J") {
            home.run(&format!("{command} hostname"))
        } else if command.contains("vm destroy") {
            // The block after it still wants the machine.
            continue;
        } else if command.contains("ssh-config") {
            home.run(
                &command.replace("ssh-config", &format!("ssh-config --portal localhost:{}", portal.port)),
            )
        } else {
            home.run(&command)
        };
        ran += 1;
        expect(&line, &said);
    }
    assert!(ran >= 9, "the README lost its commands: {ran}");
    assert_eq!(home.run("ssh web1 hostname"), "web1\n");
    let destroy =
        lines_below("## The first five minutes").into_iter().find(|l| l.contains("vm destroy")).unwrap();
    assert!(home.run(&here(&destroy)).contains("destroyed"));
}

/// What a newcomer would look for in the answer.
fn expect(line: &str, said: &str) {
    let looked_for = if line.contains("vm new") {
        "web1 is ready"
    } else if line.contains("vm ls") {
        "● running"
    } else if line.contains("uname") {
        "Linux web1"
    } else if line.ends_with("you are root in web1") {
        "root\nweb1\n"
    } else if line.starts_with("ssh -J") {
        "web1\n"
    } else if line.contains("user new") {
        "alice may sign in"
    } else {
        ""
    };
    assert!(said.contains(looked_for), "{line}\n{said}");
}

/// At a terminal: the one-time password, a password of one's own, the screen.
async fn first_login(portal: &Portal, home: &Home) {
    let mut ssh = tokio::process::Command::new(home.path.join("bin/ssh"));
    ssh.args(["-p", &portal.port, "-o", "PreferredAuthentications=password", "admin@localhost"]);
    ssh.env_remove("SSH_ASKPASS").env_remove("SSH_ASKPASS_REQUIRE");
    let mut person = Pty::spawn(&ssh);
    person.shows("password:").await;
    person.send(format!("{}\r", portal.password)).await;
    person.shows("Choose a password of your own").await;
    person.shows("Password so far:").await;
    person.send(format!("{}\r", portal.password)).await;
    person.shows("New password:").await;
    person.send(format!("{PASSWORD}\r")).await;
    person.shows("The same again:").await;
    person.send(format!("{PASSWORD}\r")).await;
    person.shows("admin (admin)").await;
    person.shows("No VMs").await;
    person.send("?").await;
    person.shows("make a VM").await;
    person.send("\x1b").await;
    person.shows("n new").await;
    person.send("q").await;
    assert_eq!(person.ended().await, 0);
}
