//! Whether QEMU's account can get at the files that it is to use.
//!
//! libvirt lends the files themselves to that account while a domain runs; the
//! directories on the way to them it leaves as they are.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The account that a system libvirt runs QEMU as, where nothing else is configured.
const USUAL: [&str; 2] = ["libvirt-qemu", "qemu"];

/// An account of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    uid: u32,
    gids: Vec<u32>,
}

/// What one may want of a file; the values are those of `others` in its mode.
#[derive(Clone, Copy)]
pub(super) enum Want {
    ReadWrite = 6,
    Enter = 1,
}

impl Account {
    /// QEMU's account under `uri`; none if it is ours, root, or unknown.
    pub(super) fn of_qemu(uri: &str) -> Option<Self> {
        if !(uri.starts_with("qemu") && uri.contains(":///system")) {
            return None;
        }
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let (passwd, group) = (read("/etc/passwd"), read("/etc/group"));
        let set = configured(&read("/etc/libvirt/qemu.conf"));
        let account = match &set {
            Some(name) => Self::find(name, &passwd, &group),
            None => USUAL.iter().find_map(|name| Self::find(name, &passwd, &group)),
        };
        account.filter(|a| a.uid != 0)
    }

    /// Reads passwd(5) and group(5).
    fn find(name: &str, passwd: &str, group: &str) -> Option<Self> {
        let mut fields = passwd.lines().map(|l| l.split(':')).find(|f| f.clone().next() == Some(name))?;
        let uid = fields.nth(2)?.parse().ok()?;
        let mut gids: Vec<u32> = fields.next()?.parse().into_iter().collect();
        for line in group.lines() {
            let mut fields = line.split(':');
            let (Some(gid), Some(members)) = (fields.nth(2), fields.next()) else { continue };
            if members.split(',').any(|m| m == name) {
                gids.extend(gid.parse::<u32>());
            }
        }
        Some(Account { name: name.to_owned(), uid, gids })
    }

    /// True if the mode bits allow it. An access control list may say otherwise
    /// in either direction, so where there is one the answer is yes.
    pub(super) fn may(&self, want: Want, path: &Path, meta: &Metadata) -> bool {
        let bits = want as u32;
        let shift = if meta.uid() == self.uid {
            6
        } else if self.gids.contains(&meta.gid()) {
            3
        } else {
            0
        };
        (meta.mode() >> shift) & bits == bits || has_acl(path)
    }

    /// The first directory on the way to `path` that the account cannot enter.
    /// What does not exist yet is in nobody's way.
    pub(super) fn obstacle(&self, path: &Path) -> Option<PathBuf> {
        let path = path.canonicalize().or_else(|_| std::path::absolute(path)).ok()?;
        let mut way: Vec<_> = path.ancestors().collect();
        way.reverse();
        let blocked = |p: &&Path| {
            std::fs::metadata(p).is_ok_and(|meta| meta.is_dir() && !self.may(Want::Enter, p, &meta))
        };
        way.into_iter().find(blocked).map(Path::to_path_buf)
    }
}

fn has_acl(path: &Path) -> bool {
    let mut nothing = [0_u8; 0];
    rustix::fs::getxattr(path, "system.posix_acl_access", &mut nothing).is_ok_and(|size| size > 0)
}

/// The `user` of qemu.conf, if it names one.
fn configured(conf: &str) -> Option<String> {
    let line = conf.lines().map(str::trim).filter_map(|l| l.strip_prefix("user")).next_back()?;
    let value = line.trim_start().strip_prefix('=')?.trim().trim_matches('"');
    Some(value.trim_start_matches('+').to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nlibvirt-qemu:x:64055:108::/:/bin/false\n";
    const GROUP: &str = "root:x:0:\nkvm:x:108:\nlibvirt-qemu:x:64055:libvirt-qemu\n";

    #[test]
    fn accounts_are_found_with_their_groups() {
        let account = Account::find("libvirt-qemu", PASSWD, GROUP).unwrap();
        assert_eq!((account.uid, account.gids), (64055, vec![108, 64055]));
        assert_eq!(Account::find("nobody", PASSWD, GROUP), None);
    }

    #[test]
    fn qemu_conf_may_name_another() {
        assert_eq!(configured("#user = \"root\"\n user = \"+vm\"\n").as_deref(), Some("vm"));
        assert_eq!(configured("#user = \"root\"\n"), None);
    }

    #[test]
    fn the_directory_in_the_way_is_named() {
        let root = tempfile::tempdir().unwrap();
        let (shut, inner) = (root.path().join("shut"), root.path().join("shut/inner"));
        std::fs::create_dir_all(&inner).unwrap();
        let allow = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let account = Account::find("libvirt-qemu", PASSWD, GROUP).unwrap();
        allow(root.path(), 0o711);
        allow(&shut, 0o700);
        assert_eq!(account.obstacle(&inner), Some(shut.canonicalize().unwrap()));
        allow(&shut, 0o711);
        assert_eq!(account.obstacle(&inner), None);
    }
}
