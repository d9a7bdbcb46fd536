//! Who is signed in now, and what every stream of theirs counts into.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::error::{Code, Error, Result};
use crate::model::session::LastLogin;
use crate::model::{Credential, KeyLimits, SessionInfo, Time, Vm};

/// What somebody came in by, and how far that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// What it is.
    pub credential: Credential,
    /// What it is limited to.
    pub limits: KeyLimits,
}

impl Pass {
    /// What has no limits.
    pub fn unlimited(credential: Credential) -> Pass {
        Pass { credential, limits: KeyLimits::default() }
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
    /// How they proved who they are.
    pub method: String,
    /// Since when.
    pub since: Time,
    /// What it came by.
    pub pass: Pass,
    /// Whether it gave a code of the second factor, or a backup code, when it came.
    pub gave_code: bool,
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
    /// The version of everybody's rights at sign-in.
    pub(super) rights_at: u64,
    /// Seconds that it may last, from `began`; 0: as long as they like.
    max_s: AtomicU64,
    before: OnceLock<LastLogin>,
    ways: Mutex<Ways>,
}

/// What goes on in a session.
#[derive(Debug, Default)]
struct Ways {
    /// The VM that the connection leads straight into.
    straight_into: Option<String>,
    /// It has had a channel of its own, or one that only leads through.
    has_faced: bool,
    has_jumped: bool,
    visits: HashMap<u64, Place>,
    next: u64,
}

/// A VM that somebody is in.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub vm_id: i64,
    pub name: String,
    /// Ends their being there.
    pub cut: CancellationToken,
}

/// Somebody is in a VM so long as this is kept, and may be.
#[derive(Debug)]
pub struct Visit {
    session: Arc<Session>,
    number: u64,
    cut: CancellationToken,
}

impl Visit {
    /// When it is over because they may not be there any more.
    pub fn cut(&self) -> &CancellationToken {
        &self.cut
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.session.ways().visits.remove(&self.number);
        // What was made for the visit goes with it.
        self.cut.cancel();
    }
}

/// Somebody who has been let in.
pub(super) struct Arrival {
    pub user_id: i64,
    pub user_name: String,
    pub source_ip: IpAddr,
    pub method: String,
    pub max_s: Option<u64>,
    pub rights_at: u64,
    pub pass: Pass,
    pub gave_code: bool,
}

impl Session {
    /// The session as it is shown; `current`: to itself.
    pub fn info(&self, current: bool) -> SessionInfo {
        SessionInfo {
            id: self.id.clone(),
            user: self.user_name.clone(),
            source_ip: self.source_ip.to_string(),
            method: self.method.clone(),
            route: self.route(),
            vms: self.vms(),
            signed_in_at: self.since,
            ends_at: self.max().map(|max| {
                let max_ms = i64::try_from(max.as_millis()).unwrap_or(i64::MAX);
                Time::from_millis(self.since.millis().saturating_add(max_ms))
            }),
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

    /// Whether it is an account's; else it is somebody's who comes for one.
    pub(super) fn is_of_account(&self) -> bool {
        self.user_id > 0
    }

    fn ways(&self) -> MutexGuard<'_, Ways> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection leads straight into that VM.
    pub fn leads_into(&self, vm: &str) {
        self.ways().straight_into = Some(vm.to_owned());
    }

    /// It has opened a channel for itself.
    pub fn faces(&self) {
        self.ways().has_faced = true;
    }

    /// It has opened a channel that only leads through.
    pub fn jumps(&self) {
        self.ways().has_jumped = true;
    }

    fn route(&self) -> String {
        let ways = self.ways();
        match &ways.straight_into {
            Some(vm) => format!("vm {vm}"),
            None if ways.has_jumped && !ways.has_faced => String::from("jump"),
            None => String::from("portal"),
        }
    }

    /// They go into that VM.
    pub(super) fn visits(self: &Arc<Self>, vm: &Vm) -> Visit {
        let mut ways = self.ways();
        let number = ways.next;
        ways.next += 1;
        let cut = self.kill.child_token();
        ways.visits.insert(number, Place { vm_id: vm.id, name: vm.full_name(), cut: cut.clone() });
        Visit { session: Arc::clone(self), number, cut }
    }

    /// Where they are.
    pub(super) fn places(&self) -> Vec<Place> {
        self.ways().visits.values().cloned().collect()
    }

    /// The VMs that they are in, by name.
    fn vms(&self) -> Vec<String> {
        let names: BTreeSet<_> = self.places().into_iter().map(|p| p.name).collect();
        names.into_iter().collect()
    }

    pub(super) fn remember(&self, before: Option<LastLogin>) {
        if let Some(before) = before {
            let _ = self.before.set(before);
        }
    }

    /// The login of the account before this one.
    pub fn before(&self) -> Option<&LastLogin> {
        self.before.get()
    }

    /// How long it may last, if not as long as they like.
    pub(super) fn max(&self) -> Option<Duration> {
        Some(self.max_s.load(Ordering::Relaxed)).filter(|s| *s > 0).map(Duration::from_secs)
    }

    pub(super) fn set_max(&self, seconds: Option<u64>) {
        self.max_s.store(seconds.unwrap_or_default(), Ordering::Relaxed);
    }

    /// How long it has lasted.
    pub(super) fn age(&self) -> Duration {
        self.began.elapsed()
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
    pub(super) fn open(&self, who: Arrival, limit: u32) -> Result<Arc<Session>> {
        let user_id = who.user_id;
        let session = Arc::new(Session {
            id: uuid::Uuid::new_v4().simple().to_string().chars().take(12).collect(),
            user_id,
            user_name: who.user_name,
            source_ip: who.source_ip,
            method: who.method,
            since: Time::now(),
            pass: who.pass,
            gave_code: who.gave_code,
            kill: CancellationToken::new(),
            taken_back: AtomicBool::new(false),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            last_input: AtomicU64::new(0),
            began: Instant::now(),
            announcements: broadcast::channel(4).0,
            rights_at: who.rights_at,
            max_s: AtomicU64::new(who.max_s.unwrap_or_default()),
            before: OnceLock::new(),
            ways: Mutex::default(),
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
