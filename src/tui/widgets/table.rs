//! A table of things: selected, several marked, sorted by a column, filtered.
//! The selection belongs to a thing, not to a row: it stays on it wherever it goes.

mod draw;

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt::Debug;

use ratatui::layout::Rect;
use ratatui::style::Style;

use super::input::Input;
use crate::model::text;
use crate::term::keys::{Key, Mouse, Wheel};
use crate::tui::keymap::{self, Binding, Hint};
use crate::tui::page::Shared;

/// Rows that a step of the wheel goes.
const WHEEL: usize = 3;

/// What may stand in a row.
pub trait Item: Debug + Send {
    /// What tells it from the others, whatever else changes.
    fn key(&self) -> String;

    /// The words that a filter looks into.
    fn words(&self, shared: &Shared) -> String;
}

/// A column.
pub struct Column<R: 'static> {
    /// Its heading.
    pub title: &'static str,
    /// 0 is shown whenever anything is.
    pub rank: u8,
    /// Its width.
    pub width: Width,
    /// What stands in it.
    pub cell: fn(&R, &Shared) -> String,
    /// How that looks, if not plain.
    pub style: fn(&R, &Shared) -> Style,
    /// The order by this column.
    pub order: fn(&R, &R) -> Ordering,
}

impl<R> Debug for Column<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.title)
    }
}

/// How wide a column may be.
#[derive(Debug, Clone, Copy)]
pub enum Width {
    /// Words, which may be cut: at least so many columns, and rather so many.
    Words(u16, u16),
    /// Figures, which are never cut, and stand at the right: so many columns or more.
    Figures(u16),
}

/// The look of a cell without one of its own.
pub fn plain<R>(_: &R, _: &Shared) -> Style {
    Style::new()
}

/// What a key does in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Command {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Mark,
    MarkAll,
    Sort,
    Reverse,
    Filter,
}

const fn key(
    keys: &'static [Key],
    shown: &'static str,
    help: &'static str,
    command: Command,
) -> Binding<Command> {
    Binding { keys, shown, word: "", help, command }
}

/// A table's keys.
#[rustfmt::skip]
pub static KEYS: &[Binding<Command>] = &[
    Binding { keys: &[Key::Char('/')], shown: "/", word: "filter", help: "show only what holds these words", command: Command::Filter },
    key(&[Key::Up, Key::Char('k')], "↑ ↓", "select (also k and j)", Command::Up),
    key(&[Key::Down, Key::Char('j')], "", "", Command::Down),
    key(&[Key::PageUp, Key::Ctrl('b')], "PgUp PgDn", "a page (also Ctrl-B and Ctrl-F)", Command::PageUp),
    key(&[Key::PageDown, Key::Ctrl('f')], "", "", Command::PageDown),
    key(&[Key::Home, Key::Char('g')], "Home End", "the first, the last (also g and G)", Command::First),
    key(&[Key::End, Key::Char('G')], "", "", Command::Last),
    key(&[Key::Char(' ')], "Space", "mark it, to act on several", Command::Mark),
    key(&[Key::Char('*')], "*", "mark all that are seen, or none", Command::MarkAll),
    key(&[Key::Char('o')], "o O", "sort by the next column; the other way round", Command::Sort),
    key(&[Key::Char('O')], "", "", Command::Reverse),
];

/// What a key does while the filter is typed; the others are text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filter {
    Keep,
    Clear,
    Up,
    Down,
}

static FILTER_KEYS: &[Binding<Filter>] = &[
    Binding { keys: &[Key::Enter], shown: "Enter", word: "keep", help: "", command: Filter::Keep },
    Binding {
        keys: &[Key::Esc, Key::Ctrl('c')],
        shown: "Esc",
        word: "show all",
        help: "",
        command: Filter::Clear,
    },
    Binding { keys: &[Key::Up], shown: "↑ ↓", word: "select", help: "", command: Filter::Up },
    Binding { keys: &[Key::Down], shown: "", word: "", help: "", command: Filter::Down },
];

/// A table.
#[derive(Debug)]
pub struct Table<R: 'static> {
    columns: &'static [Column<R>],
    rows: Vec<R>,
    /// Those that the filter lets through, in order.
    visible: Vec<usize>,
    /// The key of the selected one.
    selected: Option<String>,
    /// The key of what is to be selected when it appears.
    awaited: Option<String>,
    /// Where it was, for when it is gone.
    index: usize,
    marked: BTreeSet<String>,
    /// By which column, and whether the other way round; none: as they came.
    sort: Option<(usize, bool)>,
    filter: Input,
    filtering: bool,
    /// Where it was drawn, and from which row on.
    area: Rect,
    first: usize,
    /// Where the columns were drawn.
    spans: Vec<(u16, u16, usize)>,
}

