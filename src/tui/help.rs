//! The keys of the page in front, and those that work everywhere.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::app;
use super::effect::Effect;
use super::keymap::{self, Hint};
use super::page::{Fate, Overlay, Shared};
use super::widgets::modal;
use super::widgets::scroll::Scroll;
use crate::model::text;
use crate::term::keys::Key;

/// Columns of the keys.
const KEYS: u16 = 12;

/// The help.
#[derive(Debug)]
pub struct Help {
    title: String,
    lines: Vec<Hint>,
    scroll: Scroll,
}

impl Help {
    /// Of a page with that title and those keys.
    pub fn new(title: &str, page: Vec<Hint>) -> Help {
        crate::crash::mishap("tui.help");
        let mut lines = page;
        lines.push(("", ""));
        lines.extend(keymap::help(app::KEYS));
        Help { title: format!("Keys: {title}"), lines, scroll: Scroll::default() }
    }
}

impl Overlay for Help {
    fn word(&self) -> &'static str {
        "help"
    }

    fn on_key(&mut self, key: &Key, _shared: &Shared) -> (Fate, Vec<Effect>) {
        let fate = if self.scroll.on_key(key) { Fate::Stay } else { Fate::Close };
        (fate, Vec::new())
    }

    fn draw(&mut self, frame: &mut Frame<'_>, within: Rect, shared: &Shared) {
        let rows = u16::try_from(self.lines.len()).unwrap_or(u16::MAX);
        let inner = modal::open(frame, within, &shared.theme, &self.title, (58, rows));
        let shown = self.scroll.shown(self.lines.len(), inner.height);
        let buffer = frame.buffer_mut();
        for ((key, words), y) in self.lines.iter().skip(shown).zip(inner.y..inner.bottom()) {
            buffer.set_stringn(inner.x, y, key, usize::from(inner.width), shared.theme.key);
            let room = usize::from(inner.width.saturating_sub(KEYS));
            buffer.set_stringn(
                inner.x + KEYS.min(inner.width),
                y,
                text::short(words, room),
                room,
                Style::new(),
            );
        }
        self.scroll.draw_more(frame, inner, &shared.theme);
        frame.set_cursor_position((inner.x, inner.y));
    }

    fn hints(&self, _shared: &Shared) -> Vec<Hint> {
        vec![("↑ ↓", "scroll"), ("Esc", "close")]
    }
}
