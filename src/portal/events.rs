//! Events: written down first, then told to whoever follows.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use super::{Portal, Principal, Session};
use crate::error::Result;
use crate::model::session::LastLogin;
use crate::model::text;
use crate::model::{Category, Credential, Event, EventDraft, Network, Outcome, Severity, SshKey, Time, User};

/// Rows a minute that strangers can cause, and those from one address among them;
/// what is beyond is counted, and told of by the next row: no attack fills the disk.
const STRANGERS_PER_MINUTE: u64 = 120;
const ADDRESS_PER_MINUTE: u64 = 20;

/// Details of one event, bytes: nobody fills the disk by long commands.
const LONGEST_DETAILS: usize = 4096;

/// Columns of an event's target and of its message.
const LONGEST_WORDS: usize = 300;

/// What rows are counted by, beside all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Whose {
    /// Where somebody comes from.
    Network(Network),
    /// The account that it is about.
    Account(i64),
}

impl From<IpAddr> for Whose {
    fn from(address: IpAddr) -> Whose {
        Whose::Network(Network::of(address))
    }
}

/// How many rows strangers have caused in this minute.
#[derive(Debug, Default)]
pub(super) struct StrangerBudget(Mutex<Minute>);

#[derive(Debug, Default)]
struct Minute {
    minute: i64,
    used: u64,
    /// The same one by one: no more of them than there are rows.
    by_whom: HashMap<Whose, u64>,
    dropped: u64,
}

impl StrangerBudget {
    /// Whether one more row may be written that somebody from there has caused, and
    /// how many were dropped before it that nobody has told of yet.
    fn take(&self, whose: impl Into<Whose>, now: Time) -> (bool, u64) {
        let mut m = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now.millis() / 60_000;
        if std::mem::replace(&mut m.minute, minute) != minute {
            m.used = 0;
            m.by_whom.clear();
        }
        if m.used >= STRANGERS_PER_MINUTE {
            m.dropped += 1;
            return (false, 0);
        }
        let of_one = m.by_whom.entry(whose.into()).or_default();
        if *of_one >= ADDRESS_PER_MINUTE {
            m.dropped += 1;
            return (false, 0);
        }
        *of_one += 1;
        m.used += 1;
        (true, std::mem::take(&mut m.dropped))
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
    /// When and from where it signed in before.
    pub(super) async fn record_login(
        &self,
        draft: EventDraft,
        user_id: i64,
        by: Credential,
    ) -> Result<Option<LastLogin>> {
        let (event, before) = self.store().login_insert(shortened(draft), user_id, by).await?;
        self.tell(&Arc::new(event));
        Ok(before)
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

    /// Tells the owner of a key that it was brought where or when it does not let in,
    /// within the strangers' budget.
    pub(super) async fn record_unfit_key(&self, user: &User, key: &SshKey, from: IpAddr, why: &'static str) {
        let (write, dropped) = self.inner.strangers.take(from, Time::now());
        if !write {
            return;
        }
        let draft = EventDraft {
            category: Category::Authentication,
            action: "session.login",
            outcome: Outcome::Failure,
            severity: Severity::Medium,
            actor: user.name.clone(),
            actor_id: Some(user.id),
            source_ip: Some(from.to_string()),
            target: Some(format!("key {}", key.id)),
            session: None,
            message: format!("Somebody brought a key of {}'s: {why}.", user.name),
            details: json!({ "method": "publickey", "key": key.id, "fingerprint": key.fingerprint,
                "not_written_before": dropped }),
        };
        if let Err(e) = self.record(draft, None).await {
            tracing::error!(error = %e, "a refused login is not written down");
        }
    }

    /// Writes down why a certificate by a trusted authority let nobody in, within the
    /// strangers' budget.
    pub(super) async fn record_refused_certificate(
        &self,
        name: &str,
        from: IpAddr,
        mut details: serde_json::Value,
        why: &'static str,
    ) {
        let (write, dropped) = self.inner.strangers.take(from, Time::now());
        if !write {
            return;
        }
        if let Some(details) = details.as_object_mut() {
            details.insert(String::from("method"), json!("certificate"));
            details.insert(String::from("not_written_before"), json!(dropped));
        }
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
            message: format!("A certificate was refused: {why}."),
            details,
        };
        if let Err(e) = self.record(draft, None).await {
            tracing::error!(error = %e, "a refused login is not written down");
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
        self.record_of_stranger(draft, from).await;
    }

    /// Writes down what somebody from there did who is not signed in, within their budget.
    pub(super) async fn record_of_stranger(&self, draft: EventDraft, from: IpAddr) {
        self.record_within(&self.inner.strangers, draft, from).await;
    }

    /// Writes down what the guard has done about somebody from there: within a budget of
    /// its own, that no noise uses up.
    pub(super) async fn record_alarm(&self, draft: EventDraft, from: IpAddr) {
        self.record_within(&self.inner.alarms, draft, from).await;
    }

    /// Writes down that a wrong code came after a right first factor: of each account
    /// within a budget of its own, which nobody uses up who has no first factor.
    pub(super) async fn record_wrong_code(&self, draft: EventDraft, user_id: i64) {
        self.record_within(&self.inner.wrong_codes_told, draft, Whose::Account(user_id)).await;
    }

    async fn record_within(&self, budget: &StrangerBudget, mut draft: EventDraft, whose: impl Into<Whose>) {
        let (write, dropped) = budget.take(whose, Time::now());
        if !write {
            return;
        }
        if let Some(details) = draft.details.as_object_mut() {
            details.insert(String::from("not_written_before"), dropped.into());
        }
        if let Err(e) = self.record(draft, None).await {
            tracing::error!(error = %e, "what a stranger did is not written down");
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
        let (write, dropped) = self.inner.strangers.take(session.source_ip, Time::now());
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
        let from = |n: u32| IpAddr::V4(std::net::Ipv4Addr::from_bits(n));
        let now = Time::from_millis(60_000_000);
        let written = (0..10_000).filter(|_| budget.take(from(1), now).0).count() as u64;
        assert_eq!(written, ADDRESS_PER_MINUTE, "one address does not use up what all have");
        let written = (2..1_000_000).filter(|n| budget.take(from(*n), now).0).count() as u64;
        assert_eq!(written, STRANGERS_PER_MINUTE - ADDRESS_PER_MINUTE);
        assert!(budget.0.lock().unwrap().by_whom.len() <= 120);
        let later = Time::from_millis(60_060_000);
        let dropped = 10_000 + 999_998 - STRANGERS_PER_MINUTE;
        // The first row after those that were dropped tells of them; the first of them did of none.
        let told = budget.take(from(1), later);
        assert!(told.0 && told.1 <= dropped && told.1 >= dropped - 10_000, "{told:?}");
    }
}
