//! The guard at work: what a login asks it, and what comes of a failure.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use super::bans::MOST_BY_HAND;
use super::{Consequence, Guard, Hold, time};
use crate::config;
use crate::error::{Code, Error, Result};
use crate::model::time::span;
use crate::model::{Ban, Category, EventDraft, Network, Outcome, Severity, Time, text};
use crate::portal::Portal;

/// How long an address counts as known to an account that signed in from there.
const KNOWN_S: u64 = 90 * 86_400;
/// How many checks' durations are remembered.
const REMEMBERED: usize = 64;
/// The ban that shows that somebody means it.
const STUBBORN: u32 = 3;

/// The guard and its clock, which nobody sets.
#[derive(Debug)]
pub(in crate::portal) struct Gate {
    guard: Mutex<Guard>,
    epoch: (Time, Instant),
    /// How long the latest checks took, the queue before them included.
    took: Mutex<Vec<Duration>>,
}

impl Gate {
    pub fn new(config: &config::Guard, a_check: Duration) -> Gate {
        Gate {
            guard: Mutex::new(Guard::new(config)),
            epoch: (Time::now(), Instant::now()),
            took: Mutex::new(vec![a_check]),
        }
    }

    fn guard(&self) -> MutexGuard<'_, Guard> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        let began = u64::try_from(self.epoch.0.millis()).unwrap_or_default();
        began.saturating_add(u64::try_from(self.epoch.1.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Remembers how long a check took.
    pub fn took(&self, duration: Duration) {
        let mut took = self.took.lock().unwrap_or_else(PoisonError::into_inner);
        if took.len() >= REMEMBERED {
            took.remove(0);
        }
        took.push(duration);
    }

    /// As long as one of the latest checks took.
    fn as_long_as_a_check(&self) -> Duration {
        let took = self.took.lock().unwrap_or_else(PoisonError::into_inner);
        let one = rand::random::<u32>() as usize % took.len().max(1);
        took.get(one).copied().unwrap_or_default()
    }
}

impl Portal {
    /// Whether what somebody from there says of themselves is looked at at all. If
    /// not, as much time has passed as looking at it would have taken: say what is
    /// said to those who are wrong, and do not call [`Portal::wrong`]: nothing was guessed.
    pub(in crate::portal) async fn lets_try(&self, name: &str, from: IpAddr) -> bool {
        let gate = &self.inner.gate;
        let began = Instant::now();
        let hold = gate.guard().look(name, from, gate.now());
        let free = match hold {
            Hold::Free => true,
            Hold::Doubted => self.is_known(name, from, true).await,
            Hold::OnlyKnown => self.is_known(name, from, false).await,
            Hold::Shut => false,
        };
        if !free {
            self.count_held_off();
            tokio::time::sleep(gate.as_long_as_a_check().saturating_sub(began.elapsed())).await;
        }
        free
    }

    /// Whether a code of the second factor is looked at, that somebody from there gives
    /// after a right first one. If not, say what is said of wrong ones, and count none.
    pub(in crate::portal) async fn lets_answer(&self, name: &str, from: IpAddr) -> bool {
        let gate = &self.inner.gate;
        let hold = gate.guard().look_at_code(name, from, gate.now());
        let free = match hold {
            Hold::Free => true,
            Hold::Doubted | Hold::OnlyKnown => self.is_known(name, from, false).await,
            Hold::Shut => false,
        };
        if !free {
            self.count_held_off();
        }
        free
    }

    /// Whether the account has signed in from there of late; `or_factor`: or has a second
    /// factor, without which its password is of no use.
    async fn is_known(&self, name: &str, from: IpAddr, or_factor: bool) -> bool {
        let since = Time::now().minus_seconds(KNOWN_S);
        let known = self.store().is_known_from(name.to_owned(), Network::of(from), since, or_factor);
        known.await.unwrap_or(false)
    }

    /// A code that somebody from there gave after a right first factor was wrong.
    pub(in crate::portal) async fn wrong_answer(&self, name: &str, from: IpAddr) {
        self.wrong(name, from);
        if !self.is_known(name, from, false).await {
            let gate = &self.inner.gate;
            gate.guard().wrong_code_of_unknown(name, from, gate.now());
        }
    }

    /// Whether a ban holds for that address.
    pub(in crate::portal) fn is_banned(&self, from: IpAddr) -> bool {
        let gate = &self.inner.gate;
        gate.guard().is_banned(from, gate.now())
    }

    /// Somebody from there was wrong: a password, a code.
    pub(in crate::portal) fn wrong(&self, name: &str, from: IpAddr) {
        let gate = &self.inner.gate;
        let came_of_it = gate.guard().wrong(name, from, gate.now());
        self.write_down(came_of_it, name, from);
    }

    /// Somebody from there tries names in a way that guesses no secret.
    pub(in crate::portal) fn stray(&self, name: &str, from: IpAddr) {
        let gate = &self.inner.gate;
        let came_of_it = gate.guard().stray(name, from, gate.now());
        self.write_down(came_of_it, name, from);
    }

    /// Somebody from there has signed in.
    pub(in crate::portal) fn right(&self, name: &str, from: IpAddr) {
        let gate = &self.inner.gate;
        gate.guard().right(name, from, gate.now());
    }

    /// Beside the answer, which takes no longer for it.
    fn write_down(&self, came_of_it: Consequence, name: &str, from: IpAddr) {
        if came_of_it == Consequence::default() {
            return;
        }
        let (portal, name) = (self.clone(), text::short(name, 40));
        tokio::spawn(async move {
            if let Some(ban) = came_of_it.ban {
                let kept = portal.store().ban_keep(ban.clone(), came_of_it.gone).await;
                if let Err(e) = kept {
                    tracing::error!(error = %e, "a ban will not survive a restart");
                }
                let length = ban.until.map_or(0, |until| until.seconds_since(ban.since));
                let message = format!(
                    "{} from {from}: no password is taken from there for {}.",
                    ban.note,
                    span(length)
                );
                let severity = if ban.strikes >= STUBBORN { Severity::High } else { Severity::Medium };
                portal.tell_of_intrusion("ban.made", severity, ban.network.to_string(), message, from).await;
            }
            if came_of_it.account_full {
                let message = format!(
                    "Passwords of {name} are being guessed: none is taken but from where it has signed in."
                );
                portal.tell_of_intrusion("ban.account", Severity::Medium, name, message, from).await;
            }
        });
    }

    async fn tell_of_intrusion(
        &self,
        action: &'static str,
        severity: Severity,
        target: String,
        message: String,
        from: IpAddr,
    ) {
        let draft = EventDraft {
            category: Category::IntrusionDetection,
            action,
            outcome: Outcome::Success,
            severity,
            actor: String::from("system"),
            actor_id: None,
            source_ip: Some(from.to_string()),
            target: Some(target),
            session: None,
            message: capitalised(&message),
            details: json!({}),
        };
        self.record_alarm(draft, from).await;
    }

    /// Who is banned, the newest first.
    pub(crate) fn bans(&self) -> Vec<Ban> {
        let gate = &self.inner.gate;
        gate.guard().bans.list(time(gate.now()))
    }

    /// How many bans hold.
    pub(in crate::portal) fn ban_count(&self) -> u64 {
        let gate = &self.inner.gate;
        gate.guard().bans.count(time(gate.now())) as u64
    }

    /// Bans addresses by somebody's word, for so long or until the ban is lifted.
    ///
    /// # Errors
    /// `quota` if there are too many such bans.
    pub(crate) async fn ban(
        &self,
        network: Network,
        for_s: Option<u64>,
        by: &str,
        note: &str,
    ) -> Result<Ban> {
        let gate = &self.inner.gate;
        let since = time(gate.now());
        let until = for_s.map(|s| time(gate.now().saturating_add(s.saturating_mul(1000))));
        let ban = Ban { network, since, until, strikes: 0, by: Some(by.to_owned()), note: note.to_owned() };
        if gate.guard().bans.by_hand() >= MOST_BY_HAND {
            return Err(Error::new(Code::Quota, format!("There are {MOST_BY_HAND} bans made by hand."))
                .hint("`ban rm` lifts one; a network such as 192.0.2.0/24 is one ban."));
        }
        // Written down first: what is said to be banned is so after a restart, too.
        self.store().ban_keep(ban.clone(), Vec::new()).await?;
        gate.guard().bans.insert(ban.clone());
        Ok(ban)
    }

    /// Lifts a ban, and forgets that there was one.
    ///
    /// # Errors
    /// `ban.not_found`.
    pub(crate) async fn lift(&self, network: Network) -> Result<Ban> {
        let gate = &self.inner.gate;
        let now = time(gate.now());
        let none = || Error::new(Code::BanNotFound, format!("No ban of {network}."));
        if !gate.guard().bans.list(now).iter().any(|b| b.network == network) {
            return Err(none());
        }
        self.store().bans_forget(vec![network]).await?;
        gate.guard().lift(network, gate.now()).ok_or_else(none)
    }

    /// Takes up the bans of before a restart.
    pub(in crate::portal) async fn recall_bans(&self) -> Result<()> {
        let bans = self.store().bans().await?;
        let gate = &self.inner.gate;
        let mut guard = gate.guard();
        for ban in bans {
            guard.bans.insert(ban);
        }
        Ok(())
    }

    /// Forgets bans that are over and do not count any more.
    pub(in crate::portal) async fn prune_bans(&self) -> Result<()> {
        let gate = &self.inner.gate;
        let gone = gate.guard().prune(gate.now());
        self.store().bans_forget(gone).await
    }
}

fn capitalised(words: &str) -> String {
    let mut rest = words.chars();
    rest.next().map(|c| c.to_uppercase().chain(rest).collect()).unwrap_or_default()
}
