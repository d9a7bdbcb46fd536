//! Questions before something is lost. A question names its VM and keeps it,
//! whatever the table does meanwhile.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::name::VmRef;
use crate::term::keys::Key;
use crate::tui::app::{Effect, Overlay, Verb};
use crate::tui::keymap::{self, Binding, Hint};
use crate::tui::theme::Theme;
use crate::tui::widgets::input::Input;
use crate::tui::widgets::{modal, words};

/// A question about one VM.
#[derive(Debug)]
pub struct Ask {
    verb: Verb,
    name: VmRef,
    /// As its viewer calls it, and as it must be typed.
    shown: String,
    /// Where the name is typed; none if y will do.
    typed: Option<Input>,
    /// Something else was typed.
    wrong: bool,
}

/// What a key does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
}

const fn key(
    keys: &'static [Key],
    shown: &'static str,
    word: &'static str,
    command: Answer,
) -> Binding<Answer> {
    Binding { keys, shown, word, help: "", command }
}

static YES_NO: &[Binding<Answer>] = &[
    key(&[Key::Char('y'), Key::Char('Y')], "y", "yes", Answer::Yes),
    key(&[Key::Char('n'), Key::Char('N'), Key::Esc, Key::Ctrl('c'), Key::Char('q')], "n", "no", Answer::No),
];

static TYPED: &[Binding<Answer>] = &[
    key(&[Key::Enter], "Enter", "destroy", Answer::Yes),
    key(&[Key::Esc, Key::Ctrl('c')], "Esc", "cancel", Answer::No),
];

impl Ask {
    /// A question that y answers.
    pub fn yes_no(verb: Verb, name: VmRef, shown: String) -> Ask {
        Ask { verb, name, shown, typed: None, wrong: false }
    }

    /// A question that only the VM's name answers.
    pub fn typed(verb: Verb, name: VmRef, shown: String) -> Ask {
        Ask { verb, name, shown, typed: Some(Input::default()), wrong: false }
    }

    /// The keys that answer.
    pub fn hints(&self) -> Vec<Hint> {
        keymap::hints(self.keys(), |_| true)
    }

    fn keys(&self) -> &'static [Binding<Answer>] {
        if self.typed.is_some() { TYPED } else { YES_NO }
    }

    /// Takes a key: what lies over the page then, and what is to be done.
    pub fn on_key(mut self, key: &Key) -> (Overlay, Vec<Effect>) {
        match keymap::find(self.keys(), key, |_| true) {
            Some(Answer::No) => return (Overlay::None, Vec::new()),
            Some(Answer::Yes) => {
                let right = self.typed.as_ref().is_none_or(|t| t.text().trim() == self.shown);
                if right {
                    return (Overlay::None, vec![Effect::Change(self.verb, self.name)]);
                }
                self.wrong = true;
            }
            None => {
                if self.typed.as_mut().is_some_and(|t| t.on_key(key)) {
                    self.wrong = false;
                }
            }
        }
        (Overlay::Ask(self), Vec::new())
    }

    fn words(&self) -> (&'static str, String) {
        let it = &self.shown;
        match self.verb {
            Verb::Stop => ("Stop", format!("Shut {it} down? (y/n)")),
            Verb::Restart => ("Restart", format!("Shut {it} down and start it again? (y/n)")),
            Verb::Destroy => (
                "Destroy",
                format!("This destroys {it} and everything on its disk, for good. Type its name to do it."),
            ),
            Verb::Start => ("Start", format!("Start {it}? (y/n)")),
            Verb::Pause => ("Pause", format!("Pause {it}? (y/n)")),
            Verb::Resume => ("Resume", format!("Let {it} go on? (y/n)")),
        }
    }

    /// Draws the question, with the cursor where the answer goes.
    pub fn draw(&self, frame: &mut Frame<'_>, within: Rect, theme: &Theme) {
        let (title, question) = self.words();
        let width = within.width.saturating_sub(4).min(56);
        let lines = words::wrap(&question, width);
        let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        let more = if self.typed.is_some() { 3 } else { 0 };
        let inner = modal::open(frame, within, theme, title, (width, rows + more));
        let buffer = frame.buffer_mut();
        let mut y = inner.y;
        let mut end = inner.x;
        for line in &lines {
            if y < inner.bottom() {
                (end, _) = buffer.set_stringn(inner.x, y, line, usize::from(inner.width), Style::new());
                y += 1;
            }
        }
        let Some(typed) = &self.typed else {
            let x = (end + 1).min(inner.right());
            return frame.set_cursor_position((x, y.saturating_sub(1)));
        };
        let y = (y + 1).min(inner.bottom().saturating_sub(2));
        let (text, cursor) = typed.view(inner.width.saturating_sub(2));
        buffer.set_string(inner.x, y, ">", theme.accent);
        buffer.set_stringn(inner.x + 2, y, text, usize::from(inner.width.saturating_sub(2)), Style::new());
        if self.wrong {
            let line = format!("That is not “{}”.", self.shown);
            buffer.set_stringn(inner.x, y + 1, line, usize::from(inner.width), theme.bad);
        }
        frame.set_cursor_position((inner.x + 2 + cursor, y));
    }
}
