//! A form's fields: what they hold, and the keys that change it.

// A keyboard has more keys than anybody gives a meaning to.
#![allow(clippy::wildcard_enum_match_arm)]

use crate::term::keys::Key;
use crate::tui::keymap::Hint;
use crate::tui::widgets::area::Area;
use crate::tui::widgets::input::Input;

/// The most digits of a number.
const DIGITS: usize = 9;

/// A field.
#[derive(Debug)]
pub struct Field<K> {
    /// Its name, for its page.
    pub id: K,
    /// Its name, for people.
    pub label: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// A word about it.
    pub note: String,
    /// What its page says is wrong with it.
    pub error: String,
    /// It is not there for now.
    pub hidden: bool,
}

impl<K> Field<K> {
    /// A field.
    pub fn new(id: K, label: &'static str, kind: Kind) -> Field<K> {
        Field { id, label, kind, note: String::new(), error: String::new(), hidden: false }
    }

    /// The same, with a word about it.
    #[must_use]
    pub fn noted(mut self, note: impl Into<String>) -> Field<K> {
        self.note = note.into();
        self
    }

    /// It can have the keys.
    pub fn takes_keys(&self) -> bool {
        !self.hidden && !matches!(self.kind, Kind::Info(_))
    }

    /// What is wrong with it; may be empty.
    pub fn problem(&self) -> String {
        match &self.kind {
            _ if !self.error.is_empty() => self.error.clone(),
            Kind::Number(number) => number.value().err().unwrap_or_default(),
            _ => String::new(),
        }
    }
}

/// What a field holds.
#[derive(Debug)]
pub enum Kind {
    /// A line of text.
    Text(Text),
    /// A number with a unit, within limits.
    Number(Number),
    /// One of several.
    Choice(Choice),
    /// Several lines of text.
    Area(Area),
    /// Words that no key changes.
    Info(String),
    /// Sends the form.
    Button(String),
}

/// What came of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It means nothing to the field.
    No,
    /// It moved a cursor.
    Moved,
    /// The field holds something else.
    Changed,
    /// The button was pressed.
    Pressed,
}

impl Kind {
    /// A line of text, selected: what is typed replaces it.
    pub fn suggested(text: &str) -> Kind {
        Kind::Text(Text { input: Input::new(text), fresh: true })
    }

    /// An empty line of text.
    pub fn line() -> Kind {
        Kind::Text(Text { input: Input::default(), fresh: false })
    }

    /// What it holds, as text.
    pub fn text(&self) -> String {
        match self {
            Kind::Text(text) => text.input.text(),
            Kind::Number(number) => number.typed.clone(),
            Kind::Choice(choice) => choice.value().to_owned(),
            Kind::Area(area) => area.text(),
            Kind::Info(words) | Kind::Button(words) => words.clone(),
        }
    }

    pub(super) fn on_key(&mut self, key: &Key) -> Taken {
        match self {
            Kind::Text(text) => text.on_key(key),
            Kind::Number(number) => number.on_key(key),
            Kind::Choice(choice) => choice.on_key(key),
            // Enter passes by an empty text, as it does by any field.
            Kind::Area(area) if area.is_empty() && *key == Key::Enter => Taken::No,
            Kind::Area(area) => {
                let before = (area.bytes(), area.is_cut());
                match area.on_key(key) {
                    false => Taken::No,
                    true if (area.bytes(), area.is_cut()) == before => Taken::Moved,
                    true => Taken::Changed,
                }
            }
            Kind::Info(_) => Taken::No,
            Kind::Button(_) if matches!(key, Key::Enter | Key::Char(' ')) => Taken::Pressed,
            Kind::Button(_) => Taken::No,
        }
    }

    /// The key that changes it, where that is not plain typing.
    pub(super) fn hint(&self) -> Option<Hint> {
        match self {
            Kind::Choice(_) => Some(("← →", "choose")),
            Kind::Number(_) => Some(("← →", "less, more")),
            Kind::Area(_) => Some(("Ctrl-U", "empty it")),
            Kind::Text(_) | Kind::Info(_) | Kind::Button(_) => None,
        }
    }
}

/// A line of text.
#[derive(Debug)]
pub struct Text {
    /// It.
    pub input: Input,
    /// It was suggested: what is typed replaces it.
    pub fresh: bool,
}

impl Text {
    fn on_key(&mut self, key: &Key) -> Taken {
        let fresh = std::mem::take(&mut self.fresh);
        let before = self.input.text();
        let replaces = matches!(key, Key::Char(_) | Key::Paste(_) | Key::Backspace | Key::Delete);
        if fresh && replaces {
            self.input.clear();
        }
        let taken = self.input.on_key(key);
        if self.input.text() != before {
            Taken::Changed
        } else if taken {
            Taken::Moved
        } else {
            self.fresh = fresh;
            Taken::No
        }
    }
}

