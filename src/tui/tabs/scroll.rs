//! Looking back in a tab: what has scrolled by, a search in it, and copies of it.

use std::ops::{Range, RangeInclusive};

use super::emulator::Emulator;
use super::keys::{Move, SCROLL_KEYS};
use crate::term::keys::Key;
use crate::tui::keymap;
use crate::tui::widgets::input::Input;

/// Bytes that are copied at once; terminals take little more.
const MOST_COPIED: usize = 64 * 1024;

/// Where somebody looks.
#[derive(Debug)]
pub(super) struct Scroll {
    /// The first line in sight.
    pub top: u64,
    /// The line that the keys move.
    pub at: u64,
    /// Where the marked lines begin.
    mark: Option<u64>,
    /// What was searched for last.
    pub needle: String,
    /// What is to be searched for, while it is typed.
    pub prompt: Option<Input>,
}

/// What comes of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Stay,
    Leave,
    Copy(String),
    Say(String),
}

impl Scroll {
    /// Looks at what is there now.
    pub fn new(emulator: &Emulator) -> Scroll {
        let lines = emulator.lines();
        let mut scroll = Scroll {
            top: lines.start,
            at: lines.end.saturating_sub(1),
            mark: None,
            needle: String::new(),
            prompt: None,
        };
        scroll.fit(emulator);
        scroll
    }

    /// Keeps the place within the lines that there are, and in sight.
    pub fn fit(&mut self, emulator: &Emulator) {
        let Range { start, end } = emulator.lines();
        let rows = u64::from(emulator.size().rows);
        self.at = self.at.clamp(start, end.saturating_sub(1));
        self.mark = self.mark.map(|mark| mark.clamp(start, end.saturating_sub(1)));
        self.top = self.top.clamp(self.at.saturating_sub(rows - 1), self.at).clamp(start, end - rows);
    }

    /// The lines that a copy would take, if any are marked.
    pub fn marked(&self) -> Option<RangeInclusive<u64>> {
        self.mark.map(|mark| mark.min(self.at)..=mark.max(self.at))
    }

    /// True when what happens now is in sight.
    pub fn is_at_end(&self, emulator: &Emulator) -> bool {
        self.top + u64::from(emulator.size().rows) >= emulator.lines().end
    }

    pub fn on_key(&mut self, key: &Key, emulator: &mut Emulator) -> Turn {
        if self.prompt.is_some() {
            return self.on_prompt(key, emulator);
        }
        let page = u64::from(emulator.size().rows.saturating_sub(1).max(1));
        let turn = match keymap::find(SCROLL_KEYS, key, |_| true) {
            Some(Move::Up) => self.go(self.at.saturating_sub(1)),
            Some(Move::Down) => self.go(self.at + 1),
            Some(Move::PageUp) => self.page(page, true),
            Some(Move::PageDown) => self.page(page, false),
            Some(Move::First) => self.go(0),
            Some(Move::Last) => self.go(emulator.lines().end),
            Some(Move::Search) => {
                self.prompt = Some(Input::default());
                Turn::Stay
            }
            Some(Move::Older) => self.search(true, emulator),
            Some(Move::Newer) => self.search(false, emulator),
            Some(Move::Mark) => {
                self.mark = if self.mark.is_none() { Some(self.at) } else { None };
                Turn::Stay
            }
            Some(Move::Copy) => self.copy(emulator),
            Some(Move::Leave) if self.mark.is_some() => {
                self.mark = None;
                Turn::Stay
            }
            Some(Move::Leave) => Turn::Leave,
            None => Turn::Stay,
        };
        self.fit(emulator);
        turn
    }

    /// Moves what is in sight by so many lines, and the place with it.
    pub fn page(&mut self, lines: u64, up: bool) -> Turn {
        let by = |n: u64| if up { n.saturating_sub(lines) } else { n + lines };
        (self.top, self.at) = (by(self.top), by(self.at));
        Turn::Stay
    }

    fn go(&mut self, line: u64) -> Turn {
        self.at = line;
        Turn::Stay
    }

    #[allow(clippy::wildcard_enum_match_arm)]
    fn on_prompt(&mut self, key: &Key, emulator: &mut Emulator) -> Turn {
        let Some(mut prompt) = self.prompt.take() else { return Turn::Stay };
        match key {
            Key::Enter => {
                if !prompt.is_empty() {
                    self.needle = prompt.text();
                }
                let turn = self.search(true, emulator);
                self.fit(emulator);
                return turn;
            }
            Key::Esc | Key::Ctrl('c') => return Turn::Stay,
            Key::Backspace if prompt.is_empty() => return Turn::Stay,
            key => {
                prompt.on_key(key);
            }
        }
        self.prompt = Some(prompt);
        Turn::Stay
    }

    /// Goes to the nearest line that matches, on from the other end if need be.
    fn search(&mut self, older: bool, emulator: &mut Emulator) -> Turn {
        if self.needle.is_empty() {
            return Turn::Stay;
        }
        let Range { start, end } = emulator.lines();
        let count = end - start;
        let from = self.at.clamp(start, end.saturating_sub(1)) - start;
        let nth = |n| start + (if older { from + count - n } else { from + n }) % count;
        let found = (1..=count).map(nth).find(|line| {
            let (text, _) = emulator.text(*line);
            !matches(&text, &self.needle).is_empty()
        });
        match found {
            Some(line) => self.go(line),
            None => Turn::Say(format!("“{}” is not in this tab.", self.needle)),
        }
    }

    fn copy(&mut self, emulator: &mut Emulator) -> Turn {
        let mut copied = String::new();
        let lines = self.marked().unwrap_or(self.at..=self.at);
        let last = *lines.end();
        for line in lines {
            let (text, wrapped) = emulator.text(line);
            let text = if wrapped { text.as_str() } else { text.trim_end() };
            if copied.len() + text.len() + 1 > MOST_COPIED {
                return Turn::Say(format!("That is more than {} KiB: mark fewer lines.", MOST_COPIED / 1024));
            }
            copied.push_str(text);
            if !wrapped && line != last {
                copied.push('\n');
            }
        }
        Turn::Copy(copied)
    }
}

/// Where the text matches, in columns. Capitals count only if some are asked for.
pub(super) fn matches(text: &str, needle: &str) -> Vec<Range<u16>> {
    use unicode_width::UnicodeWidthChar;
    let exact = needle.chars().any(char::is_uppercase);
    let fold = |c: char| if exact { c } else { c.to_lowercase().next().unwrap_or(c) };
    let needle: Vec<char> = needle.chars().map(fold).collect();
    let mut columns = 0u16;
    let text: Vec<(char, u16)> = text
        .chars()
        .map(|c| {
            let at = columns;
            columns =
                columns.saturating_add(c.width().and_then(|w| u16::try_from(w.min(2)).ok()).unwrap_or(1));
            (fold(c), at)
        })
        .collect();
    if needle.is_empty() {
        return Vec::new();
    }
    let column = |i: usize| text.get(i).map_or(columns, |(_, at)| *at);
    text.windows(needle.len())
        .enumerate()
        .filter(|(_, part)| part.iter().map(|(c, _)| c).eq(needle.iter()))
        .map(|(i, part)| column(i)..column(i + part.len()))
        .collect()
}
