//! Text of several lines that is typed or pasted.

// A keyboard has more keys than anybody gives a meaning to.
#![allow(clippy::wildcard_enum_match_arm)]

use unicode_width::UnicodeWidthChar;

use crate::model::text;
use crate::term::keys::{Key, LONGEST_PASTE};

/// Columns of a tab.
const TAB: &str = "    ";
/// Bytes that one character may take (UTF-8).
const WIDEST: usize = 4;

/// The lines, and a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    /// Never empty.
    lines: Vec<String>,
    /// The cursor's line.
    row: usize,
    /// The cursor's byte in it, on a character's border.
    at: usize,
    /// Bytes of all, the line ends included.
    bytes: usize,
    /// The most bytes.
    most: usize,
    /// Something of a paste is missing.
    cut: bool,
    /// The first line that is seen.
    first: usize,
}

impl Area {
    /// An empty one that takes so many bytes.
    pub fn new(most: usize) -> Area {
        Area { lines: vec![String::new()], row: 0, at: 0, bytes: 0, most, cut: false, first: 0 }
    }

    /// Takes so many bytes from now on.
    pub fn limit(&mut self, most: usize) {
        self.most = most;
    }

    /// The whole text.
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Its bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many lines there are.
    pub fn lines(&self) -> usize {
        self.lines.len()
    }

    /// Something of what was pasted did not fit, and is missing.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Takes a key; false if it means nothing here.
    pub fn on_key(&mut self, key: &Key) -> bool {
        match key {
            Key::Char(c) => self.insert(*c),
            Key::Enter => self.insert('\n'),
            Key::Paste(pasted) => self.paste(pasted),
            Key::Backspace => self.backspace(),
            Key::Delete => {
                let (row, at) = (self.row, self.at);
                self.right();
                if (row, at) != (self.row, self.at) {
                    self.backspace();
                }
            }
            Key::Left => self.left(),
            Key::Right => self.right(),
            // At the edges these are for whoever holds this.
            Key::Up if self.row > 0 => self.go(self.row - 1),
            Key::Down if self.row + 1 < self.lines.len() => self.go(self.row + 1),
            Key::PageUp => self.go(self.row.saturating_sub(8)),
            Key::PageDown => self.go((self.row + 8).min(self.lines.len() - 1)),
            Key::Home | Key::Ctrl('a') => self.at = 0,
            Key::End | Key::Ctrl('e') => self.at = self.line().len(),
            Key::Ctrl('u') => *self = Area::new(self.most),
            _ => return false,
        }
        true
    }

    fn line(&self) -> &str {
        self.lines.get(self.row).map_or("", String::as_str)
    }

    fn paste(&mut self, pasted: &str) {
        let before = self.bytes;
        for c in pasted.chars() {
            self.insert(c);
        }
        let whole = self.bytes - before == pasted.len();
        self.cut |= !whole || pasted.len() + WIDEST > LONGEST_PASTE;
    }

    fn insert(&mut self, c: char) {
        if self.bytes + c.len_utf8() > self.most {
            return;
        }
        let Some(line) = self.lines.get_mut(self.row) else { return };
        self.bytes += c.len_utf8();
        if c == '\n' {
            let rest = line.split_off(self.at);
            self.row += 1;
            self.lines.insert(self.row, rest);
            self.at = 0;
        } else {
            line.insert(self.at, c);
            self.at += c.len_utf8();
        }
    }

    fn backspace(&mut self) {
        if let Some(c) = self.line().get(..self.at).and_then(|l| l.chars().next_back()) {
            self.at -= c.len_utf8();
            self.bytes -= c.len_utf8();
            if let Some(line) = self.lines.get_mut(self.row) {
                line.remove(self.at);
            }
        } else if self.row > 0 {
            let line = self.lines.remove(self.row);
            self.row -= 1;
            self.bytes -= 1;
            self.at = self.line().len();
            if let Some(above) = self.lines.get_mut(self.row) {
                above.push_str(&line);
            }
        }
        self.cut &= !self.is_empty();
    }

    fn left(&mut self) {
        if let Some(c) = self.line().get(..self.at).and_then(|l| l.chars().next_back()) {
            self.at -= c.len_utf8();
        } else if self.row > 0 {
            self.row -= 1;
            self.at = self.line().len();
        }
    }

    fn right(&mut self) {
        if let Some(c) = self.line().get(self.at..).and_then(|l| l.chars().next()) {
            self.at += c.len_utf8();
        } else if self.row + 1 < self.lines.len() {
            self.row += 1;
            self.at = 0;
        }
    }

