//! The VMs: a table, and beside it or over it the selected one in detail.

pub mod ask;
pub mod columns;
mod copy;
pub mod detail;
mod keys;
pub mod new;

use std::sync::Arc;

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::action::vm::{VmDestroy, VmPause, VmRestart, VmResume, VmStart, VmStop};
use crate::error::{Code, Error, Result};
use crate::model::name::VmRef;
use crate::model::{Job, VmState, text};
use crate::term::keys::Key;
use crate::tui::app::{Mood, Msg};
use crate::tui::confirm::Confirm;
use crate::tui::effect::{Effect, Task, Way};
use crate::tui::keymap::{self, Hint};
use crate::tui::page::{Entry, Me, Page, Shared};
use crate::tui::roster::{Row, Source};
use crate::tui::widgets::empty;
use crate::tui::widgets::table::{self, Table};
use ask::Ask;
use copy::Copy;
use keys::{Command, KEYS, applies, fits};

/// The page's place.
pub static ENTRY: Entry =
    Entry { word: "vms", title: "VMs", allowed: |_: &Me| true, open: |shared| Box::new(Vms::new(shared)) };

/// With this many columns the selected VM's details find room beside the table.
const WIDE: u16 = 110;

/// A change of machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Verb {
    Start,
    Stop,
    Restart,
    Pause,
    Resume,
    Destroy,
}

impl Verb {
    /// Does it to all of those.
    pub fn task(self, names: Vec<VmRef>) -> Task {
        let (no_wait, force) = (true, false);
        let then = |jobs: Result<Vec<Job>>| jobs.map_or_else(Msg::Failed, Msg::Begun);
        match self {
            Verb::Start => Task::new(VmStart { names, no_wait }, then),
            Verb::Stop => Task::new(VmStop { names, force, no_wait }, then),
            Verb::Restart => Task::new(VmRestart { names, force, no_wait }, then),
            Verb::Pause => Task::new(VmPause { names, no_wait }, then),
            Verb::Resume => Task::new(VmResume { names, no_wait }, then),
            Verb::Destroy => Task::new(VmDestroy { names, yes: true, no_wait }, then),
        }
    }
}

/// The page.
#[derive(Debug)]
pub struct Vms {
    table: Table<Arc<Row>>,
    /// The selected one fills the page where there is no room beside the table.
    detail: bool,
    /// The page is wide enough for both.
    wide: bool,
}

impl Vms {
    fn new(shared: &Shared) -> Vms {
        let mut page = Vms { table: Table::new(columns::COLUMNS), detail: false, wide: false };
        page.on_change(shared);
        page
    }

    fn act(&mut self, command: Command, shared: &mut Shared) -> Vec<Effect> {
        match command {
            Command::Open => self.detail = !self.detail && self.table.selected().is_some(),
            Command::Close => {
                if !std::mem::take(&mut self.detail) {
                    self.table.back(shared);
                }
            }
            Command::All if shared.me.sees_all => return vec![Effect::ShowAll(!shared.vms.all)],
            Command::All => {
                let text = String::from("Your role shows you your own VMs only.");
                return vec![Effect::Say(Mood::Bad, text, String::new())];
            }
            Command::New => return new::open(shared),
            Command::Copy => {
                let copy = self.table.selected().map(|row| Copy::new(&row.vm, shared));
                return copy.into_iter().map(|copy| Effect::Open(Box::new(copy))).collect();
            }
            Command::Enter
            | Command::Console
            | Command::Start
            | Command::Stop
            | Command::Restart
            | Command::Pause
            | Command::Resume
            | Command::Destroy => return self.on_chosen(command, shared),
        }
        Vec::new()
    }

    /// What is done to the chosen VMs. What may be lost is asked about first; the
    /// question keeps the names, for rows move.
    fn on_chosen(&self, command: Command, shared: &Shared) -> Vec<Effect> {
        let chosen = self.table.chosen();
        let fitting: Vec<&&Arc<Row>> = chosen.iter().filter(|row| fits(row.vm.state, command)).collect();
        let Some(first) = chosen.first() else { return Vec::new() };
        if fitting.is_empty() {
            let shown = shared.short_name(&first.vm.full_name()).to_owned();
            return vec![refuse(&shown, first.vm.state)];
        }
        let mut names: Vec<VmRef> = Vec::new();
        let mut shown = Vec::new();
        for row in fitting {
            match row.vm.full_name().parse() {
                Ok(name) => names.push(name),
                Err(e) => return vec![complain(e)],
            }
            shown.push(shared.short_name(&row.vm.full_name()).to_owned());
        }
        let them = shown.join(", ");
        let (title, question, verb) = match command {
            Command::Enter => return tabs(&shown, Way::Shell),
            Command::Console => return tabs(&shown, Way::Console),
            Command::Start => return vec![Effect::Do(Verb::Start.task(names))],
            Command::Pause => return vec![Effect::Do(Verb::Pause.task(names))],
            Command::Resume => return vec![Effect::Do(Verb::Resume.task(names))],
            Command::Stop => ("Stop", format!("Shut {them} down?"), Verb::Stop),
            Command::Restart => ("Restart", format!("Shut {them} down and start again?"), Verb::Restart),
            _ => return vec![Effect::Open(Box::new(Ask::new(names, &shown)))],
        };
        let then = vec![Effect::Do(verb.task(names))];
        vec![Effect::Open(Box::new(Confirm::new(title, question, then)))]
    }

