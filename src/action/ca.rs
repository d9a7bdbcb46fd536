//! `ca`: authorities whose certificates let people in.

use clap::Args;
use serde::{Serialize, Serializer};

use crate::error::{Code, Error, Result};
use crate::model::{Authorities, Authority, Category, Permission, Revocation, text};
use crate::portal::{Action, Cx, keys};

/// The longest name of an authority, and the longest key id that can be revoked, characters.
const LONGEST_NAME: usize = 40;
const LONGEST_KEY_ID: usize = 200;

/// Trust an authority: whom its certificates name is let in
///
///   ca add - --name office < ca.pub
///   ssh-keygen -s ca -I alice@office -n alice -V +1d id_ed25519.pub
///
/// A certificate names the accounts that it is for (`-n`); one that names none lets
/// nobody in.
#[derive(Debug, Args, Serialize)]
pub struct CaAdd {
    /// Its public key, or `-` to read it from standard input
    #[arg(value_name = "KEY|-", required = true, num_args = 1..)]
    #[serde(serialize_with = "fingerprint_only")]
    pub key: Vec<String>,
    /// What to call it, instead of the note at the key's end
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

/// For the audit: people paste private keys too.
fn fingerprint_only<S: Serializer>(key: &[String], s: S) -> Result<S::Ok, S::Error> {
    let read = keys::parse_public(&key.join(" "));
    s.serialize_str(&read.map_or_else(|_| String::from("unreadable"), |k| k.fingerprint))
}

impl Action for CaAdd {
    const NAME: &'static str = "ca.add";
    const PERMISSION: Permission = Permission::UserWrite;
    const CATEGORY: Category = Category::Iam;
    type Output = Authority;

    async fn run(self, cx: &Cx) -> Result<Authority> {
        vouches_for_all(cx)?;
        let key = keys::parse_public(&self.key.join(" "))?;
        let name = self.name.unwrap_or_else(|| key.note.clone());
        let name = name.trim();
        if name.is_empty() {
            return Err(Error::usage("An authority has a name.").hint("Give it one: `--name office`."));
        }
        if name.chars().count() > LONGEST_NAME || name.chars().any(text::is_unsafe) {
            return Err(Error::usage(format!(
                "An authority's name has at most {LONGEST_NAME} characters, and none that acts on a terminal."
            )));
        }
        let by = cx.who.name().to_owned();
        let made = cx.portal.store().authority_insert(name.to_owned(), key, by).await?;
        cx.portal.recall_authorities().await?;
        Ok(made)
    }
}

/// An authority names whom it likes, administrators too: whom it may vouch for is for
/// those to say who may do everything.
///
/// # Errors
/// `forbidden`
fn vouches_for_all(cx: &Cx) -> Result<()> {
    cx.covers_everything("Whoever an authority names")
}

/// The authorities that are trusted, and what of theirs is revoked
#[derive(Debug, Args, Serialize)]
pub struct CaLs {}

impl Action for CaLs {
    const NAME: &'static str = "ca.ls";
    const PERMISSION: Permission = Permission::UserRead;
    const CATEGORY: Category = Category::Iam;
    type Output = Authorities;

    async fn run(self, cx: &Cx) -> Result<Authorities> {
        let store = cx.portal.store();
        Ok(Authorities { authorities: store.authorities().await?, revoked: store.revocations().await? })
    }
}

/// The authority of that number, name or fingerprint.
async fn find(cx: &Cx, word: &str) -> Result<Authority> {
    let mut all = cx.portal.store().authorities().await?;
    let goes_by = |a: &Authority| a.id.to_string() == word || a.name == word || a.fingerprint == word;
    let at = all.iter().position(goes_by).ok_or_else(|| {
        Error::new(Code::AuthorityNotFound, format!("No authority “{}”.", text::short(word, 60)))
    })?;
    Ok(all.swap_remove(at))
}

/// Trust an authority no more, and end the sessions that came by its certificates
#[derive(Debug, Args, Serialize)]
pub struct CaRm {
    /// Its number, name or fingerprint, as `ca ls` shows them
    #[arg(value_name = "ID|NAME|FINGERPRINT")]
    pub ca: String,
}

impl Action for CaRm {
    const NAME: &'static str = "ca.rm";
    const PERMISSION: Permission = Permission::UserWrite;
    const CATEGORY: Category = Category::Iam;
    type Output = Authority;

    async fn run(self, cx: &Cx) -> Result<Authority> {
        vouches_for_all(cx)?;
        let gone = find(cx, &self.ca).await?;
        let passwords = cx.portal.config().ssh.password_auth;
        cx.portal.store().authority_delete(gone.id, passwords).await?;
        cx.portal.take_back(cx.who.session(), |by| by.is_by(gone.id, None));
        cx.portal.recall_authorities().await?;
        Ok(gone)
    }
}

/// Have a certificate count no more, and end the sessions that came by it
#[derive(Debug, Args, Serialize)]
pub struct CaRevoke {
    /// Its serial number (`-z`) or its key id (`-I`)
    #[arg(value_name = "SERIAL|KEYID")]
    pub certificate: String,
    /// Whose it is, if several authorities are trusted
    #[arg(long, value_name = "ID|NAME|FINGERPRINT")]
    pub ca: Option<String>,
    /// Have it count again
    #[arg(long)]
    pub undo: bool,
}

impl CaRevoke {
    async fn authority(&self, cx: &Cx) -> Result<Authority> {
        if let Some(ca) = &self.ca {
            return find(cx, ca).await;
        }
        let mut all = cx.portal.store().authorities().await?;
        match (all.pop(), all.len()) {
            (Some(only), 0) => Ok(only),
            (None, _) => Err(Error::new(Code::AuthorityNotFound, "No authority is trusted.").hint("")),
            (Some(_), _) => {
                Err(Error::usage("Several authorities are trusted.").hint("Say which: `--ca NAME`."))
            }
        }
    }
}

impl Action for CaRevoke {
    const NAME: &'static str = "ca.revoke";
    const PERMISSION: Permission = Permission::UserWrite;
    const CATEGORY: Category = Category::Iam;
    type Output = Revocation;

    async fn run(self, cx: &Cx) -> Result<Revocation> {
        vouches_for_all(cx)?;
        let word = self.certificate.as_str();
        // 0 is what certificates without a number have.
        if word.is_empty() || word == "0" || word.chars().count() > LONGEST_KEY_ID {
            return Err(Error::usage("That names no certificate.")
                .hint("`ssh-keygen -L -f FILE` shows its serial number and its key id."));
        }
        if word.chars().any(text::is_unsafe) {
            return Err(Error::usage("A key id here has no control characters.")
                .hint("`ca rm` trusts none of the authority's certificates."));
        }
        let of = self.authority(cx).await?;
        if self.undo {
            let again = cx.portal.store().revocation_delete(of, word.to_owned()).await?;
            return again.ok_or_else(|| {
                Error::new(Code::NotFound, format!("“{}” is not revoked.", text::short(word, 60)))
                    .hint("`ca ls` shows what is.")
            });
        }
        let id = of.id;
        let by = cx.who.name().to_owned();
        let made = cx.portal.store().revocation_insert(of, word.to_owned(), by).await?;
        cx.portal.take_back(cx.who.session(), |by| by.is_by(id, Some(word)));
        Ok(made)
    }
}
