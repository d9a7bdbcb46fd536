//! Those who come for an account or for another password: they have an errand and
//! nothing else. No [`Principal`](super::Principal) is made for them, so that no
//! action, no machine and no forward is within their reach.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Login;
use crate::error::{Code, Error, Result};
use crate::model::name::UserName;
use crate::model::{Category, Credential, EventDraft, Network, Outcome, RoleName, Severity, User};
use crate::portal::sessions::Arrival;
use crate::portal::{Pass, Portal, Session};
use crate::store::{NewKey, NewUser, TokenHash};

/// Signs of a token, each of 5 random bits.
const TOKEN: usize = 28;
/// Newcomers in the house at once, of each errand.
const MOST: u32 = 50;
/// How long one may take.
const TIME: Duration = Duration::from_secs(600);
/// Wrong answers of one.
pub const MOST_TRIES: u32 = 10;
const HOUR: Duration = Duration::from_secs(3600);

/// What is known of a token: its digest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ticket(TokenHash);

/// Shows nothing.
impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ticket")
    }
}

impl Ticket {
    /// A new token, and what is to be kept of it.
    pub fn make() -> (Zeroizing<String>, Ticket) {
        const SIGNS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
        let bytes = Zeroizing::new(rand::random::<[u8; TOKEN]>());
        let sign = |b: &u8| SIGNS.get(usize::from(b % 32)).map_or('x', |c| char::from(*c));
        let token: Zeroizing<String> = Zeroizing::new(bytes.iter().map(sign).collect());
        let ticket = Ticket::of(&token);
        (token, ticket)
    }

    fn of(token: &str) -> Ticket {
        Ticket(Sha256::digest(token.as_bytes()).into())
    }

    /// What is kept.
    pub fn hash(self) -> TokenHash {
        self.0
    }
}

/// What somebody comes for who does not sign in with an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errand {
    /// An account, invited.
    Invite(Ticket),
    /// An account, uninvited.
    Register,
    /// Another password.
    Reset(Ticket),
}

impl Errand {
    /// The errand that a login name stands for; none: it is an account's.
    pub fn of(login: &str) -> Option<Errand> {
        match login.split_once('+') {
            Some(("invite", token)) => Some(Errand::Invite(Ticket::of(token))),
            Some(("reset", token)) => Some(Errand::Reset(Ticket::of(token))),
            None if login == "register" => Some(Errand::Register),
            _ => None,
        }
    }

    /// How it is called where there is no account's name to tell; no account has such a name.
    pub fn name(&self) -> &'static str {
        match self {
            Errand::Invite(_) => "?invite",
            Errand::Register => "?register",
            Errand::Reset(_) => "?reset",
        }
    }

    /// A number in the place of an account's, which no account has: their
    /// connections are counted by it.
    fn number(&self) -> i64 {
        match self {
            Errand::Register => 0,
            Errand::Invite(_) => -1,
            Errand::Reset(_) => -2,
        }
    }
}

/// The accounts that strangers have made within the hour.
#[derive(Debug, Default)]
pub struct Registrations(Mutex<VecDeque<(Instant, Network)>>);

impl Registrations {
    /// A place for one more from there, given back by [`Registrations::undo`].
    ///
    /// # Errors
    /// `quota`
    fn take(&self, from: IpAddr, total: u32, of_one: u32) -> Result<Instant> {
        let too_many =
            || Error::new(Code::Quota, "Too many accounts were made lately.").hint("Try again in an hour.");
        let (now, from) = (Instant::now(), Network::of(from));
        let mut made = self.0.lock().map_err(|_| Error::internal("registrations poisoned"))?;
        while made.front().is_some_and(|(at, _)| now.duration_since(*at) >= HOUR) {
            made.pop_front();
        }
        let here = made.iter().filter(|(_, address)| *address == from).count();
        if made.len() >= total as usize || here >= of_one as usize {
            return Err(too_many());
        }
        made.push_back((now, from));
        Ok(now)
    }

    fn undo(&self, at: Instant) {
        if let Ok(mut made) = self.0.lock()
            && let Some(i) = made.iter().rposition(|(taken, _)| *taken == at)
        {
            made.remove(i);
        }
    }
}

/// Somebody who was let in for an errand.
#[derive(Debug)]
pub struct Newcomer {
    portal: Portal,
    errand: Errand,
    /// The key that they have proved to hold.
    key: Option<NewKey>,
    session: Arc<Session>,
    /// One channel at a time.
    busy: AtomicBool,
    tries: AtomicU32,
}

/// What a newcomer is promised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Promise {
    /// An account that may do this.
    Account(RoleName),
    /// Another password for the account of that name.
    Password(String),
}

impl Login {
    /// Whether that errand may be run now. A refusal costs what it costs for a
    /// name that nobody has, and looks like it.
    pub async fn welcomes(&mut self, errand: &Errand) -> bool {
        let welcome = match self.portal.promise(errand).await {
            Ok(promise) => promise.is_some(),
            Err(e) => {
                tracing::error!(error = %e, "an errand could not be looked at");
                return false;
            }
        };
        // Where nobody may register, that is a name like any other.
        if !welcome && *errand != Errand::Register && !std::mem::replace(&mut self.turned_away, true) {
            self.refuse(errand.name(), "token").await;
        }
        welcome
    }

