//! Waiting for a job: a bar with the elapsed time on a terminal, a line for
//! each step without one. All of it on standard error; nothing with `--json`,
//! where an error has to be the only document there.

use std::time::Duration;

use tokio::time::Instant;

use super::Shell;
use crate::action::job::JobWatch;
use crate::error::{Code, Error, Result};
use crate::model::time::span;
use crate::model::{Job, JobState};
use crate::term::Input;

/// Signs of the bar.
const BAR: usize = 24;
/// What Ctrl-C sends.
const INTERRUPT: u8 = 3;

impl Shell<'_> {
    /// Shows a job to its end; its last state, or the error it failed with.
    pub(super) async fn follow(&mut self, job: Job) -> Result<Job> {
        let mut following = self.portal.perform(self.who, JobWatch { id: job.id }).await?;
        let started = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        let bar = self.stdio.terminal.is_some() && !self.json;
        let mut told = String::new();
        loop {
            let now = following.borrow_and_update().clone();
            self.show(&now, bar, started.elapsed(), &mut told).await;
            if now.state.is_final() {
                return self.conclude(now, bar).await;
            }
            let writer = self.stdio.writer.clone();
            tokio::select! {
                changed = following.changed() => if changed.is_err() {
                    let last = following.borrow().clone();
                    return self.conclude(last, bar).await;
                },
                _ = tick.tick(), if bar => {}
                () = writer.closed() => return Err(leave(&now)),
                // What is not a command still to come is let go: unread input
                // would hold up every other channel of the connection.
                input = self.stdio.input.recv(), if bar || !self.input_is_commands => match input {
                    Some(Input::Data(bytes)) if bar && bytes.contains(&INTERRUPT) => {
                        self.remark("").await;
                        return Err(leave(&now));
                    }
                    Some(_) => {}
                    None => return Err(leave(&now)),
                },
            }
        }
    }

    async fn show(&mut self, job: &Job, bar: bool, elapsed: Duration, told: &mut String) {
        let elapsed = span(elapsed.as_secs());
        if bar {
            let full = BAR * usize::from(job.percent.min(100)) / 100;
            let text = format!(
                "\r{}{} {:3}%  {}  {elapsed}\x1b[K",
                "█".repeat(full),
                "░".repeat(BAR - full),
                job.percent,
                job.step
            );
            let _ = self.stdio.writer.err(text).await;
        } else if !self.json && !job.step.is_empty() && *told != job.step && job.state == JobState::Running {
            told.clone_from(&job.step);
            self.remark(&format!("{}: {} ({}%, {elapsed})", job.target, job.step, job.percent)).await;
        }
    }

    async fn conclude(&mut self, job: Job, bar: bool) -> Result<Job> {
        if bar {
            let _ = self.stdio.writer.err("\r\x1b[K").await;
        }
        match (&job.state, &job.error) {
            (JobState::Succeeded, _) => Ok(job),
            (_, Some(e)) => Err(e.to_error()),
            (_, None) => Err(Error::new(Code::Cancelled, format!("Job {} was {}.", job.id, job.state))),
        }
    }
}

fn leave(job: &Job) -> Error {
    Error::new(Code::Cancelled, format!("Job {} goes on without you.", job.id))
        .hint(format!("`job watch {}` follows it.", job.id))
}
