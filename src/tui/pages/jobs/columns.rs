//! The columns of the jobs' table.

use std::cmp::Ordering;
use std::sync::Arc;

use ratatui::style::Style;

use crate::model::{Job, JobState, Time, text, time};
use crate::tui::page::Shared;
use crate::tui::theme::Theme;
use crate::tui::widgets::bar::bar;
use crate::tui::widgets::table::{Column, Item, Width, plain};

/// Columns of a job's bar.
const BAR: u16 = 10;
/// What lies longer ago than this is told by its day.
const A_DAY_S: u64 = 24 * 3600;

/// A row.
type R = Arc<Job>;

impl Item for R {
    fn key(&self) -> String {
        self.id.to_string()
    }

    fn words(&self, shared: &Shared) -> String {
        let why = self.error.as_ref().map_or("", |e| e.message.as_str());
        let target = shared.short_name(&self.target);
        format!("{} {target} {} {} {} {why}", self.action, self.state, self.step, self.id)
    }
}

fn by_target(a: &R, b: &R) -> Ordering {
    a.target.cmp(&b.target)
}

/// The latest first: whoever sorts by time looks for it.
fn latest(a: &R, b: &R) -> Ordering {
    b.created_at.cmp(&a.created_at).then(b.id.cmp(&a.id))
}

/// The columns. State and target are always there.
#[rustfmt::skip]
pub static COLUMNS: &[Column<R>] = &[
    Column { title: "STATE", rank: 0, width: Width::Words(9, 13), cell: |j, _| state(j), style: |j, s| style(j.state, &s.theme), order: |a, b| a.state.as_str().cmp(b.state.as_str()) },
    Column { title: "ACTION", rank: 2, width: Width::Words(10, 10), cell: |j, _| text::clean(&j.action), style: plain, order: |a, b| a.action.cmp(&b.action) },
    Column { title: "TARGET", rank: 1, width: Width::Words(12, 16), cell: |j, s| s.short_name(&j.target).to_owned(), style: plain, order: by_target },
    Column { title: "", rank: 4, width: Width::Words(BAR, BAR), cell: |j, _| progress(j), style: |_, s| s.theme.accent, order: |a, b| b.percent.cmp(&a.percent) },
    Column { title: "DONE", rank: 3, width: Width::Figures(4), cell: |j, _| format!("{}%", j.percent), style: plain, order: |a, b| b.percent.cmp(&a.percent) },
    Column { title: "TOOK", rank: 6, width: Width::Figures(6), cell: |j, _| time::span(took_s(j)), style: plain, order: |a, b| took_s(b).cmp(&took_s(a)) },
    Column { title: "WHEN", rank: 7, width: Width::Words(10, 10), cell: |j, s| when(j, s), style: |_, s| s.theme.muted, order: latest },
    Column { title: "STEP", rank: 5, width: Width::Words(20, 40), cell: |j, _| step(j), style: |j, s| if j.error.is_some() { s.theme.bad } else { Style::new() }, order: |a, b| a.step.cmp(&b.step) },
    Column { title: "ID", rank: 8, width: Width::Figures(4), cell: |j, _| j.id.to_string(), style: |_, s| s.theme.muted, order: |a, b| b.id.cmp(&a.id) },
];

/// A job's state in a word with its sign.
pub fn state(job: &Job) -> String {
    format!("{} {}", job.state.sign(), job.state)
}

/// The style of a state.
pub fn style(state: JobState, theme: &Theme) -> Style {
    match state {
        JobState::Queued | JobState::Running => theme.accent,
        JobState::Succeeded => theme.good,
        JobState::Failed => theme.bad,
        JobState::Interrupted => theme.warn,
        JobState::Cancelled => theme.muted,
    }
}

/// A bar, while it is at work.
fn progress(job: &Job) -> String {
    if job.state.is_final() { String::new() } else { bar(f64::from(job.percent) / 100.0, BAR) }
}

/// Seconds that it took, or takes so far.
pub fn took_s(job: &Job) -> u64 {
    job.finished_at.unwrap_or_else(Time::now).seconds_since(job.created_at)
}

/// When it was asked for: the time of day, or the day.
pub fn when(job: &Job, shared: &Shared) -> String {
    let zone = &shared.preferences.time_zone;
    match Time::now().seconds_since(job.created_at) {
        0..A_DAY_S => zone.clock(job.created_at),
        A_DAY_S.. => zone.date(job.created_at),
    }
}

/// What it is doing, or why it failed.
pub fn step(job: &Job) -> String {
    match (&job.error, job.state) {
        (Some(error), _) => text::clean(&error.message),
        (None, JobState::Queued) => String::from("waiting for its turn"),
        (None, JobState::Running) => text::clean(&job.step),
        (None, JobState::Succeeded | JobState::Failed | JobState::Cancelled | JobState::Interrupted) => {
            String::new()
        }
    }
}
