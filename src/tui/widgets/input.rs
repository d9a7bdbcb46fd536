//! A field that text is typed into.

// A keyboard has more keys than anybody gives a meaning to.
#![allow(clippy::wildcard_enum_match_arm)]

use unicode_width::UnicodeWidthChar;

use crate::model::text;
use crate::term::keys::Key;

/// The most characters that a field takes.
const MOST: usize = 200;

/// A field's text and cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    text: Vec<char>,
    cursor: usize,
    most: usize,
}

impl Default for Input {
    fn default() -> Self {
        Input::holding(MOST)
    }
}

impl Input {
    /// An empty field for that many characters.
    pub fn holding(most: usize) -> Input {
        Input { text: Vec::new(), cursor: 0, most }
    }

    /// A field that holds that, the cursor after it.
    pub fn new(text: &str) -> Input {
        let mut input = Input::default();
        input.insert(text);
        input
    }

    /// What it holds.
    pub fn text(&self) -> String {
        self.text.iter().collect()
    }

    /// True if it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Empties it.
    pub fn clear(&mut self) {
        *self = Input::holding(self.most);
    }

    /// Takes a key; false if it means nothing here.
    pub fn on_key(&mut self, key: &Key) -> bool {
        match key {
            Key::Char(c) => self.insert(c.encode_utf8(&mut [0; 4])),
            Key::Paste(text) => self.insert(text),
            Key::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.text.remove(self.cursor);
            }
            Key::Delete if self.cursor < self.text.len() => {
                self.text.remove(self.cursor);
            }
            Key::Ctrl('u') => {
                self.text.drain(..self.cursor);
                self.cursor = 0;
            }
            Key::Ctrl('k') => self.text.truncate(self.cursor),
            Key::Ctrl('w') => {
                let word = |i: usize| self.text.get(i).is_some_and(|c| *c != ' ');
                let mut kept = self.cursor;
                while kept > 0 && !word(kept - 1) {
                    kept -= 1;
                }
                while kept > 0 && word(kept - 1) {
                    kept -= 1;
                }
                self.text.drain(kept..self.cursor);
                self.cursor = kept;
            }
            Key::Left | Key::Ctrl('b') => self.cursor = self.cursor.saturating_sub(1),
            Key::Right | Key::Ctrl('f') => self.cursor = (self.cursor + 1).min(self.text.len()),
            Key::Home | Key::Ctrl('a') => self.cursor = 0,
            Key::End | Key::Ctrl('e') => self.cursor = self.text.len(),
            Key::Backspace | Key::Delete => {}
            _ => return false,
        }
        true
    }

    fn insert(&mut self, text: &str) {
        for c in text.chars().filter(|c| !text::is_unsafe(*c)) {
            if self.text.len() < self.most {
                self.text.insert(self.cursor, c);
                self.cursor += 1;
            }
        }
    }

    /// What is seen of it in that many columns, and the cursor's column there.
    pub fn view(&self, width: u16) -> (String, u16) {
        let room = usize::from(width.max(1)) - 1;
        let columns = |c: &char| c.width().unwrap_or(0);
        let mut from = self.cursor;
        let mut before = 0;
        for c in self.text.iter().take(self.cursor).rev() {
            if before + columns(c) > room {
                break;
            }
            before += columns(c);
            from -= 1;
        }
        let mut used = 0;
        let seen = self.text.iter().skip(from).take_while(|c| {
            used += columns(c);
            used <= usize::from(width)
        });
        (seen.collect(), u16::try_from(before).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::keys::Decoder;

    fn typed(bytes: &[u8]) -> Input {
        let mut input = Input::default();
        for key in Decoder::new().feed(bytes) {
            input.on_key(&key);
        }
        input
    }

    #[test]
    fn takes_text_and_nothing_else() {
        assert_eq!(typed(b"web1\x7f2\x01X\x1b[3~").text(), "Xeb2");
        assert_eq!(typed(b"one two\x17x").text(), "one x");
        assert_eq!(typed(b"\x1b[200~a\nb\x1b[201~").text(), "ab");
        assert_eq!(typed(&[b'x'; 500]).text().len(), MOST);
    }

    #[test]
    fn shows_where_the_cursor_is() {
        let input = typed(b"abcdefgh");
        assert_eq!(input.view(20), ("abcdefgh".into(), 8));
        assert_eq!(input.view(5), ("efgh".into(), 4));
        let input = typed(b"abcdefgh\x01");
        assert_eq!(input.view(5), ("abcde".into(), 0));
        assert_eq!(typed("日本語".as_bytes()).view(4), ("語".into(), 2));
    }
}
