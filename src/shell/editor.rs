//! A line that is edited: keys in, a redrawn row out. It holds no terminal and
//! waits for nothing, so whoever owns a session feeds it and writes what it draws.
//!
//! ```text
//! on_key(key) → Continue: write render(cols)
//!             → Submit, Interrupt, Eof: write finish(cols), act, then render(cols) again
//! ```

// A keyboard has more keys than anybody gives a meaning to.
#![allow(clippy::wildcard_enum_match_arm)]

mod draw;
mod history;

use unicode_width::UnicodeWidthChar;

use crate::term::keys::Key;
use history::{History, Search};

/// The longest line, bytes.
pub const LONGEST_LINE: usize = 8 * 1024;

/// What became of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The line is still edited: draw it.
    Continue,
    /// The line was finished with Enter.
    Submit(String),
    /// It was given up with Ctrl-C.
    Interrupt,
    /// Ctrl-D on an empty line.
    Eof,
}

/// How a line ended, for [`Editor::finish`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Plain,
    Interrupted,
}

/// Completes the last word of the line up to the cursor: whole words.
pub type Complete<'a> = &'a dyn Fn(&str) -> Vec<String>;

/// One line under edit, with its history.
#[derive(Debug)]
pub struct Editor {
    prompt: String,
    line: Vec<char>,
    /// Before which character; at most the line's length.
    cursor: usize,
    /// The first character that is drawn.
    scroll: usize,
    hidden: bool,
    killed: Vec<char>,
    history: History,
    search: Option<Search>,
    /// The last key was a Tab that could not decide.
    tabbed: bool,
    /// To be drawn once, above the line.
    listing: Vec<String>,
    clear: bool,
    ended: Option<(Vec<char>, Ending)>,
}

impl Editor {
    /// An empty line after that prompt, which is plain text.
    pub fn new(prompt: impl Into<String>) -> Self {
        Editor {
            prompt: prompt.into(),
            line: Vec::new(),
            cursor: 0,
            scroll: 0,
            hidden: false,
            killed: Vec::new(),
            history: History::default(),
            search: None,
            tabbed: false,
            listing: Vec::new(),
            clear: false,
            ended: None,
        }
    }

    /// Changes the prompt.
    pub fn set_prompt(&mut self, prompt: impl Into<String>) {
        self.prompt = prompt.into();
    }

    /// For passwords: nothing is shown, remembered or completed.
    #[must_use]
    pub fn hidden(mut self, yes: bool) -> Self {
        self.hidden = yes;
        self
    }

    /// The lines that were submitted, oldest first.
    pub fn history(&self) -> impl Iterator<Item = &str> {
        self.history.lines()
    }

    /// Adds a line to the history, as if it had been submitted.
    pub fn remember(&mut self, line: &str) {
        self.history.push(line);
    }

    /// The line as it is now.
    pub fn line(&self) -> String {
        self.line.iter().collect()
    }

    /// Takes a key. `complete` is asked only for Tab.
    pub fn on_key(&mut self, key: Key, complete: Complete<'_>) -> Step {
        self.ended = None;
        let tabbed = std::mem::take(&mut self.tabbed);
        if self.search.is_some() {
            return self.search_key(key, complete);
        }
        match key {
            Key::Enter => return self.submit(),
            Key::Ctrl('c') => return self.interrupt(),
            Key::Ctrl('d') if self.line.is_empty() => {
                self.end(Ending::Plain);
                return Step::Eof;
            }
            Key::Tab => self.complete(complete, tabbed),
            Key::Char(c) => self.insert([c]),
            Key::Paste(text) => self.paste(&text),
            key => {
                if !self.move_key(&key) && !self.change_key(&key) {
                    self.history_key(&key);
                }
            }
        }
        Step::Continue
    }

    fn submit(&mut self) -> Step {
        let line = self.line();
        if !self.hidden {
            self.history.push(&line);
        }
        self.end(Ending::Plain);
        Step::Submit(line)
    }

    fn interrupt(&mut self) -> Step {
        self.end(Ending::Interrupted);
        Step::Interrupt
    }

    /// Makes room for the next line and keeps the last one for [`Editor::finish`].
    fn end(&mut self, ending: Ending) {
        let line = std::mem::take(&mut self.line);
        self.ended = Some((line, ending));
        self.search = None;
        self.history.rest();
        (self.cursor, self.scroll) = (0, 0);
    }

    fn move_key(&mut self, key: &Key) -> bool {
        self.cursor = match key {
            Key::Left | Key::Ctrl('b') => self.before(self.cursor),
            Key::Right | Key::Ctrl('f') => self.after(self.cursor),
            Key::Home | Key::Ctrl('a') => 0,
            Key::End | Key::Ctrl('e') => self.line.len(),
            Key::Alt('b') => self.word_before(),
            Key::Alt('f') => self.word_after(),
            _ => return false,
        };
        true
    }

    fn change_key(&mut self, key: &Key) -> bool {
        let (from, to) = match key {
            Key::Backspace => (self.before(self.cursor), self.cursor),
            Key::Delete | Key::Ctrl('d') => (self.cursor, self.after(self.cursor)),
            Key::Ctrl('k') => (self.cursor, self.line.len()),
            Key::Ctrl('u') => (0, self.cursor),
            Key::Ctrl('w') => (self.space_before(), self.cursor),
            Key::Alt('\u{7f}') => (self.word_before(), self.cursor),
            Key::Alt('d') => (self.cursor, self.word_after()),
            Key::Ctrl('y') => {
                self.insert(self.killed.clone());
                return true;
            }
            _ => return false,
        };
        let gone: Vec<char> = self.line.drain(from..to).collect();
        self.cursor = from;
        let kills = !matches!(key, Key::Backspace | Key::Delete | Key::Ctrl('d'));
        if kills && !gone.is_empty() && !self.hidden {
            self.killed = gone;
        }
        true
    }

