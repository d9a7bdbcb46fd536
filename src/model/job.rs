//! Long work that outlives the session that asked for it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error};
use crate::model::Time;

/// Steps of one job that are kept.
const MOST_STEPS: usize = 32;

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for its turn.
    Queued,
    /// At work.
    Running,
    /// Done.
    Succeeded,
    /// It could not be done; `error` says why.
    Failed,
    /// Somebody stopped it; what it had made is undone.
    Cancelled,
    /// The portal stopped while it was at work.
    Interrupted,
}

impl JobState {
    /// Every state.
    pub const ALL: [JobState; 6] = [
        JobState::Queued,
        JobState::Running,
        JobState::Succeeded,
        JobState::Failed,
        JobState::Cancelled,
        JobState::Interrupted,
    ];

    /// The state's word, as in `--json`.
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Queued => "queued",
            JobState::Running => "running",
            JobState::Succeeded => "succeeded",
            JobState::Failed => "failed",
            JobState::Cancelled => "cancelled",
            JobState::Interrupted => "interrupted",
        }
    }

    /// The state of that word.
    pub fn parse(s: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|v| v.as_str() == s)
    }

    /// A sign that tells the state without colour.
    pub fn sign(self) -> &'static str {
        match self {
            JobState::Queued => "…",
            JobState::Running => "▸",
            JobState::Succeeded => "✓",
            JobState::Failed => "!",
            JobState::Cancelled => "×",
            JobState::Interrupted => "‖",
        }
    }

    /// Somebody may want it done again: it ended without being done.
    pub fn is_undone(self) -> bool {
        self.is_final() && self != JobState::Succeeded
    }

    /// True when nothing more will happen.
    pub fn is_final(self) -> bool {
        match self {
            JobState::Queued | JobState::Running => false,
            JobState::Succeeded | JobState::Failed | JobState::Cancelled | JobState::Interrupted => true,
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A job; its serialised form is part of the contract.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Job {
    /// Number, unique in this portal.
    pub id: i64,
    /// The action that it carries out, such as `vm.new`.
    pub action: String,
    /// What it works on: a VM's full name.
    pub target: String,
    /// How far it is.
    pub state: JobState,
    /// What it is doing now, in a few words.
    pub step: String,
    /// 0 to 100.
    pub percent: u8,
    /// Why it failed.
    pub error: Option<JobError>,
    /// When it was asked for.
    pub created_at: Time,
    /// When it ended.
    pub finished_at: Option<Time>,
    /// What it went through, oldest first; of very many the latest.
    pub steps: Vec<JobStep>,
    /// Whose job it is: the account's number.
    #[serde(skip)]
    pub owner_id: i64,
    /// The VM that it changes.
    #[serde(skip)]
    pub vm_id: Option<i64>,
}

/// A step that a job went through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobStep {
    /// When it began.
    pub time: Time,
    /// What was done, in a few words.
    pub step: String,
    /// How much of the whole was behind it then, 0 to 100.
    pub percent: u8,
}

impl Job {
    /// Goes on to that step, if it is not at it already.
    pub fn go_on(&mut self, percent: u8, step: &str) {
        self.percent = percent;
        step.clone_into(&mut self.step);
        if self.steps.last().is_some_and(|last| last.step == step) {
            return;
        }
        if self.steps.len() >= MOST_STEPS {
            self.steps.remove(0);
        }
        self.steps.push(JobStep { time: Time::now(), step: step.to_owned(), percent });
    }
}

/// What a job was asked to do, kept so that it can be asked for again. What may
/// be secret is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum JobRequest {
    /// A VM, in the words of its order.
    New {
        name: String,
        image: Option<String>,
        plan: Option<String>,
        ram_mb: Option<u32>,
        vcpus: Option<u32>,
        disk_gb: Option<u32>,
        tags: Vec<String>,
        /// There was some. It may hold secrets, and is kept with the VM alone.
        user_data: bool,
    },
    Start,
    Stop {
        force: bool,
    },
    Restart {
        force: bool,
    },
    Pause,
    Resume,
    Destroy,
}

/// Why a job failed, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// Stable code.
    pub code: String,
    /// One plain sentence.
    pub message: String,
    /// What to do next.
    pub hint: String,
}

impl JobError {
    /// The error that the job failed with.
    pub fn to_error(&self) -> Error {
        Error::new(Code::parse(&self.code).unwrap_or(Code::Internal), self.message.clone())
            .hint(self.hint.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_few_and_each_stands_once() {
        let mut job = Job {
            id: 1,
            action: String::from("vm.new"),
            target: String::from("web.alice"),
            state: JobState::Running,
            step: String::new(),
            percent: 0,
            error: None,
            created_at: Time::now(),
            finished_at: None,
            steps: Vec::new(),
            owner_id: 1,
            vm_id: None,
        };
        for i in 0..100 {
            job.go_on(i, &format!("step {}", i / 2));
        }
        assert_eq!((job.percent, job.step.as_str(), job.steps.len()), (99, "step 49", MOST_STEPS));
        assert_eq!(job.steps.last().map(|s| (s.percent, s.step.as_str())), Some((98, "step 49")));
        assert_eq!(job.steps.first().map(|s| s.step.as_str()), Some("step 18"));
    }
}
