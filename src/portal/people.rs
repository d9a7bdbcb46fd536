//! Who may do what with other people's accounts: nobody reaches, by another's
//! account, further than by his own.

use super::{Cx, Portal};
use crate::error::{Code, Error, Result};
use crate::model::{Rights, RoleName, User};

impl Portal {
    /// What whoever asks may do at this moment.
    async fn rights_of(&self, cx: &Cx) -> Result<Rights> {
        let standing = self.store().standing(cx.who.user_id()).await?;
        standing.map(|s| s.rights).ok_or_else(|| Error::new(Code::Forbidden, "This account is disabled."))
    }

    /// Whether whoever asks may change, disable, reset or remove that account.
    ///
    /// # Errors
    /// `forbidden` if its rights reach further than his.
    pub(crate) async fn may_manage(&self, cx: &Cx, user: &User) -> Result<()> {
        let theirs = self.store().standing(user.id).await?.map(|s| s.rights).unwrap_or_default();
        match self.rights_of(cx).await?.cover(&theirs) {
            true => Ok(()),
            false => {
                let message = format!("“{}” may do more than you: that account is not yours to change.", user.name);
                Err(Error::new(Code::Forbidden, message))
            }
        }
    }

    /// Whether whoever asks may give that role to somebody.
    ///
    /// # Errors
    /// `role.not_found`; `forbidden` if it reaches further than his rights.
    pub(crate) async fn may_give(&self, cx: &Cx, role: &RoleName) -> Result<()> {
        let rights = self.store().role_rights(role.clone()).await?;
        let rights = rights.ok_or_else(|| Error::new(Code::RoleNotFound, format!("There is no role “{role}”.")))?;
        match self.rights_of(cx).await?.cover(&rights) {
            true => Ok(()),
            false => {
                let message = format!("The role “{role}” allows more than yours: it is not yours to give.");
                Err(Error::new(Code::Forbidden, message))
            }
        }
    }

    /// Ends every connection of that account.
    pub(crate) fn end_sessions_of(&self, user_id: i64) {
        for session in self.sessions().list().into_iter().filter(|s| s.user_id == user_id) {
            session.kill.cancel();
        }
    }
}
