//! Rights that change while somebody is here: sessions end, feeds end or begin
//! anew, and who may not be in a VM any more is led out of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::door::{Action, Cx};
use super::principal::Principal;
use super::sessions::Place;
use super::{Portal, Session};
use crate::error::{Code, Error, Result};
use crate::model::{Permission, Scope, Standing, Time};

/// How long before its end the person is told that a session may last no longer.
const WARNING: Duration = Duration::from_secs(60);
/// How soon to look again where the database did not answer.
const AGAIN: Duration = Duration::from_secs(2);
/// How long a grant's end may go unnoticed at most.
const EXPIRY_AT_MOST: Duration = Duration::from_secs(60);

/// The right to follow something, looked at again whenever rights change.
#[derive(Debug)]
pub struct Licence {
    portal: Portal,
    who: Principal,
    permission: Permission,
    scope: Scope,
    changes: watch::Receiver<u64>,
    /// They have changed, and nobody has looked yet.
    doubted: bool,
}

impl Cx {
    /// The right that this action was performed by, for as long as its output is used.
    pub fn licence<A: Action>(&self) -> Licence {
        Licence {
            portal: self.portal.clone(),
            who: self.who.clone(),
            permission: A::PERMISSION,
            scope: self.scope,
            changes: self.changes.clone(),
            doubted: false,
        }
    }
}

impl Licence {
    /// Ends when rights have changed and this one still holds, as it did. Nothing is
    /// lost if it is dropped before it ends.
    ///
    /// # Errors
    /// `forbidden` if it does not hold any more, or does not reach as far as it did.
    pub async fn renewed(&mut self) -> Result<()> {
        if !self.doubted {
            let gone = |_| Error::new(Code::BackendUnavailable, "The portal is shutting down.");
            self.changes.changed().await.map_err(gone)?;
            self.doubted = true;
        }
        self.check().await?;
        Ok(())
    }

    /// Looks whether it still holds, if anybody's rights have changed since this was
    /// last asked; true if they have: what it is about may be more or less than it was.
    ///
    /// # Errors
    /// Those of [`Licence::renewed`].
    pub async fn check(&mut self) -> Result<bool> {
        self.doubted |= self.changes.has_changed().unwrap_or(true);
        if !self.doubted {
            return Ok(false);
        }
        self.changes.mark_unchanged();
        let standing = self.portal.store().standing(self.who.user_id()).await?;
        let free = |s: &Standing| s.user.enabled && !s.user.must_change_password && !s.must_enrol();
        let scope = standing.filter(free).map(|s| s.rights.scope(self.permission));
        if scope != Some(self.scope) {
            return Err(Error::new(Code::Forbidden, "Your rights have changed."));
        }
        self.doubted = false;
        Ok(true)
    }
}

impl Portal {
    /// Watches over a session: ends, with why, when it may not go on; and leads them
    /// out of VMs that they may not be in any more.
    pub async fn oversee(&self, session: &Arc<Session>) -> &'static str {
        if !session.is_of_account() {
            // Somebody's errand, which lasts no longer than that.
            return std::future::pending().await;
        }
        let mut rights = self.rights_changes();
        let mut doubted = *rights.borrow_and_update() != session.rights_at;
        let mut warned = false;
        loop {
            let mut look_again = None;
            if doubted {
                match self.why_not(session).await {
                    Ok(Some(why)) => return why,
                    Ok(None) => doubted = false,
                    Err(e) => {
                        tracing::error!(error = %e, "a session's rights cannot be looked at");
                        look_again = Some(AGAIN);
                    }
                }
            }
            let left = session.max().map(|max| max.saturating_sub(session.age()));
            if left.is_some_and(|left| left.is_zero()) {
                return "This session has lasted as long as your role allows. Sign in again.";
            }
            let warning = session.max().map_or(WARNING, |max| WARNING.min(max / 2));
            warned &= left.is_some_and(|left| left <= warning);
            if let Some(left) = left.filter(|left| *left <= warning)
                && !std::mem::replace(&mut warned, true)
            {
                session.announce(&format!(
                    "Your role allows no longer sessions: this one ends in {} s.",
                    left.as_secs().max(1)
                ));
            }
            let wait = left.map(|left| if warned { left } else { left - warning });
            tokio::select! {
                changed = rights.changed() => {
                    if changed.is_err() {
                        return "The portal is stopping.";
                    }
                    doubted = true;
                }
                () = sleep(wait) => {}
                () = sleep(look_again) => {}
            }
        }
    }

    /// Why a session may not go on; none if it may.
    async fn why_not(&self, session: &Arc<Session>) -> Result<Option<&'static str>> {
        let Some(standing) = self.store().standing(session.user_id).await? else {
            return Ok(Some("This account is gone."));
        };
        if !standing.user.enabled {
            return Ok(Some("This account was disabled."));
        }
        session.set_max(standing.policy.max_session_s);
        let places = session.places();
        if !places.is_empty() {
            let who = Principal::new(standing.clone(), Arc::clone(session));
            for place in places {
                if !self.may_stay(&who, &standing, &place).await? {
                    session.announce(&format!("You may not be in “{}” any more.", place.name));
                    place.cut.cancel();
                }
            }
        }
        Ok(None)
    }

    async fn may_stay(&self, who: &Principal, standing: &Standing, place: &Place) -> Result<bool> {
        match self.store().vm(place.vm_id).await? {
            Some(vm) => self.may_enter(who, standing, &vm).await,
            None => Ok(false),
        }
    }

    /// Says that rights have changed when a grant has run out.
    pub(super) async fn follow_expiries(self) {
        let mut rights = self.rights_changes();
        loop {
            let next = self.store().next_expiry().await.ok().flatten();
            let left = |at: Time| at.millis().saturating_sub(Time::now().millis());
            let wait = next.map(|at| Duration::from_millis(u64::try_from(left(at)).unwrap_or_default()));
            tokio::select! {
                () = tokio::time::sleep(wait.unwrap_or(EXPIRY_AT_MOST).min(EXPIRY_AT_MOST)) => {
                    if next.is_some_and(|at| at <= Time::now()) {
                        self.rights_changed();
                        rights.mark_unchanged();
                    }
                }
                changed = rights.changed() => if changed.is_err() { return },
            }
        }
    }
}

async fn sleep(for_: Option<Duration>) {
    match for_ {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}
