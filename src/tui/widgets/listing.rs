//! A part of a page that lists things of one kind: looked up by an action, shown in
//! a table, acted upon one at a time or several at once. What differs from kind to
//! kind is in [`Kind`]; the rest is here, once.

use std::fmt::Debug;
use std::marker::PhantomData;

use ratatui::Frame;
use ratatui::layout::Rect;

use super::empty;
use super::panes::Pane;
use super::table::{self, Column, Item, Table};
use crate::error::Result;
use crate::model::text;
use crate::portal::Action;
use crate::term::keys::Key;
use crate::tui::app::{Mood, Msg};
use crate::tui::confirm::Confirm;
use crate::tui::effect::{Effect, Task};
use crate::tui::keymap::{self, Binding, Hint, key};
use crate::tui::page::{News, Shared};

/// A kind of things that are listed.
pub trait Kind: Debug + Send + Sized + 'static {
    /// What stands in a row.
    type Row: Item + 'static;
    /// The action that lists them.
    type Ls: Action<Output = Vec<Self::Row>>;
    /// What can be done with them.
    type Verb: Copy + PartialEq + Debug + Send + 'static;

    /// The part's title: a word.
    const TITLE: &'static str;
    /// What they are called: `your keys`.
    const THINGS: &'static str;
    /// What is said where there are none, and what to do then.
    const NONE: (&'static str, &'static str);
    /// The table's columns.
    const COLUMNS: &'static [Column<Self::Row>];
    /// The keys.
    const KEYS: &'static [Binding<Self::Verb>];

    /// Asks for the list.
    fn ls() -> Self::Ls;

    /// What a verb does to the chosen rows: those that are marked, or the selected one.
    fn act(
        place: Place<Self>,
        verb: Self::Verb,
        chosen: &Chosen<'_, Self::Row>,
        shared: &Shared,
    ) -> Vec<Effect>;

    /// Whether the verb needs no row.
    fn needs_none(verb: Self::Verb) -> bool;

    /// Something was pasted; none: that means nothing here.
    fn paste(_text: &str) -> Option<Vec<Effect>> {
        None
    }
}

/// Rows that something is to be done to.
#[derive(Debug)]
pub struct Chosen<'a, R> {
    rows: Vec<&'a R>,
    /// Of so many.
    pub of: usize,
}

impl<'a, R> std::ops::Deref for Chosen<'a, R> {
    type Target = [&'a R];
    fn deref(&self) -> &[&'a R] {
        &self.rows
    }
}

/// What a listing hears.
enum Heard<K: Kind> {
    List(Result<Vec<K::Row>>),
    /// Something was done: what is said of it.
    Acted(Result<String>),
    /// There is a new one, of that key.
    Made(String),
}

/// Where a listing is, for what is to come back to it.
#[derive(Debug)]
pub struct Place<K> {
    page: &'static str,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Place<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Place<K> {}

impl<K: Kind> Place<K> {
    /// On the page of that word.
    pub const fn new(page: &'static str) -> Self {
        Place { page, kind: PhantomData }
    }

    /// Looks the list up.
    pub fn look(self) -> Effect {
        let page = self.page;
        Effect::Do(Task::new(K::ls(), move |list| Msg::news(page, Heard::<K>::List(list))))
    }

    /// Does something, tells of it, and looks the list up again.
    pub fn perform<A: Action>(self, action: A, said: impl Into<String>) -> Effect {
        let (page, said) = (self.page, said.into());
        Effect::Do(Task::new(action, move |done| Msg::news(page, Heard::<K>::Acted(done.map(|_| said)))))
    }

    /// Asks before it does something.
    pub fn ask(self, title: &'static str, question: impl Into<String>, then: Vec<Effect>) -> Vec<Effect> {
        vec![Effect::Open(Box::new(Confirm::new(title, question, then)))]
    }

