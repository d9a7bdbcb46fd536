//! Setting up a second factor: the picture for the app, the code that proves that it
//! has it, and the backup codes, once.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::widgets::Clear;

use super::factor;
use crate::action::totp::{BackupCodes, NewSecret, TotpConfirm};
use crate::error::{Error, Result};
use crate::shell::qr;
use crate::term::keys::Key;
use crate::tui::app::Msg;
use crate::tui::effect::{Effect, Task};
use crate::tui::keymap::Hint;
use crate::tui::page::{Fate, News, Overlay, Shared};
use crate::tui::widgets::input::Input;
use crate::tui::widgets::{modal, words};

/// The overlay's word.
const FORM: &str = "enrol";
/// Columns beside the picture that the words want.
const BESIDE: u16 = 26;

/// What this hears.
#[derive(Debug)]
pub enum Heard {
    /// What the app is given.
    Made(Result<NewSecret>),
    /// The code was right, or not.
    Confirmed(Result<BackupCodes>),
}

/// The dialogue.
#[derive(Debug, Default)]
pub struct Enrol {
    made: Option<NewSecret>,
    /// With a wide margin, and with a narrow one.
    pictures: [Vec<String>; 2],
    code: Input,
    sent: bool,
    refused: Option<Error>,
    codes: Option<BackupCodes>,
}

impl Enrol {
    /// The news of what the app is given.
    pub fn word_of(made: Result<NewSecret>) -> Msg {
        Msg::news(FORM, Heard::Made(made))
    }

    /// The dialogue with new backup codes, for whoever has a second factor.
    pub fn with_codes(codes: BackupCodes) -> Enrol {
        Enrol { codes: Some(codes), ..Enrol::default() }
    }

    fn confirm(&mut self) -> Vec<Effect> {
        if self.sent || self.code.is_empty() {
            return Vec::new();
        }
        self.sent = true;
        let confirm = TotpConfirm { code: vec![self.code.text().to_owned()] };
        vec![Effect::Do(Task::new(confirm, |done| Msg::news(FORM, Heard::Confirmed(done))))]
    }

    /// The secret in pieces of four, as people type it.
    fn secret(&self) -> String {
        let signs: Vec<char> = self.made.iter().flat_map(|m| m.secret.chars()).collect();
        signs.chunks(4).map(|four| four.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
    }

    fn notice(&self) -> String {
        match (&self.refused, self.sent) {
            (Some(e), _) => e.to_string(),
            (None, true) => String::from("Looking…"),
            (None, false) => String::new(),
        }
    }

    /// The words and the field; the row of the field is where typing goes.
    fn draw_words(&self, frame: &mut Frame<'_>, area: Rect, shared: &Shared, scan: bool) {
        let theme = &shared.theme;
        let how = match scan {
            true => "Scan this with an authenticator app, or type into it:",
            false => "Type this into an authenticator app:",
        };
        let mut rows: Vec<(String, Style)> = Vec::new();
        rows.extend(words::wrap(how, area.width).into_iter().map(|line| (line, Style::new())));
        rows.extend(words::wrap(&self.secret(), area.width).into_iter().map(|line| (line, theme.accent)));
        rows.extend(
            words::wrap("Then the code that it shows:", area.width).into_iter().map(|l| (l, Style::new())),
        );
        let mut y = area.y;
        for (line, style) in rows {
            frame.buffer_mut().set_stringn(area.x, y, line, usize::from(area.width), style);
            y += 1;
        }
        let (seen, cursor) = self.code.view(area.width.saturating_sub(3));
        frame.buffer_mut().set_string(area.x, y, ">", theme.accent);
        frame.buffer_mut().set_stringn(area.x + 2, y, seen, usize::from(area.width), Style::new());
        frame.set_cursor_position((area.x + 2 + cursor, y));
        let style = if self.refused.is_some() { theme.bad } else { theme.muted };
        for (line, y) in words::wrap(&self.notice(), area.width).iter().zip(y + 2..area.bottom()) {
            frame.buffer_mut().set_stringn(area.x, y, line, usize::from(area.width), style);
        }
    }

    fn draw_codes(codes: &BackupCodes, frame: &mut Frame<'_>, within: Rect, shared: &Shared) {
        let theme = &shared.theme;
        let told = "Each works once, in place of a code, for the day that the app is lost. They are not shown again.";
        let width = within.width.saturating_sub(4).min(44);
        let told = words::wrap(told, width);
        let pairs: Vec<_> = codes.backup_codes.chunks(2).collect();
        let rows = u16::try_from(told.len() + pairs.len() + 1).unwrap_or(u16::MAX);
        let inner = modal::open(frame, within, theme, "Backup codes", (width, rows));
        let mut y = inner.y;
        for line in &told {
            frame.buffer_mut().set_stringn(inner.x, y, line, usize::from(inner.width), theme.muted);
            y += 1;
        }
        for (pair, y) in pairs.iter().zip(y + 1..inner.bottom()) {
            let line = pair.iter().map(|code| code.as_str()).collect::<Vec<_>>().join("   ");
            frame.buffer_mut().set_stringn(inner.x, y, line, usize::from(inner.width), theme.accent);
        }
        frame.set_cursor_position((inner.x, inner.y));
    }
}

impl Overlay for Enrol {
    fn word(&self) -> &'static str {
        FORM
    }