    /// To another line, as near to the same column as there is one.
    fn go(&mut self, row: usize) {
        let column = self.line().get(..self.at).map_or(0, |l| l.chars().count());
        self.row = row;
        self.at = self.line().char_indices().nth(column).map_or(self.line().len(), |(i, _)| i);
    }

    /// Puts the cursor where was clicked: so many rows and columns from the corner.
    pub fn click(&mut self, row: u16) {
        self.row = (self.first + usize::from(row)).min(self.lines.len() - 1);
        self.at = self.line().len();
    }

    /// What is seen of it in so many rows and columns, and where the cursor is there:
    /// its column and its row.
    pub fn view(&mut self, columns: u16, rows: u16) -> (Vec<String>, (u16, u16)) {
        let rows = usize::from(rows.max(1));
        self.first = self.first.min(self.row).max((self.row + 1).saturating_sub(rows));
        let before = text::columns(&shown(self.line().get(..self.at).unwrap_or_default()));
        // All lines are pushed aside as far as the cursor needs.
        let aside = before.saturating_sub(usize::from(columns.max(1)) - 1);
        let seen = self.lines.iter().skip(self.first).take(rows);
        let seen = seen.map(|line| cut_out(&shown(line), aside, usize::from(columns))).collect();
        let column = u16::try_from(before - aside).unwrap_or(0);
        (seen, (column, u16::try_from(self.row - self.first).unwrap_or(0)))
    }
}

/// A line as a terminal may see it.
fn shown(line: &str) -> String {
    text::clean(&line.replace('\t', TAB))
}

/// The columns of a line from `from` on, `most` at the most.
fn cut_out(line: &str, from: usize, most: usize) -> String {
    let mut at = 0;
    let mut out = String::new();
    for c in line.chars() {
        let columns = c.width().unwrap_or(0);
        if at >= from && at + columns <= from + most {
            out.push(c);
        }
        at += columns;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::keys::Decoder;

    fn typed(bytes: &str) -> Area {
        let mut area = Area::new(1000);
        for key in Decoder::new().feed(bytes.as_bytes()) {
            area.on_key(&key);
        }
        assert_eq!(area.bytes(), area.text().len(), "{bytes:?}");
        area
    }

    #[test]
    fn is_edited_in_lines() {
        assert_eq!(typed("ab\rcd").text(), "ab\ncd");
        assert_eq!(typed("ab\rcd\x1b[A\x7fx").text(), "ax\ncd");
        assert_eq!(typed("ab\rcd\x1b[D\x1b[D\x7f!").text(), "ab!cd");
        assert_eq!(typed("é\r日本\x1b[D\x1b[3~").text(), "é\n日");
        assert_eq!(typed("ab\x1b[D\x1b[D\x1b[D\x1b[3~\x1b[3~\x1b[3~").text(), "");
        assert_eq!(
            typed("one\x1b[200~#!/bin/sh\n\techo é\n\x1b[201~two").text(),
            "one#!/bin/sh\n\techo é\ntwo"
        );
        assert_eq!(typed("ab\rc\x15").text(), "");
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let mut area = Area::new(10);
        area.on_key(&Key::Paste("1234567890".into()));
        assert!(!area.is_cut());
        area.on_key(&Key::Paste("x".into()));
        assert!(area.is_cut() && area.bytes() == 10);
        area.on_key(&Key::Ctrl('u'));
        assert!(!area.is_cut() && area.is_empty());
        // The terminal's end cuts pastes too.
        let mut area = Area::new(LONGEST_PASTE * 2);
        area.on_key(&Key::Paste("x".repeat(LONGEST_PASTE)));
        assert!(area.is_cut());
    }

    #[test]
    fn the_cursor_is_always_seen() {
        let mut area = typed("1\r2\r3\r4567890");
        assert_eq!(area.view(5, 2), (vec![String::new(), "7890".into()], (4, 1)));
        area.on_key(&Key::Home);
        assert_eq!(area.view(5, 2), (vec!["3".into(), "45678".into()], (0, 1)));
        for _ in 0..3 {
            area.on_key(&Key::Up);
        }
        assert_eq!(area.view(5, 2), (vec!["1".into(), "2".into()], (0, 0)));
        assert!(!area.on_key(&Key::Up), "that leads out of it");
        assert_eq!(typed("\x1b[200~a\tb\x1b[201~").view(20, 1).0, ["a    b"]);
        assert_eq!(typed("日本語").view(4, 1), (vec!["語".into()], (3, 0)));
    }
}
