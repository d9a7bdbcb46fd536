//! Sealing: what is secret even from whoever has the database (second factors,
//! VMs' host keys) is encrypted there by a key that lies beside the portal's own.
//!
//! A sealed value is `v1:KEY:…`: the number of its key, then base64 of nonce,
//! ciphertext and tag (AES-256-GCM). Where it stands is authenticated with it, so
//! that a value moved to another row does not open.
//!
//! The file holds a key a line, the newest first. There is more than one only
//! while the values are sealed anew, so that a stop in the middle loses nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use data_encoding::{BASE64, HEXLOWER};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::keys::{read_secret, write_secret};
use crate::crash;
use crate::error::{Code, Error, Result};
use crate::store::{LABEL, Place, Store};

/// The file beside the portal's keys.
pub const FILE: &str = "sealing_key";

const FORMAT: &str = "v1:";
const KEY_LEN: usize = 32;
/// More than one rotation after another that was stopped leaves.
const MOST_KEYS: usize = 16;

type Secret = Zeroizing<[u8; KEY_LEN]>;

/// A key, and the number by which values name it: the beginning of its digest.
struct Key {
    label: String,
    secret: Secret,
    cipher: RandomizedNonceKey,
}

impl Key {
    fn new(secret: Secret) -> Result<Key> {
        let digest = Sha256::new().chain_update("twarga sealing key").chain_update(*secret).finalize();
        let number: String = HEXLOWER.encode(&digest).chars().take(LABEL - FORMAT.len()).collect();
        let cipher = RandomizedNonceKey::new(&AES_256_GCM, &*secret).map_err(Error::internal)?;
        Ok(Key { label: format!("{FORMAT}{number}"), secret, cipher })
    }

    fn random() -> Result<Key> {
        let mut secret = Secret::default();
        aws_lc_rs::rand::fill(&mut *secret).map_err(Error::internal)?;
        Key::new(secret)
    }
}

/// The sealing keys: the newest seals, all of them open.
#[derive(Clone)]
pub struct Ring(Arc<Vec<Key>>);

/// Shows no key.
impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|k| &k.label)).finish()
    }
}

/// How a sealed value begins; none: it is not sealed.
fn label_of(value: &str) -> Option<&str> {
    value.get(..LABEL).filter(|label| label.starts_with(FORMAT))
}

