//! The only SQL. One SQLite file in WAL mode: one thread owns the writing
//! connection and is fed through a bounded queue; a few connections read beside
//! it. Nothing here runs on an async worker.

mod authorities;
mod bans;
mod damage;
mod events;
mod groups;
mod invitations;
mod jobs;
mod meta;
mod migrate;
mod people;
mod preferences;
mod roles;
mod sealed;
mod second_factor;
mod users;
mod vms;

use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, OpenFlags, Transaction};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::error::{Code, Error, Result};
use crate::memory;

pub use events::EventFilter;
pub use invitations::{NewInvitation, NewReset, TokenHash};
pub use jobs::JobDraft;
pub use migrate::SCHEMA_VERSION;
pub use people::{NewMember, UserChange};
pub use sealed::{LABEL, Place};
pub use second_factor::{HashedCode, Totp};
pub use users::{Credentials, NewKey, NewUser};
pub use vms::{BootRecord, NewVm};

/// Connections that read at once.
const READERS: usize = 4;
/// Writes that may wait for the writer.
const QUEUE: usize = 256;

/// Tries at a copy of a database that somebody has to himself, and between two.
const COPY_TRIES: u32 = 100;
const COPY_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

type Write = Box<dyn FnOnce(&mut Connection) + Send>;

/// A handle to the database; clones share it.
#[derive(Clone)]
pub struct Store {
    writer: mpsc::Sender<Write>,
    readers: Arc<Readers>,
    path: Arc<PathBuf>,
    health: damage::Health,
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
    /// finds it broken or it is empty where there was one, `database.unavailable` if
    /// it cannot be opened.
    pub fn open(path: &Path) -> Result<Store> {
        damage::check_files(path)?;
        keep_private(path);
        let writer = prepare(path).map_err(|e| damage::named(path, e))?;
        let idle = (0..READERS)
            .map(|_| connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY))
            .collect::<Result<Vec<_>>>()?;
        let (tx, rx) = mpsc::channel(QUEUE);
        std::thread::Builder::new().name("store-writer".into()).spawn(move || write_loop(writer, rx))?;
        let readers =
            Arc::new(Readers { idle: Mutex::new(idle), permits: Arc::new(Semaphore::new(READERS)) });
        Ok(Store { writer: tx, readers, path: Arc::new(path.to_owned()), health: damage::Health::default() })
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

    /// Whether the database has the schema of this binary, which [`Store::open`]
    /// would bring it to.
    ///
    /// # Errors
    /// `database.newer` if it has a newer one.
    pub fn is_current(path: &Path) -> Result<bool> {
        migrate::is_current(&connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?)
    }

    /// Writes a consistent copy of the database at `path` to `target`, whoever
    /// works with it meanwhile, and finds the copy whole. Nothing is migrated.
    ///
    /// # Errors
    /// Those of [`Store::check`].
    pub fn copy(path: &Path, target: &Path) -> Result<()> {
        let source = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        migrate::check_version(&source)?;
        copy_to(&source, target)?;
        Store::check(target)
    }

    /// Whether the files are what SQLite would take them for: a new database, or
    /// one with its log.
    ///
    /// # Errors
    /// `database.corrupt` if they are what is left of one.
    pub fn check_files(path: &Path) -> Result<()> {
        damage::check_files(path)
    }

    /// The same for a database that may be served from now: every file stays as it is.
    ///
    /// # Errors
    /// Those of [`Store::open`].
    pub fn examine(path: &Path) -> Result<()> {
        damage::examine(path)
    }

