//! SSH keys: the portal's own, those it makes for VMs, those that people bring.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use russh::keys::ssh_key::{LineEnding, rand_core::UnwrapErr};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKey, PublicKey};
use zeroize::Zeroizing;

use super::Portal;
use crate::error::{Code, Error, Result};
use crate::model::{KeyLimits, text};
use crate::store::NewKey;

/// Their files: host keys, and what the portal signs in to VMs with.
const FILES: [&str; 3] = ["ssh_host_ed25519_key", "ssh_host_ecdsa_key", "portal_ed25519_key"];

/// The portal's own keys.
#[derive(Clone)]
pub struct PortalKeys {
    /// What it shows to those who sign in, the preferred one first.
    pub host: Vec<PrivateKey>,
    /// What it signs in to VMs with.
    pub client: Arc<PrivateKey>,
}

impl PortalKeys {
    /// Reads the keys of that folder, making those that are not there, mode 0600.
    ///
    /// # Errors
    /// If a key cannot be read, or if others than its owner could read it.
    pub fn open(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let [ed25519, ecdsa, client] = FILES;
        let host = vec![
            load_or_make(&dir.join(ed25519), Algorithm::Ed25519)?,
            load_or_make(&dir.join(ecdsa), Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 })?,
        ];
        let client = load_or_make(&dir.join(client), Algorithm::Ed25519)?;
        Ok(PortalKeys { host, client: Arc::new(client) })
    }

    /// Whether a file of that name is one of the keys.
    pub fn names(file: &str) -> bool {
        FILES.contains(&file)
    }

    /// Whether that is a key as [`PortalKeys::open`] reads it.
    pub fn is_private(content: &[u8]) -> bool {
        PrivateKey::from_openssh(content).is_ok_and(|key| !key.is_encrypted())
    }

    /// How many keys of that folder [`PortalKeys::open`] would have to make; makes none.
    ///
    /// # Errors
    /// Those of [`PortalKeys::open`].
    pub fn missing(dir: &Path) -> Result<usize> {
        let mut missing = 0;
        for name in FILES {
            missing += usize::from(load(&dir.join(name))?.is_none());
        }
        Ok(missing)
    }

    /// The public halves of its host keys, as `known_hosts` has them.
    pub fn host_lines(&self) -> Vec<String> {
        self.host.iter().map(|key| public_line(key.public_key())).collect()
    }

    /// The line that lets the portal in, for a guest's `authorized_keys`.
    pub fn client_line(&self) -> String {
        public_line(self.client.public_key())
    }
}

fn load_or_make(path: &Path, algorithm: Algorithm) -> Result<PrivateKey> {
    if let Some(key) = load(path)? {
        return Ok(key);
    }
    let key = generate(algorithm)?;
    write_secret(path, private_text(&key)?.as_bytes())?;
    Ok(key)
}

/// The key of that file; none if there is no file.
fn load(path: &Path) -> Result<Option<PrivateKey>> {
    let Some(text) = read_secret(path)? else { return Ok(None) };
    PrivateKey::from_openssh(text.as_str()).map(Some).map_err(|_| {
        Error::new(Code::Config, format!("{} is not a private SSH key.", path.display())).hint("")
    })
}