impl<R: Item> Table<R> {
    /// An empty table.
    pub fn new(columns: &'static [Column<R>]) -> Table<R> {
        Table {
            columns,
            rows: Vec::new(),
            visible: Vec::new(),
            selected: None,
            awaited: None,
            index: 0,
            marked: BTreeSet::new(),
            sort: None,
            filter: Input::default(),
            filtering: false,
            area: Rect::default(),
            first: 0,
            spans: Vec::new(),
        }
    }

    /// All rows, whatever the filter.
    pub fn rows(&self) -> &[R] {
        &self.rows
    }

    /// The rows that the filter lets through, in the order of the table.
    pub fn visible(&self) -> impl ExactSizeIterator<Item = &R> {
        self.visible.iter().filter_map(|i| self.rows.get(*i)).collect::<Vec<_>>().into_iter()
    }

    /// Takes other rows. The selection stays on its thing; if that is gone, on its place.
    pub fn set(&mut self, rows: Vec<R>, shared: &Shared) {
        self.index = self.selected_index();
        self.rows = rows;
        let there: BTreeSet<String> = self.rows.iter().map(Item::key).collect();
        self.marked.retain(|key| there.contains(key));
        self.arrange(shared);
        let has = |key: &Option<String>, table: &Self| {
            key.as_ref().is_some_and(|k| table.visible().any(|row| row.key() == *k))
        };
        if has(&self.awaited, self) {
            self.selected = self.awaited.take();
        } else if !has(&self.selected, self) {
            let at = self.index.min(self.visible.len().saturating_sub(1));
            self.selected = self.at(at).map(Item::key);
        }
    }

    /// Filters and sorts anew.
    fn arrange(&mut self, shared: &Shared) {
        let wanted = self.filter.text().to_lowercase();
        let wanted: Vec<&str> = wanted.split_whitespace().collect();
        let holds = |row: &R| {
            let words = row.words(shared).to_lowercase();
            wanted.iter().all(|w| words.contains(w))
        };
        let rows = &self.rows;
        self.visible = rows
            .iter()
            .enumerate()
            .filter(|(_, row)| wanted.is_empty() || holds(row))
            .map(|(i, _)| i)
            .collect();
        if let Some((column, reverse)) = self.sort
            && let Some(column) = self.columns.get(column)
        {
            let order = |a: &usize, b: &usize| match (rows.get(*a), rows.get(*b)) {
                (Some(a), Some(b)) => (column.order)(a, b),
                _ => Ordering::Equal,
            };
            self.visible.sort_by(order);
            if reverse {
                self.visible.reverse();
            }
        }
    }

    fn at(&self, place: usize) -> Option<&R> {
        self.visible.get(place).and_then(|i| self.rows.get(*i))
    }

    /// The selected one's place among the visible ones.
    pub fn selected_index(&self) -> usize {
        let named = self.visible().position(|row| self.selected.as_deref() == Some(&row.key()));
        named.unwrap_or_else(|| self.index.min(self.visible.len().saturating_sub(1)))
    }

    /// The selected one.
    pub fn selected(&self) -> Option<&R> {
        self.at(self.selected_index())
    }

    /// What a command is for: the marked ones that are seen, or else the selected one.
    pub fn chosen(&self) -> Vec<&R> {
        let marked: Vec<&R> = self.visible().filter(|row| self.marked.contains(&row.key())).collect();
        if marked.is_empty() { self.selected().into_iter().collect() } else { marked }
    }

    /// How many are marked.
    pub fn marks(&self) -> usize {
        self.marked.len()
    }

    /// Selects a thing, which may yet have to appear.
    pub fn select(&mut self, key: &str) {
        self.awaited = Some(key.to_owned());
        if self.visible().any(|row| row.key() == key) {
            self.selected = self.awaited.take();
        }
    }

    /// The filter is being typed: keys are text.
    pub fn takes_text(&self) -> bool {
        self.filtering
    }

    /// What is filtered by.
    pub fn filter(&self) -> String {
        self.filter.text()
    }

    /// Takes marks or the filter away, one at a time; false if there is neither.
    pub fn back(&mut self, shared: &Shared) -> bool {
        if !self.marked.is_empty() {
            self.marked.clear();
        } else if !self.filter.is_empty() {
            self.filter.clear();
            self.arrange(shared);
        } else {
            return false;
        }
        true
    }

    /// Whether [`Table::back`] would do something.
    pub fn has_back(&self) -> bool {
        !self.marked.is_empty() || !self.filter.is_empty()
    }

