//! The full screen. One task per session:
//!
//! ```text
//!  keys, sizes ─┐
//!  feeds ───────┼─▶ Msg ─▶ app::update ─▶ Model ─▶ view::draw ─┬─▶ one write
//!  answers ─────┘              └─▶ Effect ─▶ live (tasks, the   │
//!                                            one door)          │
//!  bytes ─▶ tabs ─▶ a guest ─▶ cells ─▶ tabs::draw ─────────────┘
//! ```
//!
//! | place | what is there |
//! | --- | --- |
//! | [`page`] | the traits `Page` and `Overlay`, and what all of them see |
//! | [`pages`] | the pages, a file or a folder each, and the list of them |
//! | [`effect`] | what a page may ask for: a task, a feed, another page, … |
//! | [`tabs`] | VMs that are entered inside the screen |
//! | [`widgets`] | tables, forms, inputs, charts: they know nothing of VMs |
//! | [`theme`] | colours, made to fit what a terminal has |
//!
//! Frames are drawn when something has changed, so many a second at most, and
//! not at all while the person does not read.

pub mod app;
mod clipboard;
mod command;
pub mod confirm;
pub mod effect;
mod feeds;
mod help;
pub mod keymap;
mod live;
mod output;
pub mod page;
pub mod pages;
pub mod roster;
pub mod screen;
pub mod tabs;
pub mod theme;
pub mod view;
pub mod widgets;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;

use crate::action::account::AccountPrefs;
use crate::action::enter::{VmConsole, VmSsh};
use crate::error::Result;
use crate::guest::{console, relay};
use crate::model::name::VmRef;
use crate::model::preferences::{Motion, Preferences, Switch};
use crate::model::{Permission, Scope, text};
use crate::portal::{Portal, Principal};
use crate::shell;
use crate::term::keys::{Event, Key, Keys};
use crate::term::{Ended, Gone, Input, Stdio, WindowSize};
use app::{Model, Mood, Msg};
use confirm::Confirm;
use effect::{Effect, HandOver, Way};
use live::Live;
use page::{Me, Shared};
use screen::Screen;
use tabs::{Modes, Prefs, Step, Tabs, Through};
use theme::Depth;

/// At most 15 frames a second.
const FRAME: Duration = Duration::from_millis(66);
/// Where little shall move, what changes by itself is drawn no more often.
const CALM_FRAME: Duration = Duration::from_secs(5);
/// How long to wait before what was written over the screen is drawn over.
const AFTER_WORDS: Duration = Duration::from_millis(250);
/// How long to wait for the last write to somebody who may not read any more.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why the screen ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    /// They want to leave.
    Quit,
    /// They hung up, or were cut off.
    Gone,
}

/// A whole session. The terminal is the person's own again afterwards.
pub async fn session(portal: &Portal, who: &Principal, stdio: &mut Stdio) -> Ended {
    let wishes = portal.perform(who, AccountPrefs {}).await;
    let mut app = Box::new(App::new(portal, who, stdio, wishes));
    let kill = who.session().kill.clone();
    tokio::select! {
        _ = app.run(stdio) => {}
        () = kill.cancelled() => {}
    }
    let _ = tokio::time::timeout(FAREWELL, stdio.writer.raw(screen::leave())).await;
    Ended::Status(0)
}

/// What the loop works with.
struct App {
    portal: Portal,
    who: Principal,
    model: Model,
    live: Live,
    told: mpsc::Receiver<Msg>,
    /// What the portal says to this person.
    said: broadcast::Receiver<String>,
    keys: Keys,
    screen: Screen,
    /// Something was written over the screen.
    spoilt: bool,
    /// What goes to the terminal beside the frames.
    aside: Vec<u8>,
    /// What gets the whole terminal next.
    hand_over: Option<HandOver>,
    /// VMs that are entered.
    tabs: Tabs,
    /// The modes that the terminal is in for a guest.
    modes: Modes,
}

/// What wakes the loop.
enum Woken {
    /// The person did something, and a page is in front.
    Heard(Event),
    /// The same, of a tab.
    Typed(Option<Input>),
    /// A tab has waited long enough for a next byte.
    Silence,
    /// A tab has something new.
    Guest,
    Told(Msg),
    /// The portal says something.
    Said(String),
    Frame,
    Gone,
}

