//! The NoCloud seed: what a guest is told at its first boot, on a small vfat
//! volume labelled `CIDATA` (cloud-init's NoCloud data source). Guests that
//! read no YAML find the same in plain files beside it.

use std::fmt;
use std::io::{Cursor, Write};

use serde_json::json;
use zeroize::Zeroizing;

use crate::error::Result;

/// What a guest is told.
#[derive(Clone, PartialEq)]
pub struct Seed {
    /// Changes when the guest should take itself for a new machine.
    pub instance_id: String,
    /// Its host name.
    pub hostname: String,
    /// The account to make.
    pub user: String,
    /// Lines for that account's `authorized_keys`.
    pub authorized_keys: Vec<String>,
    /// Private half of its SSH host key, OpenSSH's PEM format.
    pub host_key: Zeroizing<String>,
    /// Public half, one line.
    pub host_key_public: String,
    /// The owner's own cloud-config or script, given to cloud-init beside ours.
    pub user_data: Option<String>,
}

/// Shows no key.
impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seed").field("hostname", &self.hostname).finish_non_exhaustive()
    }
}

/// Bytes of the volume: enough for the largest user data that is taken.
const VOLUME_BYTES: usize = 1 << 20;

impl Seed {
    /// The volume's bytes.
    ///
    /// # Errors
    /// `internal` if the files do not fit.
    pub fn to_vfat(&self) -> Result<Zeroizing<Vec<u8>>> {
        let mut volume = Zeroizing::new(vec![0; VOLUME_BYTES]);
        let options = fatfs::FormatVolumeOptions::new().volume_label(*b"CIDATA     ");
        fatfs::format_volume(Cursor::new(volume.as_mut_slice()), options)?;
        {
            let fs = fatfs::FileSystem::new(Cursor::new(volume.as_mut_slice()), fatfs::FsOptions::new())?;
            for (name, content) in self.files() {
                fs.root_dir().create_file(name)?.write_all(content.as_bytes())?;
            }
            fs.unmount()?;
        }
        Ok(volume)
    }

    fn files(&self) -> Vec<(&'static str, Zeroizing<String>)> {
        let meta = json!({ "instance-id": self.instance_id, "local-hostname": self.hostname });
        vec![
            ("meta-data", Zeroizing::new(meta.to_string())),
            ("user-data", self.user_data_document()),
            ("hostname", Zeroizing::new(format!("{}\n", self.hostname))),
            ("authorized_keys", Zeroizing::new(self.authorized_keys.join("\n") + "\n")),
            ("ssh_host_ed25519_key", self.host_key.clone()),
        ]
    }

    /// JSON is YAML, so no value can break out of its place.
    fn cloud_config(&self) -> Zeroizing<String> {
        let config = json!({
            "hostname": self.hostname,
            "users": [{
                "name": self.user,
                "ssh_authorized_keys": self.authorized_keys,
                "sudo": "ALL=(ALL) NOPASSWD:ALL",
                "shell": "/bin/bash",
                "lock_passwd": true,
            }],
            "ssh_deletekeys": true,
            "ssh_keys": { "ed25519_private": *self.host_key, "ed25519_public": self.host_key_public },
            "ssh_pwauth": false,
            "growpart": { "mode": "off" },
        });
        Zeroizing::new(format!("#cloud-config\n{config}\n"))
    }

    /// Ours alone, or ours and the owner's as one MIME archive, each under the
    /// type that its first line says (cloud-init's user-data formats).
    fn user_data_document(&self) -> Zeroizing<String> {
        let ours = self.cloud_config();
        let Some(theirs) = &self.user_data else { return ours };
        let boundary = format!("twarga-{}", uuid::Uuid::new_v4().simple());
        let kind = if theirs.starts_with("#!") { "text/x-shellscript" } else { "text/cloud-config" };
        Zeroizing::new(format!(
            "Content-Type: multipart/mixed; boundary=\"{boundary}\"\nMIME-Version: 1.0\n\n\
             --{boundary}\nContent-Type: text/cloud-config; charset=\"utf-8\"\n\n{ours}\n\
             --{boundary}\nContent-Type: {kind}; charset=\"utf-8\"\nMerge-Type: list(append)+dict(no_replace,recurse_list)+str()\n\n{theirs}\n\
             --{boundary}--\n",
            ours = *ours,
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn seed(user_data: Option<&str>) -> Seed {
        Seed {
            instance_id: "i-1".into(),
            hostname: "web1".into(),
            user: "debian".into(),
            authorized_keys: vec!["ssh-ed25519 AAAA note \" '\n: {}".into()],
            host_key: Zeroizing::new("KEY".into()),
            host_key_public: "ssh-ed25519 AAAA".into(),
            user_data: user_data.map(str::to_owned),
        }
    }

    fn read(volume: &[u8], name: &str) -> String {
        let fs = fatfs::FileSystem::new(Cursor::new(volume.to_vec()), fatfs::FsOptions::new()).unwrap();
        assert_eq!(fs.volume_label(), "CIDATA");
        let mut text = String::new();
        fs.root_dir().open_file(name).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn volume_holds_what_it_was_given() {
        let volume = seed(None).to_vfat().unwrap();
        assert_eq!(read(&volume, "hostname"), "web1\n");
        assert_eq!(read(&volume, "ssh_host_ed25519_key"), "KEY");
        let data = read(&volume, "user-data");
        let config: serde_json::Value =
            serde_json::from_str(data.strip_prefix("#cloud-config\n").unwrap()).unwrap();
        assert_eq!(config["users"][0]["name"], "debian");
    }

    #[test]
    fn the_owners_user_data_stands_beside_ours() {
        let volume = seed(Some("#!/bin/sh\necho hi")).to_vfat().unwrap();
        let data = read(&volume, "user-data");
        assert!(
            data.contains("text/x-shellscript") && data.contains("echo hi") && data.contains("#cloud-config")
        );
    }

    #[test]
    fn too_much_user_data_is_an_error() {
        assert!(seed(Some(&"x".repeat(2 << 20))).to_vfat().is_err());
    }

    #[test]
    fn debug_shows_no_key() {
        assert!(!format!("{:?}", seed(None)).contains("KEY"));
    }
}
