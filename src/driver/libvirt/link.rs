//! The connections to libvirt. One brings events: a thread opens it, watches it
//! and opens it again. A few more carry the calls, each one call at a time.
//!
//! ```text
//! Opening ──ok──▶ Up ──lost──▶ Down ──backoff, ok──▶ Up …
//!    └────failed────────────────▲ │
//!                    Up ◀──▶ Silent
//! ```
//!
//! A daemon that hangs keeps its connections. So it is asked something every
//! second, and as soon as an answer is overdue every call fails, those under way
//! too: nobody waits for it. What it was asked before it may still do later, so
//! all is looked at afresh when it speaks again.
//!
//! libvirt allows calls of several threads on one connection. Up to libvirt 10.2
//! its client then uses freed memory when a connection breaks with more than one
//! of them waiting (CVE-2024-4418; seen here as a crash under 9.0.0 when a hung
//! libvirtd was given up). So no connection is ever used by two at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, broadcast, watch};
use tokio::time::{Instant, timeout_at};
use virt::connect::Connect;

use super::events::{Subscription, start_loop};
use super::fault;
use super::pulse::Pulse;
use crate::driver::DriverEvent;
use crate::error::{Code, Error, Result};

/// Calls under way at once, and so connections for them.
const CALLS: usize = 4;

/// How often the watching thread looks whether the connection is open. It asks
/// this process, not the daemon.
const LOOK: Duration = Duration::from_millis(200);

/// Longest pause between two attempts to connect.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// A silent daemon is given up after this many unanswered questions…
const KEEPALIVE_COUNT: u32 = 3;
/// … asked so many seconds apart.
const KEEPALIVE_S: i32 = 5;

/// How long the first attempt to connect is waited for, and a call for another
/// that hung with the daemon to end once that has woken.
const PATIENCE: Duration = Duration::from_secs(5);

/// Events kept for a listener that lags behind.
const EVENTS: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The first attempt is under way.
    Opening,
    Up,
    /// Connected, and an answer is overdue.
    Silent,
    Down,
}

/// The connection. Dropping it closes it.
pub(super) struct Link {
    phase: watch::Receiver<Phase>,
    calls: Arc<Semaphore>,
    pool: Arc<Pool>,
    events: broadcast::Sender<DriverEvent>,
    closing: Arc<AtomicBool>,
}

impl Link {
    /// Starts to connect to `uri`; returns at once.
    pub(super) fn open(uri: &str) -> Result<Self> {
        start_loop();
        let (events, _) = broadcast::channel(EVENTS);
        let (tell, phase) = watch::channel(Phase::Opening);
        let closing = Arc::new(AtomicBool::new(false));
        let pool = Arc::new(Pool { uri: uri.to_owned(), idle: Mutex::default() });
        let calls = Arc::new(Semaphore::new(CALLS));
        let keeper = Keeper {
            pool: Arc::clone(&pool),
            calls: Arc::clone(&calls),
            tell,
            events: events.clone(),
            closing: Arc::clone(&closing),
        };
        std::thread::Builder::new().name("libvirt-link".into()).spawn(move || keeper.run())?;
        Ok(Link { phase, calls, pool, events, closing })
    }

    /// What happens to domains and to the connection from now on.
    pub(super) fn events(&self) -> broadcast::Receiver<DriverEvent> {
        self.events.subscribe()
    }

    /// Runs one blocking `job` with a connection, away from the async workers.
    /// `what` completes “libvirt took too long to …”.
    ///
    /// A job that outlives `limit` goes on without its caller and keeps its place
    /// among the few that may run, so a hung daemon cannot pile up threads.
    ///
    /// # Errors
    /// `backend.unavailable` while there is no connection or the daemon hangs,
    /// `timed_out` after `limit`.
    pub(super) async fn call<T, F>(&self, what: &'static str, limit: Duration, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connect) -> Result<T> + Send + 'static,
    {
        let work = async {
            self.up().await?;
            let place = Arc::clone(&self.calls).acquire_owned().await.map_err(Error::internal)?;
            let pool = Arc::clone(&self.pool);
            tokio::task::spawn_blocking(move || {
                let _place = place;
                pool.lend(what, job)
            })
            .await?
        };
        let done = tokio::select! {
            biased;
            done = timeout_at(Instant::now() + limit, work) => done,
            error = self.silence() => return Err(error),
        };
        match done {
            Ok(done) => done,
            Err(_) => {
                tracing::warn!(what, limit_s = limit.as_secs(), "libvirt does not answer");
                Err(Error::new(Code::TimedOut, format!("libvirt took too long to {what}."))
                    .hint("It may still happen; `twarga doctor` on the host tells what is slow."))
            }
        }
    }

    async fn up(&self) -> Result<()> {
        let mut phase = self.phase.clone();
        let settled = tokio::time::timeout(PATIENCE, phase.wait_for(|p| *p != Phase::Opening)).await;
        let Ok(settled) = settled else { return Err(fault::silent()) };
        match *settled.map_err(Error::internal)? {
            Phase::Up => Ok(()),
            Phase::Silent => Err(fault::silent()),
            Phase::Opening | Phase::Down => Err(fault::unreachable()),
        }
    }

    /// Ends with an error when an answer is overdue.
    async fn silence(&self) -> Error {
        let mut phase = self.phase.clone();
        let fell = phase.wait_for(|p| *p == Phase::Silent).await.is_ok();
        if !fell {
            // The link is being closed: the call itself tells how that went.
            std::future::pending::<()>().await;
        }
        fault::silent()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
    }
}

/// Connections for calls, each lent to one call at a time.
struct Pool {
    uri: String,
    idle: Mutex<Vec<Connect>>,
}

impl Pool {
    /// Runs `job` with a connection of its own. Blocks.
    fn lend<T>(&self, what: &str, job: impl FnOnce(&Connect) -> Result<T>) -> Result<T> {
        let connect = self.take().map_err(|e| fault::translate(what, &e))?;
        let done = job(&connect);
        if connect.is_alive().unwrap_or(false) {
            self.idle().push(connect);
        }
        done
    }

