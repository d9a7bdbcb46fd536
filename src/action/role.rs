//! `role`: named sets of permissions, and who has them for how long.

use std::str::FromStr;

use clap::Args;
use serde::{Serialize, Serializer};

use crate::error::{Error, Result};
use crate::model::name::UserName;
use crate::model::time::parse_span;
use crate::model::{Category, Grant, Permission, Policy, Rights, Role, RoleName, Scope, Time, text};
use crate::portal::{Action, Cx, Target};

/// The longest time that can be written down, seconds: a hundred years.
const LONGEST: u64 = 100 * 365 * 86_400;

/// A span of time from a flag, seconds.
pub(super) fn span(s: &str) -> Result<u64, String> {
    match parse_span(s) {
        Some(seconds @ 1..=LONGEST) => Ok(seconds),
        _ => Err(String::from("a span is written as 90s, 15m, 2h, 7d")),
    }
}

/// On or off.
pub(super) fn switch(s: &str) -> Result<bool, String> {
    match s {
        "on" | "yes" | "true" => Ok(true),
        "off" | "no" | "false" => Ok(false),
        _ => Err(String::from("it is on or off")),
    }
}

/// A permission and how far it reaches: `vm_read`, `vm_read=all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    permission: Permission,
    scope: Scope,
}

impl FromStr for Allowance {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        let (permission, scope) = match s.split_once('=') {
            Some((permission, scope)) => (permission.parse::<Permission>()?, scope.parse()?),
            None => {
                let permission: Permission = s.parse()?;
                (permission, if permission.has_own() { Scope::Own } else { Scope::All })
            }
        };
        if scope == Scope::Own && !permission.has_own() {
            return Err(Error::usage(format!("{permission} is for everything or for nothing."))
                .hint(format!("`{permission}=all`")));
        }
        Ok(Allowance { permission, scope })
    }
}

impl Serialize for Allowance {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&format_args!("{}={}", self.permission, self.scope))
    }
}

/// How long sessions may last: a span, or `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SessionLimit(Option<u64>);

impl FromStr for SessionLimit {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "none" => Ok(SessionLimit(None)),
            _ => Ok(SessionLimit(Some(span(s)?))),
        }
    }
}

/// What a role shall be from now on.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub struct RoleChange {
    /// A permission: PERMISSION for one's own, PERMISSION=all for everybody's
    #[arg(long, value_name = "PERMISSION", num_args = 1)]
    pub allow: Vec<Allowance>,
    /// They need a second factor: on, off
    #[arg(long, value_name = "ON|OFF", value_parser = switch)]
    pub second_factor: Option<bool>,
    /// They may sign in with a password: on, off
    #[arg(long, value_name = "ON|OFF", value_parser = switch)]
    pub password_login: Option<bool>,
    /// Their sessions end after this long: 8h, none
    #[arg(long, value_name = "SPAN|none")]
    pub max_session: Option<SessionLimit>,
}

impl RoleChange {
    fn apply(&self, rights: &mut Rights, policy: &mut Policy) {
        for allowed in &self.allow {
            rights.set(allowed.permission, allowed.scope);
        }
        policy.second_factor = self.second_factor.unwrap_or(policy.second_factor);
        policy.password_login = self.password_login.unwrap_or(policy.password_login);
        if let Some(SessionLimit(limit)) = self.max_session {
            policy.max_session_s = limit;
        }
    }
}

/// The roles, and what each may do
#[derive(Debug, Args, Serialize)]
pub struct RoleLs {}

impl Action for RoleLs {
    const NAME: &'static str = "role.ls";
    const PERMISSION: Permission = Permission::UserRead;
    const CATEGORY: Category = Category::Iam;
    type Output = Vec<Role>;

    async fn run(self, cx: &Cx) -> Result<Vec<Role>> {
        cx.portal.store().roles().await
    }
}

/// One role
#[derive(Debug, Args, Serialize)]
pub struct RoleShow {
    /// Its name
    pub name: RoleName,
}

impl Action for RoleShow {
    const NAME: &'static str = "role.show";
    const PERMISSION: Permission = Permission::UserRead;
    const CATEGORY: Category = Category::Iam;
    type Output = Role;

    async fn run(self, cx: &Cx) -> Result<Role> {
        cx.portal.store().role(self.name).await
    }
}

/// Make a role
///
///   role new helper --like user --allow vm_read=all --allow vm_operate=all
///
/// Nobody makes a role that may do what he may not himself.
#[derive(Debug, Args, Serialize)]
pub struct RoleNew {
    /// What it is called
    pub name: RoleName,
    /// Begin with what this role may do
    #[arg(long, value_name = "ROLE")]
    pub like: Option<RoleName>,
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub change: RoleChange,
}

impl Action for RoleNew {
    const NAME: &'static str = "role.new";
    const PERMISSION: Permission = Permission::UserWrite;
    const CATEGORY: Category = Category::Iam;
    type Output = Role;

    async fn run(self, cx: &Cx) -> Result<Role> {
        let (mut permissions, mut policy) = match self.like {
            Some(like) => {
                let like = cx.portal.store().role(like).await?;
                (like.permissions, like.policy)
            }
            None => (Rights::default(), Policy::default()),
        };
        self.change.apply(&mut permissions, &mut policy);
        cx.covers(&permissions, &format!("The role “{}”", self.name))?;
        let role = Role { name: self.name, built_in: false, permissions, policy, users: 0 };
        cx.portal.store().role_insert(role).await
    }
}