impl App {
    fn new(portal: &Portal, who: &Principal, stdio: &Stdio, wishes: Result<Preferences>) -> App {
        let size = stdio.terminal.as_ref().map_or(WindowSize::clamp(0, 0), |t| t.size);
        let rights = who.rights().clone();
        let sees_all = rights.scope(Permission::VmRead) == Scope::All;
        let me = Me { name: text::clean(who.name()), role: who.user().role.clone(), rights, sees_all };
        let (preferences, lost) = match wishes {
            Ok(preferences) => (preferences, None),
            Err(e) => (Preferences::default(), Some(e)),
        };
        let name = text::clean(&portal.config().name);
        let start = preferences.start.as_str();
        let door = Arc::new(Through::new(portal, who));
        let tabs = Tabs::new(Prefs::of(stdio, &preferences), door, size);
        let shared = Shared::new(name, me, size, preferences, Depth::at(stdio));
        let mut model = Model::new(shared, start);
        if let Some(e) = lost {
            model.complain(e);
        }
        let (live, told) = Live::new(portal, who);
        App {
            portal: portal.clone(),
            who: who.clone(),
            model,
            live,
            told,
            said: who.session().listen(),
            keys: Keys::new(),
            screen: Screen::new(size),
            spoilt: false,
            aside: Vec::new(),
            hand_over: None,
            tabs,
            modes: Modes::default(),
        }
    }

    /// The screen, and what gets the terminal from it in between.
    async fn run(&mut self, stdio: &mut Stdio) -> Leave {
        let mut first = self.model.begin();
        let greeting = self.portal.greeting(&self.who);
        if !greeting.is_empty() && self.model.toast.is_none() {
            first.push(self.model.say(Mood::Plain, greeting.join("  "), ""));
        }
        if let Some(leave) = self.carry_out(first) {
            return leave;
        }
        loop {
            self.modes = Modes::default();
            if stdio.writer.raw(screen::enter(self.wants_mouse())).await.is_err() {
                return Leave::Gone;
            }
            self.screen.clear();
            if let Some(leave) = self.show_until_left(stdio).await {
                return leave;
            }
            let Some(what) = self.hand_over.take() else { return Leave::Quit };
            if stdio.writer.raw(screen::leave()).await.is_err() {
                return Leave::Gone;
            }
            let effects = match self.give_away(stdio, what).await {
                Ok(()) => Vec::new(),
                Err(e) => app::update(&mut self.model, Msg::Failed(e)),
            };
            let size = stdio.terminal.as_ref().map_or(WindowSize::clamp(0, 0), |t| t.size);
            self.resize(size);
            if let Some(leave) = self.carry_out(effects) {
                return leave;
            }
        }
    }

    /// Gives the terminal to a VM or to a command that talks.
    async fn give_away(&mut self, stdio: &mut Stdio, what: HandOver) -> Result<()> {
        match what {
            HandOver::Vm(name, way) => visit(&self.portal, &self.who, stdio, name, way).await,
            HandOver::Line(line) => {
                let _ = stdio.writer.out(format!("{}\n", text::clean(&line))).await;
                shell::command(&self.portal, &self.who, stdio, line.as_bytes()).await;
                let _ = stdio.writer.out("\nEnter goes back to the screen.").await;
                loop {
                    match self.keys.next(&mut stdio.input).await {
                        Event::Key(Key::Enter | Key::Esc | Key::Ctrl('c') | Key::Char('q')) => return Ok(()),
                        Event::Key(_) => {}
                        Event::Resize(size) => stdio.resized(size),
                        Event::Eof | Event::Gone => return Ok(()),
                    }
                }
            }
        }
    }

