//! The columns of the events' table, and one event with all its particulars.

use std::cmp::Ordering;
use std::sync::Arc;

use ratatui::style::Style;
use serde_json::Value;

use crate::model::{Event, Outcome, Severity, text};
use crate::tui::page::Shared;
use crate::tui::theme::Theme;
use crate::tui::widgets::sheet::Line;
use crate::tui::widgets::table::{Column, Item, Width, plain};

type R = Arc<Event>;

impl Item for R {
    fn key(&self) -> String {
        self.id.to_string()
    }

    fn words(&self, shared: &Shared) -> String {
        let optional = |t: &Option<String>| t.clone().unwrap_or_default();
        [
            shared.preferences.time_zone.date_time(self.time),
            self.severity.to_string(),
            self.outcome.to_string(),
            self.actor.clone(),
            self.action.clone(),
            optional(&self.target),
            optional(&self.source_ip),
            self.message.clone(),
        ]
        .join(" ")
    }
}

fn by<T: Ord>(a: &T, b: &T, of: (&R, &R)) -> Ordering {
    a.cmp(b).then(of.0.id.cmp(&of.1.id))
}

fn or_dash(text: Option<&str>) -> String {
    text.map_or_else(|| String::from("–"), text::clean)
}

/// The columns. The time and what was done are always there.
#[rustfmt::skip]
pub static COLUMNS: &[Column<R>] = &[
    Column { title: "TIME", rank: 0, width: Width::Words(14, 14), cell: |e, s| s.preferences.time_zone.short(e.time), style: |_, s| s.theme.muted, order: |a, b| a.id.cmp(&b.id) },
    Column { title: "SEVERITY", rank: 2, width: Width::Words(8, 8), cell: |e, _| e.severity.to_string(), style: |e, s| severity(e.severity, &s.theme), order: |a, b| by(&a.severity, &b.severity, (a, b)) },
    Column { title: "OUTCOME", rank: 4, width: Width::Words(7, 7), cell: |e, _| e.outcome.to_string(), style: |e, s| outcome(e.outcome, &s.theme), order: |a, b| by(&a.outcome, &b.outcome, (a, b)) },
    Column { title: "ACTOR", rank: 3, width: Width::Words(8, 10), cell: |e, _| text::clean(&e.actor), style: plain, order: |a, b| by(&a.actor, &b.actor, (a, b)) },
    Column { title: "ACTION", rank: 1, width: Width::Words(15, 16), cell: |e, _| text::clean(&e.action), style: |_, s| s.theme.accent, order: |a, b| by(&a.action, &b.action, (a, b)) },
    Column { title: "TARGET", rank: 5, width: Width::Words(10, 16), cell: |e, _| or_dash(e.target.as_deref()), style: plain, order: |a, b| by(&a.target, &b.target, (a, b)) },
    Column { title: "FROM", rank: 6, width: Width::Words(15, 15), cell: |e, _| or_dash(e.source_ip.as_deref()), style: plain, order: |a, b| by(&a.source_ip, &b.source_ip, (a, b)) },
    Column { title: "MESSAGE", rank: 7, width: Width::Words(20, 30), cell: |e, _| text::clean(&e.message), style: plain, order: |a, b| by(&a.message, &b.message, (a, b)) },
];

/// How much it matters, beside its word.
pub fn severity(severity: Severity, theme: &Theme) -> Style {
    match severity {
        Severity::Info => theme.muted,
        Severity::Low => Style::new(),
        Severity::Medium => theme.warn,
        Severity::High | Severity::Critical => theme.bad,
    }
}

fn outcome(outcome: Outcome, theme: &Theme) -> Style {
    match outcome {
        Outcome::Success => theme.good,
        Outcome::Failure => theme.warn,
        Outcome::Unknown => theme.muted,
    }
}

/// Everything that is known of an event.
pub fn particulars(e: &Event, shared: &Shared) -> Vec<Line> {
    let (theme, zone) = (&shared.theme, &shared.preferences.time_zone);
    let plain = Style::new();
    let line = |name: &str, value: &str, style| (String::from(name), value.to_owned(), style);
    let time = format!("{} {}", zone.date_time(e.time), zone.abbreviation(e.time));
    let mut lines = vec![
        line("Message", &e.message, theme.heading),
        line("Time", &time, plain),
        line("Severity", e.severity.as_str(), severity(e.severity, theme)),
        line("Outcome", e.outcome.as_str(), outcome(e.outcome, theme)),
        line("Action", &e.action, theme.accent),
        line("Category", e.category.as_str(), plain),
        line("Actor", &e.actor, plain),
    ];
    let more = [("Target", &e.target), ("From", &e.source_ip), ("Session", &e.session)];
    lines.extend(more.into_iter().filter_map(|(name, value)| Some(line(name, value.as_ref()?, plain))));
    lines.extend(details(&e.details).into_iter().map(|(name, value)| (name, value, plain)));
    lines
}

/// The details, a line for each of their names.
fn details(details: &Value) -> Vec<(String, String)> {
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::from("–"),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    match details {
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), shown(value))).collect(),
        Value::Null => Vec::new(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            vec![(String::from("Details"), shown(details))]
        }
    }
}
