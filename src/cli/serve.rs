//! `twarga serve`: wires the parts together and runs them until it is told to stop.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::say;
use crate::config::Config;
use crate::driver::Driver;
use crate::error::{Code, Error, Result};
use crate::http::HttpServer;
use crate::portal::Portal;
use crate::ssh::Server;
use crate::store::Store;

/// How long jobs may go on after the signal to stop.
const JOBS_PATIENCE: Duration = Duration::from_secs(5);

/// The data directory, held by one process at a time.
#[derive(Debug)]
pub(super) struct DataLock(#[allow(dead_code)] File);

impl DataLock {
    /// # Errors
    /// `exists` if another portal holds it.
    pub fn take(data_dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(data_dir).map_err(|e| {
            Error::new(
                Code::Config,
                format!("The data directory {} cannot be made: {e}.", data_dir.display()),
            )
        })?;
        let path = data_dir.join("twarga.lock");
        let file =
            File::options().create(true).append(true).open(&path).map_err(|e| {
                Error::new(Code::Config, format!("{} cannot be written: {e}.", path.display()))
            })?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            Error::new(Code::Exists, format!("Another portal is serving from {}.", data_dir.display()))
                .hint("Stop it first, or set another `data_dir`.")
        })?;
        Ok(DataLock(file))
    }
}

/// The libvirt driver as it is configured.
#[cfg(feature = "libvirt")]
pub(super) fn libvirt_config(config: &Config) -> crate::driver::libvirt::LibvirtConfig {
    use crate::config::Accel;
    use crate::driver::libvirt::{AccelSetting, LibvirtConfig};
    let libvirt = &config.driver.libvirt;
    LibvirtConfig {
        uri: libvirt.uri.clone(),
        accel: match libvirt.accel {
            Accel::Auto => AccelSetting::Auto,
            Accel::Kvm => AccelSetting::Kvm,
            Accel::Tcg => AccelSetting::Tcg,
        },
        state_dir: config.data_dir.clone(),
        qemu: None,
        allow_outbound: libvirt.outbound,
    }
}

#[cfg(feature = "libvirt")]
fn driver(config: &Config) -> Result<Arc<dyn Driver>> {
    Ok(Arc::new(crate::driver::libvirt::LibvirtDriver::connect(libvirt_config(config))?))
}

#[cfg(not(feature = "libvirt"))]
fn driver(_config: &Config) -> Result<Arc<dyn Driver>> {
    Err(Error::new(Code::Config, "This twarga was built without a driver.")
        .hint("Build it with the feature `libvirt`."))
}

/// Only the owner reads what the portal writes; the disks' folders are opened
/// to the emulator by the driver.
fn start_logging() {
    let filter = EnvFilter::try_from_env("TWARGA_LOG").unwrap_or_else(|_| EnvFilter::new("warn,twarga=info"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .try_init();
}

pub(super) async fn run(config: Config) -> Result<()> {
    start_logging();
    // From here on: a signal that comes early ends the portal in good order too.
    let told = Signals::listen()?;
    let _lock = DataLock::take(&config.data_dir)?;
    let store = Store::open(&config.data_dir.join("twarga.db"))?;
    let driver = driver(&config)?;
    let portal = Portal::open(config, store, driver).await?;
    let server = Server::bind(portal.clone()).await?;
    let http = &portal.config().http;
    let (listen, token, published) = (http.listen, http.metrics_token.clone(), portal.published());
    let http = tokio::task::spawn_blocking(move || HttpServer::start(listen, token, published)).await??;
    let address = server.address().ok_or_else(|| Error::internal("a listener without an address"))?;
    if let Some(password) = portal.ensure_admin().await? {
        say(format_args!(
            "\nThe account `admin` was made. Its password, shown this once and to be changed at the first login:\n\n    {}\n",
            password.as_str()
        ));
    }
    say(format_args!("Sign in:      ssh -p {} admin@localhost", address.port()));
    say(format_args!("Status page:  http://{}/", http.addr()));
    portal.start_background();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(server.run(stop.clone()));
    tracing::info!(ssh = %address, http = %http.addr(), "serving");
    told.wait().await;
    tracing::info!("stopping");
    stop.cancel();
    let jobs = portal.finish_jobs(JOBS_PATIENCE);
    let (served, ()) = tokio::join!(serving, jobs);
    served?;
    tokio::task::spawn_blocking(move || http.stop()).await?;
    Ok(())
}

/// The signals that end the portal.
struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        Ok(Signals { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    async fn wait(mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}
