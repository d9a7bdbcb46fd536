//! Jobs.

use rusqlite::{OptionalExtension, Row};

use super::groups::SHARED_WITH_1;
use super::{Store, is_duplicate, unknown_word};
use crate::error::{Code, Error, Result};
use crate::model::job::{JobError, JobRequest, JobStep};
use crate::model::{Job, JobState, Reach, Time};

const JOB: &str =
    "id, action, target, state, step, percent, error, created_at, finished_at, owner_id, vm_id, steps";
/// Ended jobs that are kept, newest first.
const KEPT: u32 = 10_000;

/// A job to be written down before it begins.
#[derive(Debug, Clone)]
pub struct JobDraft {
    /// The action that it carries out.
    pub action: &'static str,
    /// What it works on.
    pub target: String,
    /// Whose job it is.
    pub owner_id: i64,
    /// The VM that it changes.
    pub vm_id: Option<i64>,
    /// What was asked for.
    pub request: JobRequest,
}

/// Steps as they are kept: milliseconds, percent, words.
type KeptStep = (i64, u8, String);

fn keep_steps(steps: Vec<JobStep>) -> Option<String> {
    let kept: Vec<KeptStep> = steps.into_iter().map(|s| (s.time.millis(), s.percent, s.step)).collect();
    serde_json::to_string(&kept).ok()
}

fn kept_steps(text: &str) -> Vec<JobStep> {
    let kept: Vec<KeptStep> = serde_json::from_str(text).unwrap_or_default();
    kept.into_iter()
        .map(|(ms, percent, step)| JobStep { time: Time::from_millis(ms), step, percent })
        .collect()
}

fn job(r: &Row<'_>) -> rusqlite::Result<Job> {
    let state: String = r.get(3)?;
    let error: Option<String> = r.get(6)?;
    Ok(Job {
        id: r.get(0)?,
        action: r.get(1)?,
        target: r.get(2)?,
        state: JobState::parse(&state).ok_or_else(|| unknown_word(3, &state))?,
        step: r.get(4)?,
        percent: r.get(5)?,
        error: error.and_then(|e| serde_json::from_str::<JobError>(&e).ok()),
        created_at: Time::from_millis(r.get(7)?),
        finished_at: r.get::<_, Option<i64>>(8)?.map(Time::from_millis),
        owner_id: r.get(9)?,
        vm_id: r.get(10)?,
        steps: kept_steps(&r.get::<_, String>(11)?),
    })
}

/// Writes a job down within a transaction that has more to do.
pub(super) fn insert(t: &rusqlite::Transaction<'_>, draft: &JobDraft) -> Result<Job> {
    let sql = format!(
        "INSERT INTO jobs (action, target, owner_id, vm_id, state, created_at, request)
         VALUES (?1, ?2, ?3, ?4, 'queued', ?5, ?6) RETURNING {JOB}"
    );
    let request = serde_json::to_string(&draft.request).ok();
    let values = (draft.action, &draft.target, draft.owner_id, draft.vm_id, Time::now().millis(), request);
    let made = t.query_row(&sql, values, job).map_err(|e| {
        if is_duplicate(&e) {
            Error::new(Code::VmBusy, format!("“{}” is being changed by another job.", draft.target))
        } else {
            e.into()
        }
    })?;
    t.execute("DELETE FROM jobs WHERE id <= ?1 AND finished_at IS NOT NULL", [made.id - i64::from(KEPT)])?;
    Ok(made)
}

impl Store {
    /// Writes a job down, `queued`.
    ///
    /// # Errors
    /// `vm.busy` if another job is changing the VM.
    pub async fn job_insert(&self, draft: JobDraft) -> Result<Job> {
        self.write(move |t| insert(t, &draft)).await
    }

    /// Writes down where a job is. One that is over stays as it ended.
    pub async fn job_update(&self, job: Job) -> Result<()> {
        self.write(move |t| {
            let error = job.error.and_then(|e| serde_json::to_string(&e).ok());
            let sql = "UPDATE jobs SET state = ?2, step = ?3, percent = ?4, error = ?5, finished_at = ?6,
                    steps = coalesce(?7, steps)
                WHERE id = ?1 AND state IN ('queued', 'running')";
            let finished = job.finished_at.map(Time::millis);
            let steps = keep_steps(job.steps);
            t.execute(sql, (job.id, job.state.as_str(), job.step, job.percent, error, finished, steps))?;
            Ok(())
        })
        .await
    }

    /// The job of that number.
    pub async fn job(&self, id: i64) -> Result<Option<Job>> {
        self.read(move |c| {
            let sql = format!("SELECT {JOB} FROM jobs WHERE id = ?1");
            Ok(c.prepare_cached(&sql)?.query_row([id], job).optional()?)
        })
        .await
    }

    /// The latest jobs of one account, or of all, newest first.
    pub async fn jobs(&self, reach: Reach, limit: u32) -> Result<Vec<Job>> {
        self.read(move |c| {
            let sql = format!(
                "SELECT {JOB} FROM jobs WHERE ?1 IS NULL OR owner_id = ?1 OR (?2 AND vm_id IN ({SHARED_WITH_1}))
                 ORDER BY id DESC LIMIT ?3"
            );
            let (owner_id, shared) = reach.values();
            Ok(c.prepare_cached(&sql)?.query_map((owner_id, shared, limit), job)?.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// What the job was asked to do; none if that was not kept.
    pub async fn job_request(&self, id: i64) -> Result<Option<JobRequest>> {
        self.read(move |c| {
            let text: Option<Option<String>> =
                c.query_row("SELECT request FROM jobs WHERE id = ?1", [id], |r| r.get(0)).optional()?;
            Ok(text.flatten().and_then(|t| serde_json::from_str(&t).ok()))
        })
        .await
    }

    /// Marks every unfinished job `interrupted`, for the reason that `why` gives
    /// of its number and its request, and returns those: nobody works on them any more.
    pub async fn jobs_interrupt(&self, why: fn(i64, Option<&JobRequest>) -> JobError) -> Result<Vec<Job>> {
        self.write(move |t| {
            let mut unfinished = t.prepare("SELECT id, request FROM jobs WHERE state IN ('queued', 'running')")?;
            let rows = unfinished
                .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?
                .collect::<rusqlite::Result<Vec<(i64, Option<String>)>>>()?;
            let sql = format!(
                "UPDATE jobs SET state = 'interrupted', finished_at = ?2, error = ?3 WHERE id = ?1 RETURNING {JOB}"
            );
            let mut interrupted = Vec::with_capacity(rows.len());
            for (id, request) in rows {
                let request = request.and_then(|r| serde_json::from_str(&r).ok());
                let error = serde_json::to_string(&why(id, request.as_ref())).ok();
                interrupted.push(t.query_row(&sql, (id, Time::now().millis(), error), job)?);
            }
            Ok(interrupted)
        })
        .await
    }
}
