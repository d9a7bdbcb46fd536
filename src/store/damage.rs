//! What can be wrong with the database's files: seen before they are opened,
//! looked at without a change, and remembered while they are served from.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use super::{connect, migrate, quick_check};
use crate::error::{Code, Error, Result};

/// A database that nobody writes to is written to this often, to see that it can be.
const PROBE: Duration = Duration::from_secs(60);

/// How long the header of a WAL is, and its two magic numbers (SQLite's file
/// format, §4.1).
const WAL_HEADER: usize = 32;
const WAL_MAGIC: [u32; 2] = [0x377f_0682, 0x377f_0683];

/// A file beside the database.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The database is not what it was.
fn damaged(path: &Path, why: &str) -> Error {
    Error::new(Code::DatabaseCorrupt, format!("The database {} is damaged: {why}.", path.display()))
        .hint("Nothing was changed. Restore a backup with `twarga restore FILE`.")
}

/// SQLite's word on damage, with the file's name.
pub(super) fn named(path: &Path, e: Error) -> Error {
    if e.code == Code::DatabaseCorrupt { damaged(path, "SQLite cannot read it") } else { e }
}

/// What SQLite would pass over in silence: an empty file is a new database to
/// it, and a log that it cannot read an empty one.
///
/// # Errors
/// `database.corrupt` if there was a database.
pub(super) fn check_files(path: &Path) -> Result<()> {
    let lacks = match std::fs::metadata(path) {
        Ok(m) => (m.len() == 0).then_some("it is empty"),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Some("it is gone"),
        Err(e) => return Err(e.into()),
    };
    if let Some(lacks) = lacks
        && let Some(left) = left_over(path)
    {
        return Err(damaged(path, &format!("{lacks}, but {left}")).hint(
            "Nothing was changed. Restore a backup with `twarga restore FILE`; to begin afresh, move the data directory away.",
        ));
    }
    check_wal(path)
}

/// What tells that there was a database once.
fn left_over(path: &Path) -> Option<String> {
    let dir = path.parent()?;
    let name = path.file_name()?.to_str()?;
    if std::fs::metadata(beside(path, "-wal")).is_ok_and(|m| m.len() > 0) {
        return Some(format!("{name}-wal is not"));
    }
    let earlier = format!("{name}.before-");
    let kept = std::fs::read_dir(dir)
        .ok()?
        .flatten()
        .find(|e| e.file_name().to_string_lossy().starts_with(&earlier));
    if let Some(kept) = kept {
        return Some(format!("{} is kept beside it", kept.file_name().to_string_lossy()));
    }
    let vms = std::fs::read_dir(dir.join("vms")).is_ok_and(|mut d| d.next().is_some());
    vms.then(|| String::from("there are VMs in `vms`"))
}

/// A log is written header first, so one without a header never was a log. One
/// of zeros is what a power cut leaves of a log that was just begun.
fn check_wal(path: &Path) -> Result<()> {
    let wal = beside(path, "-wal");
    let mut header = [0; WAL_HEADER];
    let read = std::fs::File::open(&wal).and_then(|mut f| f.read_exact(&mut header));
    match read {
        Ok(()) => {}
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::UnexpectedEof) => {
            return Ok(());
        }
        Err(e) => return Err(damaged(path, &format!("its log cannot be read ({e})"))),
    }
    let magic = header.first_chunk().map_or(0, |first| u32::from_be_bytes(*first));
    if WAL_MAGIC.contains(&magic) || header.iter().all(|b| *b == 0) {
        return Ok(());
    }
    Err(damaged(path, "its log (-wal) is not one, and the latest changes are in there"))
}

/// Whether the portal could serve from the database, which may be served from
/// now. Leaves every file as it is.
///
/// # Errors
/// Those of [`super::Store::open`].
pub(super) fn examine(path: &Path) -> Result<()> {
    check_files(path)?;
    if !path.exists() {
        return Ok(());
    }
    peek(path, |c| quick_check(c).and_then(|()| migrate::check_version(c)))
}

/// Reads from a database, which may be served from now. Leaves every file as it is.
///
/// # Errors
/// Those of [`super::Store::open`], and those of `look`.
pub(super) fn peek<T>(path: &Path, look: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    check_files(path)?;
    let (log, index) = (beside(path, "-wal"), beside(path, "-shm"));
    let (has_log, had_index) = (log.exists(), index.exists());
    let connection = if has_log {
        connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
    } else {
        // Nobody is writing; or SQLite would put a log beside it.
        let name =
            path.to_str().unwrap_or_default().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        let flags =
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Connection::open_with_flags(format!("file:{name}?immutable=1"), flags).map_err(Error::from)
    };
    let looked = connection.and_then(|c| look(&c));
    if has_log && !had_index {
        let _ = std::fs::remove_file(index);
    }
    looked.map_err(|e| named(path, e))
}

/// What was wrong when the database was last used; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Health(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    fault: Option<Error>,
    written: Option<Instant>,
}

impl Health {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wrong, if anything is.
    pub(super) fn fault(&self) -> Option<Error> {
        self.state().fault.clone()
    }

    /// # Errors
    /// `database.corrupt` once damage was met: whatever is written then may do more.
    pub(super) fn may_write(&self) -> Result<()> {
        match self.fault() {
            Some(e) if e.code == Code::DatabaseCorrupt => Err(e),
            _ => Ok(()),
        }
    }

    /// Whether it is time to try a write.
    pub(super) fn wants_probe(&self) -> bool {
        let state = self.state();
        state.fault.is_some() || state.written.is_none_or(|at| at.elapsed() > PROBE)
    }

    /// Something was written.
    pub(super) fn wrote(&self) {
        let mut state = self.state();
        state.written = Some(Instant::now());
        if state.fault.as_ref().is_some_and(|e| e.code != Code::DatabaseCorrupt) {
            tracing::info!("the database can be written again");
            state.fault = None;
        }
    }

    /// Something failed. Damage stays; what else may pass is forgotten at the
    /// next write.
    pub(super) fn failed(&self, e: &Error) {
        let mut state = self.state();
        let damage = e.code == Code::DatabaseCorrupt;
        let lasting = state.fault.as_ref().is_some_and(|f| f.code == Code::DatabaseCorrupt);
        if lasting || !(damage || e.code == Code::DatabaseUnavailable) {
            return;
        }
        if state.fault.as_ref() != Some(e) {
            tracing::error!(error = %e, "the database is in trouble");
        }
        state.fault = Some(e.clone());
    }
}