    /// One that was open when last seen, else a new one.
    fn take(&self) -> Result<Connect, virt::error::Error> {
        loop {
            // Not in the loop's head: the lock would be held while one is closed.
            let idle = self.idle().pop();
            match idle {
                Some(connect) if connect.is_alive().unwrap_or(false) => return Ok(connect),
                Some(broken) => drop(broken),
                None => return connect(&self.uri),
            }
        }
    }

    fn close(&self) {
        let idle = std::mem::take(&mut *self.idle());
        drop(idle);
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connect>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The watching thread.
struct Keeper {
    pool: Arc<Pool>,
    calls: Arc<Semaphore>,
    tell: watch::Sender<Phase>,
    events: broadcast::Sender<DriverEvent>,
    closing: Arc<AtomicBool>,
}

impl Keeper {
    fn run(self) {
        let mut backoff = LOOK;
        while !self.is_closing() {
            match connect(&self.pool.uri) {
                Ok(connect) => {
                    backoff = LOOK;
                    self.keep(connect);
                }
                Err(error) => {
                    if *self.tell.borrow() != Phase::Down {
                        tracing::warn!(uri = %self.pool.uri, %error, "cannot connect to libvirt; trying on");
                    }
                    self.tell.send_replace(Phase::Down);
                    self.pause(backoff);
                    backoff = (backoff * 2).min(LONGEST_BACKOFF);
                }
            }
        }
    }

    /// Publishes the connection and stays with it until it breaks.
    fn keep(&self, connect: Connect) {
        let subscription = match Subscription::new(connect.clone(), self.events.clone()) {
            Ok(subscription) => subscription,
            Err(error) => {
                tracing::warn!(%error, "libvirt gives no events");
                self.tell.send_replace(Phase::Down);
                return self.pause(LONGEST_BACKOFF);
            }
        };
        tracing::info!(uri = %self.pool.uri, "connected to libvirt");
        self.tell.send_replace(Phase::Up);
        let _ = self.events.send(DriverEvent::Connected);
        self.watch(&connect);
        let was_up = *self.tell.borrow() == Phase::Up;
        self.tell.send_replace(Phase::Down);
        if !self.is_closing() && was_up {
            tracing::warn!(uri = %self.pool.uri, "lost libvirt");
            let _ = self.events.send(DriverEvent::Disconnected);
        }
        drop(subscription);
        self.pool.close();
    }

    /// Stays with an open connection until it breaks.
    fn watch(&self, connect: &Connect) {
        let pulse = Pulse::start(&self.pool.uri);
        while !self.is_closing() && connect.is_alive().unwrap_or(false) {
            std::thread::sleep(LOOK);
            let was_silent = *self.tell.borrow() == Phase::Silent;
            let is_silent = pulse.is_overdue();
            if is_silent && !was_silent {
                tracing::warn!(uri = %self.pool.uri, "libvirt does not answer");
                self.tell.send_replace(Phase::Silent);
                let _ = self.events.send(DriverEvent::Disconnected);
            } else if was_silent && !is_silent {
                self.await_stragglers();
                tracing::info!(uri = %self.pool.uri, "libvirt answers again");
                self.tell.send_replace(Phase::Up);
                let _ = self.events.send(DriverEvent::Connected);
            }
        }
    }

    /// Calls that nobody waits for any more end soon after the daemon has woken;
    /// who looks before that sees half of what they do.
    fn await_stragglers(&self) {
        let until = std::time::Instant::now() + PATIENCE;
        while self.calls.available_permits() < CALLS && std::time::Instant::now() < until {
            std::thread::sleep(LOOK);
        }
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    fn pause(&self, mut rest: Duration) {
        while !self.is_closing() && !rest.is_zero() {
            let step = rest.min(LOOK);
            std::thread::sleep(step);
            rest -= step;
        }
    }
}

/// Opens a connection that notices a silent daemon.
///
/// # Errors
/// Whatever libvirt says.
pub(super) fn connect(uri: &str) -> Result<Connect, virt::error::Error> {
    let connect = Connect::open(Some(uri))?;
    // In-process drivers such as test:/// have nobody to ask: no fault.
    let _ = connect.set_keep_alive(KEEPALIVE_S, KEEPALIVE_COUNT);
    Ok(connect)
}
