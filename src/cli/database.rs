//! Where the database is, and whether it may be what it seems: one that is gone
//! must not be taken for a new portal's, nor half a restore for a whole one.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::portal::keys::write_secret;
use crate::store::Store;

/// The database's file in the data directory.
pub(super) const DATABASE: &str = "twarga.db";
/// Stands there while a restore puts things in their places; names the archive.
const UNFINISHED: &str = "restore-unfinished";

pub(super) fn path(config: &Config) -> PathBuf {
    config.data_dir.join(DATABASE)
}

/// # Errors
/// `database.unavailable` if there is none, or if it may not be used.
pub(super) fn existing(config: &Config) -> Result<PathBuf> {
    look(config)?;
    let path = path(config);
    if is_missing(&path) {
        let message = format!("There is no database at {}.", path.display());
        return Err(Error::new(Code::DatabaseUnavailable, message).hint(
            "Name the portal's configuration with `--config`; `twarga init` or `twarga serve` makes one.",
        ));
    }
    Ok(path)
}

/// Looks whether the database, or its absence, is what it seems.
///
/// # Errors
/// `database.unavailable` if a restore was interrupted, `database.corrupt` if
/// there is no database, or half of one, where there was one.
pub(super) fn look(config: &Config) -> Result<()> {
    let dir = &config.data_dir;
    if let Ok(archive) = std::fs::read_to_string(dir.join(UNFINISHED)) {
        let message = format!("A restore from {} was interrupted.", archive.trim());
        return Err(Error::new(Code::DatabaseUnavailable, message)
            .hint("`twarga restore FILE` once more; what was there before is kept beside the database."));
    }
    Store::check_files(&path(config))
}

/// Not there, or empty, as a first start leaves it that was killed at once.
fn is_missing(path: &Path) -> bool {
    std::fs::metadata(path).map_or(true, |m| m.len() == 0)
}

/// From here to [`finished`] the portal is neither the old one nor the new.
pub(super) fn unfinished(config: &Config, archive: &Path) -> Result<()> {
    write_secret(&config.data_dir.join(UNFINISHED), format!("{}\n", archive.display()).as_bytes())?;
    sync(&config.data_dir)
}

/// Everything is in its place.
pub(super) fn finished(config: &Config) -> Result<()> {
    sync(&config.data_dir)?;
    sync(&config.host_key_dir)?;
    std::fs::remove_file(config.data_dir.join(UNFINISHED))?;
    sync(&config.data_dir)
}

/// Puts the names in a folder on the disk.
fn sync(dir: &Path) -> Result<()> {
    Ok(std::fs::File::open(dir)?.sync_all()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_gone_is_no_new_portals() {
        let root = tempfile::tempdir().unwrap();
        let config = Config { data_dir: root.path().join("data"), ..Config::default() };
        let data = config.data_dir.clone();
        look(&config).unwrap();
        assert!(existing(&config).is_err());
        std::fs::create_dir_all(data.join("vms")).unwrap();
        std::fs::create_dir_all(data.join("images/micro")).unwrap();
        look(&config).unwrap();
        // A first start that was killed at once.
        std::fs::write(data.join(DATABASE), "").unwrap();
        std::fs::write(data.join("twarga.db-wal"), "").unwrap();
        look(&config).unwrap();
        assert!(existing(&config).is_err());
        for (trace, named) in [
            ("vms/5f2c", "`vms`"),
            ("twarga.db.before-17", "db.before-17"),
            ("twarga.db-wal", "twarga.db-wal"),
        ] {
            std::fs::write(data.join(trace), "x").unwrap();
            for gone in [true, false] {
                match gone {
                    true => std::fs::remove_file(data.join(DATABASE)).unwrap(),
                    false => std::fs::write(data.join(DATABASE), "").unwrap(),
                }
                let e = look(&config).unwrap_err();
                assert!(e.code == Code::DatabaseCorrupt && e.message.contains(named), "{e}");
            }
            std::fs::remove_file(data.join(trace)).unwrap();
        }
        look(&config).unwrap();
        std::fs::write(data.join("twarga.db.before-17"), "x").unwrap();
        std::fs::write(data.join(DATABASE), "something").unwrap();
        existing(&config).unwrap();
    }
}
