//! `twarga backup` and `twarga restore`: one archive (tar) with a consistent
//! copy of the database, which holds the VMs' definitions and host keys, and
//! the portal's own keys. It holds secrets: mode 0600. What is sealed in the
//! database stays so; with the keys in the archive, whoever has it can open it.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::database::{self, DATABASE};
use super::say;
use super::serve::DataLock;
use crate::config::Config;
use crate::crash;
use crate::error::{Code, Error, Result};
use crate::model::Time;
use crate::portal::PortalKeys;
use crate::portal::keys::write_secret;
use crate::portal::seal::{self, Ring};
use crate::store::Store;

const KEYS: &str = "host-keys";
/// Of the files that make up a database.
const SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];
/// The largest key file that is brought back.
const LARGEST_KEY: u64 = 1 << 20;

pub(super) async fn backup(config: &Config, file: &Path, with_keys: bool) -> Result<()> {
    let path = database::existing(config)?;
    let copy = tempfile_beside(file, "db");
    let copied = Store::copy(&path, &copy);
    let written = copied.and_then(|()| {
        can_be_opened(config, &copy)?;
        write_archive(config, &copy, file, with_keys)
    });
    let _ = std::fs::remove_file(&copy);
    remove_sidecars(&copy);
    written?;
    let what = match with_keys {
        true => {
            "the database (accounts, password hashes, VM definitions, events; second factors and VMs' host keys in it are sealed) and the portal's keys, which open what is sealed: keep it as you would keep those"
        }
        false => {
            "the database (accounts, password hashes, VM definitions, events; second factors and VMs' host keys in it are sealed) and no keys: what is sealed opens only with those of this portal, so keep them elsewhere"
        }
    };
    say(format_args!("Backed up to {}. It holds {what}. The VMs' disks are not in it.", file.display()));
    Ok(())
}

/// Whether the keys of this moment open what is sealed in a copy: they may have
/// been changed since it was made.
fn can_be_opened(config: &Config, copy: &Path) -> Result<()> {
    let labels = Store::sealed_labels_of(copy)?;
    match Ring::load(&config.host_key_dir)? {
        Some(ring) => ring.check(&labels, &config.host_key_dir),
        None => Ring::check_without(&labels, &config.host_key_dir),
    }
}

fn tempfile_beside(file: &Path, what: &str) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{what}-{}", uuid::Uuid::new_v4().simple()));
    file.with_file_name(name)
}

fn cannot_write(file: &Path, e: &std::io::Error) -> Error {
    Error::new(Code::BackendUnavailable, format!("{} cannot be written: {e}.", file.display())).hint("")
}

fn write_archive(config: &Config, database: &Path, file: &Path, with_keys: bool) -> Result<()> {
    let part = tempfile_beside(file, "part");
    let out = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)
        .map_err(|e| cannot_write(file, &e))?;
    let write = || -> std::io::Result<()> {
        let mut archive = tar::Builder::new(&out);
        archive.mode(tar::HeaderMode::Deterministic);
        archive.append_path_with_name(database, DATABASE)?;
        let keys = with_keys.then(|| std::fs::read_dir(&config.host_key_dir)).transpose()?;
        for entry in keys.into_iter().flatten() {
            let entry = entry?;
            let name = entry.file_name();
            // Only what `restore` takes; no key is hidden or that large.
            let hidden = name.to_str().is_none_or(|n| n.starts_with('.'));
            if entry.file_type()?.is_file() && !hidden && entry.metadata()?.len() <= LARGEST_KEY {
                archive.append_path_with_name(entry.path(), Path::new(KEYS).join(name))?;
            }
        }
        archive.finish()?;
        out.sync_all()?;
        std::fs::rename(&part, file)
    };
    write().map_err(|e| {
        let _ = std::fs::remove_file(&part);
        cannot_write(file, &e)
    })
}

pub(super) fn restore(config: &Config, file: &Path) -> Result<()> {
    let _lock = DataLock::take(&config.data_dir)?;
    let not_ours = |why: String| {
        Error::new(Code::Usage, format!("{} is not a backup that can be used: {why}.", file.display()))
            .hint("")
    };
    let archive = File::open(file).map_err(|e| not_ours(e.to_string()))?;
    let staged = config.data_dir.join(format!("{DATABASE}.restored"));
    let _ = std::fs::remove_file(&staged);
    // Looked at before anything is touched: a damaged or newer database stays out.
    let unpacked = unpack(archive, &staged).map_err(not_ours);
    let checked = unpacked.and_then(|keys| {
        Store::check(&staged)?;
        opens(config, &keys, &staged)?;
        Ok(keys)
    });
    remove_sidecars(&staged);
    let keys = checked.inspect_err(|_| {
        let _ = std::fs::remove_file(&staged);
    })?;
    database::unfinished(config, file)?;
    crash::point("restoring");
    let path = config.data_dir.join(DATABASE);
    let aside = set_aside(&path)?;
    crash::point("set aside");
    put_keys(&config.host_key_dir, &keys)?;
    crash::point("keys are back");
    std::fs::rename(&staged, &path)?;
    crash::point("database is back");
    database::finished(config)?;
    if let Some(aside) = aside {
        say(format_args!("The database of before is kept as {}.", aside.display()));
    }
    say(format_args!("Restored from {}. `twarga serve` starts the portal.", file.display()));
    Ok(())
}

/// Whether what is sealed in the database can be opened with the keys that come
/// with it, or with those that are here.
fn opens(config: &Config, keys: &Keys, database: &Path) -> Result<()> {
    let labels = Store::sealed_labels_of(database)?;
    let dir = &config.host_key_dir;
    let brought = keys.iter().find(|(name, _)| name == seal::FILE);
    let brought = brought.and_then(|(_, content)| std::str::from_utf8(content).ok()).and_then(Ring::parse);
    match brought.map_or_else(|| Ring::load(dir), |ring| Ok(Some(ring)))? {
        Some(ring) => ring.check(&labels, dir),
        None => Ring::check_without(&labels, dir),
    }
}

