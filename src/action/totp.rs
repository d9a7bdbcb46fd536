//! `account totp`: the second factor.

use clap::Args;
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};
use crate::model::{Category, Permission, Time};
use crate::portal::auth::{looks_like_a_code, looks_like_an_answer};
use crate::portal::{Action, Cx};

/// Set up a second factor: codes of an authenticator app
///
/// Shows a QR code for the app to scan. It counts only when `account totp confirm`
/// was given a code that the app shows.
#[derive(Debug, Args, Serialize)]
pub struct TotpEnable {
    /// The secret and its URI as text, for apps that cannot scan
    #[arg(long)]
    pub text: bool,
}

/// What an authenticator app is given; shown once.
#[derive(Debug, Serialize)]
pub struct NewSecret {
    /// As people type it: base32.
    #[serde(serialize_with = "shown")]
    pub secret: Zeroizing<String>,
    /// As apps read it.
    #[serde(serialize_with = "shown")]
    pub uri: Zeroizing<String>,
}

/// The one place where such secrets leave on purpose: to whose they are.
fn shown<S: Serializer>(text: &Zeroizing<String>, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(text)
}

fn all_shown<S: Serializer>(texts: &[Zeroizing<String>], s: S) -> Result<S::Ok, S::Error> {
    s.collect_seq(texts.iter().map(|t| t.as_str()))
}

impl Action for TotpEnable {
    const NAME: &'static str = "account.totp_enable";
    const PERMISSION: Permission = Permission::AccountSelf;
    const CATEGORY: Category = Category::Iam;
    const BEFORE_FACTOR: bool = true;
    type Output = NewSecret;

    async fn run(self, cx: &Cx) -> Result<NewSecret> {
        let made = cx.portal.begin_totp(cx.who.user()).await?;
        Ok(NewSecret { secret: made.secret, uri: made.uri })
    }
}

/// Confirm the second factor with a code that the app shows
///
/// From then on each login asks for one, after the password or the key. Prints ten
/// backup codes for the day the app is lost, once: each works one time.
#[derive(Debug, Args, Serialize)]
pub struct TotpConfirm {
    /// The six digits; asked for on a terminal
    #[arg(value_name = "CODE")]
    #[serde(skip)]
    pub code: Vec<String>,
}

/// Backup codes, which are shown once.
#[derive(Debug, Serialize)]
pub struct BackupCodes {
    /// Each works one time, in place of a code.
    #[serde(serialize_with = "all_shown")]
    pub backup_codes: Vec<Zeroizing<String>>,
}

impl Action for TotpConfirm {
    const NAME: &'static str = "account.totp_confirm";
    const PERMISSION: Permission = Permission::AccountSelf;
    const CATEGORY: Category = Category::Iam;
    const BEFORE_FACTOR: bool = true;
    type Output = BackupCodes;

    async fn run(self, cx: &Cx) -> Result<BackupCodes> {
        let code = Zeroizing::new(self.code.join(" "));
        Ok(BackupCodes { backup_codes: cx.portal.confirm_totp(cx.who.user_id(), &code).await? })
    }
}

/// What proves that it is not somebody else who sits there: the password, if this very
/// session gave a code when it came; a code, if it did not, or there is no password.
async fn prove(cx: &Cx, proof: &Zeroizing<String>, by_code_too: bool) -> Result<()> {
    let store = cx.portal.store();
    let known = store.credentials(cx.who.name().to_owned()).await?;
    let has_password = known.is_some_and(|c| c.password_hash.is_some());
    let session = cx.who.session();
    let counts_since = store.totp(cx.who.user_id()).await?.and_then(|t| t.confirmed_at);
    // One that is older than the factor gave a code of another one, or none.
    let has_shown = counts_since.is_none_or(|since| session.gave_code && session.since >= since);
    let by_password = has_password && has_shown;
    let by_code = by_code_too || !by_password;
    let (is_code, may_be_code) = (looks_like_a_code(proof), looks_like_an_answer(proof));
    // Six digits are no guess at a password.
    if by_password && !(by_code && is_code) && cx.portal.check_own_password(&cx.who, proof.clone()).await? {
        return Ok(());
    }
    // What cannot be a code was a wrong password, and is counted as one.
    if by_code && (may_be_code || !by_password) {
        let right = cx.portal.spend_answer(cx.who.user(), cx.who.source_ip(), proof).await?;
        if right.is_some() {
            return Ok(());
        }
    }
    Err(match (by_password, by_code) {
        (true, true) => Error::new(Code::BadCode, "That is neither the password nor a code.").hint(""),
        (true, false) => Error::new(Code::BadPassword, "The password is not right."),
        (false, _) => Error::new(Code::BadCode, "That code is not right, or was used before."),
    })
}

