//! `user`: the accounts, for those who run the place.

use clap::Args;
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use crate::error::Result;
use crate::model::name::UserName;
use crate::model::{Category, Permission, RoleName, User};
use crate::portal::{Action, Cx, Target, auth, keys};
use crate::store::NewUser as Draft;

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

/// The one place where a secret leaves on purpose: to whoever made the account.
fn secret<S: Serializer>(value: &Option<Zeroizing<String>>, s: S) -> Result<S::Ok, S::Error> {
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
        let key = self.key.as_deref().map(keys::parse_public).transpose()?;
        key.iter().try_for_each(|key| cx.portal.check_key(key))?;
        let password = key.is_none().then(auth::one_time_password);
        let password_hash = match &password {
            Some(p) => Some(cx.portal.hash(p.clone()).await?),
            None => None,
        };
        let draft = Draft {
            name: self.name.to_string(),
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

/// One account
#[derive(Debug, Args, Serialize)]
pub struct UserShow {
    /// Its name
    pub name: UserName,
}

impl Action for UserShow {
    const NAME: &'static str = "user.show";
    const PERMISSION: Permission = Permission::UserRead;
    const CATEGORY: Category = Category::Iam;
    type Output = User;

    fn target(&self) -> Target {
        Target::User(self.name.clone())
    }

    async fn run(self, cx: &Cx) -> Result<User> {
        Ok(cx.user()?.clone())
    }
}
