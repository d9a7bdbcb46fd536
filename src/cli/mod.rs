//! The program on the host: `twarga serve` and what its owner needs beside it.

mod backup;
mod database;
mod doctor;
mod keys;
mod serve;
mod setup;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::image::{self, Catalogue};
use crate::memory;

/// How long a thread that may block waits for more to do: less than from one of the
/// portal's samples to the next.
const THREAD_WAITS: Duration = Duration::from_millis(500);

/// A small cloud that you SSH into
#[derive(Debug, Parser)]
#[command(name = "twarga", version, about, disable_help_subcommand = true)]
struct Program {
    #[command(flatten)]
    config: ConfigFlag,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct ConfigFlag {
    /// The configuration [default: twarga.toml here, else the built-in values]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the portal; an empty data directory is set up first
    Serve,
    /// Set up without serving
    Init(setup::Init),
    /// Check everything the portal needs
    Doctor(doctor::Doctor),
    /// Images that VMs are made from
    #[command(subcommand)]
    Image(ImageCommand),
    /// Recovery of accounts by whoever owns the host
    #[command(subcommand)]
    User(setup::UserCommand),
    /// Write one archive of database, keys and VM definitions; the portal may be serving
    Backup {
        /// Where to
        file: PathBuf,
        /// Leave the keys out: what is sealed in it opens only where they are
        #[arg(long)]
        without_keys: bool,
    },
    /// Bring a backup back; the portal must not be serving
    Restore {
        /// What `twarga backup` wrote
        file: PathBuf,
    },
    /// The portal's own keys
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// The configuration
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Subcommand)]
enum ImageCommand {
    /// Make a bootable image on this machine from Debian packages
    Build {
        /// micro or debian-12
        name: String,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Report every mistake in the configuration, with its line
    Check,
}

/// Reads the flags, does what they say, and gives the exit status.
pub fn main() -> ExitCode {
    let program = Program::parse();
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(e) => return fail(&Error::internal(e)),
    };
    let result = runtime.block_on(run(program));
    // A hung backend must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match result {
        Ok(code) => code,
        Err(e) => fail(&e),
    }
}

/// The runtime that everything runs in: its threads do not keep much memory to
/// themselves ([`memory`]), and what was started for a rush ends soon after it.
/// Otherwise the portal's own beat, which wakes them by turns, keeps all of them.
///
/// # Errors
/// The system's, if it gives no threads.
pub fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .enable_all()
        .thread_keep_alive(THREAD_WAITS)
        .on_thread_park(memory::before_waiting)
        .build()
}

fn fail(e: &Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "twarga: {e}");
    ExitCode::from(e.exit() as u8)
}

/// Says something to whoever started the program.
fn say(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

async fn run(program: Program) -> Result<ExitCode> {
    let file = program.config.config.as_deref();
    if let Command::Doctor(flags) = program.command {
        return doctor::run(file, &flags).await;
    }
    let config = Config::load(file)?;
    match program.command {
        Command::Serve => serve::run(config).await?,
        Command::Init(flags) => setup::init(config, flags).await?,
        Command::Image(ImageCommand::Build { name }) => build_image(&config, &name).await?,
        Command::User(command) => setup::user(config, command).await?,
        Command::Backup { file, without_keys } => backup::backup(&config, &file, !without_keys).await?,
        Command::Restore { file } => backup::restore(&config, &file)?,
        Command::Keys(command) => keys::run(config, command).await?,
        Command::Config(ConfigCommand::Check) => say("The configuration is right."),
        // Taken above: it has to work with a broken configuration too.
        Command::Doctor(_) => {}
    }
    Ok(ExitCode::SUCCESS)
}

async fn build_image(config: &Config, name: &str) -> Result<()> {
    let catalogue = Catalogue::new(config.data_dir.join("images"));
    let started = std::time::Instant::now();
    let digest = image::build(&catalogue, name, |step| say(format_args!("{name}: {step}"))).await?;
    let image = catalogue.get(name)?;
    let (size, took) = (crate::model::text::bytes(image.size_bytes), started.elapsed().as_secs());
    let short: String = digest.chars().take(12).collect();
    say(format_args!("{name}: ready after {took} s, {size}, build {short}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::HashSet;
    use std::sync::mpsc::{self, Sender};
    use std::sync::{Arc, Barrier};
    use std::thread::ThreadId;
    use std::time::Instant;

    use super::*;

    /// Tells of the end of the thread that it belongs to.
    struct Told(ThreadId, Sender<ThreadId>);

    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.1.send(self.0);
        }
    }

    thread_local! {
        static END: RefCell<Option<Told>> = const { RefCell::new(None) };
    }

    #[test]
    fn threads_that_were_started_for_a_rush_end_soon_after_it() {
        const RUSH: usize = 20;
        let runtime = runtime().unwrap();
        let (tell, told) = mpsc::channel();
        let all_here = Arc::new(Barrier::new(RUSH));
        for _ in 0..RUSH {
            let (tell, all_here) = (tell.clone(), Arc::clone(&all_here));
            runtime.spawn_blocking(move || {
                END.set(Some(Told(std::thread::current().id(), tell)));
                all_here.wait();
            });
        }
        // Sooner than by themselves: those of a runtime as it comes wait for 10 s.
        let by = Instant::now() + Duration::from_secs(8);
        let left = || told.recv_timeout(by.saturating_duration_since(Instant::now()));
        let ended: HashSet<_> = (0..RUSH).map(|_| left().expect("they stay")).collect();
        assert_eq!(ended.len(), RUSH);
    }
}
