//! A question that y answers.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::effect::Effect;
use super::keymap::{self, Binding, Hint, key};
use super::page::{Fate, Overlay, Shared};
use super::widgets::{modal, words};
use crate::term::keys::Key;

/// A question, and what is done if it is answered with yes.
#[derive(Debug)]
pub struct Confirm {
    title: &'static str,
    question: String,
    then: Vec<Effect>,
}

/// What a key does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
}

static KEYS: &[Binding<Answer>] = &[
    key(&[Key::Char('y'), Key::Char('Y')], "y", "yes", "", Answer::Yes),
    key(
        &[Key::Char('n'), Key::Char('N'), Key::Esc, Key::Ctrl('c'), Key::Char('q')],
        "n",
        "no",
        "",
        Answer::No,
    ),
];

impl Confirm {
    /// A question without its "(y/n)", and what a yes does.
    pub fn new(title: &'static str, question: impl Into<String>, then: Vec<Effect>) -> Confirm {
        Confirm { title, question: format!("{} (y/n)", question.into()), then }
    }
}

impl Overlay for Confirm {
    fn word(&self) -> &'static str {
        "confirm"
    }

    fn on_key(&mut self, key: &Key, _shared: &Shared) -> (Fate, Vec<Effect>) {
        match keymap::find(KEYS, key, |_| true) {
            Some(Answer::Yes) => (Fate::Close, std::mem::take(&mut self.then)),
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
            let (x, _) =
                frame.buffer_mut().set_stringn(inner.x, y, line, usize::from(inner.width), Style::new());
            end = ((x + 1).min(inner.right()), y);
        }
        frame.set_cursor_position(end);
    }

    fn hints(&self, _shared: &Shared) -> Vec<Hint> {
        keymap::hints(KEYS, |_| true)
    }
}
