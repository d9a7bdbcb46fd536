//! A driver in memory, for tests of everything that stands on one. It keeps the
//! same promises as the real ones (`tests/driver_contract.rs` holds it to them),
//! and it can be told to fail, to be slow, or to stop in the middle.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{broadcast, oneshot, watch};
use uuid::Uuid;

use super::{Backend, Capabilities, Domain, DomainSpec, DomainState, DomainStats, Driver, DriverEvent};
use crate::error::{Code, Error, Result};

/// The driver's methods, by which tests name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Op {
    Ping,
    Prepare,
    Define,
    Start,
    Shutdown,
    PowerOff,
    Reboot,
    Suspend,
    Resume,
    Undefine,
    State,
    List,
    Stats,
    Console,
}

/// A domain of the mock.
struct Machine {
    spec: DomainSpec,
    state: DomainState,
    stats: DomainStats,
    /// Dropping it ends the open console.
    viewer: Option<oneshot::Sender<()>>,
}

#[derive(Default)]
struct World {
    machines: HashMap<Uuid, Machine>,
    folders: BTreeSet<PathBuf>,
    consoles: HashMap<Uuid, Vec<u8>>,
    typed: HashMap<Uuid, Vec<u8>>,
    taken_ports: BTreeSet<u16>,
    failures: HashMap<Op, VecDeque<Error>>,
    latency: HashMap<Op, Duration>,
    gates: HashMap<Op, watch::Receiver<bool>>,
    reached: HashMap<Op, watch::Sender<usize>>,
    calls: HashMap<Op, usize>,
    deaf: bool,
    offline: bool,
    capabilities: Option<Capabilities>,
}

/// See the module's notes. Clones are the same driver.
#[derive(Clone)]
pub struct MockDriver {
    world: Arc<Mutex<World>>,
    events: broadcast::Sender<DriverEvent>,
}

impl Default for MockDriver {
    fn default() -> Self {
        let (events, _) = broadcast::channel(1024);
        MockDriver { world: Arc::default(), events }
    }
}

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

    /// What [`Driver::stats`] says of a domain.
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

    /// What [`Driver::capabilities`] says. At first: everything but booting.
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

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: DriverEvent) {
        let _ = self.events.send(event);
    }

    /// What every method begins with: it is counted, held, slowed down, failed.
    async fn enter(&self, op: Op) -> Result<()> {
        let (gate, latency) = {
            let mut world = self.world();
            *world.calls.entry(op).or_default() += 1;
            if let Some(reached) = world.reached.get(&op) {
                reached.send_modify(|n| *n += 1);
            }
            (world.gates.get(&op).cloned(), world.latency.get(&op).copied())
        };
        if let Some(mut gate) = gate {
            // The other half gone means open.
            let _ = gate.wait_for(|open| *open).await;
        }
        if let Some(latency) = latency {
            tokio::time::sleep(latency).await;
        }
        let mut world = self.world();
        if world.offline {
            return Err(Error::new(Code::BackendUnavailable, "The backend cannot be reached."));
        }
        match world.failures.get_mut(&op).and_then(VecDeque::pop_front) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Changes a domain's state to what `next` says of its present one.
    fn change(&self, uuid: Uuid, next: impl FnOnce(&Machine) -> Result<DomainState>) -> Result<()> {
        let mut world = self.world();
        let machine = world.machines.get_mut(&uuid).ok_or_else(gone)?;
        let state = next(machine)?;
        if machine.state == state {
            return Ok(());
        }
        machine.state = state;
        if is_off(state) {
            machine.viewer = None;
        }
        drop(world);
        self.tell(DriverEvent::State(uuid, state));
        Ok(())
    }

    /// True if somebody else has the domain's port.
    fn is_port_taken(&self, uuid: Uuid) -> bool {
        let world = self.world();
        let Some(machine) = world.machines.get(&uuid) else { return false };
        let port = machine.spec.ssh_port;
        let same = |(id, m): (&Uuid, &Machine)| *id != uuid && m.spec.ssh_port == port && !is_off(m.state);
        world.taken_ports.contains(&port) || world.machines.iter().any(same)
    }

    /// A guest's end of its console: says what it has to say, then echoes.
    async fn converse(self, uuid: Uuid, guest: DuplexStream, mut over: oneshot::Receiver<()>) {
        let (mut typed, mut screen) = tokio::io::split(guest);
        let greeting = self.world().consoles.get(&uuid).cloned().unwrap_or_default();
        let talk = async {
            screen.write_all(&greeting).await?;
            let mut buffer = [0; 1024];
            loop {
                let n = typed.read(&mut buffer).await?;
                if n == 0 {
                    return Ok::<(), std::io::Error>(());
                }
                let heard = buffer.get(..n).unwrap_or_default();
                self.world().typed.entry(uuid).or_default().extend_from_slice(heard);
                screen.write_all(heard).await?;
            }
        };
        tokio::select! {
            _ = talk => {}
            _ = &mut over => {}
        }
    }
}

