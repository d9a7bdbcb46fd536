//! The form for another key: one field, to paste into.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::keys;
use crate::action::key::KeyAdd;
use crate::error::{Error, Result};
use crate::model::SshKey;
use crate::term::keys::Key;
use crate::tui::app::Msg;
use crate::tui::effect::{Effect, Task};
use crate::tui::keymap::Hint;
use crate::tui::page::{Fate, News, Overlay, Shared};
use crate::tui::widgets::input::Input;
use crate::tui::widgets::{modal, words};

/// The form's word.
const FORM: &str = "add_key";
/// The longest key that is taken, in characters: RSA of 16384 bits has 2,800.
const MOST: usize = 8192;

/// The answer.
#[derive(Debug)]
pub struct Answer(pub Result<Vec<SshKey>>);

/// The form.
#[derive(Debug)]
pub struct AddKey {
    line: Input,
    sent: bool,
    refused: Option<Error>,
}

impl AddKey {
    /// A form with that text in it.
    pub fn new(text: &str) -> AddKey {
        let mut line = Input::holding(MOST);
        line.on_key(&Key::Paste(text.trim().to_owned()));
        AddKey { line, sent: false, refused: None }
    }

    fn add(&mut self) -> Vec<Effect> {
        if self.sent || self.line.is_empty() {
            return Vec::new();
        }
        self.sent = true;
        let add = KeyAdd::of(self.line.text().trim());
        vec![Effect::Do(Task::new(add, |added| Msg::news(FORM, Answer(added))))]
    }
}

impl Overlay for AddKey {
    fn word(&self) -> &'static str {
        FORM
    }

    #[allow(clippy::wildcard_enum_match_arm)]
    fn on_key(&mut self, key: &Key, _shared: &Shared) -> (Fate, Vec<Effect>) {
        match key {
            Key::Esc | Key::Ctrl('c') => return (Fate::Close, Vec::new()),
            Key::Enter => return (Fate::Stay, self.add()),
            key => {
                if self.line.on_key(key) {
                    self.refused = None;
                }
            }
        }
        (Fate::Stay, Vec::new())
    }

    fn on_news(&mut self, news: News, _shared: &Shared) -> (Fate, Vec<Effect>) {
        let Ok(answer) = news.downcast::<Answer>() else { return (Fate::Stay, Vec::new()) };
        self.sent = false;
        match answer.0 {
            Ok(added) => (Fate::Close, keys::added(&added)),
            Err(e) => {
                self.refused = Some(e);
                (Fate::Stay, Vec::new())
            }
        }
    }

    fn draw(&mut self, frame: &mut Frame<'_>, within: Rect, shared: &Shared) {
        let theme = &shared.theme;
        let width = within.width.saturating_sub(4).min(76);
        let (notice, style) = match (&self.refused, self.sent) {
            (Some(e), _) => (e.to_string(), theme.bad),
            (None, true) => (String::from("Adding it…"), theme.muted),
            (None, false) => {
                (String::from("One line of a .pub file, such as ssh-ed25519 AAAA… laptop"), theme.muted)
            }
        };
        let notice = words::wrap(&notice, width);
        let rows = 2 + u16::try_from(notice.len()).unwrap_or(1);
        let inner = modal::open(frame, within, theme, "Add a key", (width, rows));
        let room = inner.width.saturating_sub(2);
        let (seen, cursor) = self.line.view(room);
        let buffer = frame.buffer_mut();
        buffer.set_string(inner.x, inner.y, ">", theme.accent);
        buffer.set_stringn(inner.x + 2, inner.y, seen, usize::from(room), Style::new());
        for (line, y) in notice.iter().zip(inner.y + 2..inner.bottom()) {
            buffer.set_stringn(inner.x, y, line, usize::from(inner.width), style);
        }
        frame.set_cursor_position((inner.x + 2 + cursor, inner.y));
    }

    fn hints(&self, _shared: &Shared) -> Vec<Hint> {
        vec![("Enter", "add"), ("Esc", "cancel")]
    }
}
