//! Who may do what with other people's accounts: nobody reaches, by another's
//! account, further than by his own.

use super::{Cx, Portal};
use crate::error::Result;
use crate::model::group::{GroupName, Level};
use crate::model::{Permission, Rights, RoleName, Scope, User};

impl Portal {
    /// Whether whoever asks may change, disable, reset or remove that account.
    ///
    /// # Errors
    /// `forbidden` if its rights reach further than his.
    pub(crate) async fn may_manage(&self, cx: &Cx, user: &User) -> Result<()> {
        let theirs = self.store().standing(user.id).await?.map(|s| s.rights).unwrap_or_default();
        cx.covers(&theirs, &format!("“{}”", user.name))
    }

    /// Whether whoever asks may give that role to somebody.
    ///
    /// # Errors
    /// `role.not_found`; `forbidden` if it reaches further than his rights.
    pub(crate) async fn may_give(&self, cx: &Cx, role: &RoleName) -> Result<()> {
        let role = self.store().role(role.clone()).await?;
        cx.covers(&role.permissions, &format!("The role “{}”", role.name))
    }

    /// Whether whoever asks may give somebody that role in the place of another.
    ///
    /// # Errors
    /// Those of [`Portal::may_give`]; `forbidden` if it demands less, which only
    /// somebody decides who may do everything.
    pub(crate) async fn may_exchange(&self, cx: &Cx, old: &RoleName, new: &RoleName) -> Result<()> {
        self.may_give(cx, new).await?;
        let (old, new) = (self.store().role(old.clone()).await, self.store().role(new.clone()).await?);
        match old.is_ok_and(|old| !new.policy.is_as_strict_as(old.policy)) {
            true => cx.covers_everything("Whoever asks less than was demanded"),
            false => Ok(()),
        }
    }

    /// Whether whoever asks may say who is in that group: that gives what is shared
    /// with it.
    ///
    /// # Errors
    /// `group.not_found`; `forbidden` if he is not in it himself, and what is shared
    /// with it is not his to give.
    pub(crate) async fn may_fill(&self, cx: &Cx, group: &GroupName) -> Result<()> {
        let Some(level) = self.store().group_level(group.clone()).await? else { return Ok(()) };
        let standing = self.store().standing(cx.who.user_id()).await?;
        if standing.is_some_and(|s| s.groups.contains(group)) {
            return Ok(());
        }
        let mut given = Rights::default();
        for permission in Permission::ALL {
            if Level::wanted_by(*permission).is_some_and(|wanted| wanted <= level) {
                given.set(*permission, Scope::All);
            }
        }
        cx.covers(&given, &format!("Whoever is in “{group}”"))
    }

    /// Ends every connection of that account.
    pub(crate) fn end_sessions_of(&self, user_id: i64) {
        for session in self.sessions().list().into_iter().filter(|s| s.user_id == user_id) {
            session.kill.cancel();
        }
    }
}
