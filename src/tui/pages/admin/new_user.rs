//! The form for a new account, and what it may sign in with at first: shown once.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::users;
use crate::action::user::{NewAccount, UserNew};
use crate::error::{Error, Result};
use crate::model::RoleName;
use crate::term::keys::Key;
use crate::tui::app::{Mood, Msg};
use crate::tui::effect::{Effect, Task};
use crate::tui::keymap::Hint;
use crate::tui::page::{Fate, News, Overlay, Shared};
use crate::tui::widgets::input::Input;
use crate::tui::widgets::{modal, words};

/// The form's word.
const FORM: &str = "new_user";
/// Columns of the fields' names.
const LABEL: u16 = 6;
/// The longest key that is taken, in characters.
const LONGEST_KEY: usize = 8192;

/// The answer.
#[derive(Debug)]
pub struct Answer(pub Result<NewAccount>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Name,
    Role,
    Key,
}

/// The form, or what came of it.
#[derive(Debug)]
pub struct NewUser {
    name: Input,
    role: RoleName,
    key: Input,
    focus: Field,
    sent: bool,
    refused: Option<Error>,
    made: Option<Box<NewAccount>>,
}

/// An empty form.
impl Default for NewUser {
    fn default() -> Self {
        NewUser {
            name: Input::default(),
            role: RoleName::USER,
            key: Input::holding(LONGEST_KEY),
            focus: Field::Name,
            sent: false,
            refused: None,
            made: None,
        }
    }
}

impl NewUser {
    fn go(&mut self, on: bool) {
        self.focus = match (self.focus, on) {
            (Field::Name, true) | (Field::Key, false) => Field::Role,
            (Field::Role, true) | (Field::Name, false) => Field::Key,
            (Field::Key, true) | (Field::Role, false) => Field::Name,
        };
    }

    fn create(&mut self) -> Vec<Effect> {
        if self.sent {
            return Vec::new();
        }
        let name = match self.name.text().trim().parse() {
            Ok(name) => name,
            Err(e) => {
                self.focus = Field::Name;
                self.refused = Some(e);
                return Vec::new();
            }
        };
        self.sent = true;
        let key = Some(self.key.text().trim().to_owned()).filter(|k| !k.is_empty());
        let new = UserNew { name, role: self.role.clone(), key };
        vec![Effect::Do(Task::new(new, |made| Msg::news(FORM, Answer(made))))]
    }

    fn other_role(&mut self) {
        let roles = &RoleName::BUILT_IN;
        let at = roles.iter().position(|r| *r == self.role).unwrap_or(0);
        self.role = roles.get((at + 1) % roles.len()).cloned().unwrap_or(RoleName::USER);
    }

    #[allow(clippy::wildcard_enum_match_arm)]
    fn on_form_key(&mut self, key: &Key) -> (Fate, Vec<Effect>) {
        match (self.focus, key) {
            (_, Key::Esc | Key::Ctrl('c')) => return (Fate::Close, Vec::new()),
            (_, Key::Enter) => return (Fate::Stay, self.create()),
            (_, Key::Tab | Key::Down) => self.go(true),
            (_, Key::BackTab | Key::Up) => self.go(false),
            (Field::Role, Key::Left | Key::Right | Key::Char(' ')) => self.other_role(),
            (Field::Role, _) => {}
            (Field::Name, key) => {
                if self.name.on_key(key) {
                    self.refused = None;
                }
            }
            (Field::Key, key) => {
                if self.key.on_key(key) {
                    self.refused = None;
                }
            }
        }
        (Fate::Stay, Vec::new())
    }