    /// There is a new one, of that key: it is selected when it appears.
    pub fn made(self, key: impl Into<String>) -> Vec<Effect> {
        vec![Effect::News(self.page, Box::new(Heard::<K>::Made(key.into()))), self.look()]
    }
}

/// How several things are called: the only one by its name, more by their number.
pub fn named<R>(chosen: &[&R], things: &str, name: impl Fn(&R) -> String) -> String {
    match chosen {
        [one] => text::short(&name(one), 60),
        more => format!("{} {things}", more.len()),
    }
}

/// What a key does in every listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Always {
    Refresh,
    Back,
}

static ALWAYS: &[Binding<Always>] = &[
    key(&[Key::Char('r')], "r", "", "look again", Always::Refresh),
    key(&[Key::Esc], "Esc", "", "take marks or the filter away", Always::Back),
];

/// The list.
#[derive(Debug)]
pub struct Listing<K: Kind> {
    place: Place<K>,
    table: Table<K::Row>,
    known: bool,
}

impl<K: Kind> Listing<K> {
    /// On the page of that word.
    pub fn new(page: &'static str) -> Self {
        Listing { place: Place::new(page), table: Table::new(K::COLUMNS), known: false }
    }
}

impl<K: Kind> Pane for Listing<K> {
    fn title(&self) -> &'static str {
        K::TITLE
    }

    fn begin(&mut self, _shared: &Shared) -> Vec<Effect> {
        vec![self.place.look()]
    }

    fn on_news(&mut self, news: News, shared: &Shared) -> Result<Vec<Effect>, News> {
        Ok(match *news.downcast::<Heard<K>>()? {
            Heard::List(Ok(list)) => {
                self.table.set(list, shared);
                self.known = true;
                Vec::new()
            }
            Heard::Acted(Ok(said)) => {
                vec![self.place.look(), Effect::Say(Mood::Good, text::clean(&said), String::new())]
            }
            Heard::Made(key) => {
                self.table.select(&key);
                Vec::new()
            }
            Heard::List(Err(e)) => vec![Effect::complain(e)],
            // Of several, some may be done.
            Heard::Acted(Err(e)) => vec![self.place.look(), Effect::complain(e)],
        })
    }

    fn on_key(&mut self, key: &Key, shared: &mut Shared) -> Option<Vec<Effect>> {
        if !self.table.takes_text() {
            if let Key::Paste(text) = key {
                return K::paste(text);
            }
            if let Some(verb) = keymap::find(K::KEYS, key, |_| true) {
                let chosen = Chosen { rows: self.table.chosen(), of: self.table.rows().len() };
                let idle = chosen.is_empty() && !K::needs_none(verb);
                return Some(if idle { Vec::new() } else { K::act(self.place, verb, &chosen, shared) });
            }
            match keymap::find(ALWAYS, key, |_| true) {
                Some(Always::Refresh) => return Some(vec![self.place.look()]),
                // Where there is nothing to take away, the frame has the key.
                Some(Always::Back) => return self.table.back(shared).then(Vec::new),
                None => {}
            }
        }
        self.table.on_key(key, shared).then(Vec::new)
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared, front: bool) {
        if self.table.draw(frame, area, shared) || self.table.takes_text() {
            return;
        }
        let looking = format!("Looking for {}…", K::THINGS);
        let (what, next) = match (self.known, self.table.rows().is_empty()) {
            (false, _) => (looking.as_str(), ""),
            (true, true) => K::NONE,
            (true, false) => ("Nothing here holds these words.", "Esc shows all."),
        };
        empty::draw(frame, area, what, next, &shared.theme);
        if !front {
            frame.set_cursor_position((area.x, area.y));
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
        let mut hints = keymap::hints(K::KEYS, |verb| some || K::needs_none(verb));
        hints.extend(self.table.hints());
        hints
    }

    fn help(&self) -> Vec<Hint> {
        let mut help = keymap::help(K::KEYS);
        help.extend(keymap::help(ALWAYS));
        help.extend(keymap::help(table::KEYS));
        help
    }

    fn takes_text(&self) -> bool {
        self.table.takes_text()
    }
}

#[cfg(test)]
#[allow(missing_docs)]
pub mod tests {
    use super::*;

    /// The news that these are the rows, for the tests of pages.
    pub fn listed<K: Kind>(rows: Vec<K::Row>) -> News {
        Box::new(Heard::<K>::List(Ok(rows)))
    }

    /// The news that something was done.
    pub fn acted<K: Kind>(said: &str) -> News {
        Box::new(Heard::<K>::Acted(Ok(said.to_owned())))
    }
}