    /// Lets somebody in for an errand, with the key that they have proved to hold.
    pub async fn come_in(&mut self, errand: Errand, key: Option<NewKey>) -> Option<Arc<Newcomer>> {
        if !self.welcomes(&errand).await {
            return None;
        }
        // Whoever has tried too many names somewhere else tries none here.
        if !matches!(errand, Errand::Reset(_)) && self.portal.is_banned(self.from) {
            self.portal.count_held_off();
            return None;
        }
        let sessions = self.portal.sessions();
        let here = |s: &Arc<Session>| {
            s.user_id == errand.number() && Network::of(s.source_ip) == Network::of(self.from)
        };
        let of_one = self.portal.config().registration.per_hour_per_ip as usize;
        if errand == Errand::Register && sessions.list().iter().filter(|s| here(s)).count() >= of_one {
            return None;
        }
        let arrival = Arrival {
            user_id: errand.number(),
            user_name: errand.name().to_owned(),
            source_ip: self.from,
            method: String::from(if key.is_some() { "publickey" } else { "none" }),
            max_s: None,
            rights_at: self.portal.rights_now(),
            pass: Pass::unlimited(Credential::Errand),
            gave_code: false,
        };
        let session = match sessions.open(arrival, MOST) {
            Ok(session) => session,
            Err(e) => {
                tracing::warn!(error = %e, errand = errand.name(), "a newcomer is turned away");
                return None;
            }
        };
        let shown = key.as_ref().map(|k| k.fingerprint.as_str());
        if let Err(e) = self.portal.record_newcomer(errand.name(), &session, shown).await {
            tracing::error!(error = %e, "a newcomer could not be written down");
            self.portal.sessions().close(&session);
            return None;
        }
        tokio::spawn(show_out(Arc::clone(&session)));
        let (busy, tries) = (AtomicBool::new(false), AtomicU32::new(0));
        let portal = self.portal.clone();
        Some(Arc::new(Newcomer { portal, errand, key, session, busy, tries }))
    }
}

/// Ends a newcomer's connection when its time is over.
async fn show_out(session: Arc<Session>) {
    tokio::select! {
        () = session.kill.cancelled() => {}
        () = tokio::time::sleep(TIME) => {
            session.announce("That took too long. Begin again.");
            session.kill.cancel();
        }
    }
}

impl Portal {
    /// What that errand leads to; none: to nothing.
    async fn promise(&self, errand: &Errand) -> Result<Option<Promise>> {
        let registration = &self.config().registration;
        Ok(match errand {
            Errand::Invite(_) if !registration.by_invitation() => None,
            Errand::Invite(ticket) => {
                self.store().open_invitation(ticket.hash()).await?.map(|i| Promise::Account(i.role))
            }
            Errand::Register => registration.open_to_all().then_some(Promise::Account(RoleName::USER)),
            Errand::Reset(ticket) => {
                self.store().resettable(ticket.hash()).await?.map(|u| Promise::Password(u.name))
            }
        })
    }
}

impl Newcomer {
    /// The connection.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// The portal.
    pub fn portal(&self) -> &Portal {
        &self.portal
    }

    /// The key that they came with.
    pub fn key(&self) -> Option<&NewKey> {
        self.key.as_ref()
    }

    /// A place for a channel, of which there is one at a time.
    pub fn begin(&self) -> bool {
        !self.busy.swap(true, Ordering::AcqRel)
    }

    /// The channel is over.
    pub fn finish(&self) {
        self.busy.store(false, Ordering::Release);
    }

    /// What they are promised at this moment.
    ///
    /// # Errors
    /// `token.invalid` if it is nothing any more.
    pub async fn promise(&self) -> Result<Promise> {
        let promise = self.portal.promise(&self.errand).await?;
        promise.ok_or_else(|| Error::new(Code::BadToken, "This invitation cannot be used any more."))
    }

    /// Whether an account can sign in with a password here.
    pub fn takes_passwords(&self) -> bool {
        self.portal.config().ssh.password_auth
    }

    /// One more answer of theirs; too many, and they have to go.
    fn count_try(&self) -> Result<()> {
        if self.tries.fetch_add(1, Ordering::Relaxed) < MOST_TRIES {
            return Ok(());
        }
        self.session.kill.cancel();
        Err(Error::new(Code::Quota, "Too many tries.").hint("Begin again."))
    }

    /// Whether an account may be made with that name.
    ///
    /// # Errors
    /// `usage.name`, `exists`
    pub async fn check_name(&self, name: &str) -> Result<UserName> {
        self.count_try()?;
        self.promise().await?;
        let name = name.parse::<UserName>()?.for_new()?;
        match self.portal.store().user_by_name(name.to_string()).await? {
            Some(_) => {
                self.tried_taken(name.as_str());
                Err(Error::new(Code::Exists, format!("There is an account called “{name}” already.")))
            }
            None => Ok(name),
        }
    }

