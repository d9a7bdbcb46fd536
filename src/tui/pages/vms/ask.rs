//! Questions before something is lost. A question names its VMs and keeps them,
//! whatever the table does meanwhile.

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

/// A question about VMs.
#[derive(Debug)]
pub struct Ask {
    verb: Verb,
    names: Vec<VmRef>,
    /// As their viewer calls them.
    shown: Vec<String>,
    /// What must be typed, and where; none if y will do.
    typed: Option<(String, Input)>,
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
    /// A question that y answers; for what is lost for good, only the VM's name
    /// does, or how many they are.
    pub fn new(verb: Verb, names: Vec<VmRef>, shown: Vec<String>) -> Ask {
        let word = match shown.as_slice() {
            [one] => one.clone(),
            several => format!("{} VMs", several.len()),
        };
        let typed = (verb == Verb::Destroy).then(|| (word, Input::default()));
        Ask { verb, names, shown, typed, wrong: false }
    }

    fn keys(&self) -> &'static [Binding<Answer>] {
        if self.typed.is_some() { TYPED } else { YES_NO }
    }

    fn words(&self) -> (&'static str, String) {
        let it = self.shown.join(", ");
        let (them, type_it) = match &self.typed {
            Some((word, _)) if self.names.len() > 1 => ("their disks", format!("Type “{word}” to do it.")),
            _ => ("its disk", String::from("Type its name to do it.")),
        };
        match self.verb {
            Verb::Stop => ("Stop", format!("Shut {it} down? (y/n)")),
            Verb::Restart => ("Restart", format!("Shut {it} down and start again? (y/n)")),
            Verb::Destroy => {
                ("Destroy", format!("This destroys {it} and everything on {them}, for good. {type_it}"))
            }
            Verb::Start => ("Start", format!("Start {it}? (y/n)")),
            Verb::Pause => ("Pause", format!("Pause {it}? (y/n)")),
            Verb::Resume => ("Resume", format!("Let {it} go on? (y/n)")),
        }
    }
}

impl Overlay for Ask {
    fn word(&self) -> &'static str {
        "ask"
    }

    fn hints(&self, _shared: &Shared) -> Vec<Hint> {
        keymap::hints(self.keys(), |_| true)
    }

    fn on_key(&mut self, key: &Key, _shared: &Shared) -> (Fate, Vec<Effect>) {
        match keymap::find(self.keys(), key, |_| true) {
            Some(Answer::No) => return (Fate::Close, Vec::new()),
            Some(Answer::Yes) => {
                if self.typed.as_ref().is_none_or(|(word, typed)| typed.text().trim() == word) {
                    let names = std::mem::take(&mut self.names);
                    return (Fate::Close, vec![Effect::Do(self.verb.task(names))]);
                }
                self.wrong = true;
            }
            None => {
                if self.typed.as_mut().is_some_and(|(_, typed)| typed.on_key(key)) {
                    self.wrong = false;
                }
            }
        }
        (Fate::Stay, Vec::new())
    }

    fn draw(&mut self, frame: &mut Frame<'_>, within: Rect, shared: &Shared) {
        let theme = &shared.theme;
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
        let Some((word, typed)) = &self.typed else {
            let x = (end + 1).min(inner.right());
            return frame.set_cursor_position((x, y.saturating_sub(1)));
        };
        let y = (y + 1).min(inner.bottom().saturating_sub(2));
        let (text, cursor) = typed.view(inner.width.saturating_sub(2));
        buffer.set_string(inner.x, y, ">", theme.accent);
        buffer.set_stringn(inner.x + 2, y, text, usize::from(inner.width.saturating_sub(2)), Style::new());
        if self.wrong {
            let line = format!("That is not “{word}”.");
            buffer.set_stringn(inner.x, y + 1, line, usize::from(inner.width), theme.bad);
        }
        frame.set_cursor_position((inner.x + 2 + cursor, y));
    }
}
