//! What VMs are made from.

use serde::Serialize;

use crate::model::Time;

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
