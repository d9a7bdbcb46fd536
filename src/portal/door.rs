//! The one door. Whatever anybody wants done is an [`Action`]; [`Portal::perform`]
//! alone finds its target, authorises *that row*, writes the attempt down, runs
//! it, and writes the outcome down. If the attempt cannot be written, nothing runs.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use super::principal::Principal;
use super::{Portal, Session, limits};
use crate::error::{Code, Error, Result};
use crate::model::group::Level;
use crate::model::name::{UserName, VmRef};
use crate::model::{
    Category, EventDraft, Job, Outcome, Permission, Reach, Rights, RoleName, Scope, Severity, Standing, User,
    Vm, text,
};

/// Between two tries at writing an outcome down: at first, and when it is given up.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// A verb: the same struct is the command's flags, the form on the screen, and
/// the audited JSON. What must not be in the audit is not serialised.
pub trait Action: Serialize + Send + Sync + 'static {
    /// Such as `vm.new`: in help, audit and metrics.
    const NAME: &'static str;
    /// What it wants.
    const PERMISSION: Permission;
    /// What its events are about.
    const CATEGORY: Category;
    /// May be done by somebody who has yet to choose a password.
    const BEFORE_PASSWORD: bool = false;
    /// Afterwards somebody's rights may be others: whoever is here by them is looked at again.
    const CHANGES_RIGHTS: bool = matches!(Self::PERMISSION, Permission::UserWrite);
    /// It changes nothing.
    const READS: bool = Self::PERMISSION.reads();
    /// What it gives is no more than [`Cx::may_see`] lets through, so that a key for a
    /// few VMs may ask for it.
    const MINDS_LIMITS: bool = false;
    /// May be done by somebody who has yet to set up a second factor that is demanded.
    const BEFORE_FACTOR: bool = false;
    /// What comes of it.
    type Output: Send + 'static;

    /// What it is done to.
    fn target(&self) -> Target {
        Target::Nothing
    }

    /// Does it. `cx` holds the target, found and authorised.
    fn run(self, cx: &Cx) -> impl Future<Output = Result<Self::Output>> + Send;
}

/// What an action is done to, as it was named.
#[derive(Debug, Clone)]
pub enum Target {
    /// Oneself, or nothing in particular.
    Nothing,
    /// VMs, all of which must be there.
    Vms(Vec<VmRef>),
    /// A job.
    Job(i64),
    /// An account.
    User(UserName),
    /// A signed-in connection.
    Session(String),
}

impl Target {
    fn text(&self) -> Option<String> {
        match self {
            Target::Nothing => None,
            Target::Vms(names) => Some(names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
            Target::Job(id) => Some(format!("job {id}")),
            Target::User(name) => Some(name.to_string()),
            Target::Session(id) => Some(format!("session {}", text::short(id, 20))),
        }
    }
}

/// What an action is done to, found, and the asker's to do it to.
#[derive(Debug)]
enum Subject {
    Nothing,
    Vms(Vec<Vm>),
    Job(Job),
    User(User),
    Session(Arc<Session>),
}

/// What an action finds around it.
#[derive(Debug)]
pub struct Cx {
    /// The portal.
    pub portal: Portal,
    /// Who asks.
    pub who: Principal,
    /// How far the action's permission reaches for them.
    pub scope: Scope,
    /// Everything that they may do, at this moment.
    pub rights: Rights,
    /// Changes of anybody's rights since they were looked at for this.
    pub(super) changes: watch::Receiver<u64>,
    subject: Subject,
}

impl Cx {
    /// The VMs that the action named.
    pub fn vms(&self) -> &[Vm] {
        match &self.subject {
            Subject::Vms(vms) => vms,
            Subject::Nothing | Subject::Job(_) | Subject::User(_) | Subject::Session(_) => &[],
        }
    }

    /// The VM that the action named.
    pub fn vm(&self) -> Result<&Vm> {
        self.vms().first().ok_or_else(|| Error::internal("an action without its VM"))
    }

    /// The job that the action named.
    pub fn job(&self) -> Result<&Job> {
        match &self.subject {
            Subject::Job(job) => Ok(job),
            Subject::Nothing | Subject::Vms(_) | Subject::User(_) | Subject::Session(_) => {
                Err(Error::internal("an action without its job"))
            }
        }
    }

    /// The account that the action named.
    pub fn user(&self) -> Result<&User> {
        match &self.subject {
            Subject::User(user) => Ok(user),
            Subject::Nothing | Subject::Vms(_) | Subject::Job(_) | Subject::Session(_) => {
                Err(Error::internal("an action without its account"))
            }
        }
    }

    /// The connection that the action named.
    pub fn session(&self) -> Result<&Arc<Session>> {
        match &self.subject {
            Subject::Session(session) => Ok(session),
            Subject::Nothing | Subject::Vms(_) | Subject::Job(_) | Subject::User(_) => {
                Err(Error::internal("an action without its session"))
            }
        }
    }

    /// Whether the asker's key lets that VM be seen.
    pub fn may_see(&self, vm: &Vm) -> bool {
        limits::sees_vm(&self.who, vm)
    }

