//! `user`: the accounts, for those who run the place.

use clap::Args;
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use super::role::switch;
use crate::error::{Code, Error, Result};
use crate::model::name::UserName;
use crate::model::{Category, Permission, Person, RoleName, Time, User};
use crate::portal::{Action, Cx, Target, auth, keys};
use crate::store::{NewReset, NewUser as Draft, UserChange};

/// How long a token for another password may be used, seconds.
const RESET_WITHIN: u64 = 3600;

/// Make an account
///
/// Without `--key` a one-time password is printed, once; it must be changed at
/// the first login.
#[derive(Debug, Args, Serialize)]
pub struct UserNew {
    /// What it signs in as
    pub name: UserName,
    /// What it may do: `role ls` shows what there is
    #[arg(long, default_value_t = RoleName::USER)]
    pub role: RoleName,
    /// Its first public key, or `-` to read it from standard input
    #[arg(long, value_name = "KEY|-")]
    #[serde(skip)]
    pub key: Option<String>,
}

/// An account that was made.
#[derive(Debug, Serialize)]
pub struct NewAccount {
    /// The account.
    #[serde(flatten)]
    pub user: User,
    /// Shown once; none if it has a key.
    #[serde(serialize_with = "secret", skip_serializing_if = "Option::is_none")]
    pub one_time_password: Option<Zeroizing<String>>,
}

/// A place where a secret leaves on purpose: to whoever made the account.
pub(super) fn secret<S: Serializer>(value: &Option<Zeroizing<String>>, s: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(text) => s.serialize_some(text.as_str()),
        None => s.serialize_none(),
    }
}

impl Action for UserNew {
    const NAME: &'static str = "user.new";
    const PERMISSION: Permission = Permission::UserWrite;
    const CATEGORY: Category = Category::Iam;
    type Output = NewAccount;

    async fn run(self, cx: &Cx) -> Result<NewAccount> {
        let name = self.name.for_new()?;
        cx.portal.may_give(cx, &self.role).await?;
        let key = self.key.as_deref().map(keys::parse_public).transpose()?;
        key.iter().try_for_each(|key| cx.portal.check_key(key))?;
        let password = key.is_none().then(auth::one_time_password);
        let password_hash = match &password {
            Some(p) => Some(cx.portal.hash(p.clone()).await?),
            None => None,
        };
        let draft = Draft {
            name: name.to_string(),
            role: self.role,
            must_change_password: password.is_some(),
            password_hash,
            key,
        };
        let user = cx.portal.store().user_insert(draft).await?;
        Ok(NewAccount { user, one_time_password: password })
    }
}

/// The accounts
#[derive(Debug, Args, Serialize)]
pub struct UserLs {}

impl Action for UserLs {
    const NAME: &'static str = "user.ls";
    const PERMISSION: Permission = Permission::UserRead;
    const CATEGORY: Category = Category::Iam;
    type Output = Vec<User>;

    async fn run(self, cx: &Cx) -> Result<Vec<User>> {
        cx.portal.store().users().await
    }
}

/// One account, with its keys, VMs, groups and roles
#[derive(Debug, Args, Serialize)]
pub struct UserShow {
    /// Its name
    pub name: UserName,
}

impl Action for UserShow {
    const NAME: &'static str = "user.show";
    const PERMISSION: Permission = Permission::UserRead;
    const CATEGORY: Category = Category::Iam;
    type Output = Person;

    fn target(&self) -> Target {
        Target::User(self.name.clone())
    }

    async fn run(self, cx: &Cx) -> Result<Person> {
        person(cx, cx.user()?.id).await
    }
}

/// What there is to know of an account now.
async fn person(cx: &Cx, id: i64) -> Result<Person> {
    let gone = || Error::new(Code::UserNotFound, "That account is gone.");
    let mut person = cx.portal.store().person(id).await?.ok_or_else(gone)?;
    let live = cx.portal.sessions().list().iter().filter(|s| s.user_id == id).count();
    person.sessions = u32::try_from(live).unwrap_or(u32::MAX);
    Ok(person)
}

/// Changes the account that the action named, if it is the asker's to change.
async fn change(cx: &Cx, change: UserChange) -> Result<User> {
    let user = cx.user()?;
    cx.portal.may_manage(cx, user).await?;
    cx.portal.store().user_change(user.id, change, cx.portal.config().ssh.password_auth).await
}

/// Let an account sign in no more, and end its connections
///
/// Its VMs go on running.
#[derive(Debug, Args, Serialize)]
pub struct UserDisable {
    /// Its name
    pub name: UserName,
}

impl Action for UserDisable {
    const NAME: &'static str = "user.disable";
    const PERMISSION: Permission = Permission::UserWrite;
    const CATEGORY: Category = Category::Iam;
    type Output = User;

    fn target(&self) -> Target {
        Target::User(self.name.clone())
    }

    async fn run(self, cx: &Cx) -> Result<User> {
        let user = change(cx, UserChange { enabled: Some(false), ..UserChange::default() }).await?;
        cx.portal.end_sessions_of(user.id);
        Ok(user)
    }
}

/// Let an account sign in again
#[derive(Debug, Args, Serialize)]
pub struct UserEnable {
    /// Its name
    pub name: UserName,
}

impl Action for UserEnable {
    const NAME: &'static str = "user.enable";
    const PERMISSION: Permission = Permission::UserWrite;
    const CATEGORY: Category = Category::Iam;
    type Output = User;

    fn target(&self) -> Target {
        Target::User(self.name.clone())
    }