    #[allow(clippy::wildcard_enum_match_arm)]
    fn on_key(&mut self, key: &Key, _shared: &Shared) -> (Fate, Vec<Effect>) {
        if let Some(codes) = &self.codes {
            let all = codes.backup_codes.iter().map(|c| c.as_str()).collect::<Vec<_>>().join("\n");
            return match key {
                Key::Char('y') => (Fate::Stay, vec![Effect::Copy(all)]),
                Key::Enter | Key::Esc | Key::Ctrl('c') => (Fate::Close, Vec::new()),
                _ => (Fate::Stay, Vec::new()),
            };
        }
        match key {
            Key::Esc | Key::Ctrl('c') => return (Fate::Close, vec![factor::changed()]),
            Key::Enter => return (Fate::Stay, self.confirm()),
            key => {
                if self.code.on_key(key) {
                    self.refused = None;
                }
            }
        }
        (Fate::Stay, Vec::new())
    }

    fn on_news(&mut self, news: News, _shared: &Shared) -> (Fate, Vec<Effect>) {
        let Ok(heard) = news.downcast::<Heard>() else { return (Fate::Stay, Vec::new()) };
        match *heard {
            Heard::Made(Ok(made)) => {
                let picture = |quiet| qr::rows(&made.uri, quiet).unwrap_or_default();
                self.pictures = [picture(qr::QUIET), picture(qr::NARROW)];
                self.made = Some(made);
            }
            Heard::Made(Err(e)) => return (Fate::Close, vec![Effect::complain(e)]),
            Heard::Confirmed(Ok(codes)) => {
                self.codes = Some(codes);
                return (Fate::Stay, vec![factor::changed()]);
            }
            Heard::Confirmed(Err(e)) => {
                self.sent = false;
                self.refused = Some(e);
                self.code = Input::default();
            }
        }
        (Fate::Stay, Vec::new())
    }

    fn draw(&mut self, frame: &mut Frame<'_>, within: Rect, shared: &Shared) {
        if let Some(codes) = &self.codes {
            return Self::draw_codes(codes, frame, within, shared);
        }
        let columns = |picture: &[String]| picture.first().map_or(0, |row| row.chars().count());
        let fits = |picture: &&Vec<String>| {
            let wide = columns(picture) + usize::from(BESIDE) <= usize::from(within.width);
            !picture.is_empty() && picture.len() <= usize::from(within.height) && wide
        };
        let Some(picture) = self.pictures.iter().find(fits) else {
            let room = within.width.saturating_sub(4).min(46);
            let inner = modal::open(frame, within, &shared.theme, "A second factor", (room, 9));
            return self.draw_words(frame, inner, shared, false);
        };
        // All of the room: the picture is as small as it can be, and needs its margin.
        frame.render_widget(Clear, within);
        // Black on white, whatever the theme is: half of the apps read it no other way.
        let ink = Style::new().fg(Color::Indexed(16)).bg(Color::Indexed(231));
        for (row, y) in picture.iter().zip(within.y..within.bottom()) {
            frame.buffer_mut().set_string(within.x, y, row, ink);
        }
        let x = within.x + u16::try_from(columns(picture)).unwrap_or(u16::MAX) + 2;
        let beside = Rect { x, y: within.y + 1, width: within.right() - x, height: within.height - 1 };
        self.draw_words(frame, beside, shared, true);
    }

    fn hints(&self, _shared: &Shared) -> Vec<Hint> {
        match &self.codes {
            Some(_) => vec![("y", "copy"), ("Enter", "I have them")],
            None => vec![("Enter", "confirm"), ("Esc", "not now")],
        }
    }
}
