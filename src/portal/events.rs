//! Events: written down first, then told to whoever follows.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use serde_json::json;

use super::{Portal, Principal, Session};
use crate::error::Result;
use crate::model::text;
use crate::model::{Category, Event, EventDraft, Outcome, Severity, Time};

/// Rows a minute that strangers can cause; what is beyond is counted and
/// written as one row, so that no attack fills the disk.
const STRANGERS_PER_MINUTE: u64 = 120;

/// Details of one event, bytes: nobody fills the disk by long commands.
const LONGEST_DETAILS: usize = 4096;

/// Columns of an event's target and of its message.
const LONGEST_WORDS: usize = 300;

/// How many rows strangers have caused in this minute.
#[derive(Debug, Default)]
pub(super) struct StrangerBudget {
    minute: AtomicI64,
    used: AtomicU64,
    dropped: AtomicU64,
}

impl StrangerBudget {
    /// Whether one more row may be written, and how many were dropped before it
    /// that nobody has told of yet.
    fn take(&self, now: Time) -> (bool, u64) {
        let minute = now.millis() / 60_000;
        if self.minute.swap(minute, Ordering::Relaxed) != minute {
            self.used.store(0, Ordering::Relaxed);
        }
        if self.used.fetch_add(1, Ordering::Relaxed) < STRANGERS_PER_MINUTE {
            (true, self.dropped.swap(0, Ordering::Relaxed))
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            (false, 0)
        }
    }
}

impl Portal {
    /// Writes an event down and tells those who follow.
    pub(super) async fn record(&self, draft: EventDraft, attempt: Option<i64>) -> Result<Arc<Event>> {
        let event = self.store().event_insert(shortened(draft), attempt).await?;
        let event = Arc::new(event);
        self.tell(&event);
        Ok(event)
    }

    /// Writes a login down, and what the account remembers of it: both or neither.
    pub(super) async fn record_login(
        &self,
        draft: EventDraft,
        user_id: i64,
        key_id: Option<i64>,
    ) -> Result<()> {
        let event = self.store().login_insert(shortened(draft), user_id, key_id).await?;
        self.tell(&Arc::new(event));
        Ok(())
    }

    pub(super) fn tell(&self, event: &Arc<Event>) {
        // No receiver is no error.
        let _ = self.inner.events.send(Arc::clone(event));
    }

    /// Writes down something that nobody asked for by an action.
    pub(super) async fn record_own(
        &self,
        category: Category,
        action: &'static str,
        severity: Severity,
        target: Option<String>,
        message: String,
    ) {
        let draft = EventDraft {
            category,
            action,
            outcome: Outcome::Success,
            severity,
            actor: String::from("system"),
            actor_id: None,
            source_ip: None,
            target,
            session: None,
            message,
            details: json!({}),
        };
        if let Err(e) = self.record(draft, None).await {
            tracing::error!(error = %e, action, "an event is lost");
        }
    }

    /// Writes down that a session ended by a mistake of ours.
    pub async fn session_broke(&self, who: &Principal, panic: &str) {
        tracing::error!(user = who.name(), panic, "a session broke");
        let draft = EventDraft {
            category: Category::Session,
            action: "session.broke",
            outcome: Outcome::Failure,
            severity: Severity::High,
            actor: who.name().to_owned(),
            actor_id: Some(who.user_id()),
            source_ip: Some(who.session().source_ip.to_string()),
            target: None,
            session: Some(who.session().id.clone()),
            message: String::from("A session broke by a mistake in the portal; its log tells more."),
            details: json!({ "panic": text::short(panic, LONGEST_WORDS) }),
        };
        if let Err(e) = self.record(draft, None).await {
            tracing::error!(error = %e, "an event is lost");
        }
    }

    /// Writes down that somebody was not let in, within the strangers' budget.
    pub(super) async fn record_refused_login(&self, name: &str, from: IpAddr, method: &'static str) {
        let draft = EventDraft {
            category: Category::Authentication,
            action: "session.login",
            outcome: Outcome::Failure,
            severity: Severity::Low,
            actor: text::short(name, 40),
            actor_id: None,
            source_ip: Some(from.to_string()),
            target: None,
            session: None,
            message: String::from("A login was refused."),
            details: json!({ "method": method }),
        };
        self.record_of_stranger(draft).await;
    }

    /// Writes down what somebody did who is not signed in, within their budget.
    pub(super) async fn record_of_stranger(&self, mut draft: EventDraft) {
        let (write, dropped) = self.inner.strangers.take(Time::now());
        if !write {
            return;
        }
        if let Some(details) = draft.details.as_object_mut() {
            details.insert(String::from("not_written_before"), dropped.into());
        }
        if let Err(e) = self.record(draft, None).await {
            tracing::error!(error = %e, "a refused login is not written down");
        }
    }
}

impl Portal {
    /// Writes down that somebody without an account was let in, within the strangers' budget.
    pub(super) async fn record_newcomer(
        &self,
        name: &'static str,
        session: &Session,
        key: Option<&str>,
    ) -> Result<()> {
        let (write, dropped) = self.inner.strangers.take(Time::now());
        if !write {
            return Ok(());
        }
        let draft = EventDraft {
            category: Category::Authentication,
            action: "session.newcomer",
            outcome: Outcome::Success,
            severity: Severity::Low,
            actor: String::from(name),
            actor_id: None,
            source_ip: Some(session.source_ip.to_string()),
            target: None,
            session: Some(session.id.clone()),
            message: String::from("A newcomer was let in."),
            details: json!({ "key": key, "not_written_before": dropped }),
        };
        self.record(draft, None).await.map(|_| ())
    }
}

/// Within what one row may take.
fn shortened(mut draft: EventDraft) -> EventDraft {
    let length = draft.details.to_string().len();
    if length > LONGEST_DETAILS {
        draft.details = json!({ "left_out_bytes": length });
    }
    draft.target = draft.target.map(|t| text::short(&t, LONGEST_WORDS));
    draft.message = text::short(&draft.message, LONGEST_WORDS);
    draft
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_cause_bounded_rows() {
        let budget = StrangerBudget::default();
        let now = Time::from_millis(60_000_000);
        let written = (0..10_000).filter(|_| budget.take(now).0).count() as u64;
        assert_eq!(written, STRANGERS_PER_MINUTE);
        let later = Time::from_millis(60_060_000);
        assert_eq!(budget.take(later), (true, 10_000 - STRANGERS_PER_MINUTE));
    }
}
