//! The audit trail.

use rusqlite::{OptionalExtension, Row};

use super::{Store, unknown_word};
use crate::error::Result;
use crate::model::{Category, Event, EventDraft, Outcome, Severity, Time};

const EVENT: &str =
    "id, time, category, action, outcome, severity, actor, source_ip, target, session, message, details,
     actor_id";

/// Which events to show.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Only what this account did.
    pub actor_id: Option<i64>,
    /// Only what an actor of this name did.
    pub actor: Option<String>,
    /// From this moment on.
    pub since: Option<Time>,
    /// At least this severe.
    pub severity: Option<Severity>,
    /// Only actions of this name; `*` stands for anything (`vm.*`).
    pub action: Option<String>,
    /// Attempts too that have an outcome of their own.
    pub attempts: bool,
    /// At most so many, newest first.
    pub limit: u32,
}

impl EventFilter {
    /// Whether an event that has just happened is one of those: the same as the
    /// database would say, but for attempts, whose outcomes are still to come.
    pub fn admits(&self, event: &Event) -> bool {
        self.actor_id.is_none_or(|id| event.actor_id == Some(id))
            && self.actor.as_ref().is_none_or(|actor| event.actor == *actor)
            && self.since.is_none_or(|since| event.time >= since)
            && self.severity.is_none_or(|least| event.severity >= least)
            && self.action.as_ref().is_none_or(|pattern| like(pattern, &event.action))
            && (self.attempts || event.outcome != Outcome::Unknown)
    }
}

/// Whether a text is of that pattern, where `*` stands for anything.
fn like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

fn word<T>(column: usize, word: &str, parse: fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    parse(word).ok_or_else(|| unknown_word(column, word))
}

fn event(r: &Row<'_>) -> rusqlite::Result<Event> {
    let (category, outcome, severity): (String, String, String) = (r.get(2)?, r.get(4)?, r.get(5)?);
    let details: String = r.get(11)?;
    Ok(Event {
        id: r.get(0)?,
        time: Time::from_millis(r.get(1)?),
        category: word(2, &category, Category::parse)?,
        action: r.get(3)?,
        outcome: word(4, &outcome, Outcome::parse)?,
        severity: word(5, &severity, Severity::parse)?,
        actor: r.get(6)?,
        source_ip: r.get(7)?,
        target: r.get(8)?,
        session: r.get(9)?,
        message: r.get(10)?,
        details: serde_json::from_str(&details).unwrap_or_default(),
        actor_id: r.get(12)?,
    })
}

/// The severities from `least` up, as an SQL list: our own words only.
fn at_least(least: Severity) -> String {
    let words: Vec<_> = Severity::ALL.iter().filter(|s| **s >= least).map(|s| format!("'{s}'")).collect();
    words.join(", ")
}

/// Our `*` pattern as SQLite's GLOB, with GLOB's other signs taken literally.
fn glob(pattern: &str) -> String {
    pattern.chars().map(|c| if matches!(c, '[' | '?') { format!("[{c}]") } else { c.to_string() }).collect()
}

/// Writes an event down within a transaction that has more to do.
pub(super) fn insert(t: &rusqlite::Transaction<'_>, d: &EventDraft, attempt: Option<i64>) -> Result<Event> {
    let sql = format!(
        "INSERT INTO events (time, category, action, outcome, severity, actor, actor_id, source_ip, target,
            session, message, details, attempt_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) RETURNING {EVENT}"
    );
    let values = rusqlite::params![
        Time::now().millis(),
        d.category.as_str(),
        d.action,
        d.outcome.as_str(),
        d.severity.as_str(),
        d.actor,
        d.actor_id,
        d.source_ip,
        d.target,
        d.session,
        d.message,
        d.details.to_string(),
        attempt,
    ];
    Ok(t.prepare_cached(&sql)?.query_row(values, event)?)
}

impl Store {
    /// Writes an event down; `attempt` is the one that it is the outcome of.
    pub async fn event_insert(&self, draft: EventDraft, attempt: Option<i64>) -> Result<Event> {
        self.write(move |t| insert(t, &draft, attempt)).await
    }

