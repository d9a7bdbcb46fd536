//! A question that y answers.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{modal, words};
use crate::term::keys::Key;
use crate::tui::effect::{Effect, Task};
use crate::tui::keymap::{self, Binding, Hint};
use crate::tui::page::{Fate, Overlay, Shared};

/// A question, and what is done if the answer is yes.
#[derive(Debug)]
pub struct Confirm {
    title: &'static str,
    question: String,
    yes: Option<Task>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
}

static KEYS: &[Binding<Answer>] = &[
    Binding {
        keys: &[Key::Char('y'), Key::Char('Y')],
        shown: "y",
        word: "yes",
        help: "",
        command: Answer::Yes,
    },
    Binding {
        keys: &[Key::Char('n'), Key::Char('N'), Key::Esc, Key::Ctrl('c'), Key::Char('q')],
        shown: "n",
        word: "no",
        help: "",
        command: Answer::No,
    },
];

impl Confirm {
    /// Asks that; ` (y/n)` is added.
    pub fn new(title: &'static str, question: &str, yes: Task) -> Confirm {
        Confirm { title, question: format!("{question} (y/n)"), yes: Some(yes) }
    }
}

impl Overlay for Confirm {
    fn word(&self) -> &'static str {
        "confirm"
    }

    fn on_key(&mut self, key: &Key, _shared: &Shared) -> (Fate, Vec<Effect>) {
        match keymap::find(KEYS, key, |_| true) {
            Some(Answer::Yes) => (Fate::Close, self.yes.take().map(Effect::Do).into_iter().collect()),
            Some(Answer::No) => (Fate::Close, Vec::new()),
            None => (Fate::Stay, Vec::new()),
        }
    }

    fn draw(&mut self, frame: &mut Frame<'_>, within: Rect, shared: &Shared) {
        let width = within.width.saturating_sub(4).min(56);
        let lines = words::wrap(&self.question, width);
        let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        let inner = modal::open(frame, within, &shared.theme, self.title, (width, rows));
        let mut end = (inner.x, inner.y);
        for (line, y) in lines.iter().zip(inner.y..inner.bottom()) {
            end = frame.buffer_mut().set_stringn(inner.x, y, line, usize::from(inner.width), Style::new());
        }
        frame.set_cursor_position(((end.0 + 1).min(inner.right()), end.1));
    }

    fn hints(&self, _shared: &Shared) -> Vec<Hint> {
        keymap::hints(KEYS, |_| true)
    }
}