#[async_trait]
impl Driver for MockDriver {
    fn name(&self) -> &'static str {
        "mock"
    }

    fn capabilities(&self) -> Capabilities {
        self.world().capabilities.unwrap_or(Capabilities { pause: true, console: true, boots: false })
    }

    async fn ping(&self) -> Result<Backend> {
        self.enter(Op::Ping).await?;
        Ok(Backend { version: "mock 1.0".into(), accel: "none (boots nothing)".into() })
    }

    async fn prepare(&self, spec: &DomainSpec) -> Result<()> {
        self.enter(Op::Prepare).await?;
        self.world().folders.insert(spec.dir.clone());
        Ok(())
    }

    async fn define(&self, spec: &DomainSpec) -> Result<()> {
        self.enter(Op::Define).await?;
        let mut world = self.world();
        if world.machines.values().any(|m| m.spec.name == spec.name && m.spec.uuid != spec.uuid) {
            return Err(Error::new(Code::Exists, "The host has another VM of that name."));
        }
        if let Some(machine) = world.machines.get_mut(&spec.uuid) {
            if machine.spec.name != spec.name && !is_off(machine.state) {
                return Err(Error::new(Code::VmState, "A running VM cannot be renamed."));
            }
            machine.spec = spec.clone();
            return Ok(());
        }
        let stats = DomainStats { ram_bytes: u64::from(spec.ram_mb) << 20, ..DomainStats::default() };
        let machine = Machine { spec: spec.clone(), state: DomainState::Stopped, stats, viewer: None };
        world.machines.insert(spec.uuid, machine);
        drop(world);
        self.tell(DriverEvent::State(spec.uuid, DomainState::Stopped));
        Ok(())
    }

    async fn start(&self, uuid: Uuid) -> Result<()> {
        self.enter(Op::Start).await?;
        let taken = self.is_port_taken(uuid);
        self.change(uuid, |m| match m.state {
            DomainState::Running => Ok(DomainState::Running),
            DomainState::Paused => Err(Error::new(Code::VmState, "The VM is paused.")),
            DomainState::Stopped | DomainState::Crashed if taken => {
                Err(Error::new(Code::Exists, "The port that leads to the VM is taken on the host."))
            }
            DomainState::Stopped | DomainState::Crashed => Ok(DomainState::Running),
        })
    }

    async fn shutdown(&self, uuid: Uuid, patience: Duration) -> Result<bool> {
        self.enter(Op::Shutdown).await?;
        let deaf = self.world().deaf;
        let was_off = self.world().machines.get(&uuid).is_some_and(|m| is_off(m.state));
        if deaf && !was_off {
            tokio::time::sleep(patience).await;
        }
        self.change(uuid, off)?;
        Ok(!deaf || was_off)
    }

    async fn power_off(&self, uuid: Uuid) -> Result<()> {
        self.enter(Op::PowerOff).await?;
        self.change(uuid, off)
    }

    async fn reboot(&self, uuid: Uuid, _force: bool) -> Result<()> {
        self.enter(Op::Reboot).await?;
        self.change(uuid, |m| active(m, m.state))
    }

    async fn suspend(&self, uuid: Uuid) -> Result<()> {
        self.enter(Op::Suspend).await?;
        self.change(uuid, |m| active(m, DomainState::Paused))
    }

    async fn resume(&self, uuid: Uuid) -> Result<()> {
        self.enter(Op::Resume).await?;
        self.change(uuid, |m| active(m, DomainState::Running))
    }

    async fn undefine(&self, uuid: Uuid, dir: &Path) -> Result<()> {
        self.enter(Op::Undefine).await?;
        if self.world().machines.contains_key(&uuid) {
            self.change(uuid, off)?;
        }
        self.forget(uuid);
        self.world().folders.remove(dir);
        Ok(())
    }

    async fn state(&self, uuid: Uuid) -> Result<Option<DomainState>> {
        self.enter(Op::State).await?;
        Ok(self.world().machines.get(&uuid).map(|m| m.state))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Domain>> {
        self.enter(Op::List).await?;
        let world = self.world();
        let ours = world.machines.values().filter(|m| m.spec.name.starts_with(prefix));
        Ok(ours.map(|m| Domain { uuid: m.spec.uuid, name: m.spec.name.clone(), state: m.state }).collect())
    }

    async fn stats(&self, prefix: &str) -> Result<Vec<(Uuid, DomainStats)>> {
        self.enter(Op::Stats).await?;
        let world = self.world();
        let ours = world.machines.values().filter(|m| m.spec.name.starts_with(prefix) && !is_off(m.state));
        Ok(ours.map(|m| (m.spec.uuid, m.stats)).collect())
    }

    async fn console(&self, uuid: Uuid) -> Result<DuplexStream> {
        self.enter(Op::Console).await?;
        let (end, over) = oneshot::channel();
        {
            let mut world = self.world();
            let machine = world.machines.get_mut(&uuid).ok_or_else(gone)?;
            active(machine, machine.state)?;
            machine.viewer = Some(end);
        }
        let (guest, viewer) = duplex(64 << 10);
        tokio::spawn(self.clone().converse(uuid, guest, over));
        Ok(viewer)
    }

    fn events(&self) -> broadcast::Receiver<DriverEvent> {
        self.events.subscribe()
    }
}

fn is_off(state: DomainState) -> bool {
    matches!(state, DomainState::Stopped | DomainState::Crashed)
}

/// Off; a crash is not made undone by switching off.
#[allow(clippy::unnecessary_wraps)]
fn off(machine: &Machine) -> Result<DomainState> {
    Ok(if is_off(machine.state) { machine.state } else { DomainState::Stopped })
}

/// `state`, if the domain is not off.
fn active(machine: &Machine, state: DomainState) -> Result<DomainState> {
    if is_off(machine.state) {
        return Err(Error::new(Code::VmNotRunning, "The VM is not running."));
    }
    Ok(state)
}

fn gone() -> Error {
    Error::new(Code::VmNotFound, "The backend knows no such VM.")
}

#[cfg(test)]
mod tests {
    use super::*;

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
