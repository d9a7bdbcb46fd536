//! The only SQL. One SQLite file in WAL mode: one thread owns the writing
//! connection and is fed through a bounded queue; a few connections read beside
//! it. Nothing here runs on an async worker.

mod events;
mod jobs;
mod meta;
mod migrate;
mod users;
mod vms;

use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, OpenFlags, Transaction};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::error::{Code, Error, Result};

pub use events::EventFilter;
pub use jobs::JobDraft;
pub use migrate::SCHEMA_VERSION;
pub use users::{Credentials, NewKey, NewUser};
pub use vms::{BootRecord, NewVm};

/// Connections that read at once.
const READERS: usize = 4;
/// Writes that may wait for the writer.
const QUEUE: usize = 256;

type Write = Box<dyn FnOnce(&mut Connection) + Send>;

/// A handle to the database; clones share it.
#[derive(Clone)]
pub struct Store {
    writer: mpsc::Sender<Write>,
    readers: Arc<Readers>,
    path: Arc<PathBuf>,
}

struct Readers {
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Store {
    /// Opens the database, making or migrating it as needed.
    ///
    /// # Errors
    /// `database.newer` if a newer twarga made it, `database.corrupt` if SQLite
    /// finds it broken, `database.unavailable` if it cannot be opened.
    pub fn open(path: &Path) -> Result<Store> {
        keep_private(path);
        let mut writer = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        quick_check(&writer)?;
        writer.pragma_update(None, "journal_mode", "wal")?;
        migrate::run(&mut writer)?;
        let idle = (0..READERS)
            .map(|_| connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY))
            .collect::<Result<Vec<_>>>()?;
        let (tx, rx) = mpsc::channel(QUEUE);
        std::thread::Builder::new().name("store-writer".into()).spawn(move || write_loop(writer, rx))?;
        let readers =
            Arc::new(Readers { idle: Mutex::new(idle), permits: Arc::new(Semaphore::new(READERS)) });
        Ok(Store { writer: tx, readers, path: Arc::new(path.to_owned()) })
    }

    /// Whether [`Store::open`] would take the file, which stays as it is.
    ///
    /// # Errors
    /// Those of [`Store::open`].
    pub fn check(path: &Path) -> Result<()> {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        quick_check(&connection)?;
        migrate::check_version(&connection)
    }

    /// Where the database is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `f` in one transaction on the writer's thread; it is undone if `f` fails.
    async fn write<T, F>(&self, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    {
        let (tx, rx) = oneshot::channel();
        let job: Write = Box::new(move |connection| {
            let _ = tx.send(in_transaction(connection, f));
        });
        self.writer.send(job).await.map_err(|_| gone())?;
        rx.await.map_err(|_| gone())?
    }

    /// Runs `f` on one of the reading connections.
    async fn read<T, F>(&self, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let permit = Arc::clone(&self.readers.permits).acquire_owned().await.map_err(|_| gone())?;
        let readers = Arc::clone(&self.readers);
        tokio::task::spawn_blocking(move || {
            // Held as long as the connection is, though the asker may have hung up.
            let _permit = permit;
            let connection = readers.take().ok_or_else(gone)?;
            let result = f(&connection);
            readers.give_back(connection);
            result
        })
        .await?
    }

    /// Writes a consistent copy of the database to `target` while others go on.
    pub async fn backup_to(&self, target: PathBuf) -> Result<()> {
        self.read(move |source| {
            keep_private(&target);
            let mut copy = Connection::open(&target)?;
            let backup = rusqlite::backup::Backup::new(source, &mut copy)?;
            backup.run_to_completion(256, std::time::Duration::ZERO, None)?;
            Ok(())
        })
        .await
    }

    /// Whether both sides of the database answer.
    pub async fn ping(&self) -> Result<()> {
        self.read(|c| Ok(c.query_row("SELECT count(*) FROM meta", [], |_| Ok(()))?)).await?;
        self.write(|_| Ok(())).await
    }
}

impl Readers {
    fn take(&self) -> Option<Connection> {
        self.idle.lock().ok()?.pop()
    }

    fn give_back(&self, connection: Connection) {
        if let Ok(mut idle) = self.idle.lock() {
            idle.push(connection);
        }
    }
}

fn write_loop(mut connection: Connection, mut queue: mpsc::Receiver<Write>) {
    while let Some(job) = queue.blocking_recv() {
        job(&mut connection);
    }
}

fn in_transaction<T>(
    connection: &mut Connection,
    f: impl FnOnce(&Transaction<'_>) -> Result<T>,
) -> Result<T> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let value = f(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

/// Makes the file if it is not there, and leaves it to its owner alone: it holds
/// secrets. SQLite gives the files beside it the same mode, and tells what is
/// wrong where this does not succeed.
fn keep_private(path: &Path) {
    let _ = std::fs::File::options().append(true).create_new(true).mode(0o600).open(path);
    if std::fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o077 != 0) {
        let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600));
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // In WAL mode NORMAL survives a killed process whole; only a power cut can lose the last commits.
    connection.pragma_update(None, "synchronous", "normal")?;
    // What is deleted (keys, user data) is gone from the file too.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn quick_check(connection: &Connection) -> Result<()> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |r| r.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(Error::new(Code::DatabaseCorrupt, "The database is damaged.")) }
}

fn gone() -> Error {
    Error::new(Code::DatabaseUnavailable, "The database is not available.")
}

/// SQLite's own errors: damage and a missing file are named as such; what is
/// ours to prevent (constraints) is an internal error, mapped before where expected.
impl From<rusqlite::Error> for Error {
    fn from(e: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match e.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Error::new(Code::DatabaseCorrupt, "The database is damaged.")
            }
            Some(ErrorCode::DiskFull) => Error::new(Code::DatabaseUnavailable, "The portal's disk is full.")
                .hint("An administrator must free some space."),
            Some(ErrorCode::ReadOnly) => Error::new(Code::DatabaseUnavailable, "The database is read-only."),
            Some(ErrorCode::CannotOpen) => {
                Error::new(Code::DatabaseUnavailable, "The database cannot be opened.")
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Error::new(Code::DatabaseUnavailable, "The database is busy.")
            }
            _ => Error::internal(e),
        }
    }
}

/// True if the statement failed for a UNIQUE constraint.
fn is_duplicate(e: &rusqlite::Error) -> bool {
    matches!(e, rusqlite::Error::SqliteFailure(f, _)
        if f.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE)
}

/// A stored word that this binary does not know: the row comes from elsewhere.
fn unknown_word(column: usize, word: &str) -> rusqlite::Error {
    let what = format!("unknown word {word:?}");
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, what.into())
}
