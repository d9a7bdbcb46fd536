//! The lines before this one.

use std::collections::VecDeque;

/// Lines that are remembered.
const MOST: usize = 500;
/// The longest text that is searched for, bytes.
const LONGEST_QUERY: usize = 256;

/// Submitted lines, oldest first, and where among them the person is.
#[derive(Debug, Default)]
pub(super) struct History {
    lines: VecDeque<String>,
    /// How far back, from 1; 0 is the line under edit.
    back: usize,
    /// The line under edit, while an older one is shown.
    draft: Vec<char>,
}

impl History {
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        self.lines.iter().map(String::as_str)
    }

    /// Remembers a line, unless it is blank or the last one again.
    pub fn push(&mut self, line: &str) {
        if line.trim().is_empty() || self.lines.back().is_some_and(|last| last == line) {
            return;
        }
        if self.lines.len() == MOST {
            self.lines.pop_front();
        }
        self.lines.push_back(line.to_owned());
    }

    /// Back to the line under edit, which is a new one.
    pub fn rest(&mut self) {
        self.back = 0;
        self.draft.clear();
    }

    pub fn older(&mut self, line: &[char]) -> Option<Vec<char>> {
        if self.back == self.lines.len() {
            return None;
        }
        if self.back == 0 {
            self.draft = line.to_vec();
        }
        self.back += 1;
        self.shown()
    }

    pub fn newer(&mut self) -> Option<Vec<char>> {
        self.back = self.back.checked_sub(1)?;
        if self.back == 0 { Some(std::mem::take(&mut self.draft)) } else { self.shown() }
    }

    fn shown(&self) -> Option<Vec<char>> {
        Some(self.nth_back(self.back.checked_sub(1)?)?.chars().collect())
    }

    /// The line that many before the last.
    fn nth_back(&self, n: usize) -> Option<&str> {
        self.lines().nth_back(n)
    }
}

/// A search backwards.
#[derive(Debug)]
pub(super) struct Search {
    query: String,
    /// How far back the match is, the last line being 0.
    at: Option<usize>,
    failed: bool,
    draft: Vec<char>,
}

impl Search {
    pub fn new(draft: &[char]) -> Self {
        Search { query: String::new(), at: None, failed: false, draft: draft.to_vec() }
    }

    pub fn query(&self) -> &str {
        &self.query
    }

    pub fn failed(&self) -> bool {
        self.failed
    }

    /// The line that the search began with.
    pub fn draft(&self) -> &[char] {
        &self.draft
    }

    pub fn found(&self, history: &History) -> Option<String> {
        history.nth_back(self.at?).map(str::to_owned)
    }

    pub fn push(&mut self, c: char, history: &History) {
        if self.query.len() + c.len_utf8() <= LONGEST_QUERY {
            self.query.push(c);
        }
        self.look(self.at.unwrap_or(0), history);
    }

    pub fn pop(&mut self, history: &History) {
        self.query.pop();
        self.look(0, history);
    }

    pub fn older(&mut self, history: &History) {
        self.look(self.at.map_or(0, |at| at + 1), history);
    }

    /// The first match that far back or farther; if there is none, the last match stays.
    fn look(&mut self, from: usize, history: &History) {
        if self.query.is_empty() {
            (self.at, self.failed) = (None, false);
            return;
        }
        let lines = history.lines().rev().enumerate().skip(from);
        let hit = lines.filter(|(_, line)| line.contains(&self.query)).map(|(i, _)| i).next();
        self.failed = hit.is_none();
        self.at = hit.or(self.at);
    }
}
