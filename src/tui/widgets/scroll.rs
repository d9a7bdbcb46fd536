//! Lines of which only some are seen.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::term::keys::{Key, Wheel};
use crate::tui::theme::Theme;

/// Where one is. How far it can go, only drawing knows.
#[derive(Debug, Default)]
pub struct Scroll {
    first: usize,
    lines: usize,
    rows: usize,
}

impl Scroll {
    /// Takes a key; false if it does not scroll.
    #[allow(clippy::wildcard_enum_match_arm)]
    pub fn on_key(&mut self, key: &Key) -> bool {
        let page = self.rows.saturating_sub(1).max(1);
        self.first = match key {
            Key::Down | Key::Char('j') => self.first + 1,
            Key::Up | Key::Char('k') => self.first.saturating_sub(1),
            Key::PageDown | Key::Char(' ') => self.first + page,
            Key::PageUp => self.first.saturating_sub(page),
            Key::Home | Key::Char('g') => 0,
            Key::End | Key::Char('G') => usize::MAX,
            Key::Mouse(mouse) => match mouse.wheel() {
                Some(Wheel::Down) => self.first + 3,
                Some(Wheel::Up) => self.first.saturating_sub(3),
                None => return true,
            },
            _ => return false,
        }
        .min(self.last());
        true
    }

    fn last(&self) -> usize {
        self.lines.saturating_sub(self.rows)
    }

    /// The first line that is seen of so many, in so many rows.
    pub fn shown(&mut self, lines: usize, rows: u16) -> usize {
        (self.lines, self.rows) = (lines, usize::from(rows));
        self.first = self.first.min(self.last());
        self.first
    }

    /// Tells on the box's lower edge that there is more.
    pub fn draw_more(&self, frame: &mut Frame<'_>, inner: Rect, theme: &Theme) {
        if self.first < self.last() {
            let at = (inner.right().saturating_sub(8), inner.bottom());
            frame.buffer_mut().set_string(at.0, at.1, " more ↓ ", theme.accent);
        }
    }
}
