//! The page's keys.

use super::Jobs;
use crate::term::keys::Key;
use crate::tui::keymap::{Binding, key};
use crate::tui::page::Shared;

/// What a key does on this page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Command {
    Open,
    Close,
    Cancel,
    Retry,
    Visit,
    All,
}

/// The page's keys, what matters most first.
#[rustfmt::skip]
pub static KEYS: &[Binding<Command>] = &[
    key(&[Key::Enter, Key::Right, Key::Char('l'), Key::Tab], "Enter", "steps", "what it did, step by step", Command::Open),
    key(&[Key::Char('x')], "x", "cancel", "cancel it: what it made is undone (asks)", Command::Cancel),
    key(&[Key::Char('R')], "R", "retry", "do again what failed or was cancelled", Command::Retry),
    key(&[Key::Char('v')], "v", "its VM", "the VM that it is about", Command::Visit),
    key(&[Key::Char('a')], "a", "mine/all", "your jobs, or everybody's", Command::All),
    key(&[Key::Esc, Key::Left, Key::Char('h')], "Esc", "back", "back from the steps, marks, a filter", Command::Close),
];

/// Whether a command makes sense now: for one at least of what is chosen.
pub fn applies(page: &Jobs, shared: &Shared, command: Command) -> bool {
    let chosen = page.table.chosen();
    match command {
        Command::Open => !page.open && !chosen.is_empty(),
        Command::Close => page.open || page.table.has_back(),
        Command::Cancel => chosen.iter().any(|job| !job.state.is_final()),
        Command::Retry => chosen.iter().any(|job| job.state.is_undone()),
        Command::Visit => page.vm(shared).is_some(),
        Command::All => shared.me.sees_all,
    }
}
