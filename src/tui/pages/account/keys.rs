//! The keys that the account signs in with.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::WORD;
use super::add_key::AddKey;
use crate::action::key::{KeyLs, KeyRm};
use crate::error::Result;
use crate::model::{SshKey, Time, text, time};
use crate::term::keys::Key;
use crate::tui::app::{Mood, Msg};
use crate::tui::confirm::Confirm;
use crate::tui::effect::{Effect, Task};
use crate::tui::keymap::{self, Binding, Hint, key};
use crate::tui::page::{News, Shared};
use crate::tui::widgets::empty;
use crate::tui::widgets::panes::Pane;
use crate::tui::widgets::table::{self, Column, Item, Table, Width, plain};

impl Item for SshKey {
    fn key(&self) -> String {
        self.id.to_string()
    }

    fn words(&self, _shared: &Shared) -> String {
        format!("{} {} {}", self.note, self.algorithm, self.fingerprint)
    }
}

type R = SshKey;

fn used(key: &R) -> String {
    let ago = |t: Time| format!("{} ago", time::span(Time::now().seconds_since(t)));
    key.last_used_at.map_or_else(|| String::from("never"), ago)
}

/// What its owner calls it; failing that, the beginning of its fingerprint.
fn note(key: &R) -> String {
    if key.note.is_empty() { text::short(&key.fingerprint, 16) } else { text::clean(&key.note) }
}

#[rustfmt::skip]
static COLUMNS: &[Column<R>] = &[
    Column { title: "NOTE", rank: 0, width: Width::Words(8, 12), cell: |k, _| note(k), style: plain, order: |a, b| a.note.cmp(&b.note) },
    Column { title: "FINGERPRINT", rank: 2, width: Width::Words(50, 50), cell: |k, _| text::clean(&k.fingerprint), style: |_, s| s.theme.accent, order: |a, b| a.fingerprint.cmp(&b.fingerprint) },
    Column { title: "USED", rank: 1, width: Width::Figures(7), cell: |k, _| used(k), style: plain, order: |a, b| b.last_used_at.cmp(&a.last_used_at) },
    Column { title: "ALGORITHM", rank: 3, width: Width::Words(11, 12), cell: |k, _| text::clean(&k.algorithm), style: plain, order: |a, b| a.algorithm.cmp(&b.algorithm) },
    Column { title: "ADDED", rank: 4, width: Width::Words(10, 10), cell: |k, s| s.preferences.time_zone.date(k.created_at), style: |_, s| s.theme.muted, order: |a, b| a.created_at.cmp(&b.created_at) },
];

/// What this part hears.
#[derive(Debug)]
pub enum Heard {
    /// The keys.
    Keys(Result<Vec<SshKey>>),
    /// One was removed.
    Removed(Result<Vec<SshKey>>),
    /// The number of the new one.
    Added(i64),
}

/// Looks the keys up.
fn look() -> Effect {
    Effect::Do(Task::new(KeyLs {}, |keys| Msg::news(WORD, Heard::Keys(keys))))
}

/// Tells of a key that was added, and looks the keys up again.
pub(super) fn added(keys: &[SshKey]) -> Vec<Effect> {
    let Some(key) = keys.last() else { return vec![look()] };
    let said = format!("The key {} is added.", text::clean(&key.fingerprint));
    vec![
        Effect::News(WORD, Box::new(Heard::Added(key.id))),
        look(),
        Effect::Say(Mood::Good, said, String::new()),
    ]
}

/// What a key does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Add,
    Remove,
    Copy,
    Back,
}

#[rustfmt::skip]
static KEYS: &[Binding<Command>] = &[
    key(&[Key::Char('n')], "n", "add", "add a key: paste a line of a .pub file (here, too)", Command::Add),
    key(&[Key::Char('d'), Key::Delete], "d", "remove", "remove the key (asks)", Command::Remove),
    key(&[Key::Char('y')], "y", "copy", "copy the key's line", Command::Copy),
    key(&[Key::Esc], "Esc", "", "take marks or the filter away", Command::Back),
];

