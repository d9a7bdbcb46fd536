//! The job runner. A job belongs to it, not to the session that asked: hanging
//! up ends nothing. A job is written down before it begins, one at a time may
//! change a VM, and what it does is told step by step.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Portal;
use crate::crash;
use crate::error::{Code, Error, Result};
use crate::model::job::{JobError, JobRequest};
use crate::model::{Category, Job, JobState, Severity, Time};
use crate::store::JobDraft;

/// Jobs that work at once; others wait for their turn.
const AT_ONCE: usize = 8;
/// Between two tries at writing a job's end down: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long a stopping portal may take to mark the jobs that it leaves.
const MARKING: Duration = Duration::from_secs(1);

/// The jobs that are not over yet.
#[derive(Debug)]
pub(super) struct Jobs {
    live: Mutex<HashMap<i64, Live>>,
    permits: Arc<Semaphore>,
    tasks: TaskTracker,
    /// Grows whenever a job tells where it is.
    version: watch::Sender<u64>,
}

#[derive(Debug, Clone)]
struct Live {
    job: watch::Receiver<Job>,
    cancel: CancellationToken,
}

impl Default for Jobs {
    fn default() -> Self {
        Jobs {
            live: Mutex::default(),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            tasks: TaskTracker::new(),
            version: watch::Sender::default(),
        }
    }
}

impl Jobs {
    fn told(&self) {
        self.version.send_modify(|v| *v += 1);
    }
}

/// A job from the inside.
#[derive(Debug)]
pub(super) struct JobCx {
    pub portal: Portal,
    job: watch::Sender<Job>,
    cancel: CancellationToken,
    /// A place among the jobs at work.
    place: Mutex<Option<OwnedSemaphorePermit>>,
}

impl JobCx {
    /// Only waiting is left: another job may have the place.
    pub fn rest(&self) {
        if let Ok(mut place) = self.place.lock() {
            place.take();
        }
    }

    /// Tells what is being done now; `percent` of the whole is behind it.
    ///
    /// # Errors
    /// `cancelled` if somebody wants the job to stop: undo, and return this.
    pub async fn step(&self, percent: u8, step: &str) -> Result<()> {
        self.go_on()?;
        self.tell(percent, step).await
    }

    /// # Errors
    /// `cancelled` if somebody wants the job to stop.
    pub fn go_on(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Error::new(Code::Cancelled, "The job was cancelled."));
        }
        Ok(())
    }

    /// Like [`JobCx::step`], where stopping is not possible any more.
    pub async fn tell(&self, percent: u8, step: &str) -> Result<()> {
        self.job.send_modify(|job| job.go_on(percent, step));
        self.portal.inner.jobs.told();
        let job = self.job.borrow().clone();
        self.portal.store().job_update(job).await?;
        crash::point(step);
        Ok(())
    }

    /// Waits for `work`, unless the job is cancelled first.
    pub async fn or_cancelled<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            done = work => done,
            () = self.cancel.cancelled() => Err(Error::new(Code::Cancelled, "The job was cancelled.")),
        }
    }
}

impl Portal {
    /// Writes a job down and sets it going.
    ///
    /// # Errors
    /// `vm.busy` if another job is changing the VM, `backend.unavailable` if the
    /// portal is stopping.
    pub(super) async fn start_job<F, Fut>(&self, draft: JobDraft, body: F) -> Result<Job>
    where
        F: FnOnce(Arc<JobCx>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        self.takes_jobs()?;
        let job = self.store().job_insert(draft).await?;
        self.set_going(&job, body);
        Ok(job)
    }

    /// # Errors
    /// `backend.unavailable` if the portal is stopping.
    pub(super) fn takes_jobs(&self) -> Result<()> {
        if self.jobs_are_ending() {
            return Err(Error::new(Code::BackendUnavailable, "The portal is stopping.")
                .hint("Ask again when it is back."));
        }
        Ok(())
    }

    /// Whether the portal is stopping: what is left unfinished is the next
    /// start's to mend, for jobs may be at work on it to the last moment.
    pub(super) fn jobs_are_ending(&self) -> bool {
        self.inner.jobs.tasks.is_closed()
    }

    /// Sets a job going that is written down already.
    pub(super) fn set_going<F, Fut>(&self, job: &Job, body: F)
    where
        F: FnOnce(Arc<JobCx>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        crash::point("ordered");
        let (tx, rx) = watch::channel(job.clone());
        let cancel = CancellationToken::new();
        if let Ok(mut live) = self.inner.jobs.live.lock() {
            live.insert(job.id, Live { job: rx, cancel: cancel.clone() });
        }
        self.changed();
        let portal = self.clone();
        let id = job.id;
        self.inner.jobs.tasks.spawn(async move {
            let cx = Arc::new(JobCx { portal: portal.clone(), job: tx, cancel, place: Mutex::default() });
            portal.run_job(&cx, body).await;
            if let Ok(mut live) = portal.inner.jobs.live.lock() {
                live.remove(&id);
            }
            portal.inner.jobs.told();
        });
    }

