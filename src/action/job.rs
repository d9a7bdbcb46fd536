//! `job`: long work, to be watched, stopped, and done again.

use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Duration, Instant};

use super::vm::{ChangesVms, VmDestroy, VmNew, VmPause, VmRestart, VmResume, VmStart, VmStop};
use crate::error::{Code, Error, Result};
use crate::model::job::JobRequest;
use crate::model::{Category, Job, JobState, Permission, Reach, Vm};
use crate::portal::{Action, Cx, Licence, Portal, Target};

/// Jobs that a feed tells of.
const FOLLOWED: u32 = 100;
/// Between two lists of a feed.
const AT_MOST_EVERY: Duration = Duration::from_millis(250);

/// The latest jobs
#[derive(Debug, Args, Serialize)]
pub struct JobLs {
    /// Everybody's
    #[arg(long)]
    pub all: bool,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
}

impl Action for JobLs {
    const NAME: &'static str = "job.ls";
    const PERMISSION: Permission = Permission::VmRead;
    const CATEGORY: Category = Category::Configuration;
    type Output = Vec<Job>;

    async fn run(self, cx: &Cx) -> Result<Vec<Job>> {
        let jobs = cx.portal.store().jobs(cx.reach(self.all), self.limit).await?;
        Ok(jobs.into_iter().map(|job| cx.portal.job_now(job)).collect())
    }
}

/// The same list, again whenever a job goes on: one audited act for a whole screen
#[derive(Debug, Serialize)]
pub struct JobFollow {
    /// Everybody's, if they may be seen.
    pub all: bool,
}

/// A list of the latest jobs that keeps itself up to date.
#[derive(Debug)]
pub struct JobFeed {
    portal: Portal,
    reach: Reach,
    licence: Licence,
    /// Of jobs that begin and end.
    changes: watch::Receiver<u64>,
    /// Of how far they are.
    told: watch::Receiver<u64>,
    /// As they are written down.
    rows: Vec<Arc<Job>>,
    rows_are_old: bool,
    last: Option<Vec<Arc<Job>>>,
    not_before: Instant,
}

impl JobFeed {
    /// The list, newest first: at once the first time, then when it is another,
    /// a few times a second at most. Nothing is lost if this is dropped before it
    /// ends. An error means that the portal is shutting down, its database is gone, or
    /// these may not be followed any more.
    pub async fn next(&mut self) -> Result<Vec<Arc<Job>>> {
        let gone = |_| Error::new(Code::BackendUnavailable, "The portal is shutting down.");
        loop {
            tokio::time::sleep_until(self.not_before).await;
            self.rows_are_old |= self.licence.check().await?;
            self.rows_are_old |= self.changes.has_changed().map_err(gone)?;
            self.told.mark_unchanged();
            if self.rows_are_old {
                self.changes.mark_unchanged();
                let rows = self.portal.store().jobs(self.reach, FOLLOWED).await?;
                self.rows = rows.into_iter().map(Arc::new).collect();
                self.rows_are_old = false;
            }
            let now: Vec<Arc<Job>> = self.rows.iter().map(|job| self.now(job)).collect();
            if self.last.as_ref() != Some(&now) {
                self.last = Some(now.clone());
                self.not_before = Instant::now() + AT_MOST_EVERY;
                return Ok(now);
            }
            tokio::select! {
                changed = self.changes.changed() => {
                    changed.map_err(gone)?;
                    self.rows_are_old = true;
                }
                changed = self.told.changed() => changed.map_err(gone)?,
                renewed = self.licence.renewed() => {
                    renewed?;
                    self.rows_are_old = true;
                }
            }
        }
    }
}

impl JobFeed {
    /// The job as it is now; what is over is shared by all who look at it.
    fn now(&self, job: &Arc<Job>) -> Arc<Job> {
        if job.state.is_final() {
            return Arc::clone(job);
        }
        Arc::new(self.portal.job_now(Job::clone(job)))
    }
}

