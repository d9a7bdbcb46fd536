//! What a command said, to be read and scrolled.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::effect::Effect;
use super::keymap::Hint;
use super::page::{Fate, Overlay, Shared};
use super::widgets::modal;
use super::widgets::scroll::Scroll;
use crate::model::text;
use crate::term::keys::Key;

/// A command's output.
#[derive(Debug)]
pub struct Output {
    title: String,
    lines: Vec<String>,
    scroll: Scroll,
}

impl Output {
    /// The output of that line.
    pub fn new(line: String, output: &str) -> Output {
        let lines = output.lines().map(|l| text::clean(&l.replace('\t', "    "))).collect();
        Output { title: line, lines, scroll: Scroll::default() }
    }
}

impl Overlay for Output {
    fn word(&self) -> &'static str {
        "output"
    }

    fn on_key(&mut self, key: &Key, _shared: &Shared) -> (Fate, Vec<Effect>) {
        if *key == Key::Char('y') {
            return (Fate::Stay, vec![Effect::Copy(self.lines.join("\n"))]);
        }
        let fate = if self.scroll.on_key(key) { Fate::Stay } else { Fate::Close };
        (fate, Vec::new())
    }

    fn draw(&mut self, frame: &mut Frame<'_>, within: Rect, shared: &Shared) {
        let widest = self.lines.iter().map(|l| text::columns(l)).max().unwrap_or(0);
        let width = u16::try_from(widest).unwrap_or(u16::MAX).max(30);
        let rows = u16::try_from(self.lines.len()).unwrap_or(u16::MAX);
        let title = text::short(&self.title, usize::from(within.width.saturating_sub(6)));
        let inner = modal::open(frame, within, &shared.theme, &title, (width, rows));
        let shown = self.scroll.shown(self.lines.len(), inner.height);
        let room = usize::from(inner.width);
        for (line, y) in self.lines.iter().skip(shown).zip(inner.y..inner.bottom()) {
            frame.buffer_mut().set_stringn(inner.x, y, text::short(line, room), room, Style::new());
        }
        self.scroll.draw_more(frame, inner, &shared.theme);
        frame.set_cursor_position((inner.x, inner.y));
    }

    fn hints(&self, _shared: &Shared) -> Vec<Hint> {
        vec![("↑ ↓", "scroll"), ("y", "copy"), ("Esc", "close")]
    }
}
