//! Letting people in: [`Login`] is one connection's way from the first thing it
//! shows to a [`Principal`]. The work done, and the answer, are the same for a
//! name that does not exist as for one that does.
//!
//! ```text
//! password      what may be chosen, how it is kept and checked
//! hashing       threads of their own for hashes
//! certificate   what one has to say, and how far it goes
//! newcomer      those who come for an account, or for another password
//! factor        the second one: set up, asked for, answered
//! totp          codes that change with time
//! ```
//!
//! Every way in leads through [`Login::proven`]: what holds for all of them (is
//! the account enabled, how many connections has it) is asked there and nowhere else.

mod certificate;
mod factor;
mod hashing;
mod newcomer;
mod password;
mod totp;

use std::net::IpAddr;

use russh::keys::{Algorithm, Certificate};
use serde_json::json;
use zeroize::Zeroizing;

use super::keys::is_security_key;
use super::principal::Principal;
use super::sessions::Arrival;
use super::{Pass, Portal};
use crate::error::{Error, Result};
use crate::model::limits::Unfit;
use crate::model::{
    Authority, Category, Credential, EventDraft, KeyLimits, Outcome, Severity, SshKey, Time, User,
};

pub use certificate::VerbOf;
use certificate::{Claims, shown};

pub(super) use factor::WrongCodes;
pub use factor::{Factor, NewTotp, looks_like_a_code, looks_like_an_answer};
pub(super) use hashing::Hashing;
pub use newcomer::{Errand, MOST_TRIES, Newcomer, Promise, Registrations, Ticket};
pub use password::{
    LONGEST_PASSWORD, SHORTEST_PASSWORD, check_new_password, hash_password, one_time_password,
};

/// Wrong passwords on one connection.
const PASSWORDS: u32 = 6;
/// Keys that are signed with on one connection and are none of the account's, before
/// that counts as trying names: a client asks before it signs.
const STRAY_KEYS: u32 = 20;
/// Wrong codes on one connection: then it is over.
const CODES: u32 = 3;

/// One connection's way in.
#[derive(Debug)]
pub struct Login {
    portal: Portal,
    from: IpAddr,
    passwords: u32,
    stray_keys: u32,
    /// The owner of a key that is not for here was told of it.
    told: bool,
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
    pass: Pass,
    /// What else the event of the login tells.
    details: serde_json::Value,
}

impl Proof {
    fn password(user: User, hash: &str) -> Proof {
        let pass = Pass::unlimited(Credential::password(hash));
        Proof { user, method: "password", pass, details: json!({}) }
    }

    fn key(user: User, key: SshKey) -> Proof {
        let pass = Pass { credential: Credential::Key(key.id), limits: key.limits };
        Proof { user, method: "publickey", pass, details: json!({}) }
    }

    fn certificate(user: User, authority: &Authority, claims: Claims, limits: KeyLimits) -> Proof {
        let details = told(authority, &claims);
        let Claims { serial, key_id, .. } = claims;
        let credential = Credential::Certificate { authority: authority.id, serial, key_id };
        Proof { user, method: "certificate", pass: Pass { credential, limits }, details }
    }
}

/// What events tell of a certificate.
fn told(authority: &Authority, claims: &Claims) -> serde_json::Value {
    json!({
        "authority": authority.name,
        "key_id": shown(&claims.key_id),
        "serial": claims.serial,
        "fingerprint": claims.key,
    })
}

impl Portal {
    /// A connection from there, that has shown nothing yet.
    pub fn login(&self, from: IpAddr) -> Login {
        let portal = self.clone();
        Login {
            portal,
            from,
            passwords: 0,
            stray_keys: 0,
            told: false,
            turned_away: false,
            codes: 0,
            pending: None,
        }
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
        if !self.portal.lets_try(name, self.from).await {
            return self.refuse(name, "password").await;
        }
        match self.portal.check_login(name, password).await {
            Ok(Some((user, hash))) => self.proven(Proof::password(user, &hash)).await,
            Ok(None) => {
                self.portal.wrong(name, self.from);
                self.refuse(name, "password").await
            }
            Err(e) => {
                tracing::error!(error = %e, "a password could not be checked");
                Verdict::No
            }
        }
    }

    /// Whether keys of that kind sign anybody in. Of a key in hardware nobody here sees
    /// whether it was touched to sign.
    pub fn takes(&self, algorithm: &Algorithm) -> bool {
        crate::algorithms::accepts_user_key(algorithm)
            && (self.portal.config().ssh.security_keys || !is_security_key(algorithm))
    }

    /// The same of keys that a certificate is for: those name no hash.
    pub fn takes_certificates_of(&self, algorithm: &Algorithm) -> bool {
        matches!(algorithm, Algorithm::Rsa { .. }) || self.takes(algorithm)
    }

    /// Whether a signature by that key would be worth making: nothing is decided here.
    /// Where an authority is trusted, any may be by the key of a certificate, which
    /// cannot be told from others yet; then all names and all keys are alike.
    pub async fn would_accept_key(&mut self, name: &str, fingerprint: String) -> bool {
        if self.is_over() {
            return false;
        }
        let good = match self.portal.store().key_of(name.to_owned(), fingerprint).await {
            Ok(Some((user, key))) => user.enabled && self.is_for_here(&user, &key),
            Ok(None) | Err(_) => false,
        };
        good || self.portal.trusts_authorities()
    }

