//! `key`: the public keys that an account signs in with.

use clap::Args;
use serde::{Serialize, Serializer};

use crate::error::{Code, Error, Result};
use crate::model::limits::{AddressRule, MOST_LIMITS, Verb};
use crate::model::name::VmRef;
use crate::model::{Category, Credential, Permission, SshKey, Time, text, time};
use crate::portal::{Action, Cx, authorized_keys};
use crate::store::NewKey;

/// Keys that one account may have.
const MOST: u32 = 100;
/// The longest note, characters.
const LONGEST_NOTE: usize = 80;

/// Your keys, and what each is limited to
#[derive(Debug, Args, Serialize)]
pub struct KeyLs {}

impl Action for KeyLs {
    const NAME: &'static str = "key.ls";
    const PERMISSION: Permission = Permission::AccountSelf;
    const CATEGORY: Category = Category::Iam;
    const READS: bool = true;
    type Output = Vec<SshKey>;

    async fn run(self, cx: &Cx) -> Result<Vec<SshKey>> {
        cx.portal.store().keys(cx.who.user_id()).await
    }
}

/// Add public keys: all of those given, or none
///
///   cat ~/.ssh/*.pub | ssh PORTAL key add -
///   key add 'ssh-ed25519 AAAA… laptop'
///   key add - --name ci --vm web1 --command 'vm start,vm stop' --expires 90d
///
/// Lines may begin with options, as in authorized_keys: from="CIDR,!CIDR",
/// expiry-time="YYYYMMDD[HHMM[SS]][Z]", command="VERB,VERB". The flags hold for each
/// line. A key that is limited to commands or VMs, or read-only, can never change the
/// account.
#[derive(Debug, Default, Args, Serialize)]
pub struct KeyAdd {
    /// Lines of a `.pub` or authorized_keys file, or `-` to read them from standard input
    #[arg(value_name = "KEY|-", required = true, num_args = 1..)]
    #[serde(serialize_with = "fingerprints_only")]
    pub key: Vec<String>,
    /// What to call it, instead of the note at its end
    #[arg(long, value_name = "NOTE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Only from these addresses: CIDR,!CIDR,…
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<AddressRule>,
    /// Until then: 30d, or a date such as 2031-05-01
    #[arg(long, value_name = "SPAN|DATE", value_parser = end)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
    /// Only these commands, such as 'vm start,vm stop' or 'vm *'; jumps are `vm forward`
    #[arg(long = "command", value_name = "VERB,…", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<Verb>,
    /// Only these VMs, by name, whether there are such now or not
    #[arg(long = "vm", value_name = "NAME,…", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vms: Vec<VmRef>,
    /// Only what changes nothing
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

fn end(text: &str) -> Result<Time, String> {
    time::parse_end(text, Time::now())
}

/// For the audit: people paste private keys too.
fn fingerprints_only<S: Serializer>(key: &[String], s: S) -> Result<S::Ok, S::Error> {
    match authorized_keys::parse(&key.join(" "), Time::now()) {
        Ok(keys) => s.collect_seq(keys.iter().map(|k| &k.fingerprint)),
        Err(_) => s.serialize_str("unreadable"),
    }
}

impl KeyAdd {
    /// Lines to add, without any flags.
    pub fn of(lines: impl Into<String>) -> KeyAdd {
        KeyAdd { key: vec![lines.into()], ..KeyAdd::default() }
    }

    /// The verbs that are named, by flags and by lines, for a face that knows which
    /// there are.
    ///
    /// # Errors
    /// `key.invalid` if the lines cannot be read.
    pub fn verbs(&self) -> Result<Vec<Verb>> {
        let keys = authorized_keys::parse(&self.key.join(" "), Time::now())?;
        let by_lines = keys.into_iter().flat_map(|key| key.limits.verbs);
        Ok(self.commands.iter().cloned().chain(by_lines).collect())
    }

    /// The keys, limited by their lines and by the flags.
    fn keys(self, owner: &str) -> Result<Vec<NewKey>> {
        let mut keys = authorized_keys::parse(&self.key.join(" "), Time::now())?;
        AddressRule::check(&self.from)?;
        if self.commands.len().max(self.vms.len()) > MOST_LIMITS {
            return Err(Error::usage(format!("A key lists at most {MOST_LIMITS} commands, and VMs.")));
        }
        if let Some(name) = &self.name {
            if keys.len() > 1 {
                return Err(Error::usage(format!("One name does not do for {} keys.", keys.len()))
                    .hint("What stands at the end of each line is its name."));
            }
            note_of(name)?;
        }
        let full_name =
            |vm: &VmRef| format!("{}.{}", vm.name, vm.owner.as_ref().map_or(owner, |o| o.as_str()));
        for key in &mut keys {
            let limits = &mut key.limits;
            let twice = [
                ("--from", !limits.from.is_empty() && !self.from.is_empty()),
                ("--expires", limits.expires_at.is_some() && self.expires.is_some()),
                ("--command", !limits.verbs.is_empty() && !self.commands.is_empty()),
            ];
            if let Some((flag, _)) = twice.into_iter().find(|(_, twice)| *twice) {
                return Err(Error::usage(format!(
                    "The line of {} says already what {flag} says.",
                    key.fingerprint
                ))
                .hint("Leave one of them out."));
            }
            limits.from.extend(&self.from);
            limits.expires_at = limits.expires_at.or(self.expires);
            limits.verbs.extend(self.commands.iter().cloned());
            limits.vms = self.vms.iter().map(full_name).collect();
            limits.read_only = self.read_only;
            if let Some(name) = &self.name {
                key.note = note_of(name)?;
            }
        }
        Ok(keys)
    }
}

/// What a key may be called.
fn note_of(name: &str) -> Result<String> {
    match name.trim() {
        "" => Err(Error::usage("A key's name is not empty.")),
        name if name.chars().count() > LONGEST_NOTE => {
            Err(Error::usage(format!("A key's name has at most {LONGEST_NOTE} characters.")))
        }
        name if name.chars().any(text::is_unsafe) => {
            Err(Error::usage("A key's name has no control characters."))
        }
        name => Ok(name.to_owned()),
    }
}

impl Action for KeyAdd {
    const NAME: &'static str = "key.add";
    const PERMISSION: Permission = Permission::AccountSelf;
    const CATEGORY: Category = Category::Iam;
    type Output = Vec<SshKey>;