/// A number with a unit, within limits.
#[derive(Debug)]
pub struct Number {
    typed: String,
    /// The next digit replaces what is there.
    fresh: bool,
    /// Such as `MB`; may be empty.
    pub unit: &'static str,
    least: u32,
    most: u32,
    /// What an arrow adds or takes away.
    step: u32,
}

impl Number {
    /// A number that arrows change by `step`.
    pub fn new(value: u32, unit: &'static str, (least, most): (u32, u32), step: u32) -> Number {
        Number { typed: value.to_string(), fresh: true, unit, least, most, step: step.max(1) }
    }

    /// Puts other limits.
    pub fn limit(&mut self, least: u32, most: u32) {
        (self.least, self.most) = (least, most);
    }

    /// Puts another value, which the next digit replaces.
    pub fn put(&mut self, value: u32) {
        (self.typed, self.fresh) = (value.to_string(), true);
    }

    /// What is typed.
    pub fn digits(&self) -> &str {
        &self.typed
    }

    /// The limits: `64 to 4096 MB`.
    pub fn range(&self) -> String {
        let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
        format!("{} to {}{unit}", self.least, self.most)
    }

    /// # Errors
    /// If it is outside of the limits, or none: the limits.
    pub fn value(&self) -> Result<u32, String> {
        let value = self.typed.parse().ok().filter(|v| (self.least..=self.most).contains(v));
        value.ok_or_else(|| format!("It is {}.", self.range()))
    }

    fn on_key(&mut self, key: &Key) -> Taken {
        let before = self.typed.clone();
        let fresh = std::mem::take(&mut self.fresh);
        match key {
            Key::Char(c) if c.is_ascii_digit() => {
                if fresh {
                    self.typed.clear();
                }
                if self.typed.len() < DIGITS {
                    self.typed.push(*c);
                }
            }
            Key::Paste(text) if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit()) => {
                self.typed = text.chars().take(DIGITS).collect();
            }
            Key::Backspace => {
                self.typed.pop();
            }
            Key::Ctrl('u') => self.typed.clear(),
            Key::Left | Key::Char('-') => self.go(false),
            Key::Right | Key::Char('+' | ' ') => self.go(true),
            _ => {
                self.fresh = fresh;
                return Taken::No;
            }
        }
        if self.typed == before { Taken::Moved } else { Taken::Changed }
    }

    /// To the next whole step, within the limits.
    fn go(&mut self, up: bool) {
        let now: u32 = self.typed.parse().unwrap_or(self.least);
        let step = self.step;
        let to = if up {
            (now / step).saturating_add(1).saturating_mul(step)
        } else {
            now.saturating_sub(1) / step * step
        };
        self.put(to.clamp(self.least, self.most.max(self.least)));
    }
}

/// One of several.
#[derive(Debug)]
pub struct Choice {
    options: Vec<String>,
    at: usize,
    /// The beginning that was typed to jump.
    typed: String,
}

impl Choice {
    /// Of those, the first.
    pub fn new(options: Vec<String>) -> Choice {
        Choice { options, at: 0, typed: String::new() }
    }

    /// The place of what is chosen; none if there is nothing.
    pub fn chosen(&self) -> Option<usize> {
        (self.at < self.options.len()).then_some(self.at)
    }

    /// What is chosen; empty if there is nothing.
    pub fn value(&self) -> &str {
        self.options.get(self.at).map_or("", String::as_str)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.options.len()
    }

    fn on_key(&mut self, key: &Key) -> Taken {
        let (before, count) = (self.at, self.options.len());
        if count == 0 {
            return Taken::No;
        }
        match key {
            Key::Right | Key::Char(' ') => self.at = (self.at + 1) % count,
            Key::Left => self.at = (self.at + count - 1) % count,
            Key::Home => self.at = 0,
            Key::End => self.at = count - 1,
            Key::Char(c) => return self.jump(*c, before),
            _ => {
                self.typed.clear();
                return Taken::No;
            }
        }
        self.typed.clear();
        if self.at == before { Taken::Moved } else { Taken::Changed }
    }

    /// To the option that begins as was typed; what begins none begins anew.
    fn jump(&mut self, c: char, before: usize) -> Taken {
        let longer = format!("{}{}", self.typed, c.to_lowercase());
        let begins = |start: &str| {
            let starts = |o: &String| o.to_lowercase().starts_with(start);
            self.options.iter().position(starts).map(|at| (at, start.to_owned()))
        };
        let found = begins(&longer).or_else(|| begins(&c.to_lowercase().to_string()));
        let Some((at, typed)) = found else {
            self.typed.clear();
            return Taken::Moved;
        };
        (self.at, self.typed) = (at, typed);
        if self.at == before { Taken::Moved } else { Taken::Changed }
    }
}
