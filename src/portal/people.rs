//! Who may do what with other people's accounts: nobody reaches, by another's
//! account, further than by his own.

use super::{Cx, Portal};
use crate::error::Result;
use crate::model::{RoleName, User};

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

    /// Ends every connection of that account.
    pub(crate) fn end_sessions_of(&self, user_id: i64) {
        for session in self.sessions().list().into_iter().filter(|s| s.user_id == user_id) {
            session.kill.cancel();
        }
    }
}
