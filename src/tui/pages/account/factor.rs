//! The second factor: whether there is one, and how it is set up and taken off.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::WORD;
use super::enrol::Enrol;
use super::prove::Prove;
use crate::action::totp::{SecondFactor, TotpEnable, TotpShow};
use crate::error::Result;
use crate::term::keys::Key;
use crate::tui::app::Msg;
use crate::tui::effect::{Effect, Task};
use crate::tui::keymap::{self, Binding, Hint, key};
use crate::tui::page::{News, Shared};
use crate::tui::widgets::panes::Pane;
use crate::tui::widgets::scroll::Scroll;
use crate::tui::widgets::sheet::{self, Line};
use crate::tui::widgets::words;

/// What this part hears.
#[derive(Debug)]
pub enum Heard {
    /// How it stands.
    Stands(Result<SecondFactor>),
    /// It was changed: look again.
    Changed,
}

/// Looks how it stands.
fn look() -> Effect {
    Effect::Do(Task::new(TotpShow {}, |stands| Msg::news(WORD, Heard::Stands(stands))))
}

/// Tells this part that something has changed.
pub(super) fn changed() -> Effect {
    Effect::News(WORD, Box::new(Heard::Changed))
}

/// What a key does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Enable,
    Disable,
    Codes,
}

#[rustfmt::skip]
static KEYS: &[Binding<Command>] = &[
    key(&[Key::Char('e'), Key::Enter], "e", "set up", "set up a second factor: a code of an authenticator app", Command::Enable),
    key(&[Key::Char('b')], "b", "backup codes", "ten new backup codes (asks for a code or the password)", Command::Codes),
    key(&[Key::Char('d'), Key::Delete], "d", "take off", "take the second factor off (asks for the password)", Command::Disable),
];

/// The second factor.
#[derive(Debug, Default)]
pub struct Factor {
    stands: Option<SecondFactor>,
}

impl Factor {
    fn applies(&self, command: Command) -> bool {
        let on = self.stands.as_ref().is_some_and(|s| s.enabled);
        match command {
            Command::Enable => self.stands.is_some() && !on,
            Command::Disable | Command::Codes => on,
        }
    }

    fn lines(&self, stands: &SecondFactor, shared: &Shared) -> Vec<Line> {
        let theme = &shared.theme;
        let zone = &shared.preferences.time_zone;
        let line = |name: &str, value: String, style: Style| (String::from(name), value, style);
        let mut lines = match (stands.since, stands.to_be_confirmed) {
            (Some(since), _) => vec![
                line("State", String::from("on"), theme.good),
                line("Since", zone.date_time(since), Style::new()),
                line(
                    "Backup codes",
                    format!("{} left", stands.backup_codes_left),
                    if stands.backup_codes_left == 0 { theme.warn } else { Style::new() },
                ),
            ],
            (None, true) => vec![line("State", String::from("not confirmed yet"), theme.warn)],
            (None, false) => vec![line("State", String::from("off"), theme.warn)],
        };
        if stands.demanded {
            lines.push(line("Your role", String::from("demands one"), theme.warn));
        }
        lines
    }
}

impl Pane for Factor {
    fn title(&self) -> &'static str {
        "Factor"
    }

    fn begin(&mut self, _shared: &Shared) -> Vec<Effect> {
        vec![look()]
    }

    fn on_news(&mut self, news: News, _shared: &Shared) -> Result<Vec<Effect>, News> {
        Ok(match *news.downcast::<Heard>()? {
            Heard::Stands(Ok(stands)) => {
                self.stands = Some(stands);
                Vec::new()
            }
            Heard::Stands(Err(e)) => vec![Effect::complain(e)],
            Heard::Changed => vec![look()],
        })
    }

    fn on_key(&mut self, key: &Key, _shared: &mut Shared) -> Option<Vec<Effect>> {
        let command = keymap::find(KEYS, key, |c| self.applies(c))?;
        if !self.applies(command) {
            return Some(Vec::new());
        }
        Some(match command {
            Command::Enable => {
                let begin = Task::new(TotpEnable { text: false }, Enrol::word_of);
                vec![Effect::Open(Box::new(Enrol::default())), Effect::Do(begin)]
            }
            Command::Disable => vec![Effect::Open(Box::new(Prove::disable()))],
            Command::Codes => vec![Effect::Open(Box::new(Prove::backup_codes()))],
        })
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared, front: bool) {
        let Some(stands) = &self.stands else { return };
        let lines = self.lines(stands, shared);
        let height = u16::try_from(lines.len()).unwrap_or(0).min(area.height);
        sheet::draw(frame, Rect { height, ..area }, &lines, &mut Scroll::default(), &shared.theme);
        let told = match stands.enabled {
            true => "Each login asks for a code of your authenticator app, after the password or the key.",
            false => "With one, a stolen password or key alone lets nobody in: e sets it up.",
        };
        let below = area.y + height + 1;
        for (line, y) in words::wrap(told, area.width).iter().zip(below..area.bottom()) {
            frame.buffer_mut().set_stringn(area.x, y, line, usize::from(area.width), shared.theme.muted);
        }
        if front {
            frame.set_cursor_position((area.x, area.y));
        }
    }

    fn hints(&self, _shared: &Shared) -> Vec<Hint> {
        keymap::hints(KEYS, |c| self.applies(c))
    }

    fn help(&self) -> Vec<Hint> {
        keymap::help(KEYS)
    }
}