    /// # Errors
    /// `forbidden` if there is anything that the asker may not do.
    pub fn covers_everything(&self, what: &str) -> Result<()> {
        self.covers(&RoleName::ADMIN.built_in().unwrap_or_default(), what)
    }

    /// Which rows of a list the asker gets: their own, or all that they may see.
    pub fn reach(&self, all: bool) -> Reach {
        match (all, self.scope) {
            (true, Scope::All) => Reach::All,
            (true, Scope::Own | Scope::None) => Reach::Shared(self.who.user_id()),
            (false, _) => Reach::Own(self.who.user_id()),
        }
    }

    /// # Errors
    /// `forbidden` if those rights reach further than the asker's own: nobody gives,
    /// or takes away, what he has not.
    pub fn covers(&self, rights: &Rights, what: &str) -> Result<()> {
        covers(&self.rights, rights, what)
    }

    /// Whose rows the asker may see: none means everybody's.
    pub fn only_owner(&self) -> Option<i64> {
        match self.scope {
            Scope::All => None,
            Scope::Own | Scope::None => Some(self.who.user_id()),
        }
    }
}

/// [`Cx::covers`], where there is no context.
pub(crate) fn covers(mine: &Rights, rights: &Rights, what: &str) -> Result<()> {
    match mine.cover(rights) {
        true => Ok(()),
        false => Err(Error::new(Code::Forbidden, format!("{what} may do what you may not."))),
    }
}

impl Portal {
    /// Performs an action. Hanging up loses neither the work nor its outcome:
    /// it goes on in a task of its own.
    ///
    /// # Errors
    /// `forbidden` if the role does not allow it; the not-found error of the
    /// target's kind both for what is not there and for what is not theirs;
    /// else the action's own.
    pub async fn perform<A: Action>(&self, who: &Principal, action: A) -> Result<A::Output> {
        let (portal, who) = (self.clone(), who.clone());
        tokio::spawn(async move { portal.perform_here(who, action).await }).await?
    }

    async fn perform_here<A: Action>(&self, who: Principal, action: A) -> Result<A::Output> {
        let details = serde_json::to_value(&action).unwrap_or_default();
        let target = action.target();
        let draft = |outcome, severity, message: String| EventDraft {
            category: A::CATEGORY,
            action: A::NAME,
            outcome,
            severity,
            actor: who.name().to_owned(),
            actor_id: Some(who.user_id()),
            source_ip: Some(who.source_ip().to_string()),
            target: target.text(),
            session: Some(who.session().id.clone()),
            message,
            details: details.clone(),
        };
        let message = format!("{} asked for {}.", who.name(), A::NAME);
        let attempt = self.record(draft(Outcome::Unknown, Severity::Info, message), None).await?;
        let result = self.admit_and_run(&who, action, &target).await;
        if A::CHANGES_RIGHTS {
            self.rights_changed();
        }
        let (outcome, severity, message) = match &result {
            Ok(_) => (Outcome::Success, Severity::Info, format!("{} did {}.", who.name(), A::NAME)),
            Err(e) => (Outcome::Failure, severity_of(e.code), e.message.clone()),
        };
        self.count_action(A::NAME, outcome);
        let outcome = draft(outcome, severity, message);
        if let Err(e) = self.record(outcome.clone(), Some(attempt.id)).await {
            // What was done is done: saying that it failed would be a lie.
            tracing::error!(error = %e, action = A::NAME, "an outcome is not written down yet");
            tokio::spawn(self.clone().record_at_last(outcome, attempt.id));
        }
        result
    }

    /// Writes an outcome down that could not be written at once. Attempts that
    /// cannot be written run nothing, so that there are few of these.
    async fn record_at_last(self, outcome: EventDraft, attempt: i64) {
        let mut pause = FIRST_PAUSE;
        while pause < LONGEST_PAUSE {
            tokio::time::sleep(pause).await;
            pause *= 2;
            match self.record(outcome.clone(), Some(attempt)).await {
                Ok(_) => return,
                Err(e) => {
                    tracing::error!(error = %e, action = outcome.action, "an outcome is not written down yet")
                }
            }
        }
        tracing::error!(action = outcome.action, attempt, "an outcome is lost");
    }

    async fn admit_and_run<A: Action>(
        &self,
        who: &Principal,
        action: A,
        target: &Target,
    ) -> Result<A::Output> {
        let changes = self.rights_changes();
        let standing = self.standing_now::<A>(who).await?;
        limits::may_ask::<A>(who, target)?;
        let scope = standing.rights.scope(A::PERMISSION);
        let asked = Asked { who, action: A::NAME, permission: A::PERMISSION, scope };
        let subject = self.resolve(&asked, target).await?;
        let rights = standing.rights;
        let cx = Cx { portal: self.clone(), who: who.clone(), scope, rights, changes, subject };
        action.run(&cx).await
    }