impl Action for JobFollow {
    const NAME: &'static str = "job.follow";
    const PERMISSION: Permission = Permission::VmRead;
    const CATEGORY: Category = Category::Configuration;
    type Output = JobFeed;

    async fn run(self, cx: &Cx) -> Result<JobFeed> {
        Ok(JobFeed {
            portal: cx.portal.clone(),
            reach: cx.reach(self.all),
            licence: cx.licence::<Self>(),
            changes: cx.portal.changes(),
            told: cx.portal.job_changes(),
            rows: Vec::new(),
            rows_are_old: true,
            last: None,
            not_before: Instant::now(),
        })
    }
}

/// One job, with the steps that it went through
#[derive(Debug, Args, Serialize)]
pub struct JobShow {
    /// Its number
    pub id: i64,
}

impl Action for JobShow {
    const NAME: &'static str = "job.show";
    const PERMISSION: Permission = Permission::VmRead;
    const CATEGORY: Category = Category::Configuration;
    type Output = Job;

    fn target(&self) -> Target {
        Target::Job(self.id)
    }

    async fn run(self, cx: &Cx) -> Result<Job> {
        Ok(cx.portal.job_now(cx.job()?.clone()))
    }
}

/// Follow a job to its end
#[derive(Debug, Args, Serialize)]
pub struct JobWatch {
    /// Its number
    pub id: i64,
}

impl Action for JobWatch {
    const NAME: &'static str = "job.watch";
    const PERMISSION: Permission = Permission::VmRead;
    const CATEGORY: Category = Category::Configuration;
    type Output = watch::Receiver<Job>;

    fn target(&self) -> Target {
        Target::Job(self.id)
    }

    async fn run(self, cx: &Cx) -> Result<watch::Receiver<Job>> {
        cx.portal.follow_job(cx.job()?.id).await
    }
}

/// Stop a job; what it had made is undone
#[derive(Debug, Args, Serialize)]
pub struct JobCancel {
    /// Its number
    pub id: i64,
}

impl Action for JobCancel {
    const NAME: &'static str = "job.cancel";
    const PERMISSION: Permission = Permission::VmWrite;
    const CATEGORY: Category = Category::Configuration;
    type Output = watch::Receiver<Job>;

    fn target(&self) -> Target {
        Target::Job(self.id)
    }

    async fn run(self, cx: &Cx) -> Result<watch::Receiver<Job>> {
        let id = cx.job()?.id;
        let following = cx.portal.follow_job(id).await?;
        cx.portal.cancel_job(id)?;
        Ok(following)
    }
}

/// Do again what a job did that failed, was cancelled or was interrupted
#[derive(Debug, Args, Serialize)]
pub struct JobRetry {
    /// Its number
    pub id: i64,
    /// Do not wait until it is done
    #[arg(long)]
    #[serde(skip)]
    pub no_wait: bool,
}

impl Action for JobRetry {
    const NAME: &'static str = "job.retry";
    const PERMISSION: Permission = Permission::VmWrite;
    const CATEGORY: Category = Category::Configuration;
    type Output = Job;

    fn target(&self) -> Target {
        Target::Job(self.id)
    }

    /// Goes through the door again with what the job was asked to do: that is
    /// authorised as it is now, and in the audit under its own name.
    async fn run(self, cx: &Cx) -> Result<Job> {
        let job = cx.portal.job_now(cx.job()?.clone());
        is_worth_it(&job)?;
        let request = cx.portal.store().job_request(job.id).await?;
        let request = request.ok_or_else(|| {
            refuse(format!("What job {} was asked to do is not known any more.", job.id), "Ask for it again.")
        })?;
        let vm = match job.vm_id {
            Some(id) => cx.portal.store().vm(id).await?,
            None => None,
        };
        match (request, vm) {
            (request @ JobRequest::New { .. }, None) => order_again(cx, &job, request).await,
            (JobRequest::New { .. }, Some(vm)) => Err(refuse(
                format!("“{}” is there already: it is {}.", vm.name, vm.state),
                format!("`vm show {}` tells more.", vm.full_name()),
            )),
            (_, None) => Err(refuse(format!("“{}” is gone.", job.target), "There is nothing left to do.")),
            (request, Some(vm)) => change_again(cx, &vm, request).await,
        }
    }
}

