//! The full screen. One task per session:
//!
//! ```text
//!  keys, sizes ─┐
//!  VMs ─────────┼─▶ Msg ─▶ app::update ─▶ Model ─▶ view::draw ─▶ one write
//!  jobs ────────┘              └─▶ Effect ─▶ live (tasks, through the one door)
//! ```
//!
//! Frames are drawn when something has changed, so many a second at most, and
//! not at all while the person does not read.

pub mod app;
mod clipboard;
mod command;
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

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;

use crate::action::account::AccountPrefs;
use crate::action::enter::{VmConsole, VmSsh};
use crate::error::Result;
use crate::guest::{console, relay};
use crate::model::name::VmRef;
use crate::model::preferences::{Preferences, Switch};
use crate::model::user::Scope;
use crate::model::{Permission, text};
use crate::portal::{Portal, Principal};
use crate::shell;
use crate::term::keys::{Event, Key, Keys};
use crate::term::{Ended, Gone, Stdio, WindowSize};
use app::{Model, Msg};
use effect::{Effect, HandOver, Way};
use live::Live;
use page::{Me, Shared};
use screen::Screen;
use theme::Depth;

/// At most 15 frames a second.
const FRAME: Duration = Duration::from_millis(66);
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
    let mut app = App::new(portal, who, stdio, wishes);
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
}

impl App {
    fn new(portal: &Portal, who: &Principal, stdio: &Stdio, wishes: Result<Preferences>) -> App {
        let size = stdio.terminal.as_ref().map_or(WindowSize::clamp(0, 0), |t| t.size);
        let role = who.user().role;
        let sees_all = role.grants(Permission::VmRead) == Scope::All;
        let me = Me { name: text::clean(who.name()), role, sees_all };
        let (preferences, lost) = match wishes {
            Ok(preferences) => (preferences, None),
            Err(e) => (Preferences::default(), Some(e)),
        };
        let name = text::clean(&portal.config().name);
        let start = preferences.start.as_str();
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
        }
    }

    /// The screen, and what gets the terminal from it in between.
    async fn run(&mut self, stdio: &mut Stdio) -> Leave {
        let first = self.model.begin();
        if let Some(leave) = self.carry_out(first) {
            return leave;
        }
        loop {
            let mouse = self.model.shared.preferences.mouse == Switch::On;
            if stdio.writer.raw(screen::enter(mouse)).await.is_err() {
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
        loop {
            let msg = tokio::select! {
                event = self.keys.next(&mut stdio.input) => match self.heard(stdio, event) {
                    Ok(msg) => Some(msg),
                    Err(leave) => return Some(leave),
                },
                Some(msg) = self.told.recv() => Some(msg),
                Ok(text) = self.said.recv() => {
                    // It is written to the terminal too, just about now.
                    self.spoilt = true;
                    next_frame = Instant::now() + AFTER_WORDS;
                    Some(Msg::Said(text))
                }
                () = tokio::time::sleep_until(next_frame), if dirty => None,
                () = stdio.writer.closed() => return Some(Leave::Gone),
            };
            match msg {
                Some(msg) => {
                    let effects = app::update(&mut self.model, msg);
                    if let Some(leave) = self.carry_out(effects) {
                        return Some(leave);
                    }
                    if self.hand_over.is_some() {
                        return None;
                    }
                    dirty = true;
                }
                None => {
                    next_frame = Instant::now() + FRAME;
                    // Whoever does not read gets no more frames, and the latest when they do.
                    dirty = stdio.writer.is_full();
                    if !dirty && self.show(stdio).await.is_err() {
                        return Some(Leave::Gone);
                    }
                }
            }
        }
    }

    async fn show(&mut self, stdio: &Stdio) -> Result<(), Gone> {
        if !self.aside.is_empty() {
            stdio.writer.raw(Bytes::from(std::mem::take(&mut self.aside))).await?;
        }
        match self.frame() {
            Some(frame) => stdio.writer.raw(frame).await,
            None => Ok(()),
        }
    }

    fn heard(&mut self, stdio: &mut Stdio, event: Event) -> Result<Msg, Leave> {
        match event {
            Event::Key(key) => Ok(Msg::Key(key)),
            Event::Resize(size) => {
                stdio.resized(size);
                self.screen.resize(size);
                Ok(Msg::Resize(size))
            }
            Event::Eof => Err(Leave::Quit),
            Event::Gone => Err(Leave::Gone),
        }
    }

    fn resize(&mut self, size: WindowSize) {
        self.screen.resize(size);
        app::update(&mut self.model, Msg::Resize(size));
    }

    fn carry_out(&mut self, effects: Vec<Effect>) -> Option<Leave> {
        for effect in effects {
            match effect {
                Effect::Quit => return Some(Leave::Quit),
                Effect::Redraw => {
                    let mouse = self.model.shared.preferences.mouse == Switch::On;
                    self.aside.extend_from_slice(screen::mouse(mouse).as_bytes());
                    self.screen.clear();
                }
                Effect::Copy(text) => self.aside.extend(clipboard::copy(&text)),
                Effect::HandOver(what) => self.hand_over = Some(what),
                Effect::Tab(name, way) => self.hand_over = Some(HandOver::Vm(name, way)),
                effect => self.live.carry_out(effect),
            }
        }
        None
    }

    fn frame(&mut self) -> Option<Bytes> {
        if std::mem::take(&mut self.spoilt) {
            self.screen.clear();
        }
        let model = &mut self.model;
        self.screen.draw(|frame| view::draw(frame, model))
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
