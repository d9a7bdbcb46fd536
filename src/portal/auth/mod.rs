//! Letting people in: [`Login`] is one connection's way from the first thing it
//! shows to a [`Principal`]. The work done, and the answer, are the same for a
//! name that does not exist as for one that does.
//!
//! ```text
//! password   what may be chosen, how it is kept and checked
//! newcomer   those who come for an account, or for another password
//! factor     the second one: set up, asked for, answered
//! totp       codes that change with time
//! ```
//!
//! Every way in leads through [`Login::proven`]: what holds for all of them (is
//! the account enabled, how many connections has it) is asked there and nowhere else.

mod factor;
mod newcomer;
mod password;
mod totp;

use std::net::IpAddr;

use serde_json::json;
use zeroize::Zeroizing;

use super::Portal;
use super::principal::Principal;
use crate::error::{Error, Result};
use crate::model::{Category, EventDraft, Outcome, Severity, User};

pub(super) use factor::WrongCodes;
pub use factor::{Factor, NewTotp};
pub use newcomer::{Errand, MOST_TRIES, Newcomer, Promise, Registrations, Ticket};
pub use password::{
    LONGEST_PASSWORD, SHORTEST_PASSWORD, check_new_password, hash_password, one_time_password,
};

/// Wrong passwords on one connection.
const PASSWORDS: u32 = 6;
/// Wrong codes on one connection: then it is over.
const CODES: u32 = 3;

/// One connection's way in.
#[derive(Debug)]
pub struct Login {
    portal: Portal,
    from: IpAddr,
    passwords: u32,
    /// Somebody's errand was refused, and that is written down.
    turned_away: bool,
    codes: u32,
    /// What was shown, and still wants a code.
    pending: Option<Proof>,
}

/// What a proof came to.
#[derive(Debug)]
pub enum Verdict {
    /// Let in.
    In(Principal),
    /// That was right, and a code of the second factor is wanted too.
    More,
    /// Not let in, and no word on why.
    No,
}

impl Verdict {
    /// Who was let in.
    pub fn principal(self) -> Option<Principal> {
        match self {
            Verdict::In(who) => Some(who),
            Verdict::More | Verdict::No => None,
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
        let portal = self.clone();
        Login { portal, from, passwords: 0, turned_away: false, codes: 0, pending: None }
    }
}

impl Login {
    /// Whether a password may (still) be tried on this connection.
    pub fn takes_passwords(&self) -> bool {
        self.portal.config().ssh.password_auth && self.passwords < PASSWORDS && !self.is_over()
    }

    /// Whether that account has shown a first factor here, and a code is wanted.
    pub fn wants_code(&self, name: &str) -> bool {
        self.pending.as_ref().is_some_and(|proof| proof.user.name == name)
    }

    /// What was shown for another name counts no more.
    fn turn_to(&mut self, name: &str) {
        self.pending = self.pending.take().filter(|proof| proof.user.name == name);
    }

    /// Whether nobody gets in on this connection any more.
    pub fn is_over(&self) -> bool {
        self.codes >= CODES
    }

    /// Somebody says the password of that account.
    pub async fn password(&mut self, name: &str, password: Zeroizing<String>) -> Verdict {
        if !self.takes_passwords() {
            return Verdict::No;
        }
        self.passwords += 1;
        self.turn_to(name);
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
        !self.is_over() && matches!(found, Ok(Some((user, _))) if user.enabled)
    }

    /// Somebody has *proved* to hold the key.
    pub async fn key(&mut self, name: &str, fingerprint: String) -> Verdict {
        if self.is_over() {
            return Verdict::No;
        }
        self.turn_to(name);
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

    /// Somebody answers what they were asked after the first factor. It counts for
    /// the account that showed that, and for no other.
    pub async fn code(&mut self, name: &str, answer: &Zeroizing<String>) -> Verdict {
        self.turn_to(name);
        let Some(proof) = self.pending.take() else {
            return self.refuse(name, "code").await;
        };
        match self.portal.spend_answer(&proof.user, self.from, answer).await {
            Ok(Some(factor)) => {
                let user_id = proof.user.id;
                let verdict = self.let_in(proof, Some(factor)).await;
                if matches!(verdict, Verdict::In(_)) {
                    self.portal.remember_address(user_id, self.from).await;
                }
                verdict
            }
            Ok(None) => {
                self.codes += 1;
                self.pending = Some(proof).filter(|_| !self.is_over());
                // It is written down already, as what it is.
                self.portal.count_login(false);
                Verdict::No
            }
            Err(e) => {
                tracing::error!(error = %e, "a code could not be checked");
                self.pending = Some(proof);
                Verdict::No
            }
        }
    }

    /// What holds for every way in.
    async fn proven(&mut self, proof: Proof) -> Verdict {
        self.pending = None;
        if !proof.user.enabled {
            return self.refuse(&proof.user.name, proof.method).await;
        }
        match self.portal.asks_for_code(proof.user.id, self.from).await {
            Ok(None) => self.let_in(proof, None).await,
            Ok(Some(false)) => self.let_in(proof, Some(Factor::Remembered)).await,
            Ok(Some(true)) => {
                self.pending = Some(proof);
                Verdict::More
            }
            Err(e) => {
                tracing::error!(error = %e, "a login could not be decided");
                Verdict::No
            }
        }
    }

    async fn let_in(&self, proof: Proof, factor: Option<Factor>) -> Verdict {
        let (name, method) = (proof.user.name.clone(), proof.method);
        match self.admit(proof, factor).await {
            Ok(who) => Verdict::In(who),
            Err(e) => {
                tracing::info!(user = name, error = %e, "a login is refused");
                self.refuse(&name, method).await
            }
        }
    }

    /// A session for them. A login that cannot be written down does not happen.
    async fn admit(&self, proof: Proof, factor: Option<Factor>) -> Result<Principal> {
        let Proof { user, method, key_id } = proof;
        let portal = &self.portal;
        // Between two factors it may have been disabled.
        let standing = portal.store().standing(user.id).await?.filter(|s| s.user.enabled);
        let standing = standing.ok_or_else(|| Error::internal("an account is gone"))?;
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
            details: json!({ "method": method, "key": key_id, "second_factor": factor.map(Factor::as_str) }),
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
