//! What tests arrange at the driver in memory, and what they see of it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use uuid::Uuid;

use super::{MockDriver, Op};
use crate::driver::{Capabilities, DomainSpec, DomainState, DomainStats, DriverEvent};
use crate::error::Error;

/// Calls of one method stop here, before they have any effect, until the gate is
/// opened or dropped. A call that is cancelled meanwhile has had no effect.
#[must_use = "a dropped gate is open"]
pub struct Gate {
    _open: watch::Sender<bool>,
    reached: watch::Receiver<usize>,
}

impl Gate {
    /// Completes when `count` calls, since the gate was made, have come to it.
    pub async fn reached(&mut self, count: usize) {
        let _ = self.reached.wait_for(|n| *n >= count).await;
    }

    /// Lets everybody through, now and later.
    pub fn open(self) {}
}

/// What tests arrange and look at.
impl MockDriver {
    /// A driver without domains, where all goes well at once.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next call of `op` that comes to its turn fails so. More calls queue up.
    pub fn fail_next(&self, op: Op, error: Error) {
        self.world().failures.entry(op).or_default().push_back(error);
    }

    /// Every call of `op` takes so long.
    pub fn set_latency(&self, op: Op, latency: Duration) {
        self.world().latency.insert(op, latency);
    }

    /// Stops the calls of `op` before their effect. A second gate replaces the first.
    pub fn hold(&self, op: Op) -> Gate {
        let (open, closed) = watch::channel(false);
        let (count, reached) = watch::channel(0);
        let mut world = self.world();
        world.gates.insert(op, closed);
        world.reached.insert(op, count);
        Gate { _open: open, reached }
    }

    /// How often `op` was called.
    pub fn calls(&self, op: Op) -> usize {
        self.world().calls.get(&op).copied().unwrap_or(0)
    }

    /// Something happens to a domain behind the portal's back: its guest powers
    /// itself off, its emulator dies. False if there is no such domain.
    pub fn set_state(&self, uuid: Uuid, state: DomainState) -> bool {
        self.change(uuid, |_| Ok(state)).is_ok()
    }

    /// A domain vanishes behind the portal's back. Its folder stays.
    pub fn forget(&self, uuid: Uuid) {
        if self.world().machines.remove(&uuid).is_some() {
            self.tell(DriverEvent::Undefined(uuid));
        }
    }

    /// What the guest writes as soon as its console is opened.
    pub fn set_console(&self, uuid: Uuid, content: impl Into<Vec<u8>>) {
        self.world().consoles.insert(uuid, content.into());
    }

    /// What was typed into its console. It comes back as the guest's echo.
    pub fn typed(&self, uuid: Uuid) -> Vec<u8> {
        self.world().typed.get(&uuid).cloned().unwrap_or_default()
    }

    /// What [`crate::driver::Driver::stats`] says of a domain.
    pub fn set_stats(&self, uuid: Uuid, stats: DomainStats) {
        if let Some(machine) = self.world().machines.get_mut(&uuid) {
            machine.stats = stats;
        }
    }

    /// Guests do not hear that they should shut down.
    pub fn set_deaf(&self, deaf: bool) {
        self.world().deaf = deaf;
    }

    /// A port of the host that something else listens on.
    pub fn take_port(&self, port: u16) {
        self.world().taken_ports.insert(port);
    }

    /// The backend goes away, or comes back: its domains run on meanwhile.
    pub fn set_online(&self, online: bool) {
        let was = std::mem::replace(&mut self.world().offline, !online);
        match (was, online) {
            (true, true) => self.tell(DriverEvent::Connected),
            (false, false) => self.tell(DriverEvent::Disconnected),
            (true, false) | (false, true) => {}
        }
    }

    /// What [`crate::driver::Driver::capabilities`] says. At first: everything but booting.
    pub fn set_capabilities(&self, capabilities: Capabilities) {
        self.world().capabilities = Some(capabilities);
    }

    /// The folders that were made and not removed.
    pub fn folders(&self) -> BTreeSet<PathBuf> {
        self.world().folders.clone()
    }

    /// The definition of a domain.
    pub fn spec(&self, uuid: Uuid) -> Option<DomainSpec> {
        self.world().machines.get(&uuid).map(|m| m.spec.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::Driver;
    use crate::error::Code;

    #[tokio::test]
    async fn a_held_call_can_be_seen_cancelled_and_let_through() {
        let driver = MockDriver::new();
        let mut gate = driver.hold(Op::Ping);
        let first = tokio::spawn({
            let driver = driver.clone();
            async move { driver.ping().await }
        });
        gate.reached(1).await;
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        let second = tokio::spawn({
            let driver = driver.clone();
            async move { driver.ping().await }
        });
        gate.reached(2).await;
        gate.open();
        second.await.unwrap().unwrap();
        assert_eq!(driver.calls(Op::Ping), 2);
        driver.ping().await.unwrap();
    }

    #[tokio::test]
    async fn failures_come_once_and_in_order() {
        let driver = MockDriver::new();
        driver.fail_next(Op::List, Error::new(Code::TimedOut, "1."));
        driver.fail_next(Op::List, Error::new(Code::Internal, "2."));
        assert_eq!(driver.list("").await.unwrap_err().code, Code::TimedOut);
        assert_eq!(driver.list("").await.unwrap_err().code, Code::Internal);
        assert!(driver.list("").await.is_ok());
    }

    #[tokio::test]
    async fn it_goes_offline_and_comes_back() {
        let driver = MockDriver::new();
        let mut events = driver.events();
        driver.set_online(false);
        assert_eq!(driver.ping().await.unwrap_err().code, Code::BackendUnavailable);
        driver.set_online(true);
        driver.ping().await.unwrap();
        assert_eq!(events.recv().await.unwrap(), DriverEvent::Disconnected);
        assert_eq!(events.recv().await.unwrap(), DriverEvent::Connected);
    }
}
