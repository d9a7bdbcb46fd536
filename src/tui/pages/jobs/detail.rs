//! One job: how it is, and the steps that it went through.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::columns;
use crate::model::{Job, Time, text, time};
use crate::tui::page::Shared;
use crate::tui::theme::Theme;
use crate::tui::widgets::bar::bar;
use crate::tui::widgets::scroll::Scroll;
use crate::tui::widgets::words;

/// Columns of the labels, and of a step's time and duration.
const LABEL: u16 = 8;
const TOOK: usize = 8;
/// Columns of the bar at most.
const BAR: u16 = 40;

/// A line: its label, its value, its style.
type Line = (&'static str, String, Style);

/// Draws the job from the area's top, as far as it is scrolled. `front`: keys go to it.
pub fn draw(frame: &mut Frame<'_>, area: Rect, job: &Job, front: bool, scroll: &mut Scroll, shared: &Shared) {
    let theme = &shared.theme;
    let width = usize::from(area.width);
    let title = format!("Job {}: {} {}", job.id, job.action, shared.short_name(&job.target));
    let style = if front { theme.title } else { theme.heading };
    frame.buffer_mut().set_stringn(area.x, area.y, text::short(&title, width), width, style);
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let lines = lines(job, area.width.saturating_sub(LABEL), shared);
    let shown = scroll.shown(lines.len(), body.height);
    let buffer = frame.buffer_mut();
    for ((label, value, style), y) in lines.iter().skip(shown).zip(body.y..body.bottom()) {
        buffer.set_stringn(body.x, y, label, usize::from(LABEL), theme.muted);
        let room = usize::from(body.width.saturating_sub(LABEL));
        buffer.set_stringn(body.x + LABEL.min(body.width), y, text::short(value, room), room, *style);
    }
    if lines.len() > shown + usize::from(body.height) && body.height > 0 {
        let at = (body.right().saturating_sub(6), body.bottom() - 1);
        buffer.set_stringn(at.0, at.1, "more ↓", 6, theme.accent);
    }
}

fn lines(job: &Job, width: u16, shared: &Shared) -> Vec<Line> {
    let theme = &shared.theme;
    let zone = &shared.preferences.time_zone;
    let plain = Style::new();
    let at = |t: Time| format!("{} {}", zone.date_time(t), zone.abbreviation(t));
    let mut lines = vec![("State", columns::state(job), columns::style(job.state, theme))];
    if !job.state.is_final() {
        let step = format!("{}% {}", job.percent, columns::step(job));
        lines.push(("", bar(f64::from(job.percent) / 100.0, width.min(BAR)), theme.accent));
        lines.extend(wrapped("Step", &step, width, plain));
    }
    if let Some(error) = &job.error {
        lines.extend(wrapped("Error", &error.message, width, theme.bad));
        lines.extend(wrapped("", &error.hint, width, plain));
    }
    lines.push(("Asked", at(job.created_at), plain));
    lines.extend(job.finished_at.map(|t| ("Ended", at(t), plain)));
    lines.push(("Took", time::span(columns::took_s(job)), plain));
    if !job.steps.is_empty() {
        lines.push(("", String::new(), plain));
    }
    lines.extend(steps(job, width, shared));
    lines
}

/// The steps, each with the time it began, how long it took, and how much of the
/// whole was behind it.
fn steps(job: &Job, width: u16, shared: &Shared) -> Vec<Line> {
    let theme: &Theme = &shared.theme;
    let ends = job.steps.iter().skip(1).map(|s| Some(s.time)).chain([job.finished_at]);
    let zone = &shared.preferences.time_zone;
    let mut lines = Vec::new();
    for (i, (step, end)) in job.steps.iter().zip(ends).enumerate() {
        let at_work = end.is_none() && !job.state.is_final();
        let took = time::span(end.unwrap_or_else(Time::now).seconds_since(step.time));
        let sign = if at_work { "▸" } else { " " };
        let line = format!("{} {took:>TOOK$} {sign} {}", zone.clock(step.time), text::clean(&step.step));
        let style = if at_work { theme.accent } else { Style::new() };
        let label = if i == 0 { "Steps" } else { "" };
        // Not wrapped: each step is a line.
        lines.push((label, text::short(&line, usize::from(width)), style));
    }
    lines
}

fn wrapped(label: &'static str, value: &str, width: u16, style: Style) -> Vec<Line> {
    let parts = words::wrap(value, width).into_iter().enumerate();
    parts.map(|(i, part)| (if i == 0 { label } else { "" }, part, style)).collect()
}
