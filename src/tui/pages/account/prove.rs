//! Asks for the password or a code before the second factor is changed.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::style::Style;
use zeroize::Zeroizing;

use super::enrol::Enrol;
use super::factor;
use crate::action::totp::{BackupCodes, TotpBackupCodes, TotpDisable};
use crate::error::{Error, Result};
use crate::term::keys::Key;
use crate::tui::app::{Mood, Msg};
use crate::tui::effect::{Effect, Task};
use crate::tui::keymap::Hint;
use crate::tui::page::{Fate, News, Overlay, Shared};
use crate::tui::widgets::secret::Secret;
use crate::tui::widgets::{modal, words};

/// The overlay's word.
const FORM: &str = "prove";

/// What is done with the proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Disable,
    BackupCodes,
}

/// The answer.
#[derive(Debug)]
pub enum Answer {
    /// It is off.
    Off(Result<()>),
    /// New codes.
    Codes(Result<BackupCodes>),
}

/// The question.
#[derive(Debug)]
pub struct Prove {
    what: What,
    proof: Secret,
    sent: bool,
    refused: Option<Error>,
}

impl Prove {
    /// Before it is taken off.
    pub fn disable() -> Prove {
        Prove { what: What::Disable, proof: Secret::default(), sent: false, refused: None }
    }

    /// Before new backup codes are made.
    pub fn backup_codes() -> Prove {
        Prove { what: What::BackupCodes, ..Prove::disable() }
    }

    fn send(&mut self) -> Vec<Effect> {
        if self.sent || self.proof.is_empty() {
            return Vec::new();
        }
        self.sent = true;
        let proof: Zeroizing<String> = self.proof.take();
        vec![Effect::Do(match self.what {
            What::Disable => Task::new(TotpDisable { proof }, |done| Msg::news(FORM, Answer::Off(done))),
            What::BackupCodes => {
                Task::new(TotpBackupCodes { proof }, |done| Msg::news(FORM, Answer::Codes(done)))
            }
        })]
    }

    fn refuse(&mut self, e: Error) -> (Fate, Vec<Effect>) {
        self.sent = false;
        self.refused = Some(e);
        (Fate::Stay, Vec::new())
    }
}

impl Overlay for Prove {
    fn word(&self) -> &'static str {
        FORM
    }

    #[allow(clippy::wildcard_enum_match_arm)]
    fn on_key(&mut self, key: &Key, _shared: &Shared) -> (Fate, Vec<Effect>) {
        match key {
            Key::Esc | Key::Ctrl('c') => return (Fate::Close, Vec::new()),
            Key::Enter => return (Fate::Stay, self.send()),
            key => {
                if self.proof.on_key(key) {
                    self.refused = None;
                }
            }
        }
        (Fate::Stay, Vec::new())
    }

    fn on_news(&mut self, news: News, _shared: &Shared) -> (Fate, Vec<Effect>) {
        let Ok(answer) = news.downcast::<Answer>() else { return (Fate::Stay, Vec::new()) };
        match *answer {
            Answer::Off(Ok(())) => {
                let said = String::from("The second factor is off.");
                (Fate::Close, vec![factor::changed(), Effect::Say(Mood::Good, said, String::new())])
            }
            Answer::Codes(Ok(codes)) => {
                (Fate::Close, vec![factor::changed(), Effect::Open(Box::new(Enrol::with_codes(codes)))])
            }
            Answer::Off(Err(e)) | Answer::Codes(Err(e)) => self.refuse(e),
        }
    }

    fn draw(&mut self, frame: &mut Frame<'_>, within: Rect, shared: &Shared) {
        let theme = &shared.theme;
        let (title, label) = match self.what {
            What::Disable => ("Take the second factor off", "Password (a code, if none was asked for):"),
            What::BackupCodes => ("New backup codes", "A code, or the password:"),
        };
        let width = within.width.saturating_sub(4).min(46);
        let notice = match (&self.refused, self.sent) {
            (Some(e), _) => e.to_string(),
            (None, true) => String::from("Looking…"),
            (None, false) => String::new(),
        };
        let notice = words::wrap(&notice, width);
        let rows = 3 + u16::try_from(notice.len()).unwrap_or(1);
        let inner = modal::open(frame, within, theme, title, (width, rows));
        let room = inner.width.saturating_sub(1);
        let buffer = frame.buffer_mut();
        buffer.set_stringn(inner.x, inner.y, label, usize::from(inner.width), Style::new());
        let (end, _) =
            buffer.set_stringn(inner.x, inner.y + 1, self.proof.shown(room), usize::from(room), theme.accent);
        let line = Rect { y: inner.y + 1, height: 1, ..inner };
        buffer.set_style(line, Style::new().add_modifier(Modifier::UNDERLINED));
        let style = if self.refused.is_some() { theme.bad } else { theme.muted };
        for (line, y) in notice.iter().zip(inner.y + 3..inner.bottom()) {
            buffer.set_stringn(inner.x, y, line, usize::from(inner.width), style);
        }
        frame.set_cursor_position((end, inner.y + 1));
    }

    fn hints(&self, _shared: &Shared) -> Vec<Hint> {
        vec![("Enter", "go on"), ("Esc", "cancel")]
    }
}