/// Reads a file that only its owner may read; none if there is none.
///
/// # Errors
/// `config` if others may read it.
pub(super) fn read_secret(path: &Path) -> Result<Option<Zeroizing<String>>> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => {
            let message = format!("Others than its owner can read the key {}.", path.display());
            Err(Error::new(Code::Config, message).hint(format!("`chmod 600 {}`", path.display())))
        }
        Ok(_) => Ok(Some(Zeroizing::new(std::fs::read_to_string(path)?))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Writes a file that only its owner may read, whole or not at all.
pub fn write_secret(path: &Path, content: &[u8]) -> Result<()> {
    let next = path.with_extension("new");
    let _ = std::fs::remove_file(&next);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?;
    file.write_all(content)?;
    file.sync_all()?;
    Ok(std::fs::rename(next, path)?)
}

fn generate(algorithm: Algorithm) -> Result<PrivateKey> {
    PrivateKey::random(&mut UnwrapErr(rand::rngs::SysRng), algorithm).map_err(Error::internal)
}

fn private_text(key: &PrivateKey) -> Result<Zeroizing<String>> {
    key.to_openssh(LineEnding::LF).map_err(Error::internal)
}

/// Algorithm and base64, without a note.
fn public_line(key: &PublicKey) -> String {
    let mut key = key.clone();
    key.set_comment("");
    key.to_openssh().unwrap_or_default().trim_end().to_owned()
}

/// A new ed25519 pair for a VM's SSH server: private half in OpenSSH's format, public line.
pub fn new_pair() -> Result<(Zeroizing<String>, String)> {
    let key = generate(Algorithm::Ed25519)?;
    Ok((private_text(&key)?, public_line(key.public_key())))
}

/// `SHA256:…` as ssh-keygen shows it.
pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// The longest line that is looked at; RSA-16384 is 2.8 kB.
const LONGEST_LINE: usize = 16 * 1024;

/// Reads one line of a `.pub` file.
///
/// # Errors
/// `key.invalid`, saying what is wrong with it.
pub fn parse_public(line: &str) -> Result<NewKey> {
    let bad =
        |why: &str| Error::new(Code::BadKey, format!("That is not a public key that can be used: {why}."));
    let line = line.trim();
    if line.is_empty() {
        return Err(bad("there is nothing there"));
    }
    if line.contains("PRIVATE KEY") {
        return Err(bad("it is a private key. Keep it to yourself, and bring the `.pub` file"));
    }
    if line.len() > LONGEST_LINE {
        return Err(bad("it is too long"));
    }
    if line.split_whitespace().next().is_some_and(|kind| kind.contains("-cert-v01@")) {
        return Err(bad("it is a certificate, and not the key that it is for"));
    }
    let key = PublicKey::from_openssh(line).map_err(|_| bad("it cannot be read"))?;
    check_kind(&key).map_err(|why| bad(&why))?;
    Ok(NewKey {
        algorithm: key.algorithm().as_str().to_owned(),
        fingerprint: fingerprint(&key),
        note: text::short(key.comment().as_str_lossy(), 80),
        line: public_line(&key),
        limits: KeyLimits::default(),
    })
}

/// Whether a key of that kind, and of that strength, is one to sign with.
///
/// # Errors
/// Why not, in a few words.
pub fn check_kind(key: &PublicKey) -> Result<(), String> {
    match key.algorithm() {
        Algorithm::Ed25519
        | Algorithm::Ecdsa { .. }
        | Algorithm::SkEd25519
        | Algorithm::SkEcdsaSha2NistP256 => Ok(()),
        Algorithm::Rsa { .. } if rsa_bits(key).is_none_or(|bits| bits < 2048) => {
            Err(String::from("an RSA key has at least 2048 bits"))
        }
        Algorithm::Rsa { .. } => Ok(()),
        other => Err(format!("{} is not accepted", text::short(other.as_str(), 40))),
    }
}

/// Whether keys of that kind live in hardware that is touched to sign.
pub fn is_security_key(algorithm: &Algorithm) -> bool {
    matches!(algorithm, Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256)
}

/// Whether an account may have that key; `security_keys`: whether those in hardware are
/// taken.
///
/// # Errors
/// `key.invalid` if it lives in hardware, and those are not taken.
pub fn check_taken(key: &NewKey, security_keys: bool) -> Result<()> {
    if security_keys || !key.algorithm.starts_with("sk-") {
        return Ok(());
    }
    let why = "That is a key of a hardware token, and those are not taken here: whether it is touched to sign cannot be seen.";
    Err(Error::new(Code::BadKey, why).hint("Bring another, such as one by `ssh-keygen -t ed25519`."))
}

impl Portal {
    /// Whether an account here may have that key.
    ///
    /// # Errors
    /// Those of [`check_taken`].
    pub(crate) fn check_key(&self, key: &NewKey) -> Result<()> {
        check_taken(key, self.config().ssh.security_keys)
    }
}

fn rsa_bits(key: &PublicKey) -> Option<usize> {
    let n = key.key_data().rsa()?.n().as_positive_bytes()?;
    Some(n.len() * 8 - usize::try_from(n.first()?.leading_zeros()).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let first = PortalKeys::open(dir.path()).unwrap();
        let second = PortalKeys::open(dir.path()).unwrap();
        assert_eq!(first.client_line(), second.client_line());
        let path = dir.path().join("ssh_host_ed25519_key");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(PortalKeys::open(dir.path()).is_err());
    }

    #[test]
    fn what_is_not_a_key() {
        let (_, line) = new_pair().unwrap();
        let good = parse_public(&format!("{line} a\u{1b}note")).unwrap();
        assert_eq!(good.line, line);
        assert_eq!(good.note, "a?note");
        for bad in [
            "",
            "hello",
            "ssh-ed25519",
            "ssh-ed25519 AAAA",
            &"x".repeat(1 << 20),
            "ssh-dss AAAAB3NzaC1kc3MAAACB",
        ] {
            assert_eq!(parse_public(bad).unwrap_err().code, Code::BadKey);
        }
        let e = parse_public("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA").unwrap_err();
        assert!(e.message.contains("private key") && !e.message.contains("AAAA"));
    }
}
