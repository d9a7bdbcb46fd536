//! `twarga keys …`: what seals the secrets in the database.

use clap::Subcommand;

use super::serve::DataLock;
use super::{database, say};
use crate::config::Config;
use crate::error::Result;
use crate::portal::seal::Ring;
use crate::store::Store;

/// The portal's own keys.
#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Seal everything with a new key; the portal must not be serving
    Rotate,
}

pub(super) async fn run(config: Config, command: KeysCommand) -> Result<()> {
    let KeysCommand::Rotate = command;
    let _lock = DataLock::take(&config.data_dir)?;
    let store = Store::open(&database::existing(&config)?)?;
    let sealed = Ring::rotate(&config.host_key_dir, &store).await?;
    say(format_args!(
        "There is a new sealing key in {}, and the {sealed} secrets of the database are sealed with it. Backups of before keep their own.",
        config.host_key_dir.display()
    ));
    Ok(())
}