    fn draw_detail(&self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        if let Some(row) = self.table.selected() {
            detail::draw(frame, area, row, shared);
        }
    }
}

impl Page for Vms {
    fn crumbs(&self, shared: &Shared) -> Vec<String> {
        let open = self.detail && !self.wide;
        let name = self.table.selected().map(|row| shared.short_name(&row.vm.full_name()).to_owned());
        name.filter(|_| open).into_iter().collect()
    }

    fn on_change(&mut self, shared: &Shared) {
        self.table.set(shared.vms.rows().to_vec(), shared);
        self.detail &= self.table.selected().is_some();
    }

    fn on_news(&mut self, news: crate::tui::page::News, _shared: &Shared) -> Vec<Effect> {
        // The VM that is being made: its name.
        if let Ok(name) = news.downcast::<String>() {
            self.table.select(&name);
        }
        Vec::new()
    }

    fn on_key(&mut self, key: &Key, shared: &mut Shared) -> Option<Vec<Effect>> {
        if self.table.takes_text() {
            self.table.on_key(key, shared);
            return Some(Vec::new());
        }
        if let Some(command) = keymap::find(KEYS, key, |c| applies(self, shared, c)) {
            // Where there is nothing to go back from, the frame has the key.
            if command == Command::Close && !applies(self, shared, command) {
                return None;
            }
            return Some(self.act(command, shared));
        }
        self.table.on_key(key, shared).then(Vec::new)
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        self.wide = area.width >= WIDE;
        let selected = self.table.selected().is_some();
        if selected && self.detail && !self.wide {
            self.draw_detail(frame, area, shared);
            return frame.set_cursor_position((area.x, area.y));
        }
        let mut left = area;
        if selected && self.wide {
            let side = (area.width * 2 / 5).clamp(42, 76);
            left.width = area.width - side - 2;
            let right = Rect { x: left.right() + 2, width: side, ..area };
            for y in area.y..area.bottom() {
                frame.buffer_mut().set_string(left.right(), y, "│", shared.theme.muted);
            }
            self.draw_detail(frame, right, shared);
        }
        // Last, for the cursor.
        if !self.table.draw(frame, left, shared) && !self.table.takes_text() {
            let (what, next) = nothing(&self.table, shared);
            empty::draw(frame, left, &what, &next, &shared.theme);
        }
    }

    fn status(&self, _shared: &Shared) -> Option<String> {
        self.table.status()
    }

    fn hints(&self, shared: &Shared) -> Vec<Hint> {
        if self.table.takes_text() {
            return self.table.hints();
        }
        let mut hints = keymap::hints(KEYS, |c| applies(self, shared, c));
        hints.extend(self.table.hints());
        hints
    }

    fn help(&self) -> Vec<Hint> {
        let mut help = keymap::help(KEYS);
        help.extend(keymap::help(table::KEYS));
        help
    }

    fn takes_text(&self) -> bool {
        self.table.takes_text()
    }
}

/// Says why there is nothing to see, and what to press.
fn nothing(table: &Table<Arc<Row>>, shared: &Shared) -> (String, String) {
    match &shared.vms.source {
        Source::Waiting => (String::from("Looking for VMs…"), String::new()),
        Source::Lost(why) => (why.clone(), String::from("Trying again every few seconds.")),
        Source::Live if !shared.vms.rows().is_empty() => (
            format!("Nothing here holds “{}”.", text::short(&table.filter(), 30)),
            String::from("Esc shows all."),
        ),
        Source::Live => (String::from("No VMs yet."), String::from("Press n to make one.")),
    }
}

/// Tabs are called as their viewer calls the VMs.
fn tabs(shown: &[String], way: Way) -> Vec<Effect> {
    let names = shown.iter().filter_map(|name| name.parse().ok());
    names.map(|name: VmRef| Effect::Tab(name, way)).collect()
}

fn complain(e: Error) -> Effect {
    Effect::Say(Mood::Bad, e.message, e.hint.into_owned())
}

fn refuse(shown: &str, state: VmState) -> Effect {
    let e = Error::new(Code::VmNotRunning, format!("“{shown}” is {state}."));
    complain(e.hint(match state {
        VmState::Stopped | VmState::Error => "Press s to start it.",
        VmState::Paused => "Press p to let it go on.",
        VmState::Pending => "Wait until it runs.",
        VmState::Running => "Press S to stop it.",
    }))
}