    /// Shows the screen until they leave it; none if something else gets the terminal.
    async fn show_until_left(&mut self, stdio: &mut Stdio) -> Option<Leave> {
        let mut dirty = true;
        let mut next_frame = Instant::now();
        let mut last_frame = None;
        let guests = self.tabs.changed();
        loop {
            let in_tabs = self.tabs.are_in_front();
            let silence = self.tabs.silence_at();
            let woken = tokio::select! {
                woken = listen(&mut self.keys, &mut stdio.input, in_tabs) => woken,
                () = until(silence), if silence.is_some() => Woken::Silence,
                () = guests.notified() => Woken::Guest,
                Some(msg) = self.told.recv() => Woken::Told(msg),
                Ok(text) = self.said.recv() => Woken::Said(text),
                () = tokio::time::sleep_until(next_frame), if dirty => Woken::Frame,
                () = stdio.writer.closed() => Woken::Gone,
            };
            if let Woken::Frame = woken {
                let now = Instant::now();
                next_frame = now + FRAME;
                last_frame = Some(now);
                // Whoever does not read gets no more frames, and the latest when they do.
                dirty = stdio.writer.is_full();
                if !dirty && self.show(stdio).await.is_err() {
                    return Some(Leave::Gone);
                }
                continue;
            }
            if let Woken::Said(_) = woken {
                // It is written to the terminal too, just about now.
                self.spoilt = true;
                next_frame = Instant::now() + AFTER_WORDS;
            }
            let by_itself = matches!(woken, Woken::Told(_)) && !in_tabs;
            let said = self.toast();
            if let Some(leave) = self.take(stdio, woken) {
                return Some(leave);
            }
            if self.hand_over.is_some() {
                return None;
            }
            if let (true, Some(last)) = (self.is_calm(), last_frame) {
                // What somebody does, and what it comes to, is seen at once.
                let wait = by_itself && self.toast() == said;
                let due = last + if wait { CALM_FRAME } else { FRAME };
                next_frame = if wait && !dirty { due } else { next_frame.min(due) };
            }
            dirty = true;
        }
    }

    /// Takes what has happened into account.
    fn take(&mut self, stdio: &mut Stdio, woken: Woken) -> Option<Leave> {
        match woken {
            Woken::Heard(event) => match self.heard(stdio, event) {
                Ok(Some(msg)) => self.tell(msg),
                Ok(None) => None,
                Err(leave) => Some(leave),
            },
            Woken::Typed(input) => self.typed(stdio, input),
            Woken::Silence => {
                let steps = self.tabs.on_silence();
                self.step(steps)
            }
            Woken::Guest => {
                let steps = self.tabs.settle();
                self.step(steps)
            }
            Woken::Told(msg) => self.tell(msg),
            Woken::Said(text) => self.tell(Msg::Said(text)),
            Woken::Frame => None,
            Woken::Gone => Some(Leave::Gone),
        }
    }

    fn tell(&mut self, msg: Msg) -> Option<Leave> {
        let effects = app::update(&mut self.model, msg);
        self.carry_out(effects)
    }

    async fn show(&mut self, stdio: &Stdio) -> Result<(), Gone> {
        let modes = self.tabs.modes();
        if modes != self.modes {
            self.aside.extend_from_slice(&modes.since(self.modes));
            if !self.tabs.are_in_front() {
                self.aside.extend_from_slice(screen::mouse(self.wants_mouse()).as_bytes());
            }
            self.modes = modes;
        }
        let mut bytes = std::mem::take(&mut self.aside);
        bytes.extend(self.frame().into_iter().flatten());
        if bytes.is_empty() {
            return Ok(());
        }
        stdio.writer.raw(Bytes::from(bytes)).await
    }

    /// Little shall move.
    fn is_calm(&self) -> bool {
        self.model.shared.preferences.motion == Motion::Reduced
    }

    /// Which toast is shown.
    fn toast(&self) -> Option<u64> {
        self.model.toast.as_ref().map(|toast| toast.id)
    }

    fn wants_mouse(&self) -> bool {
        self.model.shared.preferences.mouse == Switch::On
    }

    fn heard(&mut self, stdio: &mut Stdio, event: Event) -> Result<Option<Msg>, Leave> {
        match event {
            // The key that begins a command in a tab leads back there.
            Event::Key(Key::Ctrl(c))
                if c == self.model.shared.preferences.prefix.key()
                    && self.model.overlays.is_empty()
                    && self.tabs.come_back() =>
            {
                Ok(None)
            }
            Event::Key(key) => Ok(Some(Msg::Key(key))),
            Event::Resize(size) => {
                stdio.resized(size);
                self.resize(size);
                Ok(None)
            }
            Event::Eof => Err(Leave::Quit),
            Event::Gone => Err(Leave::Gone),
        }
    }

