//! What VMs are made from.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::model::{Size, Time};

/// An image in the catalogue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Image {
    /// What people type.
    pub name: String,
    /// One line about it.
    pub description: String,
    /// The account that its VMs are entered with.
    pub ssh_user: String,
    /// Least memory it boots with, MiB.
    pub min_ram_mb: u32,
    /// Least disk, GiB.
    pub min_disk_gb: u32,
    /// Bytes of its files on the host.
    pub size_bytes: u64,
    /// When it was built.
    pub built_at: Time,
    /// SHA-256 of its manifest: changes with any of its files.
    pub digest: String,
}

impl Image {
    /// Whether a VM of that size can be made from it.
    ///
    /// # Errors
    /// `usage` if it wants more.
    pub fn admit(&self, size: Size) -> Result<()> {
        if size.ram_mb >= self.min_ram_mb && size.disk_gb >= self.min_disk_gb {
            return Ok(());
        }
        Err(Error::usage(format!(
            "“{}” wants at least {} MB of memory and {} GB of disk.",
            self.name, self.min_ram_mb, self.min_disk_gb
        ))
        .hint("Choose a larger plan: `plan ls`."))
    }
}