    /// The rights of this moment, not those of the login.
    async fn standing_now<A: Action>(&self, who: &Principal) -> Result<Standing> {
        let standing = self.store().standing(who.user_id()).await?.filter(|s| s.user.enabled);
        let standing = standing.ok_or_else(|| Error::new(Code::Forbidden, "This account is disabled."))?;
        if standing.user.must_change_password && !A::BEFORE_PASSWORD {
            return Err(Error::new(Code::MustChangePassword, "This account has yet to choose a password."));
        }
        if standing.must_enrol() && !A::BEFORE_FACTOR {
            let message = "A second factor is demanded of this account, and it has none yet.";
            return Err(Error::new(Code::SecondFactorMissing, message));
        }
        match standing.rights.scope(A::PERMISSION) {
            Scope::None => Err(Error::new(
                Code::Forbidden,
                format!("Your role ({}) does not allow `{}`.", standing.user.role, A::NAME),
            )),
            Scope::Own | Scope::All => Ok(standing),
        }
    }

    async fn resolve(&self, asked: &Asked<'_>, target: &Target) -> Result<Subject> {
        Ok(match target {
            Target::Nothing => Subject::Nothing,
            Target::Vms(names) => {
                let mut vms = Vec::with_capacity(names.len());
                for name in names {
                    vms.push(self.resolve_vm(asked, name).await?);
                }
                Subject::Vms(vms)
            }
            Target::Job(id) => {
                let not_found = || Error::new(Code::JobNotFound, format!("No job {id}."));
                let job = self.store().job(*id).await?.ok_or_else(not_found)?;
                let theirs = asked.reaches(job.owner_id) || self.is_shared(asked, job.vm_id).await?;
                match theirs && limits::sees_job(asked.who, asked.action, &job) {
                    true => Subject::Job(job),
                    false => return Err(not_found()),
                }
            }
            Target::User(name) => {
                let user = self.store().user_by_name(name.to_string()).await?.filter(|u| asked.reaches(u.id));
                Subject::User(
                    user.ok_or_else(|| {
                        Error::new(Code::UserNotFound, format!("No account called “{name}”."))
                    })?,
                )
            }
            Target::Session(id) => {
                let session = self.sessions().get(id).filter(|s| asked.reaches(s.user_id));
                let not_found = || format!("No session “{}”.", text::short(id, 20));
                Subject::Session(session.ok_or_else(|| Error::new(Code::SessionNotFound, not_found()))?)
            }
        })
    }

    /// Whether somebody of that standing may be inside a VM.
    pub(super) async fn may_enter(&self, who: &Principal, standing: &Standing, vm: &Vm) -> Result<bool> {
        let permission = Permission::VmEnter;
        let scope = standing.rights.scope(permission);
        let asked = Asked { who, action: "vm.ssh", permission, scope };
        let kept = standing.user.must_change_password || standing.must_enrol();
        if scope == Scope::None || kept || !limits::sees_vm(who, vm) {
            return Ok(false);
        }
        Ok(asked.reaches(vm.owner_id) || self.is_shared(&asked, Some(vm.id)).await?)
    }

    async fn resolve_vm(&self, asked: &Asked<'_>, name: &VmRef) -> Result<Vm> {
        let owner = name.owner.as_ref().map_or(asked.who.name(), UserName::as_str).to_owned();
        if let Some(vm) = self.store().vm_by_name(owner, name.name.to_string()).await?
            && limits::sees_vm(asked.who, &vm)
            && (asked.reaches(vm.owner_id) || self.is_shared(asked, Some(vm.id)).await?)
        {
            return Ok(vm);
        }
        let e = Error::new(Code::VmNotFound, format!("No VM called “{name}”."));
        Err(match asked.scope == Scope::All && name.owner.is_none() {
            true => e.hint("`vm ls --all` shows everybody's; write `NAME.OWNER` for another's."),
            false => e,
        })
    }

    /// Whether another's VM is shared with the asker as far as they want it.
    async fn is_shared(&self, asked: &Asked<'_>, vm_id: Option<i64>) -> Result<bool> {
        let (Some(wanted), Some(vm_id)) = (Level::wanted_by(asked.permission), vm_id) else {
            return Ok(false);
        };
        let level = self.store().share_level(asked.who.user_id(), vm_id).await?;
        Ok(level.is_some_and(|level| level >= wanted))
    }
}

/// What somebody wants of a row.
struct Asked<'a> {
    who: &'a Principal,
    action: &'static str,
    permission: Permission,
    scope: Scope,
}

impl Asked<'_> {
    /// Whether the scope reaches a row of that owner.
    fn reaches(&self, owner_id: i64) -> bool {
        match self.scope {
            Scope::All => true,
            Scope::Own => self.who.user_id() == owner_id,
            Scope::None => false,
        }
    }
}

/// Mistakes are everyday; reaching for what is not allowed deserves a look.
fn severity_of(code: Code) -> Severity {
    if code == Code::HostKeyMismatch {
        Severity::High
    } else if matches!(code, Code::Forbidden | Code::Internal | Code::DatabaseCorrupt) {
        Severity::Medium
    } else {
        Severity::Low
    }
}
