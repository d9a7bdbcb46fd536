//! `event`: what happened.

use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::error::{Code, Error, Result};
use crate::model::{Category, Event, Permission, Severity, Time, text, time};
use crate::portal::{Action, Cx, Licence, Portal};
use crate::store::EventFilter;

/// Events that are looked up where too many came at once.
const CAUGHT_UP: u32 = 256;

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

/// What happens, as it happens: yours, or everybody's if you are an admin
///
/// The last few events, then each new one, until you hang up. With `--json` each
/// is a document in a line of its own.
#[derive(Debug, Args, Serialize)]
pub struct EventTail {
    /// At least as severe as: info, low, medium, high, critical
    #[arg(long, value_parser = severity)]
    pub severity: Option<String>,
    /// Only what this account does
    #[arg(long)]
    pub actor: Option<String>,
    /// Only these actions, such as `vm.*`
    #[arg(long, value_name = "PATTERN")]
    pub action: Option<String>,
    /// Attempts too, beside their outcomes
    #[arg(long)]
    pub attempts: bool,
    /// So many of those that have happened already
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub limit: u32,
}

/// Events as they happen.
#[derive(Debug)]
pub struct EventFeed {
    portal: Portal,
    filter: EventFilter,
    licence: Licence,
    events: broadcast::Receiver<Arc<Event>>,
    /// The database has to be asked: at first, and where too much came at once.
    behind: bool,
    first: bool,
    /// What the database has told of already.
    told: i64,
    /// The newest of all that were given out.
    newest: i64,
}

/// What a feed of events has to tell.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct News {
    /// Events, oldest first.
    pub events: Vec<Event>,
    /// There were more between the last news and these, which are left out.
    pub missed: bool,
}

impl EventFeed {
    /// What is new: at first the last few events, then what happens, as soon as
    /// something does. An error means that the portal is shutting down, its
    /// database is gone, or these may not be followed any more.
    pub async fn next(&mut self) -> Result<News> {
        loop {
            self.licence.check().await?;
            if self.behind {
                let news = self.catch_up().await?;
                if std::mem::take(&mut self.first) || !news.events.is_empty() {
                    return Ok(news);
                }
            }
            let mut came = tokio::select! {
                came = self.events.recv() => came,
                renewed = self.licence.renewed() => { renewed?; continue }
            };
            let mut events = Vec::new();
            loop {
                match came {
                    Ok(event) if event.id > self.told && self.filter.admits(&event) => {
                        self.newest = self.newest.max(event.id);
                        events.push(Event::clone(&event));
                    }
                    Ok(_) => {}
                    // What is left is in the database, and is looked up there the next time.
                    Err(RecvError::Lagged(_)) => self.behind = true,
                    Err(RecvError::Closed) => {
                        return Err(Error::new(Code::BackendUnavailable, "The portal is shutting down."));
                    }
                }
                came = match self.events.try_recv() {
                    _ if self.behind => break,
                    Ok(event) => Ok(event),
                    Err(_) => break,
                };
            }
            if !events.is_empty() {
                events.sort_by_key(|e| e.id);
                return Ok(News { events, missed: false });
            }
        }
    }

    async fn catch_up(&mut self) -> Result<News> {
        let limit = if self.first { self.filter.limit } else { CAUGHT_UP };
        // What is told from here on may be in both, and is left out there.
        self.events = self.events.resubscribe();
        // Where none of them is wanted, the newest still tells what is past.
        let filter = EventFilter { limit: limit.max(1), ..self.filter.clone() };
        let mut events = self.portal.store().events(filter).await?;
        self.behind = false;
        let full = events.len() == limit as usize;
        let newest = events.first().map_or(0, |e| e.id);
        events.retain(|e| e.id > self.newest);
        let missed = !self.first && full && events.len() == limit as usize;
        events.truncate(limit as usize);
        events.reverse();
        self.newest = self.newest.max(newest);
        self.told = self.newest;
        Ok(News { events, missed })
    }
}

impl Action for EventTail {
    const NAME: &'static str = "event.tail";
    const PERMISSION: Permission = Permission::EventRead;
    const CATEGORY: Category = Category::Host;
    type Output = EventFeed;

    async fn run(self, cx: &Cx) -> Result<EventFeed> {
        let filter = EventFilter {
            actor_id: cx.only_owner(),
            actor: self.actor,
            since: None,
            severity: self.severity.as_deref().and_then(Severity::parse),
            action: self.action,
            attempts: self.attempts,
            limit: self.limit,
        };
        let events = cx.portal.events();
        Ok(EventFeed {
            portal: cx.portal.clone(),
            filter,
            licence: cx.licence::<Self>(),
            events,
            behind: true,
            first: true,
            told: 0,
            newest: 0,
        })
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