/// Change what a role may do, or what is demanded of those who have it
///
///   role set admin --second-factor on
///   role set helper --allow vm_enter=all --deny vm_write
///
/// It holds at once, for those who are signed in too.
#[derive(Debug, Args, Serialize)]
pub struct RoleSet {
    /// Its name
    pub name: RoleName,
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub change: RoleChange,
    /// A permission that it shall not have any more
    #[arg(long, value_name = "PERMISSION", num_args = 1)]
    pub deny: Vec<Permission>,
}

impl Action for RoleSet {
    const NAME: &'static str = "role.set";
    const PERMISSION: Permission = Permission::UserWrite;
    const CATEGORY: Category = Category::Iam;
    type Output = Role;

    async fn run(self, cx: &Cx) -> Result<Role> {
        let mine = cx.rights.clone();
        let what = format!("The role “{}”", self.name);
        let RoleSet { name, change, deny } = self;
        let set = move |role: &mut Role| {
            crate::portal::covers(&mine, &role.permissions, &what)?;
            let (before, demanded) = (role.permissions.clone(), role.policy);
            change.apply(&mut role.permissions, &mut role.policy);
            for permission in &deny {
                role.permissions.set(*permission, Scope::None);
            }
            if role.built_in && role.permissions != before {
                let message =
                    format!("What {} may do cannot be changed.", text::short(role.name.as_str(), 40));
                return Err(Error::new(crate::error::Code::RoleBuiltIn, message));
            }
            // Whoever is bound by something does not lift it himself.
            if !role.policy.is_as_strict_as(demanded) {
                let all = RoleName::ADMIN.built_in().unwrap_or_default();
                crate::portal::covers(&mine, &all, "Whoever asks less than was demanded")?;
            }
            crate::portal::covers(&mine, &role.permissions, &what)
        };
        cx.portal.store().role_set(name, cx.portal.config().ssh.password_auth, set).await
    }
}

/// Remove a role that nobody has
#[derive(Debug, Args, Serialize)]
pub struct RoleRm {
    /// Its name
    pub name: RoleName,
}

impl Action for RoleRm {
    const NAME: &'static str = "role.rm";
    const PERMISSION: Permission = Permission::UserWrite;
    const CATEGORY: Category = Category::Iam;
    type Output = ();

    async fn run(self, cx: &Cx) -> Result<()> {
        let role = cx.portal.store().role(self.name.clone()).await?;
        cx.covers(&role.permissions, &format!("The role “{}”", self.name))?;
        cx.portal.store().role_delete(self.name).await
    }
}

/// Grant somebody a role beside their own
///
///   role grant operator alice --expires 2h
#[derive(Debug, Args, Serialize)]
pub struct RoleGrant {
    /// The role
    pub role: RoleName,
    /// Whom it is granted to
    pub user: UserName,
    /// Only for this long: 2h, 7d
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub expires: Option<u64>,
}

impl Action for RoleGrant {
    const NAME: &'static str = "role.grant";
    const PERMISSION: Permission = Permission::UserWrite;
    const CATEGORY: Category = Category::Iam;
    type Output = Vec<Grant>;

    fn target(&self) -> Target {
        Target::User(self.user.clone())
    }

    async fn run(self, cx: &Cx) -> Result<Vec<Grant>> {
        let role = cx.portal.store().role(self.role.clone()).await?;
        cx.covers(&role.permissions, &format!("The role “{}”", self.role))?;
        cx.portal.may_manage(cx, cx.user()?).await?;
        let now = Time::now();
        let grant = Grant {
            role: self.role,
            granted_at: now,
            granted_by: cx.who.name().to_owned(),
            expires_at: self.expires.map(|s| now.plus_seconds(s)),
        };
        let passwords = cx.portal.config().ssh.password_auth;
        cx.portal.store().role_grant(cx.user()?.id, grant, passwords).await
    }
}

/// Take a granted role back
#[derive(Debug, Args, Serialize)]
pub struct RoleRevoke {
    /// The role
    pub role: RoleName,
    /// Whom it was granted to
    pub user: UserName,
}

impl Action for RoleRevoke {
    const NAME: &'static str = "role.revoke";
    const PERMISSION: Permission = Permission::UserWrite;
    const CATEGORY: Category = Category::Iam;
    type Output = Vec<Grant>;

    fn target(&self) -> Target {
        Target::User(self.user.clone())
    }

    async fn run(self, cx: &Cx) -> Result<Vec<Grant>> {
        let role = cx.portal.store().role(self.role.clone()).await?;
        cx.covers(&role.permissions, &format!("The role “{}”", self.role))?;
        cx.portal.may_manage(cx, cx.user()?).await?;
        if !Policy::default().is_as_strict_as(role.policy) {
            cx.covers_everything("Whoever asks less than was demanded")?;
        }
        cx.portal.store().role_revoke(cx.user()?.id, self.role).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowances() {
        let read: Allowance = "vm_read".parse().unwrap();
        assert_eq!((read.permission, read.scope), (Permission::VmRead, Scope::Own));
        assert_eq!("user_write".parse::<Allowance>().unwrap().scope, Scope::All);
        assert_eq!("vm_enter=all".parse::<Allowance>().unwrap().scope, Scope::All);
        for bad in ["", "=", "fly", "vm_read=far", "user_write=own", "vm_read=all=all"] {
            assert!(bad.parse::<Allowance>().is_err(), "{bad:?}");
        }
    }
}
