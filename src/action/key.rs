//! `key`: the public keys that an account signs in with.

use clap::Args;
use serde::{Serialize, Serializer};

use crate::error::{Code, Error, Result};
use crate::model::{Category, Permission, SshKey, text};
use crate::portal::{Action, Cx, keys};

/// Keys that one account may have.
const MOST: u32 = 100;

/// Your keys
#[derive(Debug, Args, Serialize)]
pub struct KeyLs {}

impl Action for KeyLs {
    const NAME: &'static str = "key.ls";
    const PERMISSION: Permission = Permission::AccountSelf;
    const CATEGORY: Category = Category::Iam;
    type Output = Vec<SshKey>;

    async fn run(self, cx: &Cx) -> Result<Vec<SshKey>> {
        cx.portal.store().keys(cx.who.user_id()).await
    }
}

/// Add a public key
///
///   cat ~/.ssh/id_ed25519.pub | ssh PORTAL key add -
///   key add 'ssh-ed25519 AAAA… laptop'
#[derive(Debug, Args, Serialize)]
pub struct KeyAdd {
    /// One line of a `.pub` file, or `-` to read it from standard input
    #[arg(value_name = "KEY|-", required = true, num_args = 1..)]
    #[serde(serialize_with = "fingerprint_only")]
    pub key: Vec<String>,
}

/// For the audit: people paste private keys too.
fn fingerprint_only<S: Serializer>(key: &[String], s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(
        &keys::parse_public(&key.join(" ")).map_or_else(|_| String::from("unreadable"), |k| k.fingerprint),
    )
}

impl Action for KeyAdd {
    const NAME: &'static str = "key.add";
    const PERMISSION: Permission = Permission::AccountSelf;
    const CATEGORY: Category = Category::Iam;
    type Output = SshKey;

    async fn run(self, cx: &Cx) -> Result<SshKey> {
        let key = keys::parse_public(&self.key.join(" "))?;
        cx.portal.store().key_insert(cx.who.user_id(), key, MOST).await
    }
}

/// For the audit: what can name a key, and nothing else that was pasted.
fn name_only<S: Serializer>(key: &str, s: S) -> Result<S::Ok, S::Error> {
    let names = key.parse::<i64>().is_ok() || (key.starts_with("SHA256:") && key.len() <= 60);
    s.serialize_str(if names { key } else { "unreadable" })
}

/// Remove a key
#[derive(Debug, Args, Serialize)]
pub struct KeyRm {
    /// Its number or its fingerprint, as `key ls` shows them
    #[arg(value_name = "ID|FINGERPRINT")]
    #[serde(serialize_with = "name_only")]
    pub key: String,
}

impl Action for KeyRm {
    const NAME: &'static str = "key.rm";
    const PERMISSION: Permission = Permission::AccountSelf;
    const CATEGORY: Category = Category::Iam;
    type Output = SshKey;

    async fn run(self, cx: &Cx) -> Result<SshKey> {
        let id = cx.who.user_id();
        let found = cx.portal.store().keys(id).await?.into_iter().find(|k| {
            k.id.to_string() == self.key
                || k.fingerprint == self.key
                || k.fingerprint.strip_prefix("SHA256:") == Some(&self.key)
        });
        let not_found = || Error::new(Code::KeyNotFound, format!("No key “{}”.", text::short(&self.key, 60)));
        let key = found.ok_or_else(not_found)?;
        let passwords = cx.portal.config().ssh.password_auth;
        match cx.portal.store().key_delete(id, key.id, passwords).await? {
            true => Ok(key),
            false => Err(not_found()),
        }
    }
}
