//! A small filesystem, mounted for a test: it can be filled, made read-only, and
//! broken. Wants root.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// It, mounted until dropped.
pub struct SmallDisk {
    at: PathBuf,
    image: tempfile::NamedTempFile,
}

fn run(program: &str, args: &[&str]) {
    let out = Command::new(program).args(args).output().unwrap();
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

impl SmallDisk {
    /// Makes an ext4 of that size (MiB) in a file, and mounts it at a new folder.
    pub fn mount(at: &Path, size_mb: u64) -> SmallDisk {
        std::fs::create_dir_all(at).unwrap();
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(size_mb << 20).unwrap();
        // Nothing kept back for root; inodes enough for images.
        run("mke2fs", &["-q", "-F", "-t", "ext4", "-m", "0", image.path().to_str().unwrap()]);
        let disk = SmallDisk { at: at.to_owned(), image };
        disk.attach();
        disk
    }

    fn attach(&self) {
        run("mount", &["-o", "loop", self.image.path().to_str().unwrap(), self.at.to_str().unwrap()]);
    }

    fn remount(&self, how: &str) {
        run("mount", &["-o", &format!("remount,{how}"), self.at.to_str().unwrap()]);
    }

    /// Leaves that many bytes free, or somewhat less.
    pub fn fill(&self, free: u64) {
        self.empty();
        let mut file = std::fs::File::create(self.filler()).unwrap();
        let mut length = 0;
        for piece in [1 << 20, 4096] {
            while file.write_all(&vec![0x55; piece]).is_ok() {
                length += piece as u64;
            }
        }
        file.sync_all().unwrap();
        if free > 0 {
            file.set_len(length.saturating_sub(free)).unwrap();
            file.sync_all().unwrap();
        }
    }

    /// Room again.
    pub fn empty(&self) {
        let _ = std::fs::remove_file(self.filler());
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }

    /// No writes while nobody has a file open for writing.
    pub fn read_only(&self) {
        self.remount("ro");
    }

    /// What the kernel does when it finds the filesystem broken. What was written
    /// long ago is on the disk.
    pub fn break_down(&self) {
        run("sync", &["-f", self.at.to_str().unwrap()]);
        self.remount("abort");
    }

    /// What an administrator does then; nobody may be at work on it.
    pub fn mend(&self) {
        run("umount", &[self.at.to_str().unwrap()]);
        // 1: errors were corrected.
        let checked = Command::new("e2fsck").args(["-fy"]).arg(self.image.path()).output().unwrap();
        assert!(matches!(checked.status.code(), Some(0 | 1)), "{checked:?}");
        self.attach();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: whoever is still at work on it, a guest for one, ends with the test.
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}
