//! The line after `:` — any command of the grammar, or a page's name — with
//! completion and history, as in the line shell.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::Clear;

use super::effect::Effect;
use super::keymap::Hint;
use super::page::{Fate, Overlay, Shared};
use crate::model::text;
use crate::shell;
use crate::shell::editor::{Editor, Step};
use crate::term::keys::Key;

/// The line.
#[derive(Debug)]
pub struct CommandLine {
    editor: Editor,
    /// What names and pages completion offers.
    names: Vec<String>,
    pages: Vec<String>,
    /// What Tab could not decide between.
    offered: Vec<String>,
}

impl CommandLine {
    /// An empty line, with the lines before it, and names to complete.
    pub fn new(history: &[String], names: Vec<String>, pages: Vec<String>) -> CommandLine {
        let mut editor = Editor::new(":");
        for line in history {
            editor.remember(line);
        }
        CommandLine { editor, names, pages, offered: Vec::new() }
    }
}

impl Overlay for CommandLine {
    fn word(&self) -> &'static str {
        "command"
    }

    fn on_key(&mut self, key: &Key, _shared: &Shared) -> (Fate, Vec<Effect>) {
        let empty = self.editor.line().is_empty();
        if matches!(key, Key::Esc) || (empty && matches!(key, Key::Backspace)) {
            return (Fate::Close, Vec::new());
        }
        let (names, pages) = (&self.names, &self.pages);
        let step = self.editor.on_key(key.clone(), &|line| {
            let mut words = shell::complete(line, names);
            if !line.contains(' ') {
                words.extend(pages.iter().filter(|p| p.starts_with(line)).cloned());
            }
            words
        });
        let listing = self.editor.take_listing();
        if *key != Key::Tab || !listing.is_empty() {
            self.offered = listing;
        }
        match step {
            Step::Continue => (Fate::Stay, Vec::new()),
            Step::Submit(line) => (Fate::Close, vec![Effect::Line(line)]),
            Step::Interrupt | Step::Eof => (Fate::Close, Vec::new()),
        }
    }

    fn draw(&mut self, frame: &mut Frame<'_>, within: Rect, shared: &Shared) {
        let y = within.bottom().saturating_sub(1);
        let line = Rect { y, height: 1, ..within };
        frame.render_widget(Clear, line);
        let (seen, cursor) = self.editor.view(within.width);
        frame.buffer_mut().set_stringn(within.x, y, seen, usize::from(within.width), Style::new());
        if !self.offered.is_empty() && y > within.y {
            let above = Rect { y: y - 1, height: 1, ..within };
            frame.render_widget(Clear, above);
            let words = text::short(&self.offered.join("  "), usize::from(within.width));
            frame.buffer_mut().set_stringn(
                within.x,
                y - 1,
                words,
                usize::from(within.width),
                shared.theme.muted,
            );
        }
        frame.set_cursor_position((within.x + cursor, y));
    }

    fn hints(&self, _shared: &Shared) -> Vec<Hint> {
        vec![("Enter", "run"), ("Tab", "complete"), ("↑ ↓", "history"), ("Esc", "cancel")]
    }
}