    async fn run_job<F, Fut>(&self, cx: &Arc<JobCx>, body: F)
    where
        F: FnOnce(Arc<JobCx>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        let place = Arc::clone(&self.inner.jobs.permits).acquire_owned().await.ok();
        if let Ok(mut mine) = cx.place.lock() {
            *mine = place;
        }
        cx.job.send_modify(|job| job.state = JobState::Running);
        self.inner.jobs.told();
        // In a task of its own: one that panics ends as failed, like any other.
        let result = match tokio::spawn(body(Arc::clone(cx))).await {
            Ok(result) => result,
            // The runtime is going: the job has not ended, it is interrupted.
            Err(e) if e.is_cancelled() => return std::future::pending().await,
            Err(e) => Err(e.into()),
        };
        cx.rest();
        let mut done = cx.job.borrow().clone();
        done.finished_at = Some(Time::now());
        match result {
            Ok(()) => {
                done.state = JobState::Succeeded;
                done.percent = 100;
                done.step = String::from("done");
            }
            Err(e) => {
                done.state = if e.code == Code::Cancelled { JobState::Cancelled } else { JobState::Failed };
                done.error = Some(job_error(e));
            }
        }
        crash::point("ending");
        self.write_the_end(cx, done).await;
        crash::point("ended");
    }

    /// Until its end is written down a job keeps its VM from any other, so this
    /// is tried for as long as it takes. Those who wait for it are told meanwhile.
    async fn write_the_end(&self, cx: &JobCx, done: Job) {
        let mut pause = FIRST_PAUSE;
        while let Err(e) = self.store().job_update(done.clone()).await {
            tracing::error!(error = %e, job = done.id, "the end of a job is not written down yet");
            cx.job.send_replace(done.clone());
            self.inner.jobs.told();
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.changed();
        cx.job.send_replace(done);
    }

    /// Marks the jobs that nobody is at work on any more, and tells of them.
    pub(super) async fn mark_interrupted(&self) -> Result<()> {
        for job in self.store().jobs_interrupt(interrupted).await? {
            let (id, action, target) = (job.id, job.action, job.target);
            let hint = job.error.map(|e| e.hint).unwrap_or_default();
            let message =
                format!("Job {id} ({action} of {target}) was interrupted by a stop of the portal. {hint}");
            self.record_own(Category::Host, "job.interrupted", Severity::Medium, Some(target), message).await;
        }
        Ok(())
    }

    /// Follows a job. One that is over has its last state and no more.
    pub(crate) async fn follow_job(&self, id: i64) -> Result<watch::Receiver<Job>> {
        if let Some(live) = self.live_job(id) {
            return Ok(live.job);
        }
        let job = self.store().job(id).await?;
        let job = job.ok_or_else(|| Error::new(Code::JobNotFound, format!("No job {id}.")))?;
        Ok(watch::channel(job).1)
    }

    /// Wakes whenever a job tells where it is. [`Portal::changes`] tells of those
    /// that begin and end.
    pub(crate) fn job_changes(&self) -> watch::Receiver<u64> {
        self.inner.jobs.version.subscribe()
    }

    /// The job as it is now: what is told is ahead of what is written, but for the end.
    pub(crate) fn job_now(&self, job: Job) -> Job {
        if job.state.is_final() {
            return job;
        }
        self.live_job(job.id).map_or(job, |live| live.job.borrow().clone())
    }

    /// Asks a job to stop at its next step.
    ///
    /// # Errors
    /// `job.state` if it is over.
    pub(crate) fn cancel_job(&self, id: i64) -> Result<()> {
        match self.live_job(id) {
            Some(live) if !live.job.borrow().state.is_final() => {
                live.cancel.cancel();
                Ok(())
            }
            Some(_) | None => Err(Error::new(Code::JobState, format!("Job {id} is over already."))),
        }
    }

    fn live_job(&self, id: i64) -> Option<Live> {
        self.inner.jobs.live.lock().ok()?.get(&id).cloned()
    }

    pub(super) fn jobs_active(&self) -> u64 {
        self.inner.jobs.live.lock().map_or(0, |live| live.len() as u64)
    }

    /// Takes no more jobs, and waits for those at work so long as `patience`
    /// lasts; what is left is marked `interrupted`, and mended at the next start.
    pub async fn finish_jobs(&self, patience: Duration) {
        self.inner.jobs.tasks.close();
        if tokio::time::timeout(patience, self.inner.jobs.tasks.wait()).await.is_ok() {
            return;
        }
        tracing::warn!("jobs are left unfinished");
        match tokio::time::timeout(MARKING, self.mark_interrupted()).await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => tracing::error!(error = %e, "they are marked at the next start"),
            Err(_) => tracing::error!("they are marked at the next start: the database is too slow"),
        }
    }
}

fn job_error(e: Error) -> JobError {
    JobError { code: e.code.as_str().to_owned(), message: e.message, hint: e.hint.into_owned() }
}

/// What is said of a job that a stop of the portal interrupted.
fn interrupted(id: i64, request: Option<&JobRequest>) -> JobError {
    let e = Error::new(Code::Interrupted, "The portal stopped while the job was at work.");
    job_error(match request {
        Some(JobRequest::New { user_data: true, .. }) => {
            e.hint("`vm new` with the same user data, which is not kept, makes it again.")
        }
        Some(_) => e.hint(format!("`job retry {id}` does it again.")),
        None => e.hint("Ask for it again."),
    })
}
