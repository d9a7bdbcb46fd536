//! VMs that are entered inside the full screen, each in a tab that lives on while
//! the person is elsewhere.
//!
//! ```text
//!  bytes ─▶ Tap ─┬─ bytes ──────────────▶ Line ─▶ the guest
//!                ├─ prefix ─▶ a command    ▲
//!                └─ mouse ─▶ the pane under it
//!  draw ◀─ paint ◀─ Emulator ◀─ Line ◀─ the guest
//! ```
//!
//! All that is typed goes to the guest as it is, but for one prefix key. All that
//! a guest says becomes cells of a terminal in memory; the screen is drawn from
//! those, so no byte of a guest reaches the person's own terminal. A guest's
//! clipboard (OSC 52) and questions for a title are not answered for that reason.
//!
//! The frame holds [`Tabs`], waits for [`Tabs::changed`] and for
//! [`Tabs::silence_at`], and gives the terminal the [`Modes`] of the tab in front.

mod draw;
pub mod emulator;
mod input;
mod keys;
mod layout;
mod modes;
mod mouse;
pub mod paint;
mod scroll;
mod tap;
mod wire;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ratatui::layout::Rect;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::effect::Way;
use super::keymap::{self, Hint};
use super::theme::Depth;
use crate::error::{Code, Error, Result};
use crate::guest::relay;
use crate::model::Preferences;
use crate::model::name::VmRef;
use crate::model::preferences::{Prefix, Switch};
use crate::term::keys::Decoder;
use crate::term::{Ended, Stdio, Terminal, WindowSize};
pub use keys::shown as key_word;
use layout::Split;
pub use modes::Modes;
use scroll::Scroll;
use tap::Tap;
pub use wire::{Door, Through};
use wire::{Line, Stage};

/// Tabs of a session.
const MOST: usize = 8;
/// How long what may be our sequence waits for its next byte; a lone Esc waits as long.
const HOLD: Duration = Duration::from_millis(20);
/// Lines that a turn of the wheel scrolls.
const WHEEL_LINES: u64 = 3;

/// The word for what runs there.
fn word(way: Way) -> &'static str {
    match way {
        Way::Shell => "shell",
        Way::Console => "console",
    }
}

/// Which tab; never the same again in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TabId(u32);

/// What the frame is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Show the pages again; tabs live on. These bytes were typed after that and
    /// are the frame's.
    ToList(Vec<u8>),
    /// Give the person's clipboard that text.
    Copy(String),
    /// Tell them.
    Say(String),
}

/// What tabs need to know of the person and their terminal.
#[derive(Debug, Clone)]
pub struct Prefs {
    /// Begins every command.
    pub prefix: Prefix,
    /// The mouse is heeded.
    pub mouse: bool,
    /// How many colours a guest may use.
    pub depth: Depth,
    /// The terminal's modes, for the guest's.
    pub modes: Vec<(u8, u32)>,
    /// Variables that a guest is told.
    pub env: Vec<(String, String)>,
}

impl Prefs {
    /// Of a session whose person wishes that.
    pub fn of(stdio: &Stdio, wishes: &Preferences) -> Prefs {
        let depth = Depth::at(stdio);
        let modes = stdio.terminal.as_ref().map(|t| t.modes.clone()).unwrap_or_default();
        let told = |name: &str| name != "COLORTERM" || depth == Depth::True;
        let env = stdio.env.iter().filter(|(name, _)| told(name)).cloned().collect();
        Prefs { prefix: wishes.prefix, mouse: wishes.mouse == Switch::On, depth, modes, env }
    }

    /// The terminal that a guest gets.
    fn terminal(&self, size: WindowSize) -> Terminal {
        let term = match self.depth {
            Depth::None | Depth::Sixteen => "xterm",
            Depth::Indexed | Depth::True => "xterm-256color",
        };
        Terminal { term: term.to_owned(), size, modes: self.modes.clone() }
    }
}

