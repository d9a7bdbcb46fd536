//! A tab's other side: a task that enters the VM, as any other session does, and
//! carries bytes between the guest and the tab.
//!
//! ```text
//!  Tabs ─▶ Line.typed ─▶ type_in ─▶ ┐              ┌─▶ guest::relay ─▶ the VM
//!  Tabs ◀─ Line.emulator ◀─ show ◀─ ┴ term::pair ◀─┘
//! ```
//!
//! Nothing here grows: what is typed waits in a bounded place, what the guest says
//! is taken slice by slice, and a guest that says much is made to wait by the
//! channel's own window. How much of a processor a tab may take is in [`Pace`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::Way;
use super::emulator::Emulator;
use crate::action::enter::{VmConsole, VmSsh};
use crate::error::{Error, Result};
use crate::guest::{console, relay};
use crate::model::name::VmRef;
use crate::portal::{Portal, Principal};
use crate::term::{self, Ended, Input, Output, Stdio, Terminal, WindowSize};

/// Bytes that may wait to be typed; what is more is refused.
const MOST_TYPED: usize = 256 * 1024;
/// Bytes of that which are sent at once.
const PACKET: usize = 16 * 1024;

/// How a tab enters a VM.
#[async_trait]
pub trait Door: std::fmt::Debug + Send + Sync {
    /// Enters it and stays to the end.
    ///
    /// # Errors
    /// If it cannot be entered.
    async fn enter(&self, vm: &VmRef, way: Way, stdio: &mut Stdio) -> Result<Ended>;
}

/// Through the portal, as somebody.
pub struct Through {
    portal: Portal,
    who: Principal,
}

impl std::fmt::Debug for Through {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Through").finish_non_exhaustive()
    }
}

impl Through {
    /// For that person.
    pub fn new(portal: &Portal, who: &Principal) -> Through {
        Through { portal: portal.clone(), who: who.clone() }
    }
}

#[async_trait]
impl Door for Through {
    async fn enter(&self, vm: &VmRef, way: Way, stdio: &mut Stdio) -> Result<Ended> {
        let name = vm.clone();
        match way {
            Way::Shell => {
                let (_, guest) = self.portal.perform(&self.who, VmSsh { name, command: Vec::new() }).await?;
                relay::run(stdio, &guest, relay::Run::Shell, false).await
            }
            Way::Console => {
                let stream = self.portal.perform(&self.who, VmConsole { name }).await?;
                let hello = Bytes::from(format!("Console of {vm}. Enter wakes it.\r\n"));
                let _ = stdio.writer.raw(hello).await;
                console::carry(stdio, stream, None).await;
                Ok(Ended::Status(0))
            }
        }
    }
}

/// How far a tab has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// The guest has not said anything yet.
    Entering,
    /// It has.
    Inside,
    /// It is over.
    Over(Result<Ended>),
}

/// What waits to be carried to the guest.
#[derive(Debug, Default)]
struct Typed {
    bytes: Vec<u8>,
    size: Option<WindowSize>,
}

/// What a tab and its task share. Locks are held for a slice at most.
#[derive(Debug)]
pub(super) struct Line {
    emulator: Mutex<Emulator>,
    typed: Mutex<Typed>,
    stage: Mutex<Stage>,
    /// There is something to carry to the guest.
    wake: Notify,
    /// Somebody looks at it.
    pub shown: AtomicBool,
    /// Something was typed: what comes next is probably an answer.
    eager: Notify,
    /// There is something new, or the bell.
    pub news: AtomicBool,
    pub bell: AtomicBool,
    /// Tells the frame that something has changed; many changes are one word.
    changed: Arc<Notify>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Line {
    pub fn new(size: WindowSize, changed: Arc<Notify>) -> Line {
        Line {
            emulator: Mutex::new(Emulator::new(size)),
            typed: Mutex::default(),
            stage: Mutex::new(Stage::Entering),
            wake: Notify::new(),
            shown: AtomicBool::new(false),
            eager: Notify::new(),
            news: AtomicBool::new(false),
            bell: AtomicBool::new(false),
            changed,
        }
    }

    pub fn emulator(&self) -> MutexGuard<'_, Emulator> {
        lock(&self.emulator)
    }

    pub fn stage(&self) -> Stage {
        lock(&self.stage).clone()
    }

    /// True when the guest's end is reached.
    pub fn is_over(&self) -> bool {
        matches!(*lock(&self.stage), Stage::Over(_))
    }

    /// Types into the guest; false if it has not taken what was typed before.
    pub fn type_in(&self, bytes: &[u8]) -> bool {
        let mut typed = lock(&self.typed);
        if typed.bytes.len() + bytes.len() > MOST_TYPED {
            return false;
        }
        typed.bytes.extend_from_slice(bytes);
        self.eager.notify_one();
        self.wake.notify_one();
        true
    }

    /// Gives the terminal that size, and tells the guest.
    pub fn resize(&self, size: WindowSize) {
        let mut emulator = self.emulator();
        if emulator.resize(size) {
            lock(&self.typed).size = Some(emulator.size());
            self.wake.notify_one();
        }
    }

    #[cfg(test)]
    pub fn typed(&self) -> Vec<u8> {
        lock(&self.typed).bytes.clone()
    }

