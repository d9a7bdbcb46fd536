//! Who one is, and the form for another password.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::WORD;
use crate::action::account::{AccountPasswd, AccountShow, Me};
use crate::error::{Error, Result};
use crate::term::keys::Key;
use crate::tui::app::{Mood, Msg};
use crate::tui::effect::{Effect, Task};
use crate::tui::keymap::Hint;
use crate::tui::page::{News, Shared};
use crate::tui::widgets::panes::Pane;
use crate::tui::widgets::scroll::Scroll;
use crate::tui::widgets::secret::Secret;
use crate::tui::widgets::sheet::{self, Line};
use crate::tui::widgets::words;

/// Columns of the fields' names.
const LABEL: u16 = 19;
/// Columns of the fields.
const FIELD: u16 = 32;
/// Rows of who one is.
const ABOUT: u16 = 6;

/// What this part hears.
#[derive(Debug)]
pub enum Heard {
    /// Who one is.
    Me(Result<Box<Me>>),
    /// The password was changed.
    Changed(Result<()>),
}

/// Where the form is.
#[derive(Debug, Default)]
enum State {
    /// Nobody types.
    #[default]
    Rest,
    /// That field is typed into.
    Typing(usize),
    /// Asked for, not answered yet.
    Sent,
}

/// The account's facts and the form.
#[derive(Debug, Default)]
pub struct Password {
    me: Option<Box<Me>>,
    fields: [Secret; 3],
    state: State,
    refused: Option<(usize, Error)>,
    area: Rect,
}

const NAMES: [&str; 3] = ["Password so far", "New password", "The same again"];

impl Password {
    /// The first field that there is: who has no password yet is not asked for it.
    fn first(&self) -> usize {
        usize::from(self.me.as_ref().is_some_and(|me| !me.has_password))
    }

    fn stop(&mut self) {
        self.fields = Default::default();
        self.state = State::Rest;
        self.refused = None;
    }

    fn refuse(&mut self, field: usize, e: Error) {
        self.state = State::Typing(field);
        self.refused = Some((field, e));
    }

    fn submit(&mut self) -> Vec<Effect> {
        let first = self.first();
        let [old, new, again] = &mut self.fields;
        if !new.is(again) {
            *again = Secret::default();
            self.refuse(2, Error::usage("Those two are not the same.").hint("Type the new one once more."));
            return Vec::new();
        }
        *again = Secret::default();
        let action = AccountPasswd { old: (first == 0).then(|| old.take()), new: new.take() };
        self.state = State::Sent;
        self.refused = None;
        vec![Effect::Do(Task::new(action, |done| Msg::news(WORD, Heard::Changed(done))))]
    }

    #[allow(clippy::wildcard_enum_match_arm)]
    fn on_field_key(&mut self, at: usize, key: &Key) -> Vec<Effect> {
        match key {
            Key::Esc | Key::Ctrl('c') => self.stop(),
            Key::Enter if at == 2 => return self.submit(),
            Key::Enter | Key::Down | Key::Tab => self.state = State::Typing((at + 1).min(2)),
            Key::Up | Key::BackTab => {
                self.state = State::Typing(at.saturating_sub(1).max(self.first()));
            }
            Key::Mouse(mouse) if mouse.is_click() => {
                if let Some(field) = self.field_at(mouse.row) {
                    self.state = State::Typing(field);
                }
            }
            key => {
                if self.fields.get_mut(at).is_some_and(|f| f.on_key(key)) {
                    self.refused = None;
                }
            }
        }
        Vec::new()
    }

    /// The row of the first field.
    fn top(&self) -> u16 {
        let about = if self.area.height > ABOUT + 5 { ABOUT } else { 0 };
        self.area.y + about
    }

    fn field_at(&self, row: u16) -> Option<usize> {
        let at = usize::from(row.checked_sub(self.top() + 1)?) + self.first();
        (at < 3).then_some(at)
    }

    fn about(&self, shared: &Shared) -> Vec<Line> {
        let Some(me) = &self.me else { return Vec::new() };
        let zone = &shared.preferences.time_zone;
        let line = |name: &str, value: String| (String::from(name), value, Style::new());
        let user = &me.user;
        let login = user.last_login_at.map_or_else(|| String::from("never"), |t| zone.date_time(t));
        let keys = if me.keys == 1 { String::from("1 key") } else { format!("{} keys", me.keys) };
        let ways = if me.has_password { format!("a password, {keys}") } else { keys };
        vec![
            line("Name", user.name.clone()),
            line("Role", user.role.to_string()),
            line("Made", zone.date_time(user.created_at)),
            line("Last login", format!("{login}, from {}", me.source_ip)),
            line("Signs in with", ways),
        ]
    }