/// A tab, for a list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Which.
    pub id: TabId,
    /// Its VM.
    pub name: String,
    /// How that was entered.
    pub way: Way,
    /// What the guest calls its window; may be empty.
    pub title: String,
    /// There is something that nobody has seen.
    pub news: bool,
    /// The guest has rung its bell, unseen.
    pub bell: bool,
    /// It is over.
    pub ended: bool,
    /// It has the keys when tabs are in front.
    pub front: bool,
}

#[derive(Debug)]
struct Tab {
    id: TabId,
    vm: VmRef,
    way: Way,
    line: Arc<Line>,
    scroll: Option<Scroll>,
    /// Its end has been dealt with.
    settled: bool,
    _task: AbortOnDropHandle<()>,
}

/// The tab that shares the screen with the one in front.
#[derive(Debug, Clone, Copy)]
struct Beside {
    id: TabId,
    split: Split,
    /// It stands first.
    first: bool,
}

/// Which tabs are on the screen and where; and the line between two.
#[derive(Debug, Default)]
struct Panes {
    tabs: Vec<(TabId, Rect)>,
    line: Option<(Rect, Split)>,
}

/// What the keys are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// The tab in front.
    Pass,
    /// A command.
    Command,
    /// Whether that tab is to be closed.
    Close(TabId),
    /// The help, from that line on.
    Help(u16),
}

/// All tabs of a session.
#[derive(Debug)]
pub struct Tabs {
    prefs: Prefs,
    door: Arc<dyn Door>,
    changed: Arc<Notify>,
    tabs: Vec<Tab>,
    last_id: u32,
    front: Option<TabId>,
    beside: Option<Beside>,
    /// The one in front has the whole screen for now.
    zoomed: bool,
    /// The pages are shown instead.
    away: bool,
    area: Rect,
    mode: Mode,
    tap: Tap,
    decoder: Decoder,
    silence_at: Option<Instant>,
}

impl Tabs {
    /// None yet, for a window of that size.
    pub fn new(prefs: Prefs, door: Arc<dyn Door>, size: WindowSize) -> Tabs {
        let tap = Tap::new(keys::byte(prefs.prefix));
        Tabs {
            prefs,
            door,
            changed: Arc::default(),
            tabs: Vec::new(),
            last_id: 0,
            front: None,
            beside: None,
            zoomed: false,
            away: true,
            area: Rect::new(0, 0, size.cols, size.rows),
            mode: Mode::Pass,
            tap,
            decoder: Decoder::new(),
            silence_at: None,
        }
    }

    /// Takes other wishes.
    pub fn prefer(&mut self, wishes: &Preferences) {
        self.prefs.prefix = wishes.prefix;
        self.prefs.mouse = wishes.mouse == Switch::On;
        self.tap = Tap::new(keys::byte(wishes.prefix));
    }

    /// Notified when there is something new to draw or to [`Tabs::settle`].
    pub fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    /// The tabs, in their order.
    pub fn list(&self) -> Vec<Listed> {
        let listed = |tab: &Tab| Listed {
            id: tab.id,
            name: tab.vm.to_string(),
            way: tab.way,
            title: tab.line.emulator().title().to_owned(),
            news: tab.line.news.load(Ordering::Relaxed),
            bell: tab.line.bell.load(Ordering::Relaxed),
            ended: tab.ended(),
            front: self.front == Some(tab.id),
        };
        self.tabs.iter().map(listed).collect()
    }

    /// The names of VMs in which something runs: what leaving would end.
    pub fn running(&self) -> Vec<String> {
        self.tabs.iter().filter(|t| !t.ended()).map(|t| t.vm.to_string()).collect()
    }

    /// The tab in which a VM is entered in that way already.
    pub fn find(&self, vm: &VmRef, way: Way) -> Option<TabId> {
        self.tabs.iter().find(|t| t.vm == *vm && t.way == way && !t.ended()).map(|t| t.id)
    }