    /// Bytes for a tab, as they come.
    fn typed(&mut self, stdio: &mut Stdio, input: Option<Input>) -> Option<Leave> {
        match input {
            Some(Input::Data(bytes)) => {
                let steps = self.tabs.on_bytes(&bytes);
                self.step(steps)
            }
            Some(Input::Resize(size)) => {
                stdio.resized(size);
                self.resize(size);
                None
            }
            Some(Input::Signal(_)) => None,
            Some(Input::Eof) => Some(Leave::Quit),
            None => Some(Leave::Gone),
        }
    }

    /// Does what tabs want of the screen.
    fn step(&mut self, steps: Vec<Step>) -> Option<Leave> {
        for step in steps {
            match step {
                Step::ToList(rest) => self.keys.push(&rest),
                Step::Copy(text) => {
                    self.aside.extend(clipboard::copy(&text));
                    let lines = text.lines().count();
                    let said = if lines == 1 {
                        String::from("Copied a line.")
                    } else {
                        format!("Copied {lines} lines.")
                    };
                    let timer = self.model.say(Mood::Plain, said, "");
                    self.live.carry_out(timer);
                }
                Step::Say(text) => {
                    let timer = self.model.say(Mood::Plain, text, "");
                    self.live.carry_out(timer);
                }
            }
        }
        None
    }

    fn resize(&mut self, size: WindowSize) {
        self.screen.resize(size);
        self.tabs.resize(size);
        app::update(&mut self.model, Msg::Resize(size));
    }

    fn carry_out(&mut self, effects: Vec<Effect>) -> Option<Leave> {
        for effect in effects {
            match effect {
                Effect::Quit => {
                    let running = self.tabs.running();
                    if running.is_empty() {
                        return Some(Leave::Quit);
                    }
                    let question = format!("Leaving ends what runs in {}. Leave?", running.join(", "));
                    let ask = Confirm::new("Leave", question, vec![Effect::Leave]);
                    self.model.overlays.push(Box::new(ask));
                }
                Effect::Leave => return Some(Leave::Quit),
                Effect::Redraw => {
                    self.aside.extend_from_slice(screen::mouse(self.wants_mouse()).as_bytes());
                    self.tabs.prefer(&self.model.shared.preferences);
                    self.screen.clear();
                }
                Effect::Copy(text) => self.aside.extend(clipboard::copy(&text)),
                Effect::HandOver(what) => self.hand_over = Some(what),
                Effect::Tab(name, way) => self.enter(name, way),
                effect => self.live.carry_out(effect),
            }
        }
        None
    }

    /// Brings the VM's tab to the front; a new one, if there is none.
    fn enter(&mut self, name: VmRef, way: Way) {
        // What was typed after the key that led here was not meant for the list.
        self.keys = Keys::new();
        if let Some(id) = self.tabs.find(&name, way) {
            return self.tabs.bring(id);
        }
        if let Err(e) = self.tabs.open(name, way) {
            let timer = self.model.complain(e);
            self.live.carry_out(timer);
        }
    }

    fn frame(&mut self) -> Option<Bytes> {
        if std::mem::take(&mut self.spoilt) {
            self.screen.clear();
        }
        let (model, tabs) = (&mut self.model, &mut self.tabs);
        if tabs.are_in_front() {
            return self.screen.draw(|frame| {
                let (area, theme) = (frame.area(), model.shared.theme);
                tabs.draw(frame, area, &theme);
                view::draw_toast_over(frame, model);
            });
        }
        model.shared.tabs = tabs.list();
        self.screen.draw(|frame| view::draw(frame, model))
    }
}

/// Waits for the person: for keys, or for bytes as they come.
async fn listen(keys: &mut Keys, input: &mut mpsc::Receiver<Input>, raw: bool) -> Woken {
    if raw { Woken::Typed(input.recv().await) } else { Woken::Heard(keys.next(input).await) }
}

/// Waits until then; for ever, if there is no such time.
async fn until(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}

/// Gives the terminal to a VM.
async fn visit(portal: &Portal, who: &Principal, stdio: &mut Stdio, name: VmRef, way: Way) -> Result<()> {
    let shown = name.to_string();
    match way {
        Way::Shell => {
            let _ = stdio.writer.out(format!("Entering {shown}…\n")).await;
            let (_, guest) = portal.perform(who, VmSsh { name, command: Vec::new() }).await?;
            relay::run(stdio, &guest, relay::Run::Shell, false).await?;
        }
        Way::Console => {
            let stream = portal.perform(who, VmConsole { name }).await?;
            console::run(stdio, stream, &shown).await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
