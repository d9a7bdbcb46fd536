//! `twarga init` and `twarga user …`: accounts made and mended by whoever owns the host.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, Subcommand};
use zeroize::Zeroizing;

use super::serve::DataLock;
use super::{database, say};
use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::model::name::UserName;
use crate::model::{Category, EventDraft, Outcome, RoleName, Severity, User};
use crate::portal::{PortalKeys, auth, keys};
use crate::store::{NewUser, Store};

/// Flags of `twarga init`.
#[derive(Debug, Args)]
#[group(skip)]
#[command(group = ArgGroup::new("way").required(true).args(["password_stdin", "key"]))]
pub(super) struct Init {
    /// The first account, an administrator
    #[arg(long, value_name = "NAME", default_value = "admin")]
    admin: UserName,
    /// Read its password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Its public key: a `.pub` file
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Recovery.
#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Give an account another password
    Passwd {
        /// The account
        name: UserName,
        /// Read it from standard input
        #[arg(long, required = true)]
        password_stdin: bool,
    },
    /// Take the second factor off an account
    #[command(name = "reset-2fa")]
    Reset2fa {
        /// The account
        name: UserName,
    },
}

/// The first line of standard input.
fn password_from_stdin() -> Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    let limit = auth::LONGEST_PASSWORD as u64 + 2;
    std::io::stdin()
        .take(limit)
        .read_to_string(&mut text)
        .map_err(|_| Error::usage("The password is not UTF-8."))?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

async fn hash(password: Zeroizing<String>) -> Result<String> {
    tokio::task::spawn_blocking(move || auth::hash_password(&password)).await?
}

pub(super) async fn init(config: Config, flags: Init) -> Result<()> {
    let _lock = DataLock::take(&config.data_dir)?;
    database::look(&config)?;
    let path = database::path(&config);
    if path.exists() {
        return Err(Error::new(Code::Exists, format!("There is a database already: {}.", path.display()))
            .hint("`twarga serve` uses it; `twarga user passwd NAME` gives an account another password."));
    }
    let name = flags.admin.for_new()?.to_string();
    let mut admin = NewUser {
        name: name.clone(),
        role: RoleName::ADMIN,
        password_hash: None,
        must_change_password: false,
        key: None,
    };
    match flags.key {
        Some(file) => {
            let text = std::fs::read_to_string(&file)
                .map_err(|e| Error::new(Code::BadKey, format!("{} cannot be read: {e}.", file.display())))?;
            let key = keys::parse_public(&text)?;
            keys::check_taken(&key, config.ssh.security_keys)?;
            admin.key = Some(key);
        }
        None => {
            let password = password_from_stdin()?;
            auth::check_new_password(&password, &name)?;
            admin.password_hash = Some(hash(password).await?);
        }
    }
    PortalKeys::open(&config.host_key_dir)?;
    let store = Store::open(&path)?;
    store.user_insert(admin).await?;
    say(format_args!("Set up. `twarga serve` starts the portal; sign in as {name}."));
    Ok(())
}

/// A portal that serves has the database's schema to itself: it is migrated only
/// while none does.
fn alone_if_it_migrates(config: &Config, path: &Path) -> Result<Option<DataLock>> {
    if Store::is_current(path)? {
        return Ok(None);
    }
    DataLock::take(&config.data_dir).map(Some).map_err(|_| {
        Error::new(Code::DatabaseUnavailable, "The portal that serves is of an older twarga than this one.")
            .hint("Stop it first, or use the twarga that serves.")
    })
}

async fn find(store: &Store, name: UserName) -> Result<User> {
    let found = store.user_by_name(name.to_string()).await?;
    found.ok_or_else(|| Error::new(Code::UserNotFound, format!("No account called “{name}”.")).hint(""))
}

/// What the audit is told of a second factor that the host's owner took off.
fn reset(user: &User) -> EventDraft {
    EventDraft {
        category: Category::Iam,
        action: "user.reset_2fa",
        outcome: Outcome::Success,
        severity: Severity::Medium,
        actor: String::from("host"),
        actor_id: None,
        source_ip: None,
        target: Some(user.name.clone()),
        session: None,
        message: format!("The second factor of {} was taken off on the host.", user.name),
        details: serde_json::json!({}),
    }
}

pub(super) async fn user(config: Config, command: UserCommand) -> Result<()> {
    let path = database::existing(&config)?;
    let _lock = alone_if_it_migrates(&config, &path)?;
    let store = Store::open(&path)?;
    match command {
        UserCommand::Passwd { name, password_stdin: _ } => {
            let user = find(&store, name).await?;
            let password = password_from_stdin()?;
            auth::check_new_password(&password, &user.name)?;
            store.set_password(user.id, hash(password).await?, false).await?;
            say(format_args!("{} may sign in with that password.", user.name));
        }
        UserCommand::Reset2fa { name } => {
            let user = find(&store, name).await?;
            if store.totp_delete(user.id).await? {
                store.event_insert(reset(&user), None).await?;
                say(format_args!("{} has no second factor any more.", user.name));
            } else {
                say(format_args!("{} has no second factor: there is nothing to reset.", user.name));
            }
        }
    }
    Ok(())
}
