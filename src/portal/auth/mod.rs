//! Letting people in: [`Login`] is one connection's way from the first thing it
//! shows to a [`Principal`]. The work done, and the answer, are the same for a
//! name that does not exist as for one that does.
//!
//! ```text
//! password   what may be chosen, how it is kept and checked
//! newcomer   those who come for an account, or for another password
//! ```
//!
//! Every way in leads through [`Login::proven`]: what holds for all of them (is
//! the account enabled, how many connections has it) is asked there and nowhere else.

mod newcomer;
mod password;

use std::net::IpAddr;

use serde_json::json;
use zeroize::Zeroizing;

use super::Portal;
use super::principal::Principal;
use crate::error::Result;
use crate::model::{Category, EventDraft, Outcome, Severity, User};

pub use newcomer::{Errand, MOST_TRIES, Newcomer, Promise, Registrations, Ticket};
pub use password::{
    LONGEST_PASSWORD, SHORTEST_PASSWORD, check_new_password, hash_password, one_time_password,
};

/// Wrong passwords on one connection.
const PASSWORDS: u32 = 6;

/// One connection's way in.
#[derive(Debug)]
pub struct Login {
    portal: Portal,
    from: IpAddr,
    passwords: u32,
    /// Somebody's errand was refused, and that is written down.
    turned_away: bool,
}

/// What a proof came to.
#[derive(Debug)]
pub enum Verdict {
    /// Let in.
    In(Principal),
    /// Not let in, and no word on why.
    No,
}

impl Verdict {
    /// Who was let in.
    pub fn principal(self) -> Option<Principal> {
        match self {
            Verdict::In(who) => Some(who),
            Verdict::No => None,
        }
    }
}

/// Who somebody has shown to be, and how.
#[derive(Debug)]
struct Proof {
    user: User,
    method: &'static str,
    key_id: Option<i64>,
}

impl Portal {
    /// A connection from there, that has shown nothing yet.
    pub fn login(&self, from: IpAddr) -> Login {
        Login { portal: self.clone(), from, passwords: 0, turned_away: false }
    }
}

impl Login {
    /// Whether a password may (still) be tried on this connection.
    pub fn takes_passwords(&self) -> bool {
        self.portal.config().ssh.password_auth && self.passwords < PASSWORDS
    }

    /// Somebody says the password of that account.
    pub async fn password(&mut self, name: &str, password: Zeroizing<String>) -> Verdict {
        if !self.takes_passwords() {
            return Verdict::No;
        }
        self.passwords += 1;
        match self.portal.check_login(name, password).await {
            Ok(Some(user)) => self.proven(Proof { user, method: "password", key_id: None }).await,
            Ok(None) => self.refuse(name, "password").await,
            Err(e) => {
                tracing::error!(error = %e, "a password could not be checked");
                Verdict::No
            }
        }
    }

    /// Whether a signature by that key would be worth making: nothing is decided here.
    pub async fn would_accept_key(&self, name: &str, fingerprint: String) -> bool {
        let found = self.portal.store().key_of(name.to_owned(), fingerprint).await;
        matches!(found, Ok(Some((user, _))) if user.enabled)
    }

    /// Somebody has *proved* to hold the key.
    pub async fn key(&mut self, name: &str, fingerprint: String) -> Verdict {
        match self.portal.store().key_of(name.to_owned(), fingerprint).await {
            Ok(Some((user, key))) => {
                self.proven(Proof { user, method: "publickey", key_id: Some(key.id) }).await
            }
            Ok(None) => self.refuse(name, "publickey").await,
            Err(e) => {
                tracing::error!(error = %e, "a key could not be checked");
                Verdict::No
            }
        }
    }

    /// What holds for every way in.
    async fn proven(&mut self, proof: Proof) -> Verdict {
        let name = proof.user.name.clone();
        if !proof.user.enabled {
            return self.refuse(&name, proof.method).await;
        }
        let method = proof.method;
        match self.admit(proof).await {
            Ok(who) => Verdict::In(who),
            Err(e) => {
                tracing::info!(user = name, error = %e, "a login is refused");
                self.refuse(&name, method).await
            }
        }
    }

    /// A session for them. A login that cannot be written down does not happen.
    async fn admit(&self, proof: Proof) -> Result<Principal> {
        let Proof { user, method, key_id } = proof;
        let portal = &self.portal;
        let standing = portal.store().standing(user.id).await?;
        let standing = standing.ok_or_else(|| crate::error::Error::internal("an account is gone"))?;
        let limit = portal.config().ssh.max_sessions_per_user;
        let session = portal.sessions().open(user.id, &user.name, self.from, limit)?;
        let draft = EventDraft {
            category: Category::Authentication,
            action: "session.login",
            outcome: Outcome::Success,
            severity: Severity::Info,
            actor: user.name.clone(),
            actor_id: Some(user.id),
            source_ip: Some(self.from.to_string()),
            target: None,
            session: Some(session.id.clone()),
            message: format!("{} signed in.", user.name),
            details: json!({ "method": method, "key": key_id }),
        };
        if let Err(e) = portal.record_login(draft, user.id, key_id).await {
            portal.sessions().close(&session);
            return Err(e);
        }
        portal.count_login(true);
        Ok(Principal::new(standing, session))
    }

    async fn refuse(&self, name: &str, method: &'static str) -> Verdict {
        self.portal.count_login(false);
        self.portal.record_refused_login(name, self.from, method).await;
        Verdict::No
    }
}
