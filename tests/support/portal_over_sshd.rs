//! The portal as `twarga serve` runs it, with one difference: its VMs are
//! OpenSSH servers on this host (see `sshd_driver`). For `scripts/bench`.
//!
//!     portal_over_sshd TWARGA.TOML
//!     portal_over_sshd hashes SECONDS        (argon2 alone, for comparison)
//!
//! The data directory was set up by `twarga init`. The image `micro` is made here
//! if it is not there; it holds nothing.

mod sshd_driver;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use twarga::config::Config;
use twarga::error::{Error, Result};
use twarga::http::HttpServer;
use twarga::image::Catalogue;
use twarga::portal::Portal;
use twarga::portal::auth::hash_password;
use twarga::ssh::Server;
use twarga::store::Store;

use sshd_driver::SshdDriver;

fn main() -> Result<()> {
    let file = std::env::args().nth(1).ok_or_else(|| Error::usage("Which configuration?"))?;
    if file == "hashes" {
        return hashes(std::env::args().nth(2).and_then(|s| s.parse().ok()).unwrap_or(5));
    }
    // The same runtime as the program's own.
    twarga::cli::runtime()?.block_on(serve(Path::new(&file)))
}

/// Prints how many passwords a second all cores together hash, who do nothing else.
fn hashes(seconds: u64) -> Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    let end = Instant::now() + Duration::from_secs(seconds);
    let work = move || {
        let mut count = 0u32;
        while Instant::now() < end {
            hash_password("seven brown foxes")?;
            count += 1;
        }
        Ok::<_, Error>(count)
    };
    let began = Instant::now();
    let threads: Vec<_> = (0..cores).map(|_| std::thread::spawn(work)).collect();
    let mut count = 0;
    for thread in threads {
        count += thread.join().map_err(|_| Error::internal("a hash broke"))??;
    }
    println!("{:.2}", f64::from(count) / began.elapsed().as_secs_f64());
    Ok(())
}

async fn serve(file: &Path) -> Result<()> {
    let config = Config::load(Some(file))?;
    let mut told = signal(SignalKind::terminate())?;
    install_empty_image(&config.data_dir)?;
    let store = Store::open(&config.data_dir.join("twarga.db"))?;
    let portal = Portal::open(config, store, Arc::new(SshdDriver::default())).await?;
    let server = Server::bind(portal.clone()).await?;
    let (listen, published) = (portal.config().http.listen, portal.published());
    let http = tokio::task::spawn_blocking(move || HttpServer::start(listen, None, published)).await??;
    portal.start_background();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(server.run(stop.clone()));
    told.recv().await;
    stop.cancel();
    portal.finish_jobs(Duration::from_secs(5)).await;
    serving.await?;
    tokio::task::spawn_blocking(move || http.stop()).await?;
    Ok(())
}

/// Guests sign in as whoever runs this: nobody else may by an sshd without root's rights.
fn install_empty_image(data_dir: &Path) -> Result<()> {
    let catalogue = Catalogue::new(data_dir.join("images"));
    if catalogue.get("micro").is_ok() {
        return Ok(());
    }
    let me = String::from_utf8_lossy(&Command::new("id").arg("-un").output()?.stdout).trim().to_owned();
    let out = data_dir.join("empty-image");
    std::fs::create_dir_all(&out)?;
    for file in ["kernel", "initrd", "disk.qcow2"] {
        std::fs::write(out.join(file), file)?;
    }
    let recipe = format!(
        "description = \"an sshd of this host\"\nssh_user = \"{me}\"\nkernel_args = \"quiet\"\n\
         min_ram_mb = 64\nmin_disk_gb = 1\nguest_agent = false\n"
    );
    std::fs::write(out.join("recipe.toml"), recipe)?;
    twarga::image::install(&catalogue, "micro", &out)?;
    Ok(())
}