    /// They have learnt that there is an account of that name: many such are guesses.
    fn tried_taken(&self, name: &str) {
        self.portal.stray(name, self.session.source_ip);
    }

    /// Makes the account: with that password, or else with the key that they came with.
    ///
    /// # Errors
    /// `token.invalid`, `usage.name`, `exists`, `account.password`, `quota`
    pub async fn make_account(&self, name: UserName, password: Option<Zeroizing<String>>) -> Result<User> {
        self.count_try()?;
        let Promise::Account(role) = self.promise().await? else {
            return Err(Error::usage("This token is for another password."));
        };
        let name = name.for_new()?.to_string();
        let (password_hash, key) = match password {
            Some(password) => {
                if !self.takes_passwords() {
                    return Err(Error::new(Code::BadPassword, "Passwords are not taken here.")
                        .hint("Come with a key: `ssh-keygen` makes one."));
                }
                (Some(self.portal.hash_new(password, &name).await?), None)
            }
            None => (None, Some(self.key.clone().ok_or_else(|| Error::usage("A password is missing."))?)),
        };
        let new = NewUser { name: name.clone(), role, password_hash, must_change_password: false, key };
        let store = self.portal.store();
        let made = match self.errand {
            Errand::Invite(ticket) => {
                let event = self.event("account.join", "came by an invitation");
                store.join(ticket.hash(), new, event).await
            }
            Errand::Register | Errand::Reset(_) => {
                let limits = &self.portal.config().registration;
                let registrations = &self.portal.inner.registrations;
                let place =
                    registrations.take(self.session.source_ip, limits.per_hour, limits.per_hour_per_ip)?;
                let event = self.event("account.register", "registered");
                store.register(new, event).await.inspect_err(|_| registrations.undo(place))
            }
        };
        let (user, event) = made.inspect_err(|e| {
            if e.code == Code::Exists {
                self.tried_taken(&name);
            }
        })?;
        self.portal.tell(&Arc::new(event));
        Ok(user)
    }

    /// Gives the account of the token that password, and ends its connections.
    ///
    /// # Errors
    /// `token.invalid`, `account.password`
    pub async fn choose_password(&self, password: Zeroizing<String>) -> Result<User> {
        self.count_try()?;
        let (Errand::Reset(ticket), Promise::Password(name)) = (self.errand, self.promise().await?) else {
            return Err(Error::usage("This token is for an account."));
        };
        let hash = self.portal.hash_new(password, &name).await?;
        let event = self.event("account.reset", "chose another password by a token");
        let (user, event) = self.portal.store().reset_password(ticket.hash(), hash, event).await?;
        self.portal.tell(&Arc::new(event));
        self.portal.end_sessions_of(user.id);
        Ok(user)
    }

    /// The event of what they came for.
    fn event(
        &self,
        action: &'static str,
        did: &'static str,
    ) -> impl FnOnce(&User) -> EventDraft + Send + 'static {
        let (session, source_ip) = (self.session.id.clone(), self.session.source_ip.to_string());
        let key = self.key.as_ref().map(|k| k.fingerprint.clone());
        move |user: &User| EventDraft {
            category: Category::Iam,
            action,
            outcome: Outcome::Success,
            severity: Severity::Low,
            actor: user.name.clone(),
            actor_id: Some(user.id),
            source_ip: Some(source_ip),
            target: Some(user.name.clone()),
            session: Some(session),
            message: format!("{} {did}.", user.name),
            details: json!({ "role": user.role, "key_offered": key }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errands_and_names() {
        let (token, ticket) = Ticket::make();
        assert_eq!(Errand::of(&format!("invite+{}", *token)), Some(Errand::Invite(ticket)));
        assert_eq!(Errand::of(&format!("reset+{}", *token)), Some(Errand::Reset(ticket)));
        assert_eq!(Errand::of("register"), Some(Errand::Register));
        for name in ["alice", "alice+web1", "invite", "reset", "Register", "register+web1", "", "+"] {
            assert_eq!(Errand::of(name), None, "{name}");
        }
        assert!(!format!("{:?}", Errand::of(&format!("invite+{}", *token))).contains(token.as_str()));
        assert_ne!(*token, *Ticket::make().0);
    }

    #[test]
    fn strangers_make_a_bounded_number_of_accounts() {
        let registrations = Registrations::default();
        let from = |s: &str| s.parse::<IpAddr>().unwrap();
        let first = registrations.take(from("192.0.2.1"), 3, 2).unwrap();
        registrations.take(from("192.0.2.1"), 3, 2).unwrap();
        assert_eq!(registrations.take(from("192.0.2.1"), 3, 2).unwrap_err().code, Code::Quota);
        registrations.take(from("2001:db8::1"), 3, 2).unwrap();
        assert_eq!(registrations.take(from("192.0.2.9"), 3, 2).unwrap_err().code, Code::Quota);
        registrations.undo(first);
        registrations.take(from("192.0.2.1"), 3, 2).unwrap();
        for last in 0..10_000u32 {
            let _ = registrations.take(IpAddr::from([10, 0, (last >> 8) as u8, last as u8]), 3, 2);
        }
        assert_eq!(registrations.0.lock().unwrap().len(), 3);
    }
}