    fn history_key(&mut self, key: &Key) {
        if *key == Key::Ctrl('l') {
            self.clear = true;
        }
        if self.hidden {
            return;
        }
        let line = match key {
            Key::Up | Key::Ctrl('p') => self.history.older(&self.line),
            Key::Down | Key::Ctrl('n') => self.history.newer(),
            Key::Ctrl('r') => {
                self.search = Some(Search::new(&self.line));
                None
            }
            _ => None,
        };
        if let Some(line) = line {
            self.set_line(line);
        }
    }

    fn search_key(&mut self, key: Key, complete: Complete<'_>) -> Step {
        let Some(search) = &mut self.search else { return Step::Continue };
        match key {
            Key::Char(c) => search.push(c, &self.history),
            Key::Backspace => search.pop(&self.history),
            Key::Ctrl('r') => search.older(&self.history),
            Key::Esc | Key::Ctrl('g' | 'c') => {
                let draft = search.draft().to_vec();
                self.search = None;
                self.set_line(draft);
                return Step::Continue;
            }
            key => {
                let found = search.found(&self.history);
                self.search = None;
                if let Some(found) = found {
                    self.set_line(found.chars().collect());
                }
                return self.on_key(key, complete);
            }
        }
        Step::Continue
    }

    fn set_line(&mut self, line: Vec<char>) {
        self.cursor = line.len();
        self.line = line;
    }

    fn paste(&mut self, text: &str) {
        // A pasted line is not run unseen: its ends become spaces.
        let text = text.trim_end_matches('\n');
        self.insert(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
    }

    fn insert(&mut self, text: impl IntoIterator<Item = char>) {
        let mut length: usize = self.line.iter().map(|c| c.len_utf8()).sum();
        for c in text.into_iter().filter(|c| !c.is_control()) {
            length += c.len_utf8();
            if length > LONGEST_LINE {
                return;
            }
            self.line.insert(self.cursor, c);
            self.cursor += 1;
        }
    }

    fn complete(&mut self, complete: Complete<'_>, again: bool) {
        if self.hidden {
            return;
        }
        let start = self.space_boundary();
        let before: String = self.line.iter().take(self.cursor).collect();
        let word: String = self.line.iter().take(self.cursor).skip(start).collect();
        let mut words = complete(&before);
        words.retain(|w| w.starts_with(&word) && !w.chars().any(char::is_control));
        let common = common_prefix(&words);
        let rest: Vec<char> = common.chars().skip(word.chars().count()).collect();
        match words.len() {
            0 => {}
            1 => {
                self.insert(rest);
                if !common.ends_with(['=', '/', ':']) {
                    self.insert([' ']);
                }
            }
            _ if !rest.is_empty() => self.insert(rest),
            _ if again => self.listing = words,
            _ => self.tabbed = true,
        }
    }

    fn at(&self, i: usize) -> Option<char> {
        self.line.get(i).copied()
    }

    /// One character back, past the marks that stand on it.
    fn before(&self, from: usize) -> usize {
        let mut i = from.saturating_sub(1);
        while i > 0 && self.at(i).is_some_and(is_mark) {
            i -= 1;
        }
        i
    }

    fn after(&self, from: usize) -> usize {
        let mut i = (from + 1).min(self.line.len());
        while self.at(i).is_some_and(is_mark) {
            i += 1;
        }
        i
    }

    fn word_before(&self) -> usize {
        let is_word = |i: usize| self.at(i).is_some_and(char::is_alphanumeric);
        let mut i = self.cursor;
        while i > 0 && !is_word(i - 1) {
            i -= 1;
        }
        while i > 0 && is_word(i - 1) {
            i -= 1;
        }
        i
    }

    fn word_after(&self) -> usize {
        let is_word = |i: usize| self.at(i).is_some_and(char::is_alphanumeric);
        let mut i = self.cursor;
        while i < self.line.len() && !is_word(i) {
            i += 1;
        }
        while is_word(i) {
            i += 1;
        }
        i
    }

    /// Where the word that the cursor is in begins, words being parted by spaces.
    fn space_boundary(&self) -> usize {
        let mut i = self.cursor;
        while i > 0 && self.at(i - 1).is_some_and(|c| !c.is_whitespace()) {
            i -= 1;
        }
        i
    }

    fn space_before(&self) -> usize {
        let mut i = self.cursor;
        while i > 0 && self.at(i - 1).is_some_and(char::is_whitespace) {
            i -= 1;
        }
        while i > 0 && self.at(i - 1).is_some_and(|c| !c.is_whitespace()) {
            i -= 1;
        }
        i
    }
}

fn is_mark(c: char) -> bool {
    c.width() == Some(0)
}

fn common_prefix(words: &[String]) -> String {
    let mut words = words.iter();
    let Some(first) = words.next() else { return String::new() };
    words.fold(first.clone(), |common, word| {
        common.chars().zip(word.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
    })
}

#[cfg(test)]
mod tests;
