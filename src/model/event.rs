//! What happened: the audit trail and the security feed, in the words of the
//! Elastic Common Schema (`event.category`, `event.outcome`).

use serde::Serialize;
use serde_json::Value;

use super::words::words;
use crate::model::Time;

words! {
    /// What an event is about (ECS `event.category`).
    Category {
        /// Signing in.
        Authentication = "authentication",
        /// Accounts, keys, roles.
        Iam = "iam",
        /// Being inside: shells, jumps, consoles.
        Session = "session",
        /// Changes to machines and settings.
        Configuration = "configuration",
        /// The host and its parts.
        Host = "host",
        /// Signs of an attack.
        IntrusionDetection = "intrusion_detection",
    }
}

words! {
    /// How it ended (ECS `event.outcome`).
    Outcome {
        /// It was done.
        Success = "success",
        /// It was not.
        Failure = "failure",
        /// It was attempted; no outcome is known (yet).
        Unknown = "unknown",
    }
}

words! {
    /// How much it matters.
    Severity {
        /// Everyday.
        Info = "info",
        /// Worth a line in a report.
        Low = "low",
        /// Worth a look.
        Medium = "medium",
        /// Look today.
        High = "high",
        /// Look now.
        Critical = "critical",
    }
}

/// An event; its serialised form is part of the contract.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Number, growing.
    pub id: i64,
    /// When.
    pub time: Time,
    /// What it is about.
    pub category: Category,
    /// The action's name, such as `vm.new`.
    pub action: String,
    /// How it ended.
    pub outcome: Outcome,
    /// How much it matters.
    pub severity: Severity,
    /// Who: an account's name, `system`, or the name that a stranger tried.
    pub actor: String,
    /// From where; none for the portal's own doing.
    pub source_ip: Option<String>,
    /// On what.
    pub target: Option<String>,
    /// In which session.
    pub session: Option<String>,
    /// One plain sentence.
    pub message: String,
    /// The action's arguments and other particulars; never a secret.
    pub details: Value,
    /// The actor's account number, where there is one.
    #[serde(skip)]
    pub actor_id: Option<i64>,
}

/// An event before it has a number and a time.
#[derive(Debug, Clone, PartialEq)]
pub struct EventDraft {
    /// What it is about.
    pub category: Category,
    /// The action's name.
    pub action: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// How much it matters.
    pub severity: Severity,
    /// Who.
    pub actor: String,
    /// The actor's account number, where there is one.
    pub actor_id: Option<i64>,
    /// From where.
    pub source_ip: Option<String>,
    /// On what.
    pub target: Option<String>,
    /// In which session.
    pub session: Option<String>,
    /// One plain sentence.
    pub message: String,
    /// Particulars; never a secret.
    pub details: Value,
}
