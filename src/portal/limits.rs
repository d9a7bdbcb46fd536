//! What a key lets its holder do less than the account may, asked at every action
//! by the door; and the end of sessions whose key or certificate is taken back.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::door::{Action, Target};
use super::{Portal, Principal, Session};
use crate::error::{Code, Error, Result};
use crate::model::{Credential, Job, Permission, Time, Vm};

/// How long a session that took back what it came by has for the answer.
const LAST_ANSWER: Duration = Duration::from_secs(1);

/// Whether the session may ask for that at all.
///
/// # Errors
/// `forbidden`, if what it came by does not go so far, or does not count any more.
pub(super) fn may_ask<A: Action>(who: &Principal, target: &Target) -> Result<()> {
    let session = who.session();
    let limits = who.limits();
    let over = |what: &str| Err(Error::new(Code::Forbidden, what).hint("Sign in again."));
    if session.is_taken_back() {
        return over("What this session came by does not count any more.");
    }
    if limits.expired(Time::now()) {
        session.kill.cancel();
        return over("The time of what this session came by is over.");
    }
    if !limits.narrows() || A::NAME == WHOAMI {
        return Ok(());
    }
    let whose = matches!(A::PERMISSION, Permission::AccountSelf | Permission::UserWrite);
    let about_vms = A::MINDS_LIMITS || matches!(target, Target::Vms(_) | Target::Job(_));
    // Whoever could change the account could make a key without limits.
    let allowed = (A::READS || !(whose || limits.read_only))
        && (limits.covers(A::NAME) || A::NAME == WATCH)
        && (limits.vms.is_empty() || about_vms);
    match allowed {
        true => Ok(()),
        false => {
            Err(Error::new(Code::Forbidden, format!("The key of this session does not allow `{}`.", A::NAME))
                .hint("`key ls` shows what a key is limited to; sign in with another."))
        }
    }
}

/// Who one is may always be asked.
const WHOAMI: &str = "account.whoami";
/// The end of a job may be seen by whoever may do what it does.
const WATCH: &str = "job.watch";

/// Whether a row is there for the session: what is beyond its key is as if it were not.
pub(super) fn sees_vm(who: &Principal, vm: &Vm) -> bool {
    who.limits().sees(vm)
}

/// The same of a job, for that action.
pub(super) fn sees_job(who: &Principal, action: &str, job: &Job) -> bool {
    let limits = who.limits();
    limits.sees_work_on(job) && (limits.covers(action) || limits.covers(&job.action))
}

impl Portal {
    /// Whether certificates may let somebody in.
    pub(super) fn trusts_authorities(&self) -> bool {
        self.inner.trusts_authorities.load(Ordering::Relaxed)
    }

    /// Looks up whether any authority is trusted: at the start, and after each change.
    pub(crate) async fn recall_authorities(&self) -> Result<()> {
        let any = !self.store().authorities().await?.is_empty();
        self.inner.trusts_authorities.store(any, Ordering::Relaxed);
        Ok(())
    }

    /// Ends the sessions that came by what is taken back: at once, but for the one
    /// that took it back, which is to hear that it did.
    pub(crate) fn take_back(&self, here: &Session, gone: impl Fn(&Credential) -> bool) {
        for session in self.sessions().list().into_iter().filter(|s| gone(&s.pass.credential)) {
            session.taken_back.store(true, Ordering::Release);
            if session.id != here.id {
                session.kill.cancel();
                continue;
            }
            tokio::spawn(async move {
                let ended = session.kill.cancelled();
                let _ = tokio::time::timeout(LAST_ANSWER, ended).await;
                session.kill.cancel();
            });
        }
    }
}
