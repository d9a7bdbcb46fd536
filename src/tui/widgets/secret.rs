//! A field for what nobody may see. It is wiped when it is emptied or dropped.

// A keyboard has more keys than anybody gives a meaning to.
#![allow(clippy::wildcard_enum_match_arm)]

use std::fmt;

use zeroize::Zeroizing;

use crate::term::keys::Key;

/// The most that the field takes, bytes; it never has to move for more room.
const MOST: usize = 1024;

/// The field.
pub struct Secret(Zeroizing<String>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Default for Secret {
    fn default() -> Self {
        Secret(Zeroizing::new(String::with_capacity(MOST)))
    }
}

impl Secret {
    /// True if it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the other holds the same.
    pub fn is(&self, other: &Secret) -> bool {
        *self.0 == *other.0
    }

    /// What it holds; it is empty then.
    pub fn take(&mut self) -> Zeroizing<String> {
        std::mem::take(self).0
    }

    /// A sign for each character.
    pub fn shown(&self, width: u16) -> String {
        "•".repeat(self.0.chars().count().min(usize::from(width)))
    }

    /// Takes a key; false if it means nothing here.
    pub fn on_key(&mut self, key: &Key) -> bool {
        match key {
            Key::Char(c) => self.insert(c.encode_utf8(&mut [0; 4])),
            // A line is pasted with its end.
            Key::Paste(text) => self.insert(text.trim_end_matches('\n')),
            Key::Backspace => drop(self.0.pop()),
            Key::Ctrl('u' | 'w') => *self = Secret::default(),
            _ => return false,
        }
        true
    }

    fn insert(&mut self, text: &str) {
        for c in text.chars().filter(|c| !c.is_control()) {
            if self.0.len() + c.len_utf8() <= MOST {
                self.0.push(c);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_is_typed_and_shows_none_of_it() {
        let mut field = Secret::default();
        for key in [Key::Char('a'), Key::Paste("bé\n".into()), Key::Char('x'), Key::Backspace] {
            assert!(field.on_key(&key));
        }
        assert!(!field.on_key(&Key::Up));
        assert_eq!((field.shown(10).as_str(), field.shown(2).as_str()), ("•••", "••"));
        assert_eq!(format!("{field:?}"), "Secret");
        assert_eq!(field.take().as_str(), "abé");
        assert!(field.is_empty());
        field.on_key(&Key::Paste("x".repeat(5000)));
        assert_eq!(field.take().len(), MOST);
    }
}