    /// Enters a VM in a new tab, and brings it to the front.
    ///
    /// # Errors
    /// If there are too many tabs.
    pub fn open(&mut self, vm: VmRef, way: Way) -> Result<TabId> {
        if self.tabs.len() >= MOST {
            return Err(Error::new(Code::Quota, format!("There are {MOST} tabs already."))
                .hint(format!("{} x closes one.", keys::shown(self.prefs.prefix))));
        }
        self.last_id += 1;
        let id = TabId(self.last_id);
        let tab = self.enter(id, vm, way);
        self.tabs.push(tab);
        self.bring(id);
        Ok(id)
    }

    fn enter(&self, id: TabId, vm: VmRef, way: Way) -> Tab {
        let (_, inner) = layout::bar(self.area);
        let line = Arc::new(Line::new(size_of(inner), Arc::clone(&self.changed)));
        let terminal = self.prefs.terminal(line.emulator().size());
        let door = Arc::clone(&self.door);
        let task = wire::spawn(door, vm.clone(), way, terminal, self.prefs.env.clone(), Arc::clone(&line));
        Tab { id, vm, way, line, scroll: None, settled: false, _task: task }
    }

    /// Brings tabs to the front, and that one before the others.
    pub fn bring(&mut self, id: TabId) {
        if self.tab(id).is_none() {
            return;
        }
        self.away = false;
        self.mode = Mode::Pass;
        if self.beside.is_some_and(|beside| beside.id == id) {
            self.other_pane();
        }
        self.front = Some(id);
        self.arrange();
    }

    /// The pages are in front now.
    pub fn leave(&mut self) {
        self.away = true;
        self.mode = Mode::Pass;
        self.arrange();
    }

    /// Brings tabs to the front again, if there are any.
    pub fn come_back(&mut self) -> bool {
        if let Some(id) = self.front {
            self.bring(id);
        }
        self.front.is_some()
    }

    /// Tabs are in front, not the pages.
    pub fn are_in_front(&self) -> bool {
        !self.away && self.front.is_some()
    }

    /// The window has another size.
    pub fn resize(&mut self, size: WindowSize) {
        self.place(Rect { width: size.cols, height: size.rows, ..self.area });
    }

    fn place(&mut self, area: Rect) {
        if self.area != area {
            self.area = area;
            self.arrange();
        }
    }

    fn tab(&self, id: TabId) -> Option<&Tab> {
        self.tabs.iter().find(|t| t.id == id)
    }

    fn front(&self) -> Option<&Tab> {
        self.front.and_then(|id| self.tab(id))
    }

    fn front_mut(&mut self) -> Option<&mut Tab> {
        let id = self.front?;
        self.tabs.iter_mut().find(|t| t.id == id)
    }

    fn panes(&self) -> Panes {
        let (_, inner) = layout::bar(self.area);
        let Some(front) = self.front else { return Panes::default() };
        let two = self.beside.filter(|_| !self.zoomed);
        match two.and_then(|beside| Some((beside, layout::halves(inner, beside.split)?))) {
            Some((beside, [first, line, second])) => {
                let (his, its) = if beside.first { (second, first) } else { (first, second) };
                Panes { tabs: vec![(front, his), (beside.id, its)], line: Some((line, beside.split)) }
            }
            None => Panes { tabs: vec![(front, inner)], line: None },
        }
    }

    /// Gives each tab on the screen its size, and tells the others that they are hidden.
    fn arrange(&mut self) {
        let panes = if self.away { Vec::new() } else { self.panes().tabs };
        for tab in &self.tabs {
            let pane = panes.iter().find(|(id, _)| *id == tab.id);
            tab.line.shown.store(pane.is_some(), Ordering::Relaxed);
            if let Some((_, area)) = pane {
                tab.line.resize(size_of(*area));
            }
        }
    }

