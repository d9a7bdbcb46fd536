//! `event`: what happened.

use clap::Args;
use serde::Serialize;

use crate::error::{Code, Error, Result};
use crate::model::{Category, Event, Permission, Severity, Time, text, time};
use crate::portal::{Action, Cx};
use crate::store::EventFilter;

fn span(s: &str) -> Result<u64, String> {
    time::parse_span(s).ok_or_else(|| String::from("a span is written like 90s, 15m, 1h or 7d"))
}

fn severity(s: &str) -> Result<String, String> {
    let words: Vec<_> = Severity::ALL.iter().map(|s| s.as_str()).collect();
    Severity::parse(s)
        .map(|v| v.to_string())
        .ok_or_else(|| format!("a severity is one of {}", words.join(", ")))
}

/// What happened, the latest first: yours, or everybody's if you are an admin
#[derive(Debug, Args, Serialize)]
pub struct EventLs {
    /// Only the last of: 90s, 15m, 1h, 7d
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub since: Option<u64>,
    /// At least as severe as: info, low, medium, high, critical
    #[arg(long, value_parser = severity)]
    pub severity: Option<String>,
    /// Only what this account did
    #[arg(long)]
    pub actor: Option<String>,
    /// Only these actions, such as `vm.*`
    #[arg(long, value_name = "PATTERN")]
    pub action: Option<String>,
    /// Attempts too, beside their outcomes
    #[arg(long)]
    pub attempts: bool,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
}

impl Action for EventLs {
    const NAME: &'static str = "event.ls";
    const PERMISSION: Permission = Permission::EventRead;
    const CATEGORY: Category = Category::Host;
    type Output = Vec<Event>;

    async fn run(self, cx: &Cx) -> Result<Vec<Event>> {
        let filter = EventFilter {
            actor_id: cx.only_owner(),
            actor: self.actor,
            since: self.since.map(|s| Time::now().minus_seconds(s)),
            severity: self.severity.as_deref().and_then(Severity::parse),
            action: self.action,
            attempts: self.attempts,
            limit: self.limit,
        };
        cx.portal.store().events(filter).await
    }
}

/// One event, with its particulars
#[derive(Debug, Args, Serialize)]
pub struct EventShow {
    /// Its number
    pub id: i64,
}

impl Action for EventShow {
    const NAME: &'static str = "event.show";
    const PERMISSION: Permission = Permission::EventRead;
    const CATEGORY: Category = Category::Host;
    type Output = Event;

    async fn run(self, cx: &Cx) -> Result<Event> {
        let found = cx.portal.store().event(self.id, cx.only_owner()).await?;
        found.ok_or_else(|| {
            Error::new(Code::EventNotFound, format!("No event {}.", text::short(&self.id.to_string(), 20)))
        })
    }
}