/// Take the second factor off
///
/// Wants the password, if you gave a code when you signed in, else a code, or a backup
/// code: asked for on a terminal, else the first line of standard input.
#[derive(Debug, Args, Serialize)]
pub struct TotpDisable {
    /// The password, or a code.
    #[arg(skip)]
    #[serde(skip)]
    pub proof: Zeroizing<String>,
}

impl Action for TotpDisable {
    const NAME: &'static str = "account.totp_disable";
    const PERMISSION: Permission = Permission::AccountSelf;
    const CATEGORY: Category = Category::Iam;
    const BEFORE_FACTOR: bool = true;
    type Output = ();

    async fn run(self, cx: &Cx) -> Result<()> {
        let id = cx.who.user_id();
        if cx.portal.store().totp(id).await?.is_none() {
            return Err(Error::new(Code::NotFound, "This account has no second factor."));
        }
        prove(cx, &self.proof, false).await?;
        cx.portal.store().totp_delete(id).await?;
        Ok(())
    }
}

/// Ten new backup codes; those so far stop working
///
/// Wants a code, or the password, if you gave a code when you signed in: asked for on a
/// terminal, else the first line of standard input.
#[derive(Debug, Args, Serialize)]
pub struct TotpBackupCodes {
    /// A code, or the password.
    #[arg(skip)]
    #[serde(skip)]
    pub proof: Zeroizing<String>,
}

impl Action for TotpBackupCodes {
    const NAME: &'static str = "account.totp_backup_codes";
    const PERMISSION: Permission = Permission::AccountSelf;
    const CATEGORY: Category = Category::Iam;
    type Output = BackupCodes;

    async fn run(self, cx: &Cx) -> Result<BackupCodes> {
        prove(cx, &self.proof, true).await?;
        Ok(BackupCodes { backup_codes: cx.portal.renew_backup_codes(cx.who.user_id()).await? })
    }
}

/// Whether there is a second factor, and how many backup codes are left
#[derive(Debug, Args, Serialize)]
pub struct TotpShow {}

/// How an account's second factor stands.
#[derive(Debug, Serialize)]
pub struct SecondFactor {
    /// It is asked for.
    pub enabled: bool,
    /// Since when.
    pub since: Option<Time>,
    /// There is a secret that was not confirmed yet.
    pub to_be_confirmed: bool,
    /// Backup codes that still work.
    pub backup_codes_left: u32,
    /// The account's role demands one.
    pub demanded: bool,
}

impl Action for TotpShow {
    const NAME: &'static str = "account.totp_show";
    const PERMISSION: Permission = Permission::AccountSelf;
    const CATEGORY: Category = Category::Iam;
    const BEFORE_FACTOR: bool = true;
    type Output = SecondFactor;

    async fn run(self, cx: &Cx) -> Result<SecondFactor> {
        let store = cx.portal.store();
        let totp = store.totp(cx.who.user_id()).await?;
        let since = totp.as_ref().and_then(|t| t.confirmed_at);
        Ok(SecondFactor {
            enabled: since.is_some(),
            since,
            to_be_confirmed: totp.as_ref().is_some_and(|t| t.confirmed_at.is_none()),
            backup_codes_left: totp.map_or(0, |t| t.backup_codes_left),
            demanded: store.standing(cx.who.user_id()).await?.is_some_and(|s| s.policy.second_factor),
        })
    }
}
