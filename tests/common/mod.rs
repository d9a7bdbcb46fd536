//! What the end-to-end tests share: a portal in this process over a driver of
//! the test's choice, and real OpenSSH clients against it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[cfg(feature = "libvirt")]
pub mod own_libvirt;
pub mod pty;
pub mod raw;
#[cfg(feature = "libvirt")]
pub mod real;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use twarga::action::account::AccountPasswd;
use twarga::action::user::UserNew;
use twarga::config::Config;
use twarga::driver::Driver;
use twarga::driver::mock::MockDriver;
use twarga::portal::{Portal, Principal};
use twarga::ssh::Server;
use twarga::store::Store;
use zeroize::Zeroizing;

/// The password of every account that a test makes.
pub const PASSWORD: &str = "seven brown foxes";
/// The longest that a client of a test may take.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// A portal that serves, with everything of its own in a temporary directory.
pub struct TestPortal {
    pub dir: TempDir,
    pub portal: Portal,
    pub address: SocketAddr,
    pub admin: Principal,
    stop: CancellationToken,
    server: Option<tokio::task::JoinHandle<()>>,
}

/// A portal over the mock driver, whose guests do not boot.
pub async fn mock() -> (TestPortal, Arc<MockDriver>) {
    mock_with(|_| {}).await
}

/// The same with another configuration.
pub async fn mock_with(configure: impl FnOnce(&mut Config)) -> (TestPortal, Arc<MockDriver>) {
    let driver = Arc::new(MockDriver::new());
    let portal = TestPortal::start(Arc::clone(&driver) as Arc<dyn Driver>, configure).await;
    portal.install_fake_image();
    (portal, driver)
}

impl TestPortal {
    /// Starts a portal on a free port; `configure` may change its configuration.
    pub async fn start(driver: Arc<dyn Driver>, configure: impl FnOnce(&mut Config)) -> TestPortal {
        let dir = tempfile::Builder::new().prefix("twarga-test-").tempdir().unwrap();
        TestPortal::start_in(dir, driver, configure).await
    }

    /// The same, over what is in that directory already.
    pub async fn start_in(
        dir: TempDir,
        driver: Arc<dyn Driver>,
        configure: impl FnOnce(&mut Config),
    ) -> TestPortal {
        // The emulator's account has to come through.
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut config = Config {
            data_dir: dir.path().join("data"),
            host_key_dir: dir.path().join("host-keys"),
            ..Config::default()
        };
        config.ssh.listen = "127.0.0.1:0".parse().unwrap();
        config.http.listen = "127.0.0.1:0".parse().unwrap();
        config.sample_s = 1;
        configure(&mut config);
        std::fs::create_dir_all(&config.data_dir).unwrap();
        let store = Store::open(&config.data_dir.join("twarga.db")).unwrap();
        let portal = Portal::open(config, store, driver).await.unwrap();
        let server = Server::bind(portal.clone()).await.unwrap();
        let address = server.address().unwrap();
        portal.start_background();
        let stop = CancellationToken::new();
        let running = tokio::spawn(server.run(stop.clone()));
        let admin = first_admin(&portal).await;
        TestPortal { dir, portal, address, admin, stop, server: Some(running) }
    }

    /// An account of that name, with [`PASSWORD`] and without a key.
    pub async fn user(&self, name: &str, role: &str) -> Principal {
        let new = UserNew { name: name.parse().unwrap(), role: role.parse().unwrap(), key: None };
        let made = self.portal.perform(&self.admin, new).await.unwrap();
        let first = made.one_time_password.unwrap();
        let who = self.sign_in(name, &first).await;
        let change = AccountPasswd { old: Some(first), new: Zeroizing::new(PASSWORD.to_owned()) };
        self.portal.perform(&who, change).await.unwrap();
        who
    }

    /// An account of that name with a key; the key's file.
    pub async fn user_with_key(&self, name: &str, role: &str) -> PathBuf {
        let key = self.keygen(name, &["-t", "ed25519"]);
        let line = std::fs::read_to_string(key.with_extension("pub")).unwrap();
        let new = UserNew { name: name.parse().unwrap(), role: role.parse().unwrap(), key: Some(line) };
        self.portal.perform(&self.admin, new).await.unwrap();
        key
    }