    /// The event of that number; with `actor_id`, only if that account did it.
    pub async fn event(&self, id: i64, actor_id: Option<i64>) -> Result<Option<Event>> {
        self.read(move |c| {
            let sql = format!("SELECT {EVENT} FROM events WHERE id = ?1 AND (?2 IS NULL OR actor_id = ?2)");
            Ok(c.prepare_cached(&sql)?.query_row((id, actor_id), event).optional()?)
        })
        .await
    }

    /// Events, newest first.
    pub async fn events(&self, f: EventFilter) -> Result<Vec<Event>> {
        self.read(move |c| {
            let sql = format!(
                "SELECT {EVENT} FROM events e
                 WHERE (?1 IS NULL OR actor_id = ?1) AND (?2 IS NULL OR actor = ?2) AND (?3 IS NULL OR time >= ?3)
                   AND (?4 IS NULL OR action GLOB ?4) AND severity IN ({})
                   AND (?5 OR outcome <> 'unknown'
                        OR NOT EXISTS (SELECT 1 FROM events o WHERE o.attempt_id = e.id))
                 ORDER BY id DESC LIMIT ?6",
                at_least(f.severity.unwrap_or(Severity::Info))
            );
            let values = (
                f.actor_id, f.actor, f.since.map(Time::millis), f.action.as_deref().map(glob), f.attempts, f.limit,
            );
            Ok(c.prepare_cached(&sql)?.query_map(values, event)?.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Keeps the newest `keep` events; returns how many went.
    pub async fn events_prune(&self, keep: u32) -> Result<usize> {
        self.write(move |t| {
            let sql = "DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?1";
            Ok(t.execute(sql, [keep])?)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each filter, told of all events as they happen, has let through what the
    /// database finds afterwards.
    #[tokio::test]
    async fn what_happens_is_filtered_as_what_has_happened() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("twarga.db")).unwrap();
        let mut events = Vec::new();
        for (i, action) in ["vm.new", "vm.newer", "vmxnew", "key.add", "job[1]", "a.b.c.b", "été"]
            .into_iter()
            .cycle()
            .take(70)
            .enumerate()
        {
            let severity = Severity::ALL[i % Severity::ALL.len()];
            let actor = ["alice", "bob", "system"][i % 3];
            let draft = EventDraft {
                category: Category::Host,
                action,
                outcome: if i % 2 == 0 { Outcome::Success } else { Outcome::Failure },
                severity,
                actor: String::from(actor),
                actor_id: (i % 3 < 2).then_some(i64::try_from(i % 3).unwrap()),
                source_ip: None,
                target: None,
                session: None,
                message: String::new(),
                details: serde_json::json!({}),
            };
            events.push(store.event_insert(draft, None).await.unwrap());
        }
        let mut filters = vec![EventFilter::default()];
        for pattern in
            ["*", "vm.*", "*.new", "v*n*w", "vm?new", "job[1]", "a*b*b", "a*b.c.b*b", "", "été", "é*é*é"]
        {
            filters.push(EventFilter { action: Some(String::from(pattern)), ..EventFilter::default() });
        }
        filters.extend(
            Severity::ALL.iter().map(|s| EventFilter { severity: Some(*s), ..EventFilter::default() }),
        );
        filters.push(EventFilter { actor_id: Some(1), ..EventFilter::default() });
        filters.push(EventFilter { actor: Some(String::from("system")), ..EventFilter::default() });
        filters.push(EventFilter { since: Some(events[35].time), ..EventFilter::default() });
        let mut found_some = 0;
        for filter in filters {
            let told: Vec<_> = events.iter().filter(|e| filter.admits(e)).map(|e| e.id).collect();
            let mut found = store.events(EventFilter { limit: 1000, ..filter.clone() }).await.unwrap();
            found.reverse();
            assert_eq!(told, found.iter().map(|e| e.id).collect::<Vec<_>>(), "{filter:?}");
            found_some += usize::from(!told.is_empty() && told.len() < events.len());
        }
        assert!(found_some > 10, "only {found_some} filters tell events apart");
    }
}
