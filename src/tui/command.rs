//! The line after `:` — any command of the grammar, or a page's name — with
//! completion and history, as in the line shell; what it does, and what it said.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::Clear;

use super::app::{Model, Mood};
use super::effect::{Effect, HandOver, Way};
use super::keymap::Hint;
use super::output::Output;
use super::page::{Fate, Overlay, Shared};
use crate::model::text;
use crate::shell::editor::{Editor, Step};
use crate::shell::{self, Said};
use crate::term::keys::Key;

/// The line.
#[derive(Debug)]
pub struct CommandLine {
    editor: Editor,
    /// What names and pages completion offers.
    names: Vec<String>,
    pages: Vec<String>,
    /// What Tab could not decide between.
    offered: Vec<String>,
}

impl CommandLine {
    /// An empty line, with the lines before it, and names to complete.
    pub fn new(history: &[String], names: Vec<String>, pages: Vec<String>) -> CommandLine {
        let mut editor = Editor::new(":");
        for line in history {
            editor.remember(line);
        }
        CommandLine { editor, names, pages, offered: Vec::new() }
    }

    /// The same with a line begun.
    #[must_use]
    pub fn begun(mut self, line: &str) -> CommandLine {
        self.editor.on_key(Key::Paste(line.to_owned()), &|_| Vec::new());
        self
    }
}

impl Overlay for CommandLine {
    fn word(&self) -> &'static str {
        "command"
    }

    fn on_key(&mut self, key: &Key, _shared: &Shared) -> (Fate, Vec<Effect>) {
        let empty = self.editor.line().is_empty();
        if matches!(key, Key::Esc) || (empty && matches!(key, Key::Backspace)) {
            return (Fate::Close, Vec::new());
        }
        let (names, pages) = (&self.names, &self.pages);
        let step = self.editor.on_key(key.clone(), &|line| {
            let mut words = shell::complete(line, names);
            if !line.contains(' ') {
                words.extend(pages.iter().filter(|p| p.starts_with(line)).cloned());
            }
            words
        });
        let listing = self.editor.take_listing();
        if *key != Key::Tab || !listing.is_empty() {
            self.offered = listing;
        }
        match step {
            Step::Continue => (Fate::Stay, Vec::new()),
            Step::Submit(line) => (Fate::Close, vec![Effect::Typed(line)]),
            Step::Interrupt | Step::Eof => (Fate::Close, Vec::new()),
        }
    }

    fn draw(&mut self, frame: &mut Frame<'_>, within: Rect, shared: &Shared) {
        let y = within.bottom().saturating_sub(1);
        let line = Rect { y, height: 1, ..within };
        frame.render_widget(Clear, line);
        let (seen, cursor) = self.editor.view(within.width);
        frame.buffer_mut().set_stringn(within.x, y, seen, usize::from(within.width), Style::new());
        if !self.offered.is_empty() && y > within.y {
            let above = Rect { y: y - 1, height: 1, ..within };
            frame.render_widget(Clear, above);
            let words = text::short(&self.offered.join("  "), usize::from(within.width));
            frame.buffer_mut().set_stringn(
                within.x,
                y - 1,
                words,
                usize::from(within.width),
                shared.theme.muted,
            );
        }
        frame.set_cursor_position((within.x + cursor, y));
    }

    fn hints(&self, _shared: &Shared) -> Vec<Hint> {
        vec![("Enter", "run"), ("Tab", "complete"), ("↑ ↓", "history"), ("Esc", "cancel")]
    }
}

/// A line after `:`: a page's word, what the screen does itself, or any command.
pub(super) fn run(model: &mut Model, line: String) -> Vec<Effect> {
    let word = line.trim();
    if word.is_empty() {
        return Vec::new();
    }
    remember(&mut model.history, word);
    let page = model.entries().find(|e| e.word == word).map(|e| e.word);
    if let Some(page) = page {
        return vec![Effect::Go(page)];
    }
    match shell::kind(word.as_bytes()) {
        shell::Kind::Leave => vec![Effect::Quit],
        // As it would be without the screen: the VM has the whole terminal.
        shell::Kind::Enter(name) => vec![Effect::HandOver(HandOver::Vm(name, Way::Shell))],
        shell::Kind::Console(name) => vec![Effect::HandOver(HandOver::Vm(name, Way::Console))],
        shell::Kind::Talks => vec![Effect::HandOver(HandOver::Line(line))],
        shell::Kind::Answers => vec![Effect::Line(line)],
    }
}

/// The most lines after `:` that are remembered.
const HISTORY: usize = 100;

fn remember(history: &mut Vec<String>, line: &str) {
    history.retain(|l| l != line);
    if history.len() == HISTORY {
        history.remove(0);
    }
    history.push(line.to_owned());
}

/// A line of output is told in passing; more lies over the page.
pub(super) fn ran(model: &mut Model, said: &Said) -> Vec<Effect> {
    let mood = if said.status == 0 { Mood::Good } else { Mood::Bad };
    let text = said.text();
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    match (lines.next(), lines.next(), lines.next()) {
        (None, ..) => vec![model.say(mood, "Done.", "")],
        (Some(only), None, _) => vec![model.say(mood, only.trim(), "")],
        // An error's sentence and its hint.
        (Some(first), Some(second), None) if mood == Mood::Bad => {
            vec![model.say(mood, first.trim(), second.trim())]
        }
        _ => vec![Effect::Open(Box::new(Output::new(said.line.clone(), text)))],
    }
}
