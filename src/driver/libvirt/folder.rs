//! A domain's folder: its overlay, its seed, its console's log, and a mark that
//! tells that the folder is ours to remove.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use uuid::Uuid;

use super::command;
use crate::driver::{BootFiles, DomainSpec};
use crate::error::{Code, Error, Result};
use crate::model::text;

/// The guest's disk, qcow2, over the image's.
pub(super) const OVERLAY: &str = "disk.qcow2";
/// The NoCloud seed, raw.
pub(super) const SEED: &str = "seed.img";
/// What the guest wrote to its console since its start; written by virtlogd.
pub(super) const CONSOLE_LOG: &str = "console.log";
/// Holds the domain's UUID.
const MARK: &str = ".twarga-domain";

/// Bytes of the log's end that are looked through, and columns that are shown.
const LAST_WORDS: u64 = 4096;
const LONGEST_WORDS: usize = 120;

const QEMU_IMG: &str = "qemu-img";
const QEMU_IMG_LIMIT: Duration = Duration::from_secs(60);

/// Makes the folder and marks it as `uuid`'s. QEMU's account may go through it,
/// only ours may list it.
///
/// # Errors
/// `exists` if something else is there already.
pub(super) fn make(dir: &Path, uuid: Uuid) -> Result<()> {
    match fs::DirBuilder::new().recursive(true).mode(0o711).create(dir) {
        Ok(()) => {}
        Err(e) if e.kind() == ErrorKind::AlreadyExists => return Err(foreign(dir)),
        Err(e) => return Err(e.into()),
    }
    if !is_ours(dir, uuid)? {
        return Err(foreign(dir));
    }
    // An earlier umask may have narrowed it.
    fs::set_permissions(dir, fs::Permissions::from_mode(0o711))?;
    write_private(&dir.join(MARK), uuid.to_string().as_bytes())
}

/// Removes the folder with all it holds; one that is gone already is no fault.
///
/// # Errors
/// `exists` if the folder does not look like `uuid`'s: nothing is removed then.
pub(super) fn remove(dir: &Path, uuid: Uuid) -> Result<()> {
    match fs::symlink_metadata(dir) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e.into()),
        Ok(_) => {}
    }
    if !is_ours(dir, uuid)? {
        return Err(foreign(dir));
    }
    // The mark goes last, so that an interrupted removal can be taken up again.
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name() == MARK {
            continue;
        }
        let gone = if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())
        } else {
            fs::remove_file(entry.path())
        };
        missing_is_fine(gone)?;
    }
    missing_is_fine(fs::remove_file(dir.join(MARK)))?;
    missing_is_fine(fs::remove_dir(dir))
}

/// Looks whether the image's files are there.
///
/// # Errors
/// `image.invalid` if one is not.
pub(super) fn check_image(boot: &BootFiles) -> Result<()> {
    for file in [&boot.disk, &boot.kernel, &boot.initrd] {
        if !file.is_file() {
            tracing::warn!(file = %file.display(), "the image lacks a file");
            return Err(Error::new(Code::ImageInvalid, "The image's files are not all there."));
        }
    }
    Ok(())
}

/// Writes the domain's seed afresh, readable by its owner alone: it holds a
/// private key. libvirt lends it to QEMU's account while the domain runs.
pub(super) fn write_seed(spec: &DomainSpec) -> Result<()> {
    write_private(&spec.dir.join(SEED), &spec.seed.to_vfat()?)
}

/// Makes the domain's overlay unless there is one.
///
/// # Errors
/// `image.invalid` if the image's disk is missing or broken, `usage` if the disk
/// is too small for the image, `backend.unavailable` if the host's disk is full.
pub(super) async fn make_overlay(spec: &DomainSpec) -> Result<()> {
    let overlay = spec.dir.join(OVERLAY);
    if tokio::fs::try_exists(&overlay).await? {
        return Ok(());
    }
    // The overlay remembers its base's path, so it must be absolute.
    let base = tokio::fs::canonicalize(&spec.boot.disk).await?;
    let bytes = u64::from(spec.disk_gb) << 30;
    let least = virtual_size(&base).await?;
    if bytes < least {
        let gb = least.div_ceil(1 << 30);
        return Err(Error::usage(format!("The image needs a disk of {gb} GiB or more.")));
    }
    // A half-made overlay must never be taken for the guest's data.
    let fresh = spec.dir.join("disk.qcow2.new");
    missing_is_fine(tokio::fs::remove_file(&fresh).await)?;
    let size = bytes.to_string();
    let args = ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"].map(AsRef::as_ref);
    let files = [base.as_os_str(), "--".as_ref(), fresh.as_os_str(), size.as_ref()];
    qemu_img(args.into_iter().chain(files)).await?;
    Ok(tokio::fs::rename(&fresh, &overlay).await?)
}

/// Bytes that the guest sees of a qcow2 image.
async fn virtual_size(image: &Path) -> Result<u64> {
    let args = ["info", "--output=json", "-f", "qcow2", "--"].map(AsRef::as_ref);
    let said = qemu_img(args.into_iter().chain([image.as_os_str()])).await?;
    let info: serde_json::Value = serde_json::from_str(&said).map_err(Error::internal)?;
    let size = info.get("virtual-size").and_then(serde_json::Value::as_u64);
    size.ok_or_else(|| Error::internal("qemu-img told no size"))
}

