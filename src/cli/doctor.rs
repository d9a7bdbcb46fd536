//! `twarga doctor`: everything the portal needs, one line a check, with the mend.

use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::say;
use crate::config::Config;
use crate::error::{Code, Result};
use crate::image::Catalogue;
use crate::model::Status;
use crate::model::text::bytes;
use crate::store::Store;

/// Less than this and the first VMs will not fit.
const LEAST_DISK_BYTES: u64 = 5 << 30;

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
    let probe = config.data_dir.join(format!(".doctor-{}", uuid::Uuid::new_v4().simple()));
    let written = std::fs::create_dir_all(&config.data_dir).and_then(|()| std::fs::write(&probe, b"x"));
    let _ = std::fs::remove_file(&probe);
    match written {
        Ok(()) => good("data dir", format!("{dir} can be written.")),
        Err(e) => bad(
            "data dir",
            format!("{dir} cannot be written: {e}."),
            "Set `data_dir`, or give the folder to whoever runs the portal.",
        ),
    }
}

fn database(config: &Config) -> Finding {
    let path = config.data_dir.join("twarga.db");
    if !path.exists() {
        return good("database", "There is none yet: `twarga serve` makes it.");
    }
    match Store::open(&path) {
        Ok(_) => good("database", format!("{} is whole.", path.display())),
        Err(e) => bad("database", e.message, e.hint.into_owned()),
    }
}

fn keys(config: &Config) -> Finding {
    match crate::portal::PortalKeys::open(&config.host_key_dir) {
        Ok(_) => good("host keys", format!("{} holds them.", config.host_key_dir.display())),
        Err(e) => bad("host keys", e.message, e.hint.into_owned()),
    }
}

fn disk(config: &Config) -> Finding {
    match rustix::fs::statvfs(&config.data_dir) {
        Ok(fs) => {
            let free = fs.f_bavail.saturating_mul(fs.f_frsize);
            let message = format!("{} are free in {}.", bytes(free), config.data_dir.display());
            if free < LEAST_DISK_BYTES {
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
        Err(_) if is_served(config) => good(name, format!("{address} is the running portal's.")),
        Err(e) => bad(
            name,
            format!("{address} cannot be had: {e}."),
            format!("Set `{key}`, or stop what listens there."),
        ),
    }
}

fn is_served(config: &Config) -> bool {
    super::serve::DataLock::take(&config.data_dir).is_err_and(|e| e.code == Code::Exists)
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
