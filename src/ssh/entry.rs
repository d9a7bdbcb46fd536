//! The way of one connection into its VM (`alice+web1`): the logins there that
//! its channels use. A login carries one channel at a time where possible, for
//! within one the slowest reader holds up the rest; one whose channel has ended
//! serves the next, so that command after command costs one login.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use russh::server::Handle;
use tokio::sync::Semaphore;

use super::flow::Flow;
use super::forward;
use crate::action::enter::VmSsh;
use crate::error::Result;
use crate::guest::Guest;
use crate::model::name::VmRef;
use crate::portal::{Portal, Principal, Session};

/// Logins of one connection at once; from then on channels share them.
const LOGINS: usize = 8;
/// Connections to the client's agent at once.
const AGENTS: usize = 16;

/// A way into a VM, opened when a channel wants it.
pub(super) struct Entry {
    pub vm: VmRef,
    logins: Mutex<Logins>,
    /// The client wants its agent to be reached from there.
    agent: Arc<AtomicBool>,
    /// Where its agent is.
    client: OnceLock<Client>,
}

#[derive(Default)]
struct Logins {
    open: Vec<Arc<Login>>,
    dialling: usize,
}

struct Login {
    guest: Guest,
    channels: AtomicUsize,
}

#[derive(Clone)]
struct Client {
    handle: Handle,
    session: Arc<Session>,
    flow: Arc<Flow>,
    places: Arc<Semaphore>,
}

/// A login in use by one channel more.
pub(super) struct Lease(Arc<Login>);

impl Lease {
    fn of(login: &Arc<Login>) -> Lease {
        login.channels.fetch_add(1, Ordering::Relaxed);
        Lease(Arc::clone(login))
    }

    pub fn guest(&self) -> &Guest {
        &self.0.guest
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.channels.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Entry {
    pub fn new(vm: VmRef) -> Self {
        Entry { vm, logins: Mutex::default(), agent: Arc::default(), client: OnceLock::new() }
    }

    fn logins(&self) -> MutexGuard<'_, Logins> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A login for a channel: an idle one, else a new one.
    pub async fn open(&self, portal: &Portal, who: &Principal) -> Result<Lease> {
        if let Some(lease) = self.lease() {
            return Ok(lease);
        }
        let _dialling = Dialling(self);
        let action = VmSsh { name: self.vm.clone(), command: Vec::new() };
        let (_, guest) = portal.perform(who, action).await?;
        self.answer_agents_of(&guest);
        let login = Arc::new(Login { guest, channels: AtomicUsize::new(0) });
        let lease = Lease::of(&login);
        self.logins().open.push(login);
        Ok(lease)
    }

    /// A login that is there; if none is idle and there may be more, takes the
    /// place of one that is to be made.
    fn lease(&self) -> Option<Lease> {
        let mut logins = self.logins();
        // The VM may have hung up, or have been started anew, since.
        logins.open.retain(|login| !login.guest.is_closed());
        let least = logins.open.iter().min_by_key(|login| login.channels.load(Ordering::Relaxed));
        let full = logins.open.len() + logins.dialling >= LOGINS;
        match least {
            Some(login) if full || login.channels.load(Ordering::Relaxed) == 0 => Some(Lease::of(login)),
            Some(_) | None => {
                logins.dialling += 1;
                None
            }
        }
    }

    /// Where the client is, should its agent be asked for.
    pub fn lead_agents_to(&self, handle: Handle, session: Arc<Session>, flow: Arc<Flow>) {
        let _ = self.client.set(Client { handle, session, flow, places: Arc::new(Semaphore::new(AGENTS)) });
    }

    /// The client has asked for its agent to be led there.
    pub fn allow_agent(&self) {
        self.agent.store(true, Ordering::Relaxed);
    }

    /// Takes what a guest wants of the client's agent to the client, if that asked
    /// for it, so long as the login there lives.
    fn answer_agents_of(&self, guest: &Guest) {
        let (asked, cut) = (Arc::clone(&self.agent), guest.cut());
        let (Some(client), Some(mut wanted)) = (self.client.get().cloned(), guest.agents()) else { return };
        tokio::spawn(async move {
            let work = async {
                while let Some(channel) = wanted.recv().await {
                    let place = Arc::clone(&client.places).try_acquire_owned().ok();
                    // Unasked for, or too many at once: dropping it closes it.
                    let Some(place) = place.filter(|_| asked.load(Ordering::Relaxed)) else { continue };
                    let client = client.clone();
                    let cut = cut.clone();
                    tokio::spawn(forward::agent(
                        client.handle,
                        channel,
                        client.session,
                        client.flow,
                        (place, cut),
                    ));
                }
            };
            cut.run_until_cancelled(work).await;
        });
    }
}

/// A place among the logins, until there is one or none.
struct Dialling<'a>(&'a Entry);

impl Drop for Dialling<'_> {
    fn drop(&mut self) {
        let mut logins = self.0.logins();
        logins.dialling = logins.dialling.saturating_sub(1);
    }
}
