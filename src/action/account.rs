//! `account` and `whoami`: oneself.

use clap::Args;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};
use crate::model::group::GroupName;
use crate::model::{Category, Grant, Permission, Preferences, Reach, Setting, Time, User};
use crate::portal::{Action, Cx};

/// Who you are
#[derive(Debug, Args, Serialize)]
pub struct Whoami {}

/// What `whoami` and `account show` tell.
#[derive(Debug, Serialize)]
pub struct Me {
    /// The account.
    #[serde(flatten)]
    pub user: User,
    /// Whether it can sign in with a password.
    pub has_password: bool,
    /// Whether it has a second factor, which is asked for.
    pub second_factor: bool,
    /// The session that asks.
    pub session: String,
    /// From where it comes.
    pub source_ip: String,
    /// Since when.
    pub since: Time,
    /// Keys on the account.
    pub keys: usize,
    /// VMs of the account.
    pub vms: usize,
    /// Groups that it is in.
    pub groups: Vec<GroupName>,
    /// Roles that it is granted beside its own.
    pub grants: Vec<Grant>,
}

async fn me(cx: &Cx) -> Result<Me> {
    let id = cx.who.user_id();
    let known = cx.portal.store().credentials(cx.who.name().to_owned()).await?;
    let known = known.ok_or_else(|| Error::new(Code::UserNotFound, "This account is gone."))?;
    let session = cx.who.session();
    let factor = cx.portal.store().totp(id).await?.is_some_and(|t| t.confirmed_at.is_some());
    Ok(Me {
        second_factor: factor,
        has_password: known.password_hash.is_some(),
        user: known.user,
        session: session.id.clone(),
        source_ip: session.source_ip.to_string(),
        since: session.since,
        keys: cx.portal.store().keys(id).await?.len(),
        vms: cx.portal.store().vms(Reach::Own(id)).await?.len(),
        groups: cx.portal.store().standing(id).await?.map(|s| s.groups).unwrap_or_default(),
        grants: cx.portal.store().role_grants(id).await?,
    })
}

impl Action for Whoami {
    const NAME: &'static str = "account.whoami";
    const PERMISSION: Permission = Permission::AccountSelf;
    const CATEGORY: Category = Category::Iam;
    const BEFORE_PASSWORD: bool = true;
    const READS: bool = true;
    const BEFORE_FACTOR: bool = true;
    type Output = Me;

    async fn run(self, cx: &Cx) -> Result<Me> {
        me(cx).await
    }
}

/// Your account: role, keys, VMs, last login
#[derive(Debug, Args, Serialize)]
pub struct AccountShow {}

impl Action for AccountShow {
    const NAME: &'static str = "account.show";
    const PERMISSION: Permission = Permission::AccountSelf;
    const CATEGORY: Category = Category::Iam;
    const BEFORE_PASSWORD: bool = true;
    const READS: bool = true;
    const BEFORE_FACTOR: bool = true;
    type Output = Me;

    async fn run(self, cx: &Cx) -> Result<Me> {
        me(cx).await
    }
}

/// Choose another password
///
/// On a terminal you are asked for it. Without one, the old password (where
/// there is one) and the new one are read from standard input, a line each.
#[derive(Debug, Args, Serialize)]
pub struct AccountPasswd {
    /// The password so far; none if the account has none.
    #[arg(skip)]
    #[serde(skip)]
    pub old: Option<Zeroizing<String>>,
    /// The password from now on.
    #[arg(skip)]
    #[serde(skip)]
    pub new: Zeroizing<String>,
}

impl Action for AccountPasswd {
    const NAME: &'static str = "account.passwd";
    const PERMISSION: Permission = Permission::AccountSelf;
    const CATEGORY: Category = Category::Iam;
    const BEFORE_PASSWORD: bool = true;
    const BEFORE_FACTOR: bool = true;
    type Output = ();

    async fn run(self, cx: &Cx) -> Result<()> {
        let id = cx.who.user_id();
        let name = cx.who.name().to_owned();
        let known = cx.portal.store().credentials(name.clone()).await?;
        let has_password = known.is_some_and(|c| c.password_hash.is_some());
        if has_password {
            let old = self.old.clone().unwrap_or_default();
            if !cx.portal.check_own_password(&cx.who, old).await? {
                return Err(Error::new(Code::BadPassword, "The old password is not right."));
            }
        }
        if has_password && self.old.as_ref() == Some(&self.new) {
            return Err(Error::new(Code::BadPassword, "The new password is the old one."));
        }
        let hash = cx.portal.hash_new(self.new, &name).await?;
        cx.portal.store().set_password(id, hash, false).await
    }
}

/// How you want the full screen to be
#[derive(Debug, Args, Serialize)]
pub struct AccountPrefs {}

impl Action for AccountPrefs {
    const NAME: &'static str = "account.prefs";
    const PERMISSION: Permission = Permission::AccountSelf;
    const CATEGORY: Category = Category::Configuration;
    const READS: bool = true;
    type Output = Preferences;

    async fn run(self, cx: &Cx) -> Result<Preferences> {
        cx.portal.store().preferences(cx.who.user_id()).await
    }
}

/// Set how you want the full screen to be
///
///   theme      auto, dark, light, contrast, mono
///   colors     auto, true, 256, 16, none
///   mouse      on, off
///   motion     full, reduced
///   start      dashboard, vms, jobs, events, account, admin
///   time_zone  UTC, or one such as Europe/Berlin
///   prefix     the key before a command in a VM's tab: ctrl-], ctrl-b, …
#[derive(Debug, Args, Serialize)]
pub struct AccountSet {
    /// Which of them
    pub key: Setting,
    /// What it shall be
    pub value: String,
}

impl Action for AccountSet {
    const NAME: &'static str = "account.set";
    const PERMISSION: Permission = Permission::AccountSelf;
    const CATEGORY: Category = Category::Configuration;
    type Output = Preferences;

    async fn run(self, cx: &Cx) -> Result<Preferences> {
        let id = cx.who.user_id();
        let mut preferences = cx.portal.store().preferences(id).await?;
        let AccountSet { key, value } = self;
        // Zones are looked up in files.
        let preferences = tokio::task::spawn_blocking(move || {
            preferences.set(key, &value)?;
            Ok::<_, Error>(preferences)
        })
        .await??;
        // As it is written, not as it was typed.
        cx.portal.store().preference_set(id, key, preferences.value(key)).await?;
        Ok(preferences)
    }
}
