//! The page's keys.

use super::Vms;
use crate::model::VmState;
use crate::term::keys::Key;
use crate::tui::keymap::{Binding, key};
use crate::tui::page::Shared;

/// What a key does on this page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Command {
    Open,
    Close,
    Enter,
    Console,
    Start,
    Stop,
    Restart,
    Pause,
    Resume,
    Destroy,
    New,
    All,
    Copy,
}

/// The page's keys, what matters most first.
#[rustfmt::skip]
pub static KEYS: &[Binding<Command>] = &[
    key(&[Key::Enter], "Enter", "ssh", "enter the VM by ssh, in a tab", Command::Enter),
    key(&[Key::Char('n')], "n", "new", "make a VM", Command::New),
    key(&[Key::Char('s')], "s", "start", "start it", Command::Start),
    key(&[Key::Char('S')], "S", "stop", "shut it down (asks)", Command::Stop),
    key(&[Key::Char('r')], "r", "restart", "restart it (asks)", Command::Restart),
    key(&[Key::Char('p')], "p", "pause", "pause it, or let it go on", Command::Pause),
    key(&[Key::Char('p')], "p", "resume", "", Command::Resume),
    key(&[Key::Char('c')], "c", "console", "serial console, in a tab", Command::Console),
    key(&[Key::Char('d')], "d", "destroy", "destroy it (asks for its name)", Command::Destroy),
    key(&[Key::Char('y')], "y", "copy", "copy its address, a command that enters it, or its host key", Command::Copy),
    key(&[Key::Char('a')], "a", "mine/all", "your VMs, or everybody's", Command::All),
    key(&[Key::Esc, Key::Left, Key::Char('h')], "Esc", "back", "back from a detail, marks, a filter", Command::Close),
    key(&[Key::Right, Key::Char('l'), Key::Tab], "→", "", "the VM in detail (also l and Tab)", Command::Open),
];

/// Whether a command makes sense for a VM in that state.
pub fn fits(state: VmState, command: Command) -> bool {
    match command {
        Command::Enter | Command::Console | Command::Pause => state == VmState::Running,
        Command::Start => matches!(state, VmState::Stopped | VmState::Error),
        Command::Stop | Command::Restart => matches!(state, VmState::Running | VmState::Paused),
        Command::Resume => state == VmState::Paused,
        Command::Destroy | Command::Copy | Command::Open | Command::Close | Command::New | Command::All => {
            true
        }
    }
}

/// Whether a command makes sense now: for one at least of what is chosen.
pub fn applies(page: &Vms, shared: &Shared, command: Command) -> bool {
    let chosen = page.table.chosen();
    let some = |idle: bool| {
        chosen.iter().any(|row| fits(row.vm.state, command) && !(idle && shared.job_of(&row.vm).is_some()))
    };
    match command {
        Command::Enter | Command::Console | Command::Copy => some(false),
        Command::Start
        | Command::Stop
        | Command::Restart
        | Command::Pause
        | Command::Resume
        | Command::Destroy => some(true),
        Command::All => shared.me.sees_all,
        Command::Close => page.detail || page.table.has_back(),
        Command::Open => !chosen.is_empty(),
        Command::New => true,
    }
}