    async fn run(self, cx: &Cx) -> Result<Vec<SshKey>> {
        let keys = self.keys(cx.who.name())?;
        keys.iter().try_for_each(|key| cx.portal.check_key(key))?;
        cx.portal.store().keys_insert(cx.who.user_id(), keys, MOST).await
    }
}

fn names_a_key(word: &str) -> bool {
    word.parse::<i64>().is_ok() || (word.starts_with("SHA256:") && word.len() <= 60)
}

/// For the audit: what can name a key, and nothing else that was pasted.
fn name_only<S: Serializer>(key: &str, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(if names_a_key(key) { key } else { "unreadable" })
}

fn names_only<S: Serializer>(keys: &[String], s: S) -> Result<S::Ok, S::Error> {
    s.collect_seq(keys.iter().map(|key| if names_a_key(key) { key } else { "unreadable" }))
}

/// The key of the asker's that goes by that number or fingerprint.
fn find<'a>(keys: &'a [SshKey], word: &str) -> Result<&'a SshKey> {
    let goes_by = |k: &&SshKey| {
        k.id.to_string() == word
            || k.fingerprint == word
            || k.fingerprint.strip_prefix("SHA256:") == Some(word)
    };
    let found = keys.iter().find(goes_by);
    found.ok_or_else(|| Error::new(Code::KeyNotFound, format!("No key “{}”.", text::short(word, 60))))
}

/// Call a key something else
#[derive(Debug, Args, Serialize)]
pub struct KeyRename {
    /// Its number or its fingerprint, as `key ls` shows them
    #[arg(value_name = "ID|FINGERPRINT")]
    #[serde(serialize_with = "name_only")]
    pub key: String,
    /// What to call it
    #[arg(value_name = "NOTE", required = true, num_args = 1..)]
    pub note: Vec<String>,
}

impl Action for KeyRename {
    const NAME: &'static str = "key.rename";
    const PERMISSION: Permission = Permission::AccountSelf;
    const CATEGORY: Category = Category::Iam;
    type Output = SshKey;

    async fn run(self, cx: &Cx) -> Result<SshKey> {
        let id = cx.who.user_id();
        let note = note_of(&self.note.join(" "))?;
        let keys = cx.portal.store().keys(id).await?;
        let key = find(&keys, &self.key)?;
        let renamed = cx.portal.store().key_rename(id, key.id, note).await?;
        renamed.ok_or_else(|| Error::new(Code::KeyNotFound, format!("No key {}.", key.id)))
    }
}

/// Remove keys, and end the sessions that came by them
#[derive(Debug, Args, Serialize)]
pub struct KeyRm {
    /// Their numbers or fingerprints, as `key ls` shows them
    #[arg(value_name = "ID|FINGERPRINT", required = true, num_args = 1..=100)]
    #[serde(serialize_with = "names_only")]
    pub keys: Vec<String>,
}

impl Action for KeyRm {
    const NAME: &'static str = "key.rm";
    const PERMISSION: Permission = Permission::AccountSelf;
    const CATEGORY: Category = Category::Iam;
    type Output = Vec<SshKey>;

    async fn run(self, cx: &Cx) -> Result<Vec<SshKey>> {
        let id = cx.who.user_id();
        let keys = cx.portal.store().keys(id).await?;
        let mut gone: Vec<SshKey> = Vec::with_capacity(self.keys.len());
        for word in &self.keys {
            let key = find(&keys, word)?;
            // Named twice is meant once.
            if gone.iter().all(|k| k.id != key.id) {
                gone.push(key.clone());
            }
        }
        let numbers: Vec<i64> = gone.iter().map(|k| k.id).collect();
        let passwords = cx.portal.config().ssh.password_auth;
        cx.portal.store().keys_delete(id, numbers.clone(), passwords).await?;
        cx.portal.take_back(cx.who.session(), |by| match by {
            Credential::Key(id) => numbers.contains(id),
            Credential::Errand | Credential::Password { .. } | Credential::Certificate { .. } => false,
        });
        Ok(gone)
    }
}
