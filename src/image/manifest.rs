//! A build's manifest: what the image is, and the SHA-256 of each of its files.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Result;

/// The files that every image has.
pub(super) const FILES: [&str; 3] = ["kernel", "initrd", "disk.qcow2"];

/// What a recipe says of the image that it made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recipe {
    pub description: String,
    pub ssh_user: String,
    pub kernel_args: String,
    pub min_ram_mb: u32,
    pub min_disk_gb: u32,
    pub guest_agent: bool,
}

/// What an image is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// One line about it.
    pub description: String,
    /// The account that its VMs are entered with.
    pub ssh_user: String,
    /// Its kernel's command line.
    pub kernel_args: String,
    /// Least memory it boots with, MiB.
    pub min_ram_mb: u32,
    /// Least disk, GiB.
    pub min_disk_gb: u32,
    /// True if it runs the QEMU guest agent.
    pub guest_agent: bool,
    /// When it was built, milliseconds since the epoch.
    pub built_at_ms: i64,
    /// Its files.
    pub files: BTreeMap<String, FileEntry>,
}

/// One file of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, lower-case hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// Reads a manifest's text; the error is a clause that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let manifest: Manifest =
            toml::from_str(text).map_err(|e| format!("its manifest is damaged ({})", e.message()))?;
        match FILES.iter().find(|f| !manifest.files.contains_key(**f)) {
            Some(missing) => Err(format!("its manifest lists no {missing}")),
            None if manifest.files.len() > FILES.len() => {
                Err("its manifest lists files that it should not have".into())
            }
            None => Ok(manifest),
        }
    }

    /// The manifest of the files in `dir`, which a recipe left there.
    pub(super) fn of(recipe: Recipe, dir: &Path, built_at_ms: i64) -> Result<Self> {
        let mut files = BTreeMap::new();
        for name in FILES {
            let path = dir.join(name);
            let entry = FileEntry { bytes: std::fs::metadata(&path)?.len(), sha256: sha256_of_file(&path)? };
            files.insert(name.to_owned(), entry);
        }
        Ok(Manifest {
            description: recipe.description,
            ssh_user: recipe.ssh_user,
            kernel_args: recipe.kernel_args,
            min_ram_mb: recipe.min_ram_mb,
            min_disk_gb: recipe.min_disk_gb,
            guest_agent: recipe.guest_agent,
            built_at_ms,
            files,
        })
    }
}

/// SHA-256 of a file, lower-case hexadecimal.
pub(super) fn sha256_of_file(path: &Path) -> Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            n => hasher.update(buffer.get(..n).unwrap_or_default()),
        }
    }
}

/// SHA-256 of bytes, lower-case hexadecimal.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