fn refuse(message: String, hint: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Code::JobState, message).hint(hint)
}

fn is_worth_it(job: &Job) -> Result<()> {
    let id = job.id;
    match job.state {
        JobState::Failed | JobState::Cancelled | JobState::Interrupted => Ok(()),
        JobState::Queued | JobState::Running => {
            Err(refuse(format!("Job {id} is still at work."), format!("`job watch {id}` waits for it.")))
        }
        JobState::Succeeded => Err(refuse(format!("Job {id} succeeded."), "There is nothing to do again.")),
    }
}

async fn order_again(cx: &Cx, job: &Job, request: JobRequest) -> Result<Job> {
    let JobRequest::New { name, image, plan, ram_mb, vcpus, disk_gb, tags, user_data } = request else {
        return Err(Error::internal("an order that is none"));
    };
    if job.owner_id != cx.who.user_id() {
        // It would be the asker's VM, not the owner's.
        return Err(Error::new(Code::Forbidden, "Only its owner can order that VM again.")
            .hint(format!("`vm new {name}` makes one of your own.")));
    }
    if user_data {
        return Err(refuse(
            format!("The user data of “{name}” is not kept: it may hold secrets."),
            format!("`vm new {name} --user-data -` takes it again."),
        ));
    }
    let name = name.parse().map_err(|_| Error::internal("an order without a name"))?;
    let order = VmNew {
        name,
        image,
        plan,
        ram: ram_mb,
        cpu: vcpus,
        disk: disk_gb,
        user_data: None,
        tags,
        no_wait: true,
    };
    cx.portal.perform(&cx.who, order).await
}

async fn change_again(cx: &Cx, vm: &Vm, request: JobRequest) -> Result<Job> {
    let name = vm.full_name().parse().map_err(|_| Error::internal("a VM without a name"))?;
    let (names, no_wait) = (vec![name], true);
    match request {
        JobRequest::New { .. } => Err(Error::internal("a change that is none")),
        JobRequest::Start => again(cx, vm, VmStart { names, no_wait }).await,
        JobRequest::Stop { force } => again(cx, vm, VmStop { names, force, no_wait }).await,
        JobRequest::Restart { force } => again(cx, vm, VmRestart { names, force, no_wait }).await,
        JobRequest::Pause => again(cx, vm, VmPause { names, no_wait }).await,
        JobRequest::Resume => again(cx, vm, VmResume { names, no_wait }).await,
        // It was confirmed the first time, and this is the very same VM.
        JobRequest::Destroy => again(cx, vm, VmDestroy { names, yes: true, no_wait }).await,
    }
}

async fn again<A: ChangesVms>(cx: &Cx, vm: &Vm, action: A) -> Result<Job> {
    let mut jobs = cx.portal.perform(&cx.who, Again { action, vm_id: vm.id }).await?;
    jobs.pop().ok_or_else(|| Error::internal("a change without a job"))
}

/// A change of the very VM that it was for: another may have got its name.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Again<A> {
    action: A,
    #[serde(skip)]
    vm_id: i64,
}

impl<A: ChangesVms> Action for Again<A> {
    const NAME: &'static str = A::NAME;
    const PERMISSION: Permission = A::PERMISSION;
    const CATEGORY: Category = A::CATEGORY;
    type Output = Vec<Job>;

    fn target(&self) -> Target {
        self.action.target()
    }

    async fn run(self, cx: &Cx) -> Result<Vec<Job>> {
        if cx.vm()?.id != self.vm_id {
            return Err(refuse(
                format!("“{}” is another VM now.", cx.vm()?.name),
                "There is nothing left to do.",
            ));
        }
        self.action.run(cx).await
    }
}