/// Writes the keys where the portal looks for them. Others that have their names
/// are kept beside them.
fn put_keys(dir: &Path, keys: &Keys) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    for (name, content) in keys {
        let path = dir.join(name);
        match std::fs::read(&path) {
            Ok(there) if there == **content => continue,
            Ok(_) => std::fs::rename(&path, dir.join(format!("{name}.before-{}", Time::now().millis())))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(e.into()),
        }
        write_secret(&path, content)?;
    }
    Ok(())
}

/// Files that SQLite keeps beside a database.
fn remove_sidecars(database: &Path) {
    for suffix in ["-wal", "-shm"] {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        let _ = std::fs::remove_file(name);
    }
}

/// Moves the database of before away, with what belongs to it: nothing is lost.
fn set_aside(path: &Path) -> Result<Option<PathBuf>> {
    let with = |p: &Path, suffix: &str| {
        let mut name = p.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    // A log without its database would be taken for one of the restored one's.
    if !SUFFIXES.iter().any(|suffix| with(path, suffix).exists()) {
        return Ok(None);
    }
    let aside = path.with_extension(format!("db.before-{}", Time::now().millis()));
    for suffix in SUFFIXES {
        if with(path, suffix).exists() {
            std::fs::rename(with(path, suffix), with(&aside, suffix))?;
        }
    }
    Ok(Some(aside))
}

/// # Errors
/// Why the portal could not use that file of its keys' folder.
fn check_key(name: &str, content: &[u8]) -> Result<(), String> {
    if content.len() as u64 > LARGEST_KEY {
        return Err(format!("{name} is larger than any key"));
    }
    if PortalKeys::names(name) && !PortalKeys::is_private(content) {
        return Err(format!("{name} is not a private SSH key"));
    }
    if name == seal::FILE && !std::str::from_utf8(content).is_ok_and(|text| Ring::parse(text).is_some()) {
        return Err(format!("{name} is not a sealing key"));
    }
    Ok(())
}

type Keys = Vec<(String, zeroize::Zeroizing<Vec<u8>>)>;

/// Takes only members that `backup` writes: no path of the archive is followed.
fn unpack(archive: File, database: &Path) -> Result<Keys, String> {
    let mut keys = Keys::new();
    let mut found = false;
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().map_err(|e| e.to_string())? {
        let mut entry = entry.map_err(|e| e.to_string())?;
        let path = entry.path().map_err(|e| e.to_string())?.into_owned();
        if !entry.header().entry_type().is_file() {
            return Err(String::from("it holds something other than files"));
        }
        let parts: Vec<String> =
            path.components().map(|c| c.as_os_str().to_string_lossy().into_owned()).collect();
        match parts.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            [DATABASE] => {
                let new = File::options().write(true).create_new(true).mode(0o600).open(database);
                let mut out = new.map_err(|e| e.to_string())?;
                std::io::copy(&mut entry, &mut out).map_err(|e| e.to_string())?;
                out.sync_all().map_err(|e| e.to_string())?;
                found = true;
            }
            [KEYS, name] if !name.starts_with('.') => {
                let mut content = zeroize::Zeroizing::new(Vec::new());
                entry.by_ref().take(LARGEST_KEY + 1).read_to_end(&mut content).map_err(|e| e.to_string())?;
                check_key(name, &content)?;
                keys.push(((*name).to_owned(), content));
            }
            _ => return Err(String::from("it holds files that do not belong there")),
        }
    }
    if found { Ok(keys) } else { Err(String::from("there is no database in it")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(dir: &Path) -> Config {
        Config { data_dir: dir.join("data"), host_key_dir: dir.join("keys"), ..Config::default() }
    }

    #[tokio::test]
    async fn there_and_back() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        std::fs::create_dir_all(&config.data_dir).unwrap();
        crate::portal::PortalKeys::open(&config.host_key_dir).unwrap();
        let store = Store::open(&config.data_dir.join(DATABASE)).unwrap();
        store.meta_or_insert("portal_id", String::from("here")).await.unwrap();
        let file = dir.path().join("b.tar");
        backup(&config, &file, true).await.unwrap();
        drop(store);
        std::fs::write(config.data_dir.join(DATABASE), b"rubbish").unwrap();
        std::fs::remove_dir_all(&config.host_key_dir).unwrap();
        restore(&config, &file).unwrap();
        let store = Store::open(&config.data_dir.join(DATABASE)).unwrap();
        assert_eq!(store.meta("portal_id").await.unwrap().as_deref(), Some("here"));
        crate::portal::PortalKeys::open(&config.host_key_dir).unwrap();
    }

    #[test]
    fn archives_that_want_elsewhere_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        for name in ["x", "host-keys/a/b", "host-keys/.ssh"] {
            let file = dir.path().join("bad.tar");
            let mut archive = tar::Builder::new(File::create(&file).unwrap());
            let mut header = tar::Header::new_gnu();
            header.set_size(1);
            header.set_mode(0o600);
            archive.append_data(&mut header, name, &b"x"[..]).unwrap();
            archive.finish().unwrap();
            assert_eq!(restore(&config, &file).unwrap_err().code, Code::Usage, "{name}");
        }
        std::fs::write(dir.path().join("no.tar"), b"rubbish").unwrap();
        assert!(restore(&config, &dir.path().join("no.tar")).is_err());
        assert!(!config.data_dir.join(DATABASE).exists());
    }
}