    fn draw_field(&self, frame: &mut Frame<'_>, row: Rect, at: usize, shared: &Shared, front: bool) {
        let theme = &shared.theme;
        let typing = matches!(self.state, State::Typing(field) if field == at);
        let name = NAMES.get(at).copied().unwrap_or_default();
        let buffer = frame.buffer_mut();
        let style = if typing { theme.heading } else { theme.muted };
        buffer.set_stringn(row.x, row.y, name, usize::from(row.width), style);
        let x = row.x + LABEL.min(row.width);
        let room = row.right().saturating_sub(x + 1);
        let shown = self.fields.get(at).map(|f| f.shown(room)).unwrap_or_default();
        let (end, _) = buffer.set_stringn(x, row.y, shown, usize::from(room), theme.accent);
        let line = Rect { x, width: room.min(FIELD), ..row };
        buffer.set_style(line, Style::new().add_modifier(Modifier::UNDERLINED));
        if typing && front {
            frame.set_cursor_position((end, row.y));
        }
    }

    fn notice(&self) -> (String, bool) {
        match (&self.refused, &self.state) {
            (Some((_, e)), _) => (e.to_string(), true),
            (None, State::Sent) => (String::from("Changing it…"), false),
            (None, State::Rest | State::Typing(_)) => (String::new(), false),
        }
    }
}

impl Pane for Password {
    fn title(&self) -> &'static str {
        "Password"
    }

    fn begin(&mut self, _shared: &Shared) -> Vec<Effect> {
        self.stop();
        vec![Effect::Do(Task::new(AccountShow {}, |me| Msg::news(WORD, Heard::Me(me.map(Box::new)))))]
    }

    fn on_news(&mut self, news: News, _shared: &Shared) -> Result<Vec<Effect>, News> {
        match *news.downcast::<Heard>()? {
            Heard::Me(Ok(me)) => self.me = Some(me),
            Heard::Me(Err(e)) => return Ok(vec![Effect::complain(e)]),
            Heard::Changed(Ok(())) => {
                self.stop();
                if let Some(me) = &mut self.me {
                    me.has_password = true;
                }
                let said = String::from("The password is changed.");
                return Ok(vec![Effect::Say(Mood::Good, said, String::new())]);
            }
            Heard::Changed(Err(e)) => {
                let field = if e.message.contains("old password is not") { self.first() } else { 1 };
                self.refuse(field, e);
            }
        }
        Ok(Vec::new())
    }

    fn on_key(&mut self, key: &Key, _shared: &mut Shared) -> Option<Vec<Effect>> {
        match (&self.state, key) {
            (State::Typing(at), key) => return Some(self.on_field_key(*at, key)),
            (State::Rest, Key::Enter) => self.state = State::Typing(self.first()),
            (State::Rest, Key::Mouse(mouse)) if mouse.is_click() => {
                self.state = State::Typing(self.field_at(mouse.row)?);
            }
            (State::Rest | State::Sent, _) => return None,
        }
        Some(Vec::new())
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared, front: bool) {
        self.area = area;
        let theme = &shared.theme;
        let top = self.top();
        if top > area.y {
            let above = Rect { height: top - area.y, ..area };
            sheet::draw(frame, above, &self.about(shared), &mut Scroll::default(), theme);
        }
        if front {
            frame.set_cursor_position((area.x, top));
        }
        frame.buffer_mut().set_stringn(
            area.x,
            top,
            "Another password",
            usize::from(area.width),
            theme.heading,
        );
        let mut y = top + 1;
        for at in self.first()..3 {
            if y < area.bottom() {
                self.draw_field(frame, Rect { y, height: 1, ..area }, at, shared, front);
            }
            y += 1;
        }
        let (notice, bad) = self.notice();
        let style = if bad { theme.bad } else { theme.muted };
        for (line, y) in words::wrap(&notice, area.width).iter().zip(y..area.bottom()) {
            frame.buffer_mut().set_stringn(area.x, y, line, usize::from(area.width), style);
        }
    }

    fn hints(&self, _shared: &Shared) -> Vec<Hint> {
        match self.state {
            State::Rest => vec![("Enter", "change it")],
            State::Typing(2) => vec![("Enter", "change it"), ("↑ ↓", "field"), ("Esc", "leave it")],
            State::Typing(_) => vec![("Enter", "next"), ("↑ ↓", "field"), ("Esc", "leave it")],
            State::Sent => Vec::new(),
        }
    }

    fn help(&self) -> Vec<Hint> {
        vec![("Enter", "type another password; at the last field: change it"), ("Esc", "leave it as it is")]
    }

    fn takes_text(&self) -> bool {
        matches!(self.state, State::Typing(_))
    }
}
