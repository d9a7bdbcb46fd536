//! `twarga doctor`: everything the portal needs, one line a check, with the mend.
//! It looks, and changes nothing: a portal may be serving.

use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use rustix::fs::{Access, AtFlags, Mode, OFlags};
use rustix::io::Errno;
use serde::Serialize;

use super::say;
use super::serve::DataLock;
use crate::config::Config;
use crate::error::Result;
use crate::image::Catalogue;
use crate::model::Status;
use crate::model::text::bytes;
use crate::portal::seal::Ring;
use crate::store::Store;

/// Less than this and the first VMs will not fit.
const LEAST_DISK_BYTES: u64 = 5 << 30;

/// Less than this and the portal itself does not go on: nothing can be written
/// down, so nothing is done.
const FULL_BYTES: u64 = 16 << 20;

/// Flags of `twarga doctor`.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// What was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    name: &'static str,
    status: Status,
    message: String,
    /// What helps; empty if nothing is wrong.
    mend: String,
}

fn good(name: &'static str, message: impl Into<String>) -> Finding {
    Finding { name, status: Status::Healthy, message: message.into(), mend: String::new() }
}

fn bad(name: &'static str, message: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding { name, status: Status::Unhealthy, message: message.into(), mend: mend.into() }
}

fn poor(name: &'static str, message: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding { status: Status::Degraded, ..bad(name, message, mend) }
}

