//! Images: what VMs boot from. Each lives in a folder of the catalogue:
//!
//! ```text
//! images/micro/current            names the build that new VMs are made from
//! images/micro/3f9a…/manifest.toml
//! images/micro/3f9a…/{kernel,initrd,disk.qcow2}
//! ```
//!
//! A build is named by the SHA-256 of its manifest, which holds the SHA-256 of
//! each file: a new build never touches the VMs made from an older one, and no
//! file is used before it was found whole.

mod build;
mod manifest;

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::driver::BootFiles;
use crate::error::{Code, Error, Result};
use crate::model::{Image, Time, VmName};
pub use build::{RECIPES, build, install};
pub use manifest::Manifest;

/// The folder of images; clones share what they know to be whole.
#[derive(Debug, Clone)]
pub struct Catalogue {
    dir: PathBuf,
    verified: Arc<Mutex<HashMap<PathBuf, Stamp>>>,
}

/// A file that was found whole, as it was then: a changed one is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified_ns: i128,
}

impl Catalogue {
    /// The catalogue in that folder, which need not exist yet.
    pub fn new(dir: PathBuf) -> Self {
        Catalogue { dir, verified: Arc::default() }
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Every image that can be read, by name.
    pub fn list(&self) -> Result<Vec<Image>> {
        let mut images = Vec::new();
        let entries = match std::fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(images),
            Err(e) => return Err(e.into()),
        };
        for entry in entries {
            let name = entry?.file_name();
            let Some(name) = name.to_str() else { continue };
            match self.get(name) {
                Ok(image) => images.push(image),
                Err(e) => tracing::warn!(image = name, error = %e, "an image is left out"),
            }
        }
        images.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(images)
    }

    /// The image of that name, in its current build.
    ///
    /// # Errors
    /// `image.not_found`; `image.invalid` if its manifest cannot be trusted.
    pub fn get(&self, name: &str) -> Result<Image> {
        // An image is named like a VM: no name leads out of the folder.
        name.parse::<VmName>().map_err(|_| not_found(name))?;
        let digest =
            std::fs::read_to_string(self.dir.join(name).join("current")).map_err(|_| not_found(name))?;
        let digest = digest.trim();
        let manifest = self.manifest(name, digest)?;
        Ok(Image {
            name: name.to_owned(),
            size_bytes: manifest.files.values().map(|f| f.bytes).sum(),
            built_at: Time::from_millis(manifest.built_at_ms),
            digest: digest.to_owned(),
            description: manifest.description,
            ssh_user: manifest.ssh_user,
            min_ram_mb: manifest.min_ram_mb,
            min_disk_gb: manifest.min_disk_gb,
        })
    }

    /// The manifest of one build of an image, which must be the one that its name says.
    pub fn manifest(&self, name: &str, digest: &str) -> Result<Manifest> {
        if digest.len() != 64 || !digest.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(invalid(name, "the name of its build is damaged"));
        }
        let path = self.dir.join(name).join(digest).join("manifest.toml");
        let text = std::fs::read_to_string(path).map_err(|_| invalid(name, "its manifest is missing"))?;
        if manifest::sha256_hex(text.as_bytes()) != digest {
            return Err(invalid(name, "its manifest is not the one it was built with"));
        }
        Manifest::parse(&text).map_err(|why| invalid(name, &why))
    }

    /// The files of one build, each found whole. Reads every byte of those that
    /// were not read before: call it off the async workers.
    ///
    /// # Errors
    /// `image.invalid` if a file is missing or is not what the manifest says.
    pub fn verified(&self, name: &str, digest: &str) -> Result<(Manifest, BootFiles)> {
        let manifest = self.manifest(name, digest)?;
        let dir = self.dir.join(name).join(digest);
        for (file, expected) in &manifest.files {
            self.verify(name, &dir.join(file), expected)?;
        }
        // One path for one file, whichever way it was reached: drivers remember it.
        let dir = std::fs::canonicalize(dir)?;
        let boot = BootFiles {
            disk: dir.join("disk.qcow2"),
            kernel: dir.join("kernel"),
            initrd: dir.join("initrd"),
            kernel_args: manifest.kernel_args.clone(),
        };
        Ok((manifest, boot))
    }

    fn verify(&self, image: &str, path: &Path, expected: &manifest::FileEntry) -> Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let metadata =
            std::fs::metadata(path).map_err(|_| invalid(image, &format!("its {name} is missing")))?;
        let modified_ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        let stamp = Stamp { inode: metadata.ino(), size: metadata.len(), modified_ns };
        if self.known(path) == Some(stamp) {
            return Ok(());
        }
        if metadata.len() != expected.bytes || manifest::sha256_of_file(path)? != expected.sha256 {
            return Err(invalid(image, &format!("its {name} is not what it was built as (wrong SHA-256)")));
        }
        if let Ok(mut verified) = self.verified.lock() {
            verified.insert(path.to_owned(), stamp);
        }
        Ok(())
    }

    fn known(&self, path: &Path) -> Option<Stamp> {
        self.verified.lock().ok()?.get(path).copied()
    }
}

fn not_found(name: &str) -> Error {
    let name = crate::model::text::short(name, 40);
    Error::new(Code::ImageNotFound, format!("There is no image called “{name}”."))
}

fn invalid(name: &str, why: &str) -> Error {
    Error::new(Code::ImageInvalid, format!("The image “{name}” cannot be used: {why}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> (tempfile::TempDir, Catalogue) {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        std::fs::create_dir(&out).unwrap();
        for file in ["kernel", "initrd", "disk.qcow2"] {
            std::fs::write(out.join(file), file).unwrap();
        }
        let recipe = "description = \"d\"\nssh_user = \"root\"\nkernel_args = \"quiet\"\nmin_ram_mb = 64\nmin_disk_gb = 1\nguest_agent = false\n";
        std::fs::write(out.join("recipe.toml"), recipe).unwrap();
        let catalogue = Catalogue::new(dir.path().join("images"));
        build::install(&catalogue, "micro", &out).unwrap();
        (dir, catalogue)
    }

    #[test]
    fn what_was_installed_is_found_whole() {
        let (_dir, catalogue) = catalogue();
        let image = catalogue.list().unwrap().remove(0);
        let (manifest, boot) = catalogue.verified("micro", &image.digest).unwrap();
        assert_eq!((manifest.ssh_user.as_str(), boot.kernel_args.as_str()), ("root", "quiet"));
    }

    #[test]
    fn a_changed_file_is_refused_even_after_it_was_verified() {
        let (_dir, catalogue) = catalogue();
        let image = catalogue.get("micro").unwrap();
        let (_, boot) = catalogue.verified("micro", &image.digest).unwrap();
        std::fs::remove_file(&boot.kernel).unwrap();
        std::fs::write(&boot.kernel, "kernex").unwrap();
        let e = catalogue.verified("micro", &image.digest).unwrap_err();
        assert_eq!(e.code, Code::ImageInvalid);
        assert!(e.message.contains("kernel"), "{e}");
    }

    #[test]
    fn a_changed_manifest_is_refused() {
        let (_dir, catalogue) = catalogue();
        let image = catalogue.get("micro").unwrap();
        let path = catalogue.dir().join("micro").join(&image.digest).join("manifest.toml");
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        assert_eq!(catalogue.get("micro").unwrap_err().code, Code::ImageInvalid);
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let (_dir, catalogue) = catalogue();
        for name in ["../out", "", "micro/..", "/etc", "nonesuch"] {
            assert_eq!(catalogue.get(name).unwrap_err().code, Code::ImageNotFound);
        }
    }
}