    /// Takes a key; false if it means nothing to a table.
    pub fn on_key(&mut self, key: &Key, shared: &Shared) -> bool {
        if let Key::Mouse(mouse) = key {
            return self.on_mouse(*mouse, shared);
        }
        if self.filtering {
            self.on_filter_key(key, shared);
            return true;
        }
        let Some(command) = keymap::find(KEYS, key, |_| true) else { return false };
        self.act(command, shared);
        true
    }

    fn act(&mut self, command: Command, shared: &Shared) {
        let page = usize::from(self.area.height.saturating_sub(2)).max(1);
        let at = self.selected_index();
        match command {
            Command::Up => self.go(at.saturating_sub(1)),
            Command::Down => self.go(at + 1),
            Command::PageUp => self.go(at.saturating_sub(page)),
            Command::PageDown => self.go(at + page),
            Command::First => self.go(0),
            Command::Last => self.go(usize::MAX),
            Command::Mark => {
                if let Some(key) = self.selected().map(Item::key) {
                    if !self.marked.remove(&key) {
                        self.marked.insert(key);
                    }
                    self.go(at + 1);
                }
            }
            Command::MarkAll => {
                let all: BTreeSet<String> = self.visible().map(Item::key).collect();
                self.marked = if all.is_subset(&self.marked) { BTreeSet::new() } else { all };
            }
            Command::Sort => {
                let next = self.sort.map_or(0, |(column, _)| column + 1);
                self.sort = (next < self.columns.len()).then_some((next, false));
                self.arrange(shared);
            }
            Command::Reverse => {
                let (column, reverse) = self.sort.unwrap_or((0, false));
                self.sort = Some((column, !reverse));
                self.arrange(shared);
            }
            Command::Filter => self.filtering = true,
        }
    }

    fn on_filter_key(&mut self, key: &Key, shared: &Shared) {
        match keymap::find(FILTER_KEYS, key, |_| true) {
            Some(Filter::Keep) => self.filtering = false,
            Some(Filter::Clear) => {
                self.filter.clear();
                self.filtering = false;
                self.arrange(shared);
            }
            Some(Filter::Up) => self.go(self.selected_index().saturating_sub(1)),
            Some(Filter::Down) => self.go(self.selected_index() + 1),
            None => {
                self.filter.on_key(key);
                self.arrange(shared);
            }
        }
    }

    fn on_mouse(&mut self, mouse: Mouse, shared: &Shared) -> bool {
        let inside = self.area.contains((mouse.column, mouse.row).into());
        if !inside {
            return false;
        }
        let at = self.selected_index();
        match mouse.wheel() {
            Some(Wheel::Up) => self.go(at.saturating_sub(WHEEL)),
            Some(Wheel::Down) => self.go(at + WHEEL),
            None if mouse.is_click() && mouse.row == self.area.y => {
                let hit = |(from, to, _): &&(u16, u16, usize)| (*from..*to).contains(&mouse.column);
                if let Some((.., column)) = self.spans.iter().find(hit).copied() {
                    let again = matches!(self.sort, Some((c, false)) if c == column);
                    self.sort = Some((column, again));
                    self.arrange(shared);
                }
            }
            None if mouse.is_click() => {
                let row = self.first + usize::from(mouse.row - self.area.y - 1);
                if row < self.visible.len() {
                    self.go(row);
                }
            }
            None => {}
        }
        true
    }

    fn go(&mut self, to: usize) {
        let to = to.min(self.visible.len().saturating_sub(1));
        self.index = to;
        self.selected = self.at(to).map(Item::key);
        self.awaited = None;
    }

    /// The keys while the filter is typed; else those that matter.
    pub fn hints(&self) -> Vec<Hint> {
        if self.filtering {
            return keymap::hints(FILTER_KEYS, |_| true);
        }
        keymap::hints(KEYS, |_| !self.rows.is_empty())
    }

    /// What is seen of how many, and what is marked; none if that is plain to see.
    pub fn status(&self) -> Option<String> {
        let count = self.visible.len();
        let mut said = Vec::new();
        if !self.marked.is_empty() {
            said.push(format!("{} marked", self.marked.len()));
        }
        if !self.filter.is_empty() && !self.filtering {
            let word = text::short(&self.filter.text(), 20);
            said.push(format!("Filter “{word}”: {count} of {}", self.rows.len()));
        }
        let rows = usize::from(self.area.height.saturating_sub(1));
        if count > rows && rows > 0 && !self.filtering {
            said.push(format!("{}–{} of {count}", self.first + 1, (self.first + rows).min(count)));
        }
        (!said.is_empty()).then(|| said.join("  "))
    }
}
