//! What of a VM goes into the clipboard: its address, a command that enters it, or
//! the line that makes its host key known.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::{Vm, text};
use crate::term::keys::Key;
use crate::tui::app::Mood;
use crate::tui::effect::Effect;
use crate::tui::keymap::{self, Binding, Hint};
use crate::tui::page::{Fate, Overlay, Shared};
use crate::tui::widgets::modal;

/// Columns of what it is, before it.
const LABEL: u16 = 14;
/// Stands for the portal's address, which only the person's own ssh knows.
const NOTE: &str = "PORTAL is the portal as your ssh knows it.";

/// The choice.
#[derive(Debug)]
pub struct Copy {
    name: String,
    /// What each is, and its text.
    choices: Vec<(&'static str, String)>,
    at: usize,
    /// The row of the first, as drawn.
    top: u16,
}

/// What a key does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Take,
    Up,
    Down,
    Close,
}

static KEYS: &[Binding<Command>] = &[
    Binding {
        keys: &[Key::Enter, Key::Char('y')],
        shown: "Enter",
        word: "copy",
        help: "",
        command: Command::Take,
    },
    Binding {
        keys: &[Key::Down, Key::Char('j'), Key::Tab],
        shown: "↑ ↓",
        word: "select",
        help: "",
        command: Command::Down,
    },
    Binding {
        keys: &[Key::Up, Key::Char('k'), Key::BackTab],
        shown: "",
        word: "",
        help: "",
        command: Command::Up,
    },
    Binding {
        keys: &[Key::Esc, Key::Ctrl('c'), Key::Char('q')],
        shown: "Esc",
        word: "close",
        help: "",
        command: Command::Close,
    },
];

impl Copy {
    /// Of that VM.
    pub fn new(vm: &Vm, shared: &Shared) -> Copy {
        let full_name = vm.full_name();
        let name = shared.short_name(&full_name).to_owned();
        let mut choices = super::detail::ways_in(vm, shared);
        choices.extend(vm.ip.iter().map(|ip| ("address", text::clean(ip))));
        if !vm.host_key.is_empty() {
            // By the name that `ssh-config` has it checked under.
            choices.push(("known_hosts", format!("{full_name} {}", vm.host_key)));
        }
        Copy { name, choices, at: 0, top: 0 }
    }

    fn take(&self, at: usize) -> (Fate, Vec<Effect>) {
        let Some((_, chosen)) = self.choices.get(at) else { return (Fate::Stay, Vec::new()) };
        let said = format!("Copied: {}", text::short(chosen, 60));
        (Fate::Close, vec![Effect::Copy(chosen.clone()), Effect::Say(Mood::Plain, said, String::new())])
    }
}

impl Overlay for Copy {
    fn word(&self) -> &'static str {
        "copy"
    }

    fn on_key(&mut self, key: &Key, _shared: &Shared) -> (Fate, Vec<Effect>) {
        if let Key::Char(c) = key
            && let Some(digit) = c.to_digit(10)
        {
            return self.take(usize::try_from(digit).unwrap_or(0).wrapping_sub(1));
        }
        if let Key::Mouse(mouse) = key {
            let row = mouse.row.checked_sub(self.top).filter(|_| mouse.is_click());
            return row.map_or((Fate::Stay, Vec::new()), |row| self.take(usize::from(row)));
        }
        let count = self.choices.len().max(1);
        match keymap::find(KEYS, key, |_| true) {
            Some(Command::Take) => return self.take(self.at),
            Some(Command::Down) => self.at = (self.at + 1) % count,
            Some(Command::Up) => self.at = (self.at + count - 1) % count,
            Some(Command::Close) => return (Fate::Close, Vec::new()),
            None => {}
        }
        (Fate::Stay, Vec::new())
    }

    fn draw(&mut self, frame: &mut Frame<'_>, within: Rect, shared: &Shared) {
        let theme = &shared.theme;
        let longest = self.choices.iter().map(|(_, words)| text::columns(words)).max().unwrap_or(0);
        let width = u16::try_from(longest).unwrap_or(u16::MAX).saturating_add(LABEL).clamp(44, 90);
        let rows = u16::try_from(self.choices.len()).unwrap_or(u16::MAX);
        let inner = modal::open(frame, within, theme, &format!("Copy of {}", self.name), (width, rows + 2));
        self.top = inner.y;
        let buffer = frame.buffer_mut();
        for ((i, (what, words)), y) in self.choices.iter().enumerate().zip(inner.y..inner.bottom()) {
            let room = usize::from(inner.width.saturating_sub(LABEL));
            buffer.set_stringn(inner.x, y, format!("{} {what}", i + 1), usize::from(inner.width), theme.key);
            let x = inner.x + LABEL.min(inner.width);
            buffer.set_stringn(x, y, text::short(words, room), room, Style::new());
            if i == self.at {
                buffer.set_style(Rect { y, height: 1, ..inner }, theme.selected);
            }
        }
        let last = inner.bottom().saturating_sub(1);
        if inner.height > rows {
            buffer.set_stringn(inner.x, last, NOTE, usize::from(inner.width), theme.muted);
        }
        let at = u16::try_from(self.at).unwrap_or(0).min(inner.height.saturating_sub(1));
        frame.set_cursor_position((inner.x, inner.y + at));
    }

    fn hints(&self, _shared: &Shared) -> Vec<Hint> {
        let mut hints = keymap::hints(KEYS, |_| true);
        hints.insert(1, ("1…9", "copy that"));
        hints
    }
}