    fn draw_form(&self, frame: &mut Frame<'_>, within: Rect, shared: &Shared) {
        let theme = &shared.theme;
        let width = within.width.saturating_sub(4).min(64);
        let (notice, style) = match (&self.refused, self.sent, self.focus) {
            (Some(e), ..) => (e.to_string(), theme.bad),
            (None, true, _) => (String::from("Making it…"), theme.muted),
            (None, false, Field::Name) => {
                (String::from("What it signs in as: a letter, then letters, digits or `-`."), theme.muted)
            }
            (None, false, Field::Role) => {
                (String::from("← → chooses. An admin may do everything."), theme.muted)
            }
            (None, false, Field::Key) => {
                (String::from("A line of a .pub file; without one, a password is made up."), theme.muted)
            }
        };
        let notice = words::wrap(&notice, width);
        let rows = 4 + u16::try_from(notice.len()).unwrap_or(1).max(2);
        let inner = modal::open(frame, within, theme, "New account", (width, rows));
        let room = inner.width.saturating_sub(LABEL);
        let (name, name_cursor) = self.name.view(room);
        let (key, key_cursor) = self.key.view(room);
        let role = format!("‹ {} ›", self.role);
        let buffer = frame.buffer_mut();
        let mut cursor = (inner.x, inner.y);
        let fields = [
            ("Name", Field::Name, name, name_cursor),
            ("Role", Field::Role, role, 0),
            ("Key", Field::Key, key, key_cursor),
        ];
        for ((label, field, value, at), y) in fields.into_iter().zip(inner.y..inner.bottom()) {
            buffer.set_stringn(inner.x, y, label, usize::from(LABEL), theme.muted);
            let style = match (self.focus == field, field) {
                (true, Field::Role) => theme.selected,
                (true, Field::Name | Field::Key) => theme.heading,
                (false, _) => Style::new(),
            };
            buffer.set_stringn(inner.x + LABEL, y, value, usize::from(room), style);
            if self.focus == field {
                cursor = (inner.x + LABEL + at, y);
            }
        }
        for (line, y) in notice.iter().zip(inner.y + 4..inner.bottom()) {
            buffer.set_stringn(inner.x, y, line, usize::from(inner.width), style);
        }
        frame.set_cursor_position(cursor);
    }
}

impl Overlay for NewUser {
    fn word(&self) -> &'static str {
        FORM
    }

    fn on_key(&mut self, key: &Key, _shared: &Shared) -> (Fate, Vec<Effect>) {
        let Some(made) = &self.made else { return self.on_form_key(key) };
        match key {
            Key::Char('y') => {
                let password = made.one_time_password.as_ref().map(|p| p.to_string());
                let said = Effect::Say(Mood::Plain, String::from("Copied: the password."), String::new());
                (Fate::Stay, password.map(|p| vec![Effect::Copy(p), said]).unwrap_or_default())
            }
            Key::Enter | Key::Esc | Key::Char('q') | Key::Ctrl('c') => (Fate::Close, Vec::new()),
            _ => (Fate::Stay, Vec::new()),
        }
    }

    fn on_news(&mut self, news: News, _shared: &Shared) -> (Fate, Vec<Effect>) {
        let Ok(answer) = news.downcast::<Answer>() else { return (Fate::Stay, Vec::new()) };
        self.sent = false;
        match answer.0 {
            Ok(made) => {
                let name = made.user.name.clone();
                self.made = Some(Box::new(made));
                (Fate::Stay, users::PLACE.made(name))
            }
            Err(e) => {
                self.refused = Some(e);
                (Fate::Stay, Vec::new())
            }
        }
    }

    fn draw(&mut self, frame: &mut Frame<'_>, within: Rect, shared: &Shared) {
        let Some(made) = &self.made else { return self.draw_form(frame, within, shared) };
        let theme = &shared.theme;
        let width = within.width.saturating_sub(4).min(56);
        let name = &made.user.name;
        let (text, password) = match &made.one_time_password {
            Some(password) => (
                format!(
                    "{name} may sign in with this password, once; it must be changed then. It is not shown again."
                ),
                password.as_str(),
            ),
            None => (format!("{name} may sign in with that key."), ""),
        };
        let lines = words::wrap(&text, width);
        let more = if password.is_empty() { 0 } else { 2 };
        let rows = u16::try_from(lines.len()).unwrap_or(1) + more;
        let inner = modal::open(frame, within, theme, "New account", (width, rows));
        let mut y = inner.y;
        for line in &lines {
            frame.buffer_mut().set_stringn(inner.x, y, line, usize::from(inner.width), Style::new());
            y += 1;
        }
        let y = (y + 1).min(inner.bottom().saturating_sub(1));
        frame.buffer_mut().set_stringn(inner.x, y, password, usize::from(inner.width), theme.heading);
        frame.set_cursor_position((inner.x, y));
    }

    fn hints(&self, _shared: &Shared) -> Vec<Hint> {
        match &self.made {
            None => vec![("Enter", "make"), ("Tab", "next"), ("Esc", "cancel")],
            Some(made) if made.one_time_password.is_some() => vec![("y", "copy"), ("Enter", "close")],
            Some(_) => vec![("Enter", "close")],
        }
    }
}
