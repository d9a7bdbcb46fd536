//! A driver in memory, for tests of everything that stands on one. It keeps the
//! same promises as the real ones (`tests/driver_contract.rs` holds it to them),
//! and it can be told to fail, to be slow, or to stop in the middle.

mod arrange;

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
pub use arrange::Gate;

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

impl MockDriver {
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
        self.change(uuid, |m| active(m, DomainState::Running))
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