async fn qemu_img<'a>(args: impl IntoIterator<Item = &'a std::ffi::OsStr>) -> Result<String> {
    let out = command::run(QEMU_IMG, args, QEMU_IMG_LIMIT).await?;
    if out.success {
        return Ok(out.stdout);
    }
    tracing::warn!(stderr = %out.stderr.trim(), "qemu-img failed");
    if out.stderr.contains("No space left") {
        return Err(std::io::Error::from(ErrorKind::StorageFull).into());
    }
    if out.stderr.contains("not in qcow2 format") {
        return Err(Error::new(Code::ImageInvalid, "The image's disk is not in qcow2 format."));
    }
    Err(Error::new(Code::BackendUnavailable, "The VM's disk could not be made.")
        .hint("The portal's log says why."))
}

/// The last line of the console's log that says anything; none if the log is not
/// ours to read.
pub(super) fn last_words(dir: &Path) -> Option<String> {
    let mut log = File::open(dir.join(CONSOLE_LOG)).ok()?;
    let length = log.metadata().ok()?.len();
    log.seek(SeekFrom::Start(length.saturating_sub(LAST_WORDS))).ok()?;
    let mut end = Vec::new();
    log.take(LAST_WORDS).read_to_end(&mut end).ok()?;
    let end = String::from_utf8_lossy(&end);
    let line = end.split(['\n', '\r']).rev().find(|line| line.chars().any(char::is_alphanumeric))?;
    Some(text::short(&text::clean(line.trim()), LONGEST_WORDS))
}

/// True for a directory (no link to one) that carries `uuid`'s mark, or nothing
/// but a mark that a crash kept from its place.
fn is_ours(dir: &Path, uuid: Uuid) -> Result<bool> {
    if !fs::symlink_metadata(dir)?.is_dir() {
        return Ok(false);
    }
    match fs::read_to_string(dir.join(MARK)) {
        Ok(mark) => Ok(mark.trim() == uuid.to_string()),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let unborn = format!("{MARK}.new");
            Ok(fs::read_dir(dir)?.all(|e| e.is_ok_and(|e| *e.file_name() == *unborn)))
        }
        Err(e) => Err(e.into()),
    }
}

fn foreign(dir: &Path) -> Error {
    tracing::error!(dir = %dir.display(), "not this VM's folder: left alone");
    Error::new(Code::Exists, "The VM's folder on the host holds something else.")
        .hint("An administrator must look at it; the portal's log names it.")
}

/// Writes a whole file that only its owner may read, or leaves what was there.
fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    missing_is_fine(fs::remove_file(&fresh))?;
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    Ok(fs::rename(&fresh, path)?)
}

fn missing_is_fine(done: std::io::Result<()>) -> Result<()> {
    match done {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e.into()),
        Err(_) | Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_comes_and_goes_any_number_of_times() {
        let root = tempfile::tempdir().unwrap();
        let (dir, uuid) = (root.path().join("a/b"), Uuid::new_v4());
        for _ in 0..2 {
            make(&dir, uuid).unwrap();
            make(&dir, uuid).unwrap();
            assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o711);
            fs::create_dir(dir.join("sub")).unwrap();
            write_private(&dir.join("x"), b"1").unwrap();
            assert_eq!(fs::metadata(dir.join("x")).unwrap().permissions().mode() & 0o777, 0o600);
            remove(&dir, uuid).unwrap();
            remove(&dir, uuid).unwrap();
            assert!(!dir.exists());
        }
    }

    #[test]
    fn a_folder_that_is_not_ours_stays() {
        let root = tempfile::tempdir().unwrap();
        let (uuid, other) = (Uuid::new_v4(), Uuid::new_v4());
        let full = root.path().join("full");
        fs::create_dir(&full).unwrap();
        fs::write(full.join("precious"), "1").unwrap();
        let theirs = root.path().join("theirs");
        make(&theirs, other).unwrap();
        let link = root.path().join("link");
        std::os::unix::fs::symlink(&theirs, &link).unwrap();
        for dir in [&full, &theirs, &link] {
            assert_eq!(remove(dir, uuid).map_err(|e| e.code), Err(Code::Exists));
            assert_eq!(make(dir, uuid).map_err(|e| e.code), Err(Code::Exists));
        }
        // Not even with the right mark behind the link.
        assert!(
            remove(&link, other).is_err() && theirs.join(MARK).exists() && full.join("precious").exists()
        );
    }

    #[test]
    fn the_last_words_are_those_that_say_something() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(last_words(root.path()), None);
        let log = root.path().join(CONSOLE_LOG);
        fs::write(&log, format!("{}\r\n\x1b[31mKernel panic\r\n\r\n# \r\n", "x".repeat(9000))).unwrap();
        let said = last_words(root.path()).unwrap();
        assert!(said.contains("Kernel panic") && !said.contains('\x1b'), "{said:?}");
        fs::write(&log, "x".repeat(9000)).unwrap();
        assert!(last_words(root.path()).unwrap().chars().count() <= LONGEST_WORDS);
    }

    #[test]
    fn an_interrupted_removal_is_taken_up_again() {
        let root = tempfile::tempdir().unwrap();
        let (dir, uuid) = (root.path().join("d"), Uuid::new_v4());
        fs::create_dir(&dir).unwrap();
        remove(&dir, uuid).unwrap();
        assert!(!dir.exists());
    }

    #[test]
    fn a_folder_whose_mark_was_being_written_is_ours() {
        let root = tempfile::tempdir().unwrap();
        let (dir, uuid) = (root.path().join("d"), Uuid::new_v4());
        for _ in 0..2 {
            fs::create_dir(&dir).unwrap();
            fs::write(dir.join(format!("{MARK}.new")), "half").unwrap();
            remove(&dir, uuid).unwrap();
            assert!(!dir.exists());
        }
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join(format!("{MARK}.new")), "half").unwrap();
        make(&dir, uuid).unwrap();
        assert_eq!(fs::read_to_string(dir.join(MARK)).unwrap(), uuid.to_string());
    }
}
