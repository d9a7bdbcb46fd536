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
pub mod keymap;
mod live;
pub mod pages;
pub mod screen;
pub mod tabs;
pub mod theme;
pub mod view;
pub mod widgets;

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;

use crate::action::enter::{VmConsole, VmSsh};
use crate::error::{Error, Result};
use crate::guest::{console, relay};
use crate::model::name::VmRef;
use crate::model::user::Scope;
use crate::model::{Permission, text};
use crate::portal::{Portal, Principal};
use crate::term::keys::{Event, Keys};
use crate::term::{Ended, Gone, Stdio, WindowSize};
use app::{Effect, Me, Model, Msg};
use live::Live;
use screen::Screen;
use theme::Theme;

/// At most 15 frames a second.
const FRAME: Duration = Duration::from_millis(66);
/// How long to wait before what was written over the screen is drawn over.
const AFTER_WORDS: Duration = Duration::from_millis(250);
/// How long to wait for the last write to somebody who may not read any more.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why the screen ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leave {
    /// They want to leave.
    Quit,
    /// They hung up, or were cut off.
    Gone,
    /// They want into that VM; come back afterwards.
    Enter(VmRef),
    /// They want its console; come back afterwards.
    Console(VmRef),
}

/// What is kept from one [`run`] to the next.
#[derive(Debug, Default, Clone)]
pub struct State {
    /// NAME.OWNER of the selected VM.
    pub selected: Option<String>,
    /// Everybody's VMs are shown.
    pub all: bool,
    /// What they are filtered by.
    pub filter: String,
    /// What went wrong meanwhile, to be told first.
    pub notice: Option<Error>,
}

/// A whole session: the screen, the VMs that are entered from it, the screen again.
pub async fn session(portal: &Portal, who: &Principal, stdio: &mut Stdio) -> Ended {
    let mut state = State::default();
    loop {
        let visited = match run(portal, who, stdio, &mut state).await {
            Leave::Quit | Leave::Gone => return Ended::Status(0),
            Leave::Enter(name) => enter(portal, who, stdio, name).await,
            Leave::Console(name) => watch(portal, who, stdio, name).await,
        };
        state.notice = visited.err();
    }
}

async fn enter(portal: &Portal, who: &Principal, stdio: &mut Stdio, name: VmRef) -> Result<()> {
    let _ = stdio.writer.out(format!("Entering {name}…\n")).await;
    let (_, guest) = portal.perform(who, VmSsh { name, command: Vec::new() }).await?;
    relay::run(stdio, &guest, relay::Run::Shell, false).await?;
    Ok(())
}

async fn watch(portal: &Portal, who: &Principal, stdio: &mut Stdio, name: VmRef) -> Result<()> {
    let shown = name.to_string();
    let stream = portal.perform(who, VmConsole { name }).await?;
    console::run(stdio, stream, &shown).await;
    Ok(())
}

/// Shows the screen until they leave it. The terminal is theirs again afterwards.
pub async fn run(portal: &Portal, who: &Principal, stdio: &mut Stdio, state: &mut State) -> Leave {
    let size = stdio.terminal.as_ref().map_or(WindowSize::clamp(0, 0), |t| t.size);
    let role = who.user().role;
    let sees_all = role.grants(Permission::VmRead) == Scope::All;
    let me = Me { name: text::clean(who.name()), role, sees_all };
    let page = pages::vms::Vms::new(state.all, state.selected.take(), &state.filter);
    let mut model = Model::new(me, size, page);
    let (live, told) = Live::new(portal, who);
    let mut app = App {
        live,
        told,
        said: who.session().listen(),
        keys: Keys::new(),
        screen: Screen::new(size),
        spoilt: false,
        theme: Theme::of(stdio),
    };
    if stdio.writer.raw(screen::enter()).await.is_err() {
        return Leave::Gone;
    }
    let mut effects = model.begin();
    effects.extend(state.notice.take().map(|e| model.complain(e)));
    let kill = who.session().kill.clone();
    let leave = tokio::select! {
        leave = app.go(stdio, &mut model, effects) => leave,
        () = kill.cancelled() => Leave::Gone,
    };
    let _ = tokio::time::timeout(FAREWELL, stdio.writer.raw(screen::leave())).await;
    state.selected = model.vms.selected_name();
    state.all = model.vms.all;
    state.filter = model.vms.filter.text();
    leave
}

/// What the loop works with.
struct App {
    live: Live,
    told: mpsc::Receiver<Msg>,
    /// What the portal says to this person.
    said: broadcast::Receiver<String>,
    keys: Keys,
    screen: Screen,
    /// Something was written over the screen.
    spoilt: bool,
    theme: Theme,
}

impl App {
    async fn go(&mut self, stdio: &mut Stdio, model: &mut Model, first: Vec<Effect>) -> Leave {
        if let Some(leave) = self.carry_out(first) {
            return leave;
        }
        let mut dirty = true;
        let mut next_frame = Instant::now();
        loop {
            let msg = tokio::select! {
                event = self.keys.next(&mut stdio.input) => match self.heard(stdio, event) {
                    Ok(msg) => Some(msg),
                    Err(leave) => return leave,
                },
                Some(msg) = self.told.recv() => Some(msg),
                Ok(text) = self.said.recv() => {
                    // It is written to the terminal too, just about now.
                    self.spoilt = true;
                    next_frame = Instant::now() + AFTER_WORDS;
                    Some(Msg::Said(text))
                }
                () = tokio::time::sleep_until(next_frame), if dirty => None,
                () = stdio.writer.closed() => return Leave::Gone,
            };
            match msg {
                Some(msg) => {
                    let effects = app::update(model, msg);
                    if let Some(leave) = self.carry_out(effects) {
                        return leave;
                    }
                    dirty = true;
                }
                None => {
                    next_frame = Instant::now() + FRAME;
                    // Whoever does not read gets no more frames, and the latest when they do.
                    dirty = stdio.writer.is_full();
                    if !dirty && self.show(stdio, model).await.is_err() {
                        return Leave::Gone;
                    }
                }
            }
        }
    }

    async fn show(&mut self, stdio: &Stdio, model: &Model) -> Result<(), Gone> {
        match self.frame(model) {
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

    fn carry_out(&mut self, effects: Vec<Effect>) -> Option<Leave> {
        for effect in effects {
            match effect {
                Effect::Leave(leave) => return Some(leave),
                Effect::Redraw => self.screen.clear(),
                effect => self.live.carry_out(effect),
            }
        }
        None
    }

    fn frame(&mut self, model: &Model) -> Option<Bytes> {
        if std::mem::take(&mut self.spoilt) {
            self.screen.clear();
        }
        let theme = &self.theme;
        self.screen.draw(|frame| view::draw(frame, model, theme))
    }
}

#[cfg(test)]
mod tests;