    /// Takes some of what the guest says; how many bytes.
    pub fn hear(&self, bytes: &[u8]) -> usize {
        let mut emulator = self.emulator();
        let used = emulator.feed(bytes);
        let replies = emulator.take_replies();
        if emulator.take_bell() {
            self.bell.store(true, Ordering::Relaxed);
        }
        drop(emulator);
        if !replies.is_empty() {
            let mut typed = lock(&self.typed);
            // Whoever asks and does not listen gets no answer.
            if typed.bytes.len() + replies.len() <= MOST_TYPED {
                typed.bytes.extend_from_slice(&replies);
                self.wake.notify_one();
            }
        }
        let mut stage = lock(&self.stage);
        if *stage == Stage::Entering {
            *stage = Stage::Inside;
        }
        drop(stage);
        self.tell();
        used
    }

    fn tell(&self) {
        self.news.store(true, Ordering::Relaxed);
        self.changed.notify_one();
    }

    fn end(&self, how: Result<Ended>) {
        *lock(&self.stage) = Stage::Over(how);
        self.tell();
    }

    /// Carries what is typed until nobody takes it any more.
    async fn carry_typed(&self, input: mpsc::Sender<Input>) {
        loop {
            let (size, bytes) = {
                let mut typed = lock(&self.typed);
                let most = typed.bytes.len().min(PACKET);
                (typed.size.take(), typed.bytes.drain(..most).collect::<Vec<u8>>())
            };
            if size.is_none() && bytes.is_empty() {
                self.wake.notified().await;
                continue;
            }
            if let Some(size) = size
                && input.send(Input::Resize(size)).await.is_err()
            {
                return;
            }
            if !bytes.is_empty() && input.send(Input::Data(Bytes::from(bytes))).await.is_err() {
                return;
            }
        }
    }

    /// Shows what the guest says until it says no more.
    pub async fn show(&self, mut output: mpsc::Receiver<Output>) {
        let mut pace = Pace::new(Instant::now());
        while let Some(Output::Out(bytes) | Output::Err(bytes)) = output.recv().await {
            let mut rest = bytes;
            while !rest.is_empty() {
                let began = Instant::now();
                let used = self.hear(&rest);
                rest = rest.slice(used.min(rest.len())..);
                let now = Instant::now();
                match pace.spend(now - began, now, self.shown.load(Ordering::Relaxed)) {
                    Duration::ZERO => tokio::task::yield_now().await,
                    wait => tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = self.eager.notified() => pace.hurry(Instant::now()),
                    },
                }
            }
        }
    }
}

/// How much of a processor's time a tab may take for what its guest says: some
/// at once, then a share of what goes by.
#[derive(Debug)]
pub(super) struct Pace {
    /// What may be spent.
    left: Duration,
    /// What was spent before there was any.
    owed: Duration,
    at: Instant,
    /// Somebody has just typed.
    hurried_until: Instant,
}

/// What may be spent at once: a few screens' worth.
const BURST: Duration = Duration::from_millis(60);
/// One part in so many, of a tab that somebody looks at, and of one that nobody does.
const SHOWN_SHARE: u32 = 5;
const HIDDEN_SHARE: u32 = 20;
/// The same for a while after something was typed, such as what stops a flood.
const HURRIED_SHARE: u32 = 2;
const HURRY: Duration = Duration::from_secs(1);
/// No shorter waits: a timer costs too.
const SHORTEST_WAIT: Duration = Duration::from_millis(5);

impl Pace {
    pub fn new(now: Instant) -> Pace {
        Pace { left: BURST, owed: Duration::ZERO, at: now, hurried_until: now }
    }

    /// Somebody has typed and waits for what comes of it.
    pub fn hurry(&mut self, now: Instant) {
        *self = Pace { hurried_until: now + HURRY, ..Pace::new(now) };
    }

    /// Takes note of time spent, and says how long to rest now.
    pub fn spend(&mut self, spent: Duration, now: Instant, shown: bool) -> Duration {
        let share = match shown {
            _ if now < self.hurried_until => HURRIED_SHARE,
            true => SHOWN_SHARE,
            false => HIDDEN_SHARE,
        };
        let earned = (now - self.at) / share;
        self.at = now;
        let have = (self.left + earned).min(BURST.max(earned));
        let want = self.owed + spent;
        self.left = have.saturating_sub(want).min(BURST);
        self.owed = want.saturating_sub(have);
        if self.owed.is_zero() { Duration::ZERO } else { (self.owed * share).max(SHORTEST_WAIT) }
    }
}

/// Enters the VM in a task that ends when the handle goes.
pub(super) fn spawn(
    door: Arc<dyn Door>,
    vm: VmRef,
    way: Way,
    terminal: Terminal,
    env: Vec<(String, String)>,
    line: Arc<Line>,
) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let (mut stdio, input, output) = term::pair(Some(terminal), env);
        let entering = Box::pin(async {
            let ended = door.enter(&vm, way, &mut stdio).await;
            drop(stdio);
            ended
        });
        let typing = async {
            line.carry_typed(input).await;
            std::future::pending::<()>().await;
        };
        let ended = tokio::select! {
            (ended, ()) = async { tokio::join!(entering, line.show(output)) } => ended,
            () = typing => Err(Error::internal("a tab typed no more")),
        };
        line.end(ended);
    }))
}
