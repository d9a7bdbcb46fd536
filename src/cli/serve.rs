//! `twarga serve`: wires the parts together and runs them until it is told to stop.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::{database, say};
use crate::config::Config;
use crate::driver::Driver;
use crate::error::{Code, Error, Result};
use crate::http::HttpServer;
use crate::portal::Portal;
use crate::ssh::Server;
use crate::store::Store;

/// How long jobs may go on after the signal to stop.
const JOBS_PATIENCE: Duration = Duration::from_secs(5);
/// How long the status page may take to end; it takes a fraction of a second.
const HTTP_PATIENCE: Duration = Duration::from_secs(1);

/// The file in the data directory that is locked.
const LOCK: &str = "twarga.lock";
/// How long one that was killed may take to let go of it: a program that it was about
/// to start holds it until it has begun.
const LET_GO: Duration = Duration::from_secs(1);

/// The data directory, held by one process at a time.
#[derive(Debug)]
pub(super) struct DataLock(#[allow(dead_code)] File);

impl DataLock {
    /// # Errors
    /// `exists` if another portal holds it.
    pub fn take(data_dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(data_dir).map_err(|e| cannot_write(data_dir, "cannot be made", &e))?;
        let path = data_dir.join(LOCK);
        let opened = File::options().create(true).append(true).open(path);
        let file = opened.map_err(|e| cannot_write(data_dir, "cannot be written to", &e))?;
        let lock = || rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive);
        let until = Instant::now() + LET_GO;
        while lock().is_err() {
            if Instant::now() >= until {
                let message = format!("Another portal is serving from {}.", data_dir.display());
                return Err(
                    Error::new(Code::Exists, message).hint("Stop it first, or set another `data_dir`.")
                );
            }
            std::thread::sleep(LET_GO / 20);
        }
        Ok(DataLock(file))
    }

    /// Whether a portal holds it; nothing is made.
    pub fn is_held(data_dir: &Path) -> bool {
        let Ok(file) = File::open(data_dir.join(LOCK)) else { return false };
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared).is_err()
    }
}

fn cannot_write(data_dir: &Path, what: &str, e: &std::io::Error) -> Error {
    let message = format!("The data directory {} {what}: {e}.", data_dir.display());
    let hint = match e.kind() {
        std::io::ErrorKind::StorageFull => "Free some space there, or set another `data_dir`.",
        std::io::ErrorKind::ReadOnlyFilesystem => {
            "The disk is mounted read-only: the host's kernel log says why. Mend it, or set another `data_dir`."
        }
        _ => "Set `data_dir`, or give the folder to whoever runs the portal.",
    };
    Error::new(Code::Config, message).hint(hint)
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
    // russh would write down whom clients sign in as, and tokens come as such names.
    let filter = match "russh=info".parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    };
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .try_init();
}

pub(super) async fn run(config: Config) -> Result<()> {
    start_logging();
    crate::memory::keep_from_dumps();
    // From here on: a signal that comes early ends the portal in good order too.
    let mut told = Signals::listen()?;
    // Kept to the process's last moment: a call to a hung backend may outlive
    // this function, and the next portal must not meet it.
    std::mem::forget(DataLock::take(&config.data_dir)?);
    database::look(&config)?;
    // In a task of its own: a hung backend or a long migration must not keep
    // the signal waiting.
    let mut starting = tokio::spawn(start(config));
    let parts = tokio::select! {
        started = &mut starting => started??,
        () = told.come() => {
            starting.abort();
            tracing::info!("stopped while it started");
            return Ok(());
        }
    };
    let Parts { portal, server, http } = parts;
    let stop = CancellationToken::new();
    let serving = tokio::spawn(server.run(stop.clone()));
    told.come().await;
    tracing::info!("stopping");
    stop.cancel();
    let jobs = portal.finish_jobs(JOBS_PATIENCE);
    let (served, ()) = tokio::join!(serving, jobs);
    served?;
    let http = tokio::task::spawn_blocking(move || http.stop());
    if tokio::time::timeout(HTTP_PATIENCE, http).await.is_err() {
        tracing::warn!("the status page was cut");
    }
    Ok(())
}

/// What serves.
struct Parts {
    portal: Portal,
    server: Server,
    http: HttpServer,
}

/// Wires the parts together, and says where they are.
async fn start(config: Config) -> Result<Parts> {
    let store = Store::open(&database::path(&config))?;
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
    tracing::info!(ssh = %address, http = %http.addr(), "serving");
    tokio::task::spawn_blocking(crate::memory::let_go_of_code).await?;
    Ok(Parts { portal, server, http })
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

    async fn come(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}