    /// What was wrong when the database was last used, if it still is.
    pub fn fault(&self) -> Option<Error> {
        self.health.fault()
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
        let health = self.health.clone();
        let job: Write = Box::new(move |connection| {
            let before = connection.total_changes();
            let result = health.may_write().and_then(|()| in_transaction(connection, f));
            match &result {
                Ok(_) if connection.total_changes() != before => health.wrote(),
                Ok(_) => {}
                Err(e) => health.failed(e),
            }
            let _ = tx.send(result);
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
        let (readers, health) = (Arc::clone(&self.readers), self.health.clone());
        tokio::task::spawn_blocking(move || {
            // Held as long as the connection is, though the asker may have hung up.
            let _permit = permit;
            let connection = readers.take().ok_or_else(gone)?;
            let result = f(&connection);
            readers.give_back(connection);
            // Of what else a reading may meet, the writes tell.
            result.inspect_err(|e| {
                if e.code == Code::DatabaseCorrupt {
                    health.failed(e)
                }
            })
        })
        .await?
    }

    /// Gives back what SQLite keeps in memory, for a time at which nobody asks much:
    /// up to 2 MiB of pages of each connection, and its statements, which lie strewn.
    pub async fn rest(&self) {
        let readers = Arc::clone(&self.readers);
        let resting = tokio::task::spawn_blocking(move || {
            let Ok(idle) = readers.idle.lock() else { return };
            idle.iter().for_each(forget);
        });
        let _ = resting.await;
        let _ = self.writer.try_send(Box::new(|connection| forget(connection)));
    }

    /// Writes a consistent copy of the database to `target` while others go on.
    pub async fn backup_to(&self, target: PathBuf) -> Result<()> {
        self.read(move |source| copy_to(source, &target)).await
    }

    /// Whether both sides of the database answer. Now and then, and while the last
    /// write failed, something is written: only that tells of a disk that is full.
    ///
    /// # Errors
    /// Damage that was met since the start, too.
    pub async fn ping(&self) -> Result<()> {
        self.read(|c| Ok(c.query_row("SELECT count(*) FROM meta", [], |_| Ok(()))?)).await?;
        if !self.health.wants_probe() {
            return self.write(|_| Ok(())).await;
        }
        self.write(|t| {
            let sql = "INSERT OR REPLACE INTO meta (key, value) VALUES ('written_at', ?1)";
            t.execute(sql, [crate::model::Time::now().to_string()])?;
            Ok(())
        })
        .await
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

/// The writing connection, with the schema that this binary works with.
fn prepare(path: &Path) -> Result<Connection> {
    let mut writer = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    quick_check(&writer)?;
    writer.pragma_update(None, "journal_mode", "wal")?;
    migrate::run(&mut writer)?;
    Ok(writer)
}

fn write_loop(mut connection: Connection, mut queue: mpsc::Receiver<Write>) {
    while let Some(job) = queue.blocking_recv() {
        job(&mut connection);
        memory::before_waiting();
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

/// All in one step, which in WAL mode keeps nobody from writing: a copy of many
/// steps begins anew whenever somebody has written between two of them.
fn copy_to(source: &Connection, target: &Path) -> Result<()> {
    use rusqlite::backup::{Backup, StepResult};
    keep_private(target);
    let mut copy = Connection::open(target)?;
    let backup = Backup::new(source, &mut copy)?;
    for _ in 0..COPY_TRIES {
        match backup.step(-1)? {
            StepResult::Done => return Ok(()),
            _ => std::thread::sleep(COPY_PAUSE),
        }
    }
    Err(Error::new(Code::DatabaseUnavailable, "The database is busy."))
}

/// Lets a connection forget what it can learn again.
fn forget(connection: &Connection) {
    connection.flush_prepared_statement_cache();
    // What it cannot give back, it keeps.
    let _ = connection.release_memory();
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
                .hint("An administrator must free some space; then all goes on by itself."),
            Some(ErrorCode::ReadOnly) => {
                Error::new(Code::DatabaseUnavailable, "The portal's disk is read-only.")
                    .hint("An administrator must mend it; the host's kernel log says why.")
            }
            Some(ErrorCode::SystemIoFailure) => {
                tracing::error!(error = %e, "the database's disk fails");
                Error::new(Code::DatabaseUnavailable, "The portal's disk does not work.")
                    .hint("An administrator must look at it; the host's kernel log says why.")
            }
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
        if matches!(f.extended_code,
            rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY))
}

/// A stored word that this binary does not know: the row comes from elsewhere.
fn unknown_word(column: usize, word: &str) -> rusqlite::Error {
    let what = format!("unknown word {word:?}");
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, what.into())
}