    async fn run(self, cx: &Cx) -> Result<User> {
        change(cx, UserChange { enabled: Some(true), ..UserChange::default() }).await
    }
}

/// Change an account: its role, how it signs in
///
///   user set alice --role operator
///   user set alice --password-login off    keys only
///   user set alice --must-change on        a password of her own before anything else
#[derive(Debug, Args, Serialize)]
#[group(id = "change", required = true, multiple = true, args = ["role", "password_login", "must_change"])]
pub struct UserSet {
    /// Its name
    pub name: UserName,
    /// What it may do: `role ls` shows what there is
    #[arg(long)]
    pub role: Option<RoleName>,
    /// Whether it may sign in with a password: on, off
    #[arg(long, value_name = "ON|OFF", value_parser = switch)]
    pub password_login: Option<bool>,
    /// Whether it must choose another password first: on, off
    #[arg(long, value_name = "ON|OFF", value_parser = switch)]
    pub must_change: Option<bool>,
}

impl Action for UserSet {
    const NAME: &'static str = "user.set";
    const PERMISSION: Permission = Permission::UserWrite;
    const CATEGORY: Category = Category::Iam;
    type Output = Person;

    fn target(&self) -> Target {
        Target::User(self.name.clone())
    }

    async fn run(self, cx: &Cx) -> Result<Person> {
        if let Some(role) = &self.role {
            cx.portal.may_exchange(cx, &cx.user()?.role, role).await?;
        }
        let wanted = UserChange {
            role: self.role,
            enabled: None,
            password_login: self.password_login,
            must_change: self.must_change,
        };
        let user = change(cx, wanted).await?;
        person(cx, user.id).await
    }
}

/// Remove an account that has no VMs, with its keys, and end its connections
///
/// What it did stays in the events.
#[derive(Debug, Args, Serialize)]
pub struct UserRm {
    /// Its name
    pub name: UserName,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

impl Action for UserRm {
    const NAME: &'static str = "user.rm";
    const PERMISSION: Permission = Permission::UserWrite;
    const CATEGORY: Category = Category::Iam;
    type Output = User;

    fn target(&self) -> Target {
        Target::User(self.name.clone())
    }

    async fn run(self, cx: &Cx) -> Result<User> {
        let user = cx.user()?;
        cx.portal.may_manage(cx, user).await?;
        cx.portal.store().user_delete(user.id, cx.portal.config().ssh.password_auth).await?;
        cx.portal.end_sessions_of(user.id);
        Ok(user.clone())
    }
}

/// Give somebody a token to choose another password with, once, within the hour
///
/// Whoever has it is asked for a new password and for nothing else. The password so
/// far holds until then; a second factor stays. When it is used, the account's
/// connections are ended.
#[derive(Debug, Args, Serialize)]
pub struct UserPasswdReset {
    /// Its name
    pub name: UserName,
}

/// A token for another password.
#[derive(Debug, Serialize)]
pub struct Reset {
    /// Whose.
    pub name: String,
    /// Shown once.
    #[serde(serialize_with = "shown")]
    pub token: Zeroizing<String>,
    /// What to paste.
    #[serde(serialize_with = "shown")]
    pub command: Zeroizing<String>,
    /// Until when.
    pub expires_at: Time,
}

/// A place where a secret leaves on purpose.
pub(super) fn shown<S: Serializer>(value: &Zeroizing<String>, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(value)
}

/// The line to paste for that login. The portal does not know what it is called outside.
pub(super) fn command(cx: &Cx, errand: &str, token: &str) -> Zeroizing<String> {
    let port = match cx.portal.config().ssh.listen.port() {
        22 => String::new(),
        port => format!("-p {port} "),
    };
    Zeroizing::new(format!("ssh {port}{errand}+{token}@PORTAL"))
}

impl Action for UserPasswdReset {
    const NAME: &'static str = "user.passwd_reset";
    const PERMISSION: Permission = Permission::UserWrite;
    const CATEGORY: Category = Category::Iam;
    type Output = Reset;

    fn target(&self) -> Target {
        Target::User(self.name.clone())
    }

    async fn run(self, cx: &Cx) -> Result<Reset> {
        let user = cx.user()?;
        cx.portal.may_manage(cx, user).await?;
        let (token, ticket) = auth::Ticket::make();
        let expires_at = Time::now().plus_seconds(RESET_WITHIN);
        let new = NewReset {
            user_id: user.id,
            token_hash: ticket.hash(),
            created_by: cx.who.user_id(),
            expires_at,
        };
        cx.portal.store().reset_insert(new).await?;
        Ok(Reset { name: user.name.clone(), command: command(cx, "reset", &token), token, expires_at })
    }
}

/// Take the second factor off an account, whose owner has lost it
#[derive(Debug, Args, Serialize)]
pub struct UserReset2fa {
    /// Its name
    pub name: UserName,
}

impl Action for UserReset2fa {
    const NAME: &'static str = "user.reset_2fa";
    const PERMISSION: Permission = Permission::UserWrite;
    const CATEGORY: Category = Category::Iam;
    type Output = ();

    fn target(&self) -> Target {
        Target::User(self.name.clone())
    }

    async fn run(self, cx: &Cx) -> Result<()> {
        let user = cx.user()?;
        let store = cx.portal.store();
        cx.portal.may_manage(cx, user).await?;
        match store.totp_delete(user.id).await? {
            true => Ok(()),
            false => {
                let message = format!("“{}” has no second factor.", user.name);
                Err(Error::new(Code::NotFound, message))
            }
        }
    }
}
