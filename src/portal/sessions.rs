//! Who is signed in now, and what every stream of theirs counts into.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::error::{Code, Error, Result};
use crate::model::{Credential, KeyLimits, SessionInfo, Time};

/// What somebody came in by, and how far that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// What it is.
    pub credential: Credential,
    /// What it is limited to.
    pub limits: KeyLimits,
}

impl Pass {
    /// The account's password: no limits.
    pub fn password() -> Pass {
        Pass { credential: Credential::Password, limits: KeyLimits::default() }
    }
}

/// One signed-in connection.
#[derive(Debug)]
pub struct Session {
    /// Short, unique, in every event of the session.
    pub id: String,
    /// The account's number.
    pub user_id: i64,
    /// The account's name.
    pub user_name: String,
    /// From where.
    pub source_ip: IpAddr,
    /// Since when.
    pub since: Time,
    /// What it came by.
    pub pass: Pass,
    /// Ends every channel of the connection.
    pub kill: CancellationToken,
    /// What it came by counts no more.
    pub(super) taken_back: AtomicBool,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    /// By a clock that nobody sets: milliseconds from `began` to the last input.
    last_input: AtomicU64,
    began: Instant,
    announcements: broadcast::Sender<String>,
}

impl Session {
    /// The session as it is shown; `current`: to itself.
    pub fn info(&self, current: bool) -> SessionInfo {
        SessionInfo {
            id: self.id.clone(),
            user: self.user_name.clone(),
            source_ip: self.source_ip.to_string(),
            signed_in_at: self.since,
            idle_s: self.idle_s(),
            bytes_in: self.bytes_in(),
            bytes_out: self.bytes_out(),
            current,
        }
    }

    /// Whether what it came by counts no more.
    pub fn is_taken_back(&self) -> bool {
        self.taken_back.load(Ordering::Acquire)
    }

    /// Says something to the person beside whatever they do.
    pub fn announce(&self, text: &str) {
        let _ = self.announcements.send(text.to_owned());
    }

    /// What is said beside, from now on.
    pub fn listen(&self) -> broadcast::Receiver<String> {
        self.announcements.subscribe()
    }

    /// Counts bytes from the person, which also show that somebody is there.
    pub fn count_in(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
        self.last_input.store(self.age_ms(), Ordering::Relaxed);
    }

    /// Counts bytes to the person.
    pub fn count_out(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes from the person.
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    /// Bytes to the person.
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Ordering::Relaxed)
    }

    /// Seconds since the last input.
    pub fn idle_s(&self) -> u64 {
        self.age_ms().saturating_sub(self.last_input.load(Ordering::Relaxed)) / 1000
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Every signed-in connection.
#[derive(Debug, Default)]
pub struct Sessions {
    live: Mutex<HashMap<String, Arc<Session>>>,
    /// Grows whenever somebody comes or goes.
    version: watch::Sender<u64>,
    /// Bytes of sessions that have ended.
    ended_in: AtomicU64,
    ended_out: AtomicU64,
}

impl Sessions {
    /// Takes in a connection that was let in.
    ///
    /// # Errors
    /// `quota` if the account has `limit` connections already.
    pub(super) fn open(
        &self,
        user_id: i64,
        user_name: &str,
        source_ip: IpAddr,
        limit: u32,
        pass: Pass,
    ) -> Result<Arc<Session>> {
        let session = Arc::new(Session {
            id: uuid::Uuid::new_v4().simple().to_string().chars().take(12).collect(),
            user_id,
            user_name: user_name.to_owned(),
            source_ip,
            since: Time::now(),
            pass,
            kill: CancellationToken::new(),
            taken_back: AtomicBool::new(false),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            last_input: AtomicU64::new(0),
            began: Instant::now(),
            announcements: broadcast::channel(4).0,
        });
        let mut live = self.live.lock().map_err(|_| Error::internal("sessions poisoned"))?;
        let count = live.values().filter(|s| s.user_id == user_id).count();
        if count >= limit as usize {
            return Err(Error::new(
                Code::Quota,
                format!("This account has {count} connections open, and may have {limit}."),
            )
            .hint("Close one of them."));
        }
        live.insert(session.id.clone(), Arc::clone(&session));
        self.version.send_modify(|v| *v += 1);
        Ok(session)
    }

    /// Forgets a connection that has ended, and ends what is left of it.
    pub fn close(&self, session: &Session) {
        session.kill.cancel();
        if let Ok(mut live) = self.live.lock()
            && live.remove(&session.id).is_some()
        {
            self.ended_in.fetch_add(session.bytes_in(), Ordering::Relaxed);
            self.ended_out.fetch_add(session.bytes_out(), Ordering::Relaxed);
            self.version.send_modify(|v| *v += 1);
        }
    }

    /// Wakes whenever somebody comes or goes.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// The connection of that number.
    pub fn get(&self, id: &str) -> Option<Arc<Session>> {
        self.live.lock().ok()?.get(id).cloned()
    }

    /// Every connection, oldest first.
    pub fn list(&self) -> Vec<Arc<Session>> {
        let mut all: Vec<_> = self.live.lock().map(|l| l.values().cloned().collect()).unwrap_or_default();
        all.sort_by_key(|s: &Arc<Session>| s.began);
        all
    }

    /// Bytes relayed since the start: from people, to people.
    pub fn totals(&self) -> (u64, u64) {
        let live = self.list();
        let sum = |f: fn(&Session) -> u64| live.iter().map(|s| f(s)).sum::<u64>();
        (
            self.ended_in.load(Ordering::Relaxed) + sum(Session::bytes_in),
            self.ended_out.load(Ordering::Relaxed) + sum(Session::bytes_out),
        )
    }
}