    /// Somebody has *proved* to hold the key.
    pub async fn key(&mut self, name: &str, fingerprint: String) -> Verdict {
        if self.is_over() {
            return Verdict::No;
        }
        self.turn_to(name);
        match self.portal.store().key_of(name.to_owned(), fingerprint).await {
            Ok(Some((user, key))) if self.is_for_here(&user, &key) => {
                self.proven(Proof::key(user, key)).await
            }
            // What was asked to be signed with may well be unknown.
            Ok(_) if self.portal.trusts_authorities() => {
                self.count_stray(name);
                Verdict::No
            }
            Ok(_) => {
                self.count_stray(name);
                self.refuse(name, "publickey").await
            }
            Err(e) => {
                tracing::error!(error = %e, "a key could not be checked");
                Verdict::No
            }
        }
    }

    /// Whether a key lets in from here and now. If not, its owner hears of it; whoever
    /// brought it learns nothing, not even by how long that takes.
    fn is_for_here(&mut self, user: &User, key: &SshKey) -> bool {
        let Err(why) = key.limits.admit(self.from, Time::now()) else { return true };
        if !std::mem::replace(&mut self.told, true) {
            let why = match why {
                Unfit::Address => "this address is not among those that it is for",
                Unfit::Expired => "its time is over",
            };
            let (portal, user, key, from) = (self.portal.clone(), user.clone(), key.clone(), self.from);
            tokio::spawn(async move { portal.record_unfit_key(&user, &key, from, why).await });
        }
        false
    }

    /// Somebody has *proved* to hold the key that this certificate is for.
    pub async fn certificate(&mut self, name: &str, certificate: &Certificate, verb_of: VerbOf) -> Verdict {
        if self.is_over() {
            return Verdict::No;
        }
        self.turn_to(name);
        let claims = Claims::of(certificate);
        let (signer, key_id) = (claims.signer.clone(), claims.key_id.clone());
        let looked_up = self.portal.store().vouched(name.to_owned(), signer, claims.serial, key_id).await;
        let (user, authority, revoked) = match looked_up {
            Ok(found) => found,
            Err(e) => {
                tracing::error!(error = %e, "a certificate could not be checked");
                return Verdict::No;
            }
        };
        let Some(authority) = authority else { return self.refuse(name, "certificate").await };
        let limits = match revoked {
            true => Err("it is revoked"),
            false => certificate::limits(certificate, name, Time::now(), verb_of),
        };
        let limits = limits.and_then(|limits| match limits.admit(self.from, Time::now()) {
            Ok(()) => Ok(limits),
            Err(Unfit::Address) => Err("this address is not among those that it is for"),
            Err(Unfit::Expired) => Err("it has expired"),
        });
        match (limits, user) {
            (Ok(limits), Some(user)) => {
                self.proven(Proof::certificate(user, &authority, claims, limits)).await
            }
            (Ok(_), None) => self.refuse(name, "certificate").await,
            (Err(why), _) => {
                self.portal.count_login(false);
                self.portal.record_refused_certificate(name, self.from, told(&authority, &claims), why).await;
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
                // It is counted and written down already, as what it is.
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

    /// Counts a key that is nobody's: an agent has some, a guesser many.
    fn count_stray(&mut self, name: &str) {
        self.stray_keys += 1;
        if self.stray_keys > STRAY_KEYS {
            self.portal.stray(name, self.from);
        }
    }

    /// A session for them. A login that cannot be written down does not happen.
    async fn admit(&self, proof: Proof, factor: Option<Factor>) -> Result<Principal> {
        let Proof { user, method, pass, mut details } = proof;
        let portal = &self.portal;
        let rights_at = portal.rights_now();
        // Between two factors it may have been disabled.
        let standing = portal.store().standing(user.id).await?.filter(|s| s.user.enabled);
        let standing = standing.ok_or_else(|| Error::internal("an account is gone"))?;
        let limit = portal.config().ssh.max_sessions_per_user;
        if let Some(details) = details.as_object_mut() {
            details.insert(String::from("method"), json!(method));
            details.insert(String::from("key"), json!(pass.credential.key()));
            details.insert(String::from("second_factor"), json!(factor.map(Factor::as_str)));
        }
        let arrival = Arrival {
            user_id: user.id,
            user_name: user.name.clone(),
            source_ip: self.from,
            method: factor.map_or_else(|| method.to_owned(), |f| format!("{method}+{}", f.as_str())),
            max_s: standing.policy.max_session_s,
            rights_at,
            pass: pass.clone(),
            gave_code: matches!(factor, Some(Factor::Code | Factor::BackupCode)),
        };
        let session = portal.sessions().open(arrival, limit)?;
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
            details,
        };
        match portal.record_login(draft, user.id, pass.credential).await {
            Ok(before) => session.remember(before),
            Err(e) => {
                portal.sessions().close(&session);
                return Err(e);
            }
        }
        portal.right(&user.name, self.from);
        portal.count_login(true);
        Ok(Principal::new(standing, session))
    }

    async fn refuse(&self, name: &str, method: &'static str) -> Verdict {
        self.portal.count_login(false);
        self.portal.record_refused_login(name, self.from, method).await;
        Verdict::No
    }
}
