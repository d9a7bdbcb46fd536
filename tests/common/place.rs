//! The real binary, run as a user would, in a directory of its own.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The longest that the program may take for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A directory with a configuration that needs no libvirt.
pub struct Place {
    pub dir: TempDir,
}

const CONFIG: &str = "[ssh]\nlisten = \"127.0.0.1:0\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
    [driver.libvirt]\nuri = \"test:///default\"\n";

impl Place {
    pub fn new() -> Place {
        let dir = tempfile::Builder::new().prefix("twarga-place-").tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let place = Place { dir };
        place.write("twarga.toml", CONFIG);
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_twarga"));
        command.args(args).current_dir(self.dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs `twarga ARGS…` to its end.
    pub fn run(&self, args: &[&str]) -> Done {
        Done::of(self.command(args).spawn().unwrap(), b"")
    }

    /// The same with something on standard input.
    pub fn feed(&self, args: &[&str], input: &str) -> Done {
        Done::of(self.command(args).stdin(Stdio::piped()).spawn().unwrap(), input.as_bytes())
    }

    /// The same as somebody whom permissions hold back.
    pub fn run_as_nobody(&self, args: &[&str]) -> Done {
        let program = self.path("twarga-copy");
        if !program.exists() {
            std::fs::copy(env!("CARGO_BIN_EXE_twarga"), &program).unwrap();
        }
        let mut command = Command::new(program);
        command.args(args).current_dir(self.dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if rustix::process::geteuid().is_root() {
            command.uid(65_534).gid(65_534);
        }
        Done::of(command.spawn().unwrap(), b"")
    }

    /// A key pair; the private half's file.
    pub fn keygen(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path).status();
        assert!(made.unwrap().success());
        path
    }

    /// Sets up with an administrator `admin` who has a key; its file.
    pub fn init_with_key(&self) -> PathBuf {
        let key = self.keygen("id");
        self.run(&["init", "--admin", "admin", "--key", "id.pub"]).expect(0);
        key
    }

    /// Starts the portal and waits until it says that it serves.
    pub fn serve(&self) -> Serving {
        Serving::start(self.command(&["serve"]))
    }

    /// A connection to its database.
    pub fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path("data/twarga.db")).unwrap()
    }

    /// `ssh admin@portal WORDS…`, with the host key pinned at the first call.
    pub fn ssh(&self, port: u16, words: &[&str]) -> Done {
        Done::of(self.ssh_command(port, words).spawn().unwrap(), b"")
    }

    /// The same, to be run.
    pub fn ssh_command(&self, port: u16, words: &[&str]) -> Command {
        let known = self.path("known_hosts");
        let check = if known.exists() { "yes" } else { "accept-new" };
        let mut command = Command::new("ssh");
        command.args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "LogLevel=ERROR",
        ]);
        command.args(["-o", "ConnectTimeout=20", "-o", "HostKeyAlias=portal", "-p", &port.to_string()]);
        command.arg("-o").arg(format!("UserKnownHostsFile={}", known.display()));
        command.arg("-o").arg(format!("StrictHostKeyChecking={check}"));
        command.arg("-i").arg(self.path("id")).arg("admin@127.0.0.1").args(words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// What a run came to.
#[derive(Debug)]
pub struct Done {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    fn of(mut child: Child, input: &[u8]) -> Done {
        if let Some(mut stdin) = child.stdin.take() {
            let _ = stdin.write_all(input);
        }
        let (tell, told) = mpsc::channel();
        let pid = rustix::process::Pid::from_child(&child);
        std::thread::spawn(move || tell.send(child.wait_with_output()));
        let Ok(out) = told.recv_timeout(PATIENCE) else {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            panic!("the program hangs");
        };
        let Output { status, stdout, stderr } = out.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Done { status: status.code().unwrap_or(-1), stdout: text(stdout), stderr: text(stderr) }
    }

    /// The run itself, if it ended with that status.
    #[track_caller]
    pub fn expect(self, status: i32) -> Done {
        assert_eq!(self.status, status, "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// The same, and standard error has these words.
    #[track_caller]
    pub fn says(self, words: &str) -> Done {
        assert!(self.stderr.contains(words), "no “{words}” in: {}", self.stderr);
        assert!(!self.stderr.contains("panicked") && !self.stderr.contains("Error {"), "{}", self.stderr);
        self
    }
}

/// A portal that serves; killed when the test ends.
pub struct Serving {
    child: Child,
    /// What it said on standard output until it served.
    pub said: String,
    pub port: u16,
}

impl Serving {
    pub fn start(mut command: Command) -> Serving {
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut err = child.stderr.take().unwrap();
        let (tell, lines) = mpsc::channel();
        let tell_log = tell.clone();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|l| tell.send(l)));
        std::thread::spawn(move || {
            let mut log = String::new();
            let _ = err.read_to_string(&mut log);
            let _ = tell_log.send(format!("LOG {log}"));
        });
        let mut serving = Serving { child, said: String::new(), port: 0 };
        while !serving.said.contains("Status page") {
            let line = lines.recv_timeout(PATIENCE).expect("the portal says nothing");
            assert!(!line.starts_with("LOG"), "the portal ended: {}\n{line}", serving.said);
            serving.said += &(line + "\n");
        }
        let after = serving.said.split("ssh -p ").nth(1).expect("the line with `ssh -p PORT`");
        serving.port = after.split(' ').next().unwrap().parse().unwrap();
        serving
    }

    /// The same, where it may die before it serves: none then.
    pub fn try_start(mut command: Command) -> Option<Serving> {
        let mut child = command.stderr(Stdio::inherit()).env("TWARGA_LOG", "error").spawn().unwrap();
        let mut said = String::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            said += &(line + "\n");
            if said.contains("Status page") {
                let after = said.split("ssh -p ").nth(1).expect("the line with `ssh -p PORT`");
                let port = after.split(' ').next().unwrap().parse().unwrap();
                return Some(Serving { child, said, port });
            }
        }
        child.wait().unwrap();
        None
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once, as a crash would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it has killed itself.
    pub fn dies(mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{status}");
                return;
            }
            assert!(Instant::now() < deadline, "it does not come to where it should die");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it as systemd would; its exit status.
    pub fn terminate(mut self) -> i32 {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < deadline, "it does not end within 10 s");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An image of three small files in that data directory.
pub fn install_fake_image(place: &Place) -> PathBuf {
    for file in ["kernel", "initrd", "disk.qcow2"] {
        place.write(&format!("out/{file}"), file);
    }
    let recipe = "description = \"nothing\"\nssh_user = \"root\"\nkernel_args = \"quiet\"\nmin_ram_mb = 64\nmin_disk_gb = 1\nguest_agent = false\n";
    place.write("out/recipe.toml", recipe);
    let images = place.path("data/images");
    let digest =
        twarga::image::install(&twarga::image::Catalogue::new(images.clone()), "micro", &place.path("out"));
    images.join("micro").join(digest.unwrap())
}

/// The files below a folder, as paths from it.
pub fn files(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
