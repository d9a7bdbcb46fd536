//! A driver whose guests are OpenSSH servers on this host: what the portal costs
//! can be measured without an emulator's noise. Domains are kept by the mock;
//! starting one starts an sshd at its port, with the host key and the
//! `authorized_keys` of its seed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::DuplexStream;
use tokio::process::{Child, Command};
use tokio::sync::broadcast;
use twarga::driver::mock::MockDriver;
use twarga::driver::{
    Backend, Capabilities, Domain, DomainSpec, DomainState, DomainStats, Driver, DriverEvent,
};
use twarga::error::Result;
use twarga::portal::keys::write_secret;
use uuid::Uuid;

/// See the module's notes.
#[derive(Default)]
pub struct SshdDriver {
    mock: MockDriver,
    guests: Mutex<HashMap<Uuid, Child>>,
}

impl SshdDriver {
    fn guests(&self) -> MutexGuard<'_, HashMap<Uuid, Child>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Dropping the child kills the listener; connections end with their clients.
    fn kill(&self, uuid: Uuid) {
        drop(self.guests().remove(&uuid));
    }
}

fn key_file(dir: &Path) -> PathBuf {
    dir.join("ssh_host_ed25519_key")
}

/// `SHLVL`: a bash that sshd starts reads `~/.bashrc`, unless it is not the first.
fn configuration(spec: &DomainSpec) -> String {
    let dir = spec.dir.display();
    format!(
        "ListenAddress 127.0.0.1\nPort {}\nHostKey {}\nAuthorizedKeysFile {dir}/authorized_keys\n\
         StrictModes no\nUsePAM no\nPermitRootLogin yes\nPidFile none\nPasswordAuthentication no\n\
         Subsystem sftp internal-sftp\nMaxStartups 200\nMaxSessions 50\nSetEnv SHLVL=2\n",
        spec.ssh_port,
        key_file(&spec.dir).display(),
    )
}

#[async_trait]
impl Driver for SshdDriver {
    fn name(&self) -> &'static str {
        "sshd"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { boots: true, ..self.mock.capabilities() }
    }

    async fn ping(&self) -> Result<Backend> {
        self.mock.ping().await
    }

    async fn prepare(&self, spec: &DomainSpec) -> Result<()> {
        std::fs::create_dir_all(&spec.dir)?;
        let key = key_file(&spec.dir);
        if !key.exists() {
            write_secret(&key, spec.seed.host_key.as_bytes())?;
        }
        std::fs::write(spec.dir.join("authorized_keys"), spec.seed.authorized_keys.join("\n") + "\n")?;
        std::fs::write(spec.dir.join("sshd_config"), configuration(spec))?;
        self.mock.prepare(spec).await
    }

    async fn define(&self, spec: &DomainSpec) -> Result<()> {
        self.mock.define(spec).await
    }

    async fn start(&self, uuid: Uuid) -> Result<()> {
        self.mock.start(uuid).await?;
        if let Some(spec) = self.mock.spec(uuid)
            && !self.guests().contains_key(&uuid)
        {
            let sshd = Command::new("/usr/sbin/sshd")
                .arg("-D")
                .arg("-f")
                .arg(spec.dir.join("sshd_config"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .spawn()?;
            self.guests().insert(uuid, sshd);
        }
        Ok(())
    }

    async fn shutdown(&self, uuid: Uuid, patience: Duration) -> Result<bool> {
        self.kill(uuid);
        self.mock.shutdown(uuid, patience).await
    }

    async fn power_off(&self, uuid: Uuid) -> Result<()> {
        self.kill(uuid);
        self.mock.power_off(uuid).await
    }

    async fn reboot(&self, uuid: Uuid, force: bool) -> Result<()> {
        self.mock.reboot(uuid, force).await
    }

    async fn suspend(&self, uuid: Uuid) -> Result<()> {
        self.mock.suspend(uuid).await
    }

    async fn resume(&self, uuid: Uuid) -> Result<()> {
        self.mock.resume(uuid).await
    }

    async fn undefine(&self, uuid: Uuid, dir: &Path) -> Result<()> {
        self.kill(uuid);
        self.mock.undefine(uuid, dir).await?;
        match std::fs::remove_dir_all(dir) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.into()),
            _ => Ok(()),
        }
    }

    async fn state(&self, uuid: Uuid) -> Result<Option<DomainState>> {
        self.mock.state(uuid).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Domain>> {
        self.mock.list(prefix).await
    }

    async fn stats(&self, prefix: &str) -> Result<Vec<(Uuid, DomainStats)>> {
        self.mock.stats(prefix).await
    }

    async fn console(&self, uuid: Uuid) -> Result<DuplexStream> {
        self.mock.console(uuid).await
    }

    fn events(&self) -> broadcast::Receiver<DriverEvent> {
        self.mock.events()
    }
}