/// The keys.
#[derive(Debug)]
pub struct Keys {
    table: Table<SshKey>,
    known: bool,
}

impl Default for Keys {
    fn default() -> Self {
        Keys { table: Table::new(COLUMNS), known: false }
    }
}

impl Keys {
    fn remove(&self) -> Vec<Effect> {
        let Some(key) = self.table.selected() else { return Vec::new() };
        let name = if key.note.is_empty() { key.fingerprint.clone() } else { key.note.clone() };
        let last = if self.table.rows().len() == 1 { " It is the last one." } else { "" };
        let question = format!("Remove the key “{}”?{last}", text::short(&name, 60));
        let remove = KeyRm { keys: vec![key.id.to_string()] };
        let task = Task::new(remove, |removed| Msg::news(WORD, Heard::Removed(removed)));
        vec![Effect::Open(Box::new(Confirm::new("Remove a key", question, vec![Effect::Do(task)])))]
    }

    fn act(&mut self, command: Command, shared: &Shared) -> Option<Vec<Effect>> {
        Some(match command {
            Command::Add => vec![Effect::Open(Box::new(AddKey::new("")))],
            Command::Remove => self.remove(),
            Command::Copy => {
                let Some(key) = self.table.selected() else { return Some(Vec::new()) };
                let line = text::clean(format!("{} {}", key.line, key.note).trim());
                let said = format!("Copied: {}", text::clean(&key.fingerprint));
                vec![Effect::Copy(line), Effect::Say(Mood::Plain, said, String::new())]
            }
            // Where there is nothing to take away, the frame has the key.
            Command::Back => return self.table.back(shared).then(Vec::new),
        })
    }
}

impl Pane for Keys {
    fn title(&self) -> &'static str {
        "Keys"
    }

    fn begin(&mut self, _shared: &Shared) -> Vec<Effect> {
        vec![look()]
    }

    fn on_news(&mut self, news: News, shared: &Shared) -> Result<Vec<Effect>, News> {
        Ok(match *news.downcast::<Heard>()? {
            Heard::Keys(Ok(keys)) => {
                self.table.set(keys, shared);
                self.known = true;
                Vec::new()
            }
            Heard::Removed(Ok(keys)) => {
                let which = keys.iter().map(|k| text::clean(&k.fingerprint)).collect::<Vec<_>>().join(", ");
                let said = format!("The key {which} is removed.");
                vec![look(), Effect::Say(Mood::Good, said, String::new())]
            }
            Heard::Added(id) => {
                self.table.select(&id.to_string());
                Vec::new()
            }
            Heard::Keys(Err(e)) | Heard::Removed(Err(e)) => vec![Effect::complain(e)],
        })
    }

    fn on_key(&mut self, key: &Key, shared: &mut Shared) -> Option<Vec<Effect>> {
        if !self.table.takes_text() {
            if let Key::Paste(text) = key {
                return Some(vec![Effect::Open(Box::new(AddKey::new(text)))]);
            }
            if let Some(command) = keymap::find(KEYS, key, |_| true) {
                return self.act(command, shared);
            }
        }
        self.table.on_key(key, shared).then(Vec::new)
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared, front: bool) {
        if self.table.draw(frame, area, shared) || self.table.takes_text() {
            return;
        }
        let cursor = (area.x, area.y);
        let (what, next) = match (self.known, self.table.rows().is_empty()) {
            (false, _) => ("Looking for your keys…", ""),
            (true, true) => ("No keys yet.", "Press n, and paste a line of a .pub file."),
            (true, false) => ("No key holds these words.", "Esc shows all."),
        };
        empty::draw(frame, area, what, next, &shared.theme);
        if !front {
            frame.set_cursor_position(cursor);
        }
    }

    fn status(&self) -> Option<String> {
        self.table.status()
    }

    fn hints(&self, _shared: &Shared) -> Vec<Hint> {
        if self.table.takes_text() {
            return self.table.hints();
        }
        let some = self.table.selected().is_some();
        let mut hints = keymap::hints(KEYS, |c| some || c == Command::Add);
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