    /// A principal, let in by its password.
    pub async fn sign_in(&self, name: &str, password: &str) -> Principal {
        let_in(&self.portal, name, password).await
    }

    /// Makes a key pair by ssh-keygen.
    pub fn keygen(&self, name: &str, flags: &[&str]) -> PathBuf {
        let path = self.dir.path().join(format!("key-{name}"));
        let status = std::process::Command::new("ssh-keygen")
            .args(["-q", "-N", "", "-C", name, "-f"])
            .arg(&path)
            .args(flags)
            .stdin(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        path
    }

    /// `ssh` with flags that keep the tester's own configuration out of it.
    pub fn ssh(&self, key: &Path) -> Command {
        self.ssh_first(&[], key)
    }

    /// The same with options before all others: to ssh the first value counts.
    pub fn ssh_first(&self, options: &[&str], key: &Path) -> Command {
        let mut command = Command::new("ssh");
        command.args(options.iter().flat_map(|o| ["-o", o]));
        command.args(self.flags(key)).arg("-p").arg(self.address.port().to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// `ssh` that knows a password and no key: what it would ask a person for
    /// comes from a program.
    pub fn ssh_with_password(&self, password: &str) -> Command {
        let ask = self.dir.path().join(format!("askpass-{}", uuid::Uuid::new_v4().simple()));
        std::fs::write(&ask, format!("#!/bin/sh\ncat <<'END'\n{password}\nEND\n")).unwrap();
        std::fs::set_permissions(&ask, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let options = ["BatchMode=no", "NumberOfPasswordPrompts=1", "PubkeyAuthentication=no"];
        let mut command = self.ssh_first(&options, Path::new("none"));
        command.env("SSH_ASKPASS", ask).env("SSH_ASKPASS_REQUIRE", "force").env_remove("DISPLAY");
        command
    }

    /// Runs `ssh LOGIN@portal WORDS…` with a password.
    pub async fn run_with_password(&self, password: &str, login: &str, words: &[&str]) -> Output {
        output(self.ssh_with_password(password).arg(format!("{login}@127.0.0.1")).args(words)).await
    }

    /// The flags that ssh, scp and sftp share.
    pub fn flags(&self, key: &Path) -> Vec<String> {
        let known = self.dir.path().join("known_hosts");
        let option = |s: String| [String::from("-o"), s];
        [
            [String::from("-F"), String::from("none")],
            option(format!("IdentityFile={}", key.display())),
            option(String::from("IdentitiesOnly=yes")),
            option(String::from("BatchMode=yes")),
            option(format!("UserKnownHostsFile={}", known.display())),
            option(String::from("StrictHostKeyChecking=accept-new")),
            option(String::from("LogLevel=ERROR")),
            option(String::from("ConnectTimeout=20")),
        ]
        .concat()
    }

    /// Runs `ssh LOGIN@portal WORDS…`.
    pub async fn run(&self, key: &Path, login: &str, words: &[&str]) -> Output {
        output(self.ssh(key).arg(format!("{login}@127.0.0.1")).args(words)).await
    }

    /// The same with something on standard input.
    pub async fn run_with(&self, key: &Path, login: &str, words: &[&str], input: &[u8]) -> Output {
        let mut command = self.ssh(key);
        command.arg(format!("{login}@127.0.0.1")).args(words).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let feed = tokio::spawn(async move {
            let _ = stdin.write_all(&input).await;
        });
        let out = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("ssh hangs").unwrap();
        feed.abort();
        out
    }

    /// An image of three small files, for drivers whose guests do not boot.
    pub fn install_fake_image(&self) {
        let out = self.dir.path().join("fake-image");
        std::fs::create_dir(&out).unwrap();
        for file in ["kernel", "initrd", "disk.qcow2"] {
            std::fs::write(out.join(file), file).unwrap();
        }
        let recipe = "description = \"nothing\"\nssh_user = \"root\"\nkernel_args = \"quiet\"\nmin_ram_mb = 64\nmin_disk_gb = 1\nguest_agent = false\n";
        std::fs::write(out.join("recipe.toml"), recipe).unwrap();
        let catalogue = twarga::image::Catalogue::new(self.portal.config().data_dir.join("images"));
        twarga::image::install(&catalogue, "micro", &out).unwrap();
    }

    /// Ends the server and waits for it; what it left is in the directory.
    pub async fn stop(mut self) -> TempDir {
        self.stop.cancel();
        if let Some(server) = self.server.take() {
            server.await.unwrap();
        }
        self.portal.finish_jobs(Duration::from_secs(5)).await;
        std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap())
    }
}

impl Drop for TestPortal {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A principal, let in by its password; where none is taken, by a key that it has
/// for that moment.
async fn let_in(portal: &Portal, name: &str, password: &str) -> Principal {
    let mut login = portal.login("127.0.0.1".parse().unwrap());
    if portal.config().ssh.password_auth {
        let password = Zeroizing::new(password.to_owned());
        return login.password(name, password).await.principal().expect("let in");
    }
    let db = rusqlite::Connection::open(portal.config().data_dir.join("twarga.db")).unwrap();
    db.busy_timeout(PATIENCE).unwrap();
    let made = "INSERT INTO ssh_keys (user_id, algorithm, fingerprint, note, line, created_at)
        SELECT id, 'ssh-ed25519', 'SHA256:test', '', '', 0 FROM users WHERE name = ?1";
    db.execute(made, [name]).unwrap();
    let who = login.key(name, String::from("SHA256:test")).await.principal().expect("let in");
    db.execute("DELETE FROM ssh_keys WHERE fingerprint = 'SHA256:test'", []).unwrap();
    who
}

/// The administrator, with [`PASSWORD`].
async fn first_admin(portal: &Portal) -> Principal {
    if let Some(first) = portal.ensure_admin().await.unwrap() {
        let admin = let_in(portal, "admin", &first).await;
        let change = AccountPasswd { old: Some(first), new: Zeroizing::new(PASSWORD.to_owned()) };
        portal.perform(&admin, change).await.unwrap();
        return admin;
    }
    let_in(portal, "admin", PASSWORD).await
}

/// Gives an account [`PASSWORD`] and a key of nobody's, past the portal: where
/// passwords are not taken there is no other way to a password. The key's fingerprint.
pub async fn give(portal: &Portal, name: &str) -> String {
    let store = Store::open(&portal.config().data_dir.join("twarga.db")).unwrap();
    let id = store.user_by_name(name.to_owned()).await.unwrap().unwrap().id;
    let hash = twarga::portal::auth::hash_password(PASSWORD).unwrap();
    store.set_password(id, hash, false).await.unwrap();
    let (_, line) = twarga::portal::keys::new_pair().unwrap();
    let key = twarga::portal::keys::parse_public(&line).unwrap();
    store.keys_insert(id, vec![key], 100).await.unwrap().remove(0).fingerprint
}

/// The folder of the images that tests boot: `$TWARGA_IMAGES`, else what
/// `make images` makes.
pub fn images() -> PathBuf {
    let dir =
        std::env::var_os("TWARGA_IMAGES").map_or_else(|| PathBuf::from("target/test/images"), PathBuf::from);
    std::path::absolute(dir).unwrap()
}

/// Runs a command to its end, within [`PATIENCE`].
pub async fn output(command: &mut Command) -> Output {
    tokio::time::timeout(PATIENCE, command.output()).await.expect("the command hangs").unwrap()
}

/// Standard output as text.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Standard error as text.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The exit status; 255 is ssh's own.
pub fn status(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

/// Standard output as JSON: exactly one document.
pub fn json(output: &Output) -> serde_json::Value {
    assert_eq!(status(output), 0, "{}", stderr(output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", stdout(output)))
}

/// Waits until `check` holds; fails with `what` if it does not within [`PATIENCE`].
pub async fn until<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !check().await {
        assert!(tokio::time::Instant::now() < deadline, "it never came to this: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