pub(super) async fn run(file: Option<&Path>, flags: &Doctor) -> Result<ExitCode> {
    let findings = match Config::load(file) {
        Ok(config) => examine(&config).await,
        Err(e) => vec![bad("config", e.message, "Mend the lines that are named, then run it again.")],
    };
    let failed = findings.iter().any(|f| f.status == Status::Unhealthy);
    if flags.json {
        say(serde_json::to_string(&findings).map_err(crate::error::Error::internal)?);
    } else {
        findings.iter().for_each(print);
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(f: &Finding) {
    let sign = match f.status {
        Status::Healthy => "ok  ",
        Status::Degraded => "warn",
        Status::Unhealthy => "FAIL",
    };
    let name = f.name;
    say(format_args!("{sign}  {name:<12} {}", f.message));
    if !f.mend.is_empty() {
        say(format_args!("      {:<12} → {}", "", f.mend));
    }
}

async fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = vec![good("config", "It is right."), data_dir(config), database(config), keys(config)];
    findings.push(disk(config));
    findings.push(images(config).await);
    findings.push(port("ssh port", config.ssh.listen, "ssh.listen", config));
    findings.push(port("http port", config.http.listen, "http.listen", config));
    findings.extend(driver(config).await);
    findings
}

fn data_dir(config: &Config) -> Finding {
    let dir = config.data_dir.display();
    match writable(&config.data_dir) {
        Ok(true) => good("data dir", format!("{dir} can be written.")),
        Ok(false) => good("data dir", format!("{dir} is not there yet: `twarga serve` makes it.")),
        Err(e) => bad(
            "data dir",
            format!("{dir} cannot be written: {e}."),
            if e == Errno::ROFS {
                "The disk is mounted read-only: the host's kernel log says why. Mend it, or set `data_dir`."
            } else {
                "Set `data_dir`, or give the folder to whoever runs the portal."
            },
        ),
    }
}

/// Whether the folder is there; one that is not must be possible to make. A file
/// without a name is written: a broken filesystem says that it can be written to
/// until somebody does.
fn writable(dir: &Path) -> Result<bool, Errno> {
    let dir = std::path::absolute(dir).map_err(|_| Errno::INVAL)?;
    let there = dir.ancestors().find(|d| d.exists()).unwrap_or(Path::new("/"));
    let wanted = Access::WRITE_OK | Access::EXEC_OK;
    rustix::fs::accessat(rustix::fs::CWD, there, wanted, AtFlags::EACCESS)?;
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    match rustix::fs::open(there, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => drop(rustix::io::write(&file, b"x")?),
        // Some filesystems have no such files.
        Err(Errno::OPNOTSUPP | Errno::ISDIR) => {}
        Err(e) => return Err(e),
    }
    Ok(there == dir)
}

fn database(config: &Config) -> Finding {
    let path = config.data_dir.join("twarga.db");
    match Store::examine(&path) {
        Ok(()) if !path.exists() => good("database", "There is none yet: `twarga serve` makes it."),
        Ok(()) => good("database", format!("{} is whole.", path.display())),
        Err(e) => bad("database", e.message, e.hint.into_owned()),
    }
}

fn keys(config: &Config) -> Finding {
    let dir = config.host_key_dir.display();
    if let Err(e) = sealing_key(config) {
        return bad("host keys", e.message, e.hint.into_owned());
    }
    match crate::portal::PortalKeys::missing(&config.host_key_dir) {
        Ok(0) => good("host keys", format!("{dir} holds them.")),
        Ok(_) => good("host keys", format!("Not all are in {dir} yet: `twarga serve` makes them.")),
        Err(e) => bad("host keys", e.message, e.hint.into_owned()),
    }
}

/// Whether what is sealed in the database can be opened.
fn sealing_key(config: &Config) -> Result<()> {
    let (path, dir) = (super::database::path(config), &config.host_key_dir);
    let ring = Ring::load(dir)?;
    if !path.exists() {
        return Ok(());
    }
    // What else is wrong with the database is another finding.
    let labels = Store::sealed_labels_of(&path).unwrap_or_default();
    ring.map_or_else(|| Ring::check_without(&labels, dir), |ring| ring.check(&labels, dir))
}

fn disk(config: &Config) -> Finding {
    let dir = std::path::absolute(&config.data_dir).unwrap_or_default();
    let there = dir.ancestors().find(|d| d.exists()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(there) {
        Ok(fs) => {
            let free = fs.f_bavail.saturating_mul(fs.f_frsize);
            let message = format!("{} are free in {}.", bytes(free), config.data_dir.display());
            if free < FULL_BYTES || fs.f_files > 0 && fs.f_favail == 0 {
                let mend = "Free some space there: until then the portal lets nobody in and does nothing.";
                bad("disk space", format!("The disk is full. {message}"), mend)
            } else if free < LEAST_DISK_BYTES {
                poor("disk space", message, "Free some, or set `data_dir` to a larger disk.")
            } else {
                good("disk space", message)
            }
        }
        Err(e) => {
            bad("disk space", format!("It cannot be told: {e}."), "Set `data_dir` to a folder that exists.")
        }
    }
}

/// Every file of every current image is read.
async fn images(config: &Config) -> Finding {
    let catalogue = Catalogue::new(config.data_dir.join("images"));
    let looked = tokio::task::spawn_blocking(move || {
        let images = catalogue.list()?;
        for image in &images {
            catalogue.verified(&image.name, &image.digest)?;
        }
        Ok::<_, crate::error::Error>(images.into_iter().map(|i| i.name).collect::<Vec<_>>())
    })
    .await;
    match looked {
        Ok(Ok(names)) if names.is_empty() => {
            poor("images", "There are none.", "`twarga image build micro` makes one.")
        }
        Ok(Ok(names)) => good("images", format!("{}: every file is what it was built as.", names.join(", "))),
        Ok(Err(e)) => bad("images", e.message, e.hint.into_owned()),
        Err(e) => bad("images", e.to_string(), ""),
    }
}

fn port(name: &'static str, address: std::net::SocketAddr, key: &str, config: &Config) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => good(name, format!("{address} is free.")),
        // A portal that serves has the port: that is as it should be.
        Err(_) if DataLock::is_held(&config.data_dir) => {
            good(name, format!("{address} is the running portal's."))
        }
        Err(e) => bad(
            name,
            format!("{address} cannot be had: {e}."),
            format!("Set `{key}`, or stop what listens there."),
        ),
    }
}

#[cfg(feature = "libvirt")]
async fn driver(config: &Config) -> Vec<Finding> {
    let libvirt = super::serve::libvirt_config(config);
    let found = crate::driver::libvirt::check_host(&libvirt, &config.data_dir).await;
    found
        .into_iter()
        .map(|c| Finding { name: c.name, status: c.status, message: c.message, mend: c.mend })
        .collect()
}

#[cfg(not(feature = "libvirt"))]
async fn driver(_config: &Config) -> Vec<Finding> {
    vec![bad("driver", "This twarga was built without one.", "Build it with the feature `libvirt`.")]
}
