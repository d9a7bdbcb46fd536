//! The question before VMs are lost for good: it is answered by a name, or by how
//! many they are. It keeps its VMs, whatever the table does meanwhile.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::Verb;
use crate::model::name::VmRef;
use crate::term::keys::Key;
use crate::tui::effect::Effect;
use crate::tui::keymap::{self, Binding, Hint};
use crate::tui::page::{Fate, Overlay, Shared};
use crate::tui::widgets::input::Input;
use crate::tui::widgets::{modal, words};

/// The question.
#[derive(Debug)]
pub struct Ask {
    names: Vec<VmRef>,
    question: String,
    /// What must be typed.
    word: String,
    typed: Input,
    /// Something else was typed.
    wrong: bool,
}

/// What a key does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
}

static KEYS: &[Binding<Answer>] = &[
    Binding { keys: &[Key::Enter], shown: "Enter", word: "destroy", help: "", command: Answer::Yes },
    Binding {
        keys: &[Key::Esc, Key::Ctrl('c')],
        shown: "Esc",
        word: "cancel",
        help: "",
        command: Answer::No,
    },
];

impl Ask {
    /// Whether those shall be destroyed; `shown` is what their viewer calls them.
    pub fn new(names: Vec<VmRef>, shown: &[String]) -> Ask {
        let (word, what, how) = match shown {
            [one] => (one.clone(), "its disk", String::from("Type its name to do it.")),
            several => {
                let word = format!("{} VMs", several.len());
                let how = format!("Type “{word}” to do it.");
                (word, "their disks", how)
            }
        };
        let question =
            format!("This destroys {} and everything on {what}, for good. {how}", shown.join(", "));
        Ask { names, question, word, typed: Input::default(), wrong: false }
    }
}

impl Overlay for Ask {
    fn word(&self) -> &'static str {
        "ask"
    }

    fn hints(&self, _shared: &Shared) -> Vec<Hint> {
        keymap::hints(KEYS, |_| true)
    }

    fn on_key(&mut self, key: &Key, _shared: &Shared) -> (Fate, Vec<Effect>) {
        match keymap::find(KEYS, key, |_| true) {
            Some(Answer::No) => return (Fate::Close, Vec::new()),
            Some(Answer::Yes) if self.typed.text().trim() == self.word => {
                let names = std::mem::take(&mut self.names);
                return (Fate::Close, vec![Effect::Do(Verb::Destroy.task(names))]);
            }
            Some(Answer::Yes) => self.wrong = true,
            None => self.wrong &= !self.typed.on_key(key),
        }
        (Fate::Stay, Vec::new())
    }

    fn draw(&mut self, frame: &mut Frame<'_>, within: Rect, shared: &Shared) {
        let theme = &shared.theme;
        let width = within.width.saturating_sub(4).min(56);
        let lines = words::wrap(&self.question, width);
        let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        let inner = modal::open(frame, within, theme, "Destroy", (width, rows + 3));
        let buffer = frame.buffer_mut();
        let mut y = inner.y;
        for line in lines.iter().take(usize::from(inner.height)) {
            buffer.set_stringn(inner.x, y, line, usize::from(inner.width), Style::new());
            y += 1;
        }
        let y = (y + 1).min(inner.bottom().saturating_sub(2));
        let (text, cursor) = self.typed.view(inner.width.saturating_sub(2));
        buffer.set_string(inner.x, y, ">", theme.accent);
        buffer.set_stringn(inner.x + 2, y, text, usize::from(inner.width.saturating_sub(2)), Style::new());
        if self.wrong {
            let line = format!("That is not “{}”.", self.word);
            buffer.set_stringn(inner.x, y + 1, line, usize::from(inner.width), theme.bad);
        }
        frame.set_cursor_position((inner.x + 2 + cursor, y));
    }
}