fn file(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

impl Ring {
    /// The ring for what a portal's database holds: read, or made if nothing was
    /// sealed yet. What is not sealed there is sealed now.
    ///
    /// # Errors
    /// `config` if a key is missing that something is sealed with, or if others
    /// could read the file.
    pub async fn open(dir: &Path, store: &Store) -> Result<Ring> {
        let labels = store.sealed_labels().await?;
        let dir = dir.to_owned();
        let ring = tokio::task::spawn_blocking(move || Ring::for_labels(&dir, &labels)).await??;
        let sealing = ring.clone();
        let seal = move |place: &Place, value: &str| match label_of(value) {
            Some(_) => Ok(None),
            None => sealing.seal(place, value.as_bytes()).map(Some),
        };
        let sealed = store.seal_anew(seal).await?;
        if sealed > 0 {
            tracing::info!(sealed, "secrets that lay open in the database are sealed");
            store.settle().await?;
        }
        Ok(ring)
    }

    fn for_labels(dir: &Path, labels: &BTreeSet<String>) -> Result<Ring> {
        match Ring::load(dir)? {
            Some(ring) => ring.check(labels, dir).map(|()| ring),
            None => {
                Ring::check_without(labels, dir)?;
                let ring = Ring(Arc::new(vec![Key::random()?]));
                ring.write(dir)?;
                Ok(ring)
            }
        }
    }

    /// Whether a database needs no key yet.
    ///
    /// # Errors
    /// `config` if something is sealed there.
    pub fn check_without(labels: &BTreeSet<String>, dir: &Path) -> Result<()> {
        match labels.iter().find_map(|l| label_of(l)) {
            None => Ok(()),
            Some(label) => {
                let number = label.trim_start_matches(FORMAT);
                let path = file(dir);
                Err(missing(format!("The sealing key {number} is gone: there is no {}.", path.display())))
            }
        }
    }

    /// The ring of that folder; none if there is no file.
    ///
    /// # Errors
    /// `config` if it cannot be used, or if others could read it.
    pub fn load(dir: &Path) -> Result<Option<Ring>> {
        let path = file(dir);
        let Some(text) = read_secret(&path)? else { return Ok(None) };
        Ring::parse(&text)
            .map(Some)
            .ok_or_else(|| missing(format!("{} holds no sealing key that can be used.", path.display())))
    }

    /// Reads a file's text; none if it is no ring.
    pub fn parse(text: &str) -> Option<Ring> {
        let mut keys = Vec::new();
        for line in text.lines().take(MOST_KEYS + 1) {
            let mut bytes = Zeroizing::new(BASE64.decode(line.trim().as_bytes()).ok()?);
            let secret = Secret::new(bytes.as_slice().try_into().ok()?);
            bytes.zeroize();
            keys.push(Key::new(secret).ok()?);
        }
        (1..=MOST_KEYS).contains(&keys.len()).then(|| Ring(Arc::new(keys)))
    }

    /// Whether everything that begins so can be opened.
    ///
    /// # Errors
    /// `config`, naming the key that is missing.
    pub fn check(&self, labels: &BTreeSet<String>, dir: &Path) -> Result<()> {
        let unknown =
            labels.iter().filter_map(|l| label_of(l)).find(|l| self.0.iter().all(|k| k.label != *l));
        match unknown {
            None => Ok(()),
            Some(label) => Err(missing(format!(
                "The database holds secrets that are sealed with the key {}, which is not in {}.",
                label.trim_start_matches(FORMAT),
                file(dir).display()
            ))),
        }
    }

    fn write(&self, dir: &Path) -> Result<()> {
        let mut text = Zeroizing::new(String::with_capacity(self.0.len() * 64));
        for key in self.0.iter() {
            BASE64.encode_append(&*key.secret, &mut text);
            text.push('\n');
        }
        write_secret(&file(dir), text.as_bytes())?;
        // The name has to be on the disk before anything depends on it.
        Ok(std::fs::File::open(dir)?.sync_all()?)
    }

    fn newest(&self) -> Result<&Key> {
        self.0.first().ok_or_else(|| Error::internal("a ring without a key"))
    }

    /// Seals a secret for that place.
    pub fn seal(&self, place: &Place, secret: &[u8]) -> Result<String> {
        let key = self.newest()?;
        // Encrypted where it stands: room for the tag, so that no copy is left behind.
        let mut sealed = Vec::with_capacity(secret.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(secret);
        let at = Aad::from(place.to_string());
        let nonce = key.cipher.seal_in_place_append_tag(at, &mut sealed).map_err(Error::internal)?;
        let mut text = format!("{}:", key.label);
        BASE64.encode_append(&[nonce.as_ref().as_slice(), &sealed].concat(), &mut text);
        Ok(text)
    }

    /// Opens what was sealed for that place.
    ///
    /// # Errors
    /// `database.corrupt` if it is not what was sealed there.
    pub fn unseal(&self, place: &Place, value: &str) -> Result<Zeroizing<Vec<u8>>> {
        self.try_unseal(place, value).ok_or_else(|| {
            tracing::error!(%place, "a sealed value does not open");
            Error::new(Code::DatabaseCorrupt, "A secret in the database cannot be opened.")
        })
    }

    /// The same for text.
    ///
    /// # Errors
    /// Those of [`Ring::unseal`].
    pub fn unseal_text(&self, place: &Place, value: &str) -> Result<Zeroizing<String>> {
        let open = self.unseal(place, value)?;
        Ok(Zeroizing::new(std::str::from_utf8(&open).map_err(Error::internal)?.to_owned()))
    }

    fn try_unseal(&self, place: &Place, value: &str) -> Option<Zeroizing<Vec<u8>>> {
        let label = label_of(value)?;
        let key = self.0.iter().find(|k| k.label == label)?;
        let bytes = BASE64.decode(value.get(LABEL..)?.strip_prefix(':')?.as_bytes()).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut open = Zeroizing::new(sealed.to_vec());
        let at = Aad::from(place.to_string());
        let length = key.cipher.open_in_place(nonce, at, &mut open).ok()?.len();
        open.truncate(length);
        Some(open)
    }

    /// Makes a new key, seals everything with it and forgets the others; how many
    /// values there were. Stopped at any point, the next start finds what it needs.
    ///
    /// # Errors
    /// If something cannot be opened or written: the keys so far are kept.
    pub async fn rotate(dir: &Path, store: &Store) -> Result<usize> {
        let old = Ring::open(dir, store).await?;
        let mut keys = vec![Key::random()?];
        for key in old.0.iter() {
            keys.push(Key::new(key.secret.clone())?);
        }
        keys.truncate(MOST_KEYS);
        let ring = Ring(Arc::new(keys));
        ring.check(&store.sealed_labels().await?, dir)?;
        ring.write(dir)?;
        crash::point("keys are two");
        let sealing = ring.clone();
        let anew =
            move |place: &Place, value: &str| sealing.seal(place, &sealing.unseal(place, value)?).map(Some);
        let sealed = store.seal_anew(anew).await?;
        crash::point("sealed anew");
        // On the disk, before the key goes that opens what was there.
        store.settle().await?;
        let newest = Ring(Arc::new(vec![Key::new(ring.newest()?.secret.clone())?]));
        newest.write(dir)?;
        crash::point("key is one");
        Ok(sealed)
    }
}

fn missing(message: String) -> Error {
    Error::new(Code::Config, message).hint(format!(
        "Nothing can be opened without it: bring the `{FILE}` back that belongs to this database, from a backup."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> Ring {
        Ring(Arc::new(vec![Key::random().unwrap()]))
    }

    #[test]
    fn what_is_sealed_opens_where_it_was_sealed_and_nowhere_else() {
        let ring = ring();
        let (here, there) = (Place::totp(1), Place::totp(11));
        let sealed = ring.seal(&here, b"a secret").unwrap();
        assert!(sealed.starts_with("v1:") && !sealed.contains("secret"), "{sealed}");
        assert_ne!(sealed, ring.seal(&here, b"a secret").unwrap(), "two seals are the same");
        assert_eq!(*ring.unseal(&here, &sealed).unwrap(), b"a secret");
        let vm = Place::vm_host_key(uuid::Uuid::nil());
        for (place, value) in
            [(&there, sealed.as_str()), (&vm, &sealed), (&here, ""), (&here, "v1:"), (&here, "plain")]
        {
            assert_eq!(ring.unseal(place, value).unwrap_err().code, Code::DatabaseCorrupt);
        }
        let mut bytes = sealed.clone().into_bytes();
        for i in 0..bytes.len() {
            bytes[i] ^= 1;
            if let Ok(text) = std::str::from_utf8(&bytes) {
                assert!(ring.unseal(&here, text).is_err(), "changed at {i}");
            }
            bytes[i] ^= 1;
        }
        assert!(self::ring().unseal(&here, &sealed).is_err(), "another key opens it");
        assert!(!format!("{ring:?}").contains(&BASE64.encode(&*ring.newest().unwrap().secret)));
    }

    #[test]
    fn a_file_that_holds_something_else_is_no_ring() {
        let good = BASE64.encode(&[7; 32]);
        for bad in ["", "\n", "hello", &BASE64.encode(&[7; 31]), &BASE64.encode(&[7; 33])] {
            assert!(Ring::parse(bad).is_none(), "{bad:?}");
            assert!(Ring::parse(&format!("{good}\n{bad}\nx")).is_none(), "{bad:?}");
        }
        assert!(Ring::parse(&format!("{good}\n").repeat(100)).is_none());
        assert_eq!(Ring::parse(&format!("{good}\n")).unwrap().0.len(), 1);
    }

    #[tokio::test]
    async fn a_key_that_is_gone_or_anothers_is_missed_and_none_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("x.db")).unwrap();
        let ring = Ring::open(dir.path(), &store).await.unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(file(dir.path())).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
        // Nothing is sealed yet: another may be made.
        std::fs::remove_file(file(dir.path())).unwrap();
        drop(ring);
        let ring = Ring::open(dir.path(), &store).await.unwrap();
        let user = crate::store::NewUser {
            name: String::from("alice"),
            role: crate::model::RoleName::USER,
            password_hash: None,
            must_change_password: false,
            key: None,
        };
        let id = store.user_insert(user).await.unwrap().id;
        let sealed = ring.seal(&Place::totp(id), b"x").unwrap();
        store.totp_insert(id, sealed.clone()).await.unwrap();
        let kept = std::fs::read(file(dir.path())).unwrap();
        std::fs::remove_file(file(dir.path())).unwrap();
        let e = Ring::open(dir.path(), &store).await.unwrap_err();
        assert!(e.code == Code::Config && e.message.contains("is gone") && e.hint.contains("backup"), "{e}");
        assert!(!file(dir.path()).exists(), "a new key was made");
        write_secret(&file(dir.path()), BASE64.encode(&[7; 32]).as_bytes()).unwrap();
        let e = Ring::open(dir.path(), &store).await.unwrap_err();
        assert!(e.code == Code::Config && e.message.contains(&sealed[3..LABEL]), "{e}");
        write_secret(&file(dir.path()), &kept).unwrap();
        Ring::open(dir.path(), &store).await.unwrap();
        // Rotated: one key, another, and the value opens.
        assert_eq!(Ring::rotate(dir.path(), &store).await.unwrap(), 1);
        assert_ne!(std::fs::read(file(dir.path())).unwrap(), kept);
        let ring = Ring::open(dir.path(), &store).await.unwrap();
        let value = store.totp(id).await.unwrap().unwrap().secret;
        assert_ne!(*value, sealed);
        assert_eq!(*ring.unseal(&Place::totp(id), &value).unwrap(), b"x");
    }
}
