//! A portal over the real libvirt, whose VMs boot. What it needs it has or it
//! fails: no test of real VMs is skipped.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use twarga::driver::libvirt::{AccelSetting, LibvirtConfig, LibvirtDriver};

use super::{TestPortal, json, status, stderr};

/// A portal with the real driver, the test's images, and one account with a key.
pub struct RealPortal {
    pub portal: TestPortal,
    pub key: PathBuf,
    _sweep: Sweep,
}

/// Removes the portal's domains, however the test ends.
pub struct Sweep(String);

impl Sweep {
    /// Of the portal of that id.
    pub fn of(id: &str) -> Sweep {
        Sweep(format!("twarga-{id}-"))
    }
}

impl Drop for Sweep {
    fn drop(&mut self) {
        let listed = virsh(&["list", "--all", "--name"]);
        let names = String::from_utf8_lossy(&listed.stdout).into_owned();
        for name in names.lines().filter(|n| n.starts_with(&self.0)) {
            virsh(&["destroy", name]);
            virsh(&["undefine", name, "--nvram", "--managed-save", "--snapshots-metadata"]);
        }
    }
}

/// Runs virsh against the system's libvirtd.
pub fn virsh(words: &[&str]) -> Output {
    Command::new("virsh").args(["-q", "-c", "qemu:///system"]).args(words).output().unwrap()
}

impl RealPortal {
    pub async fn start() -> RealPortal {
        let config = LibvirtConfig {
            uri: String::from("qemu:///system"),
            accel: AccelSetting::Auto,
            // Kept from run to run: to try KVM takes a while.
            state_dir: Path::new(env!("CARGO_TARGET_TMPDIR")).join("real"),
            qemu: None,
            allow_outbound: false,
        };
        let driver = Arc::new(LibvirtDriver::connect(config).unwrap());
        let portal = TestPortal::start(driver, |_| {}).await;
        let images = super::images();
        assert!(
            images.join("micro/current").exists(),
            "no images in {}: `make images` makes them",
            images.display()
        );
        std::os::unix::fs::symlink(images, portal.portal.config().data_dir.join("images")).unwrap();
        let key = portal.user_with_key("alice", "user").await;
        let sweep = Sweep::of(portal.portal.id());
        RealPortal { portal, key, _sweep: sweep }
    }

    /// `ssh alice@portal WORDS…`
    pub async fn run(&self, words: &[&str]) -> Output {
        self.portal.run(&self.key, "alice", words).await
    }

    /// The same, which must succeed.
    pub async fn done(&self, words: &[&str]) -> Output {
        let out = self.run(words).await;
        assert_eq!(status(&out), 0, "{words:?}: {}", stderr(&out));
        out
    }

    /// `ssh alice+VM@portal COMMAND`
    pub async fn inside(&self, vm: &str, command: &str) -> Output {
        self.portal.run(&self.key, &format!("alice+{vm}"), &[command]).await
    }

    /// Makes a VM and waits until it is ready.
    pub async fn vm(&self, name: &str) -> serde_json::Value {
        json(&self.run(&["vm", "new", name, "--image", "micro", "--json"]).await)
    }

    /// An ssh configuration in which the portal is called `portal`.
    pub fn ssh_config(&self, more: &str) -> PathBuf {
        let path = self.portal.dir.path().join("ssh_config");
        let text = format!(
            "{more}\nHost portal\n    HostName 127.0.0.1\n    Port {}\n    User alice\n\nHost *\n    IdentityFile {}\n    \
             IdentitiesOnly yes\n    BatchMode yes\n    LogLevel ERROR\n    StrictHostKeyChecking accept-new\n    \
             UserKnownHostsFile {}\n",
            self.portal.address.port(),
            self.key.display(),
            self.portal.dir.path().join("known_hosts").display(),
        );
        std::fs::write(&path, text).unwrap();
        path
    }
}