    /// Deals with tabs that have ended meanwhile: a shell that ended well is closed.
    pub fn settle(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        let ended: Vec<TabId> = self.tabs.iter().filter(|t| !t.settled && t.ended()).map(|t| t.id).collect();
        for id in ended {
            let Some(tab) = self.tabs.iter_mut().find(|t| t.id == id) else { continue };
            tab.settled = true;
            if tab.way == Way::Shell && tab.line.stage() == Stage::Over(Ok(Ended::Status(0))) {
                steps.push(Step::Say(format!("{}: the shell has ended.", tab.vm)));
                steps.extend(self.close(id));
            }
        }
        steps
    }

    /// Closes a tab, whatever runs in it.
    fn close(&mut self, id: TabId) -> Option<Step> {
        let index = self.tabs.iter().position(|t| t.id == id)?;
        self.tabs.remove(index);
        let beside = self.beside.take_if(|b| b.id == id || self.front == Some(id));
        if self.front == Some(id) {
            let neighbour = self.tabs.get(index.min(self.tabs.len().saturating_sub(1))).map(|t| t.id);
            self.front = beside.map(|b| b.id).or(neighbour);
            self.mode = Mode::Pass;
        }
        if self.mode == Mode::Close(id) {
            self.mode = Mode::Pass;
        }
        self.arrange();
        (self.tabs.is_empty() && !self.away).then(|| self.go_to_list())
    }

    fn go_to_list(&mut self) -> Step {
        self.leave();
        Step::ToList(Vec::new())
    }

    /// What the person's terminal must be set to while tabs are in front.
    pub fn modes(&self) -> Modes {
        match self.front() {
            Some(tab) if !self.away => Modes::of(tab.line.emulator().screen(), self.prefs.mouse),
            _ => Modes::default(),
        }
    }

    /// The keys that work now, for a line of them.
    pub fn hints(&self) -> Vec<Hint> {
        let scrolls = self.front().is_some_and(|tab| tab.scroll.is_some());
        match self.mode {
            Mode::Command => keymap::hints(keys::KEYS, |_| true),
            Mode::Close(_) => vec![("y", "close it"), ("n", "keep it")],
            Mode::Help(_) => vec![("↑ ↓", "scroll"), ("Esc", "close")],
            Mode::Pass if scrolls => keymap::hints(keys::SCROLL_KEYS, |_| true),
            Mode::Pass => vec![(keys::shown(self.prefs.prefix), "commands")],
        }
    }

    /// All keys of tabs, for the help.
    pub fn help(&self) -> Vec<Hint> {
        let mut help =
            vec![(keys::shown(self.prefs.prefix), "begins each of these; twice, it is sent itself")];
        help.extend(keymap::help(keys::KEYS));
        help.push(("", "While you scroll back:"));
        help.extend(keymap::help(keys::SCROLL_KEYS));
        help
    }
}

impl Tab {
    fn ended(&self) -> bool {
        self.line.is_over()
    }

    /// How it ended, in words.
    fn ending(&self) -> Option<String> {
        let Stage::Over(how) = self.line.stage() else { return None };
        let (vm, what) = (&self.vm, word(self.way));
        Some(match how {
            Ok(Ended::Status(relay::LOST)) => format!("{vm}: the connection was lost."),
            Ok(Ended::Status(0)) => format!("{vm}: the {what} ended."),
            Ok(Ended::Status(status)) => format!("{vm}: the {what} ended with status {status}."),
            Ok(Ended::Signal { name, .. }) => format!("{vm}: the {what} was ended by SIG{name}."),
            Err(e) => format!("{} {}", e.message, e.hint),
        })
    }
}

/// The size of a terminal in that area.
fn size_of(area: Rect) -> WindowSize {
    WindowSize { cols: area.width.max(1), rows: area.height.max(1) }
}

#[cfg(test)]
mod tests;
