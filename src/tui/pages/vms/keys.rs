//! The page's keys.

use super::super::super::app::Model;
use crate::model::VmState;
use crate::term::keys::Key;
use crate::tui::keymap::Binding;

/// What a key does on this page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Command {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
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
    Filter,
    All,
}

const fn key(
    keys: &'static [Key],
    shown: &'static str,
    word: &'static str,
    help: &'static str,
    command: Command,
) -> Binding<Command> {
    Binding { keys, shown, word, help, command }
}

/// The page's keys, what matters most first.
#[rustfmt::skip]
pub static KEYS: &[Binding<Command>] = &[
    key(&[Key::Enter], "Enter", "ssh", "enter the VM by ssh", Command::Enter),
    key(&[Key::Char('n')], "n", "new", "make a VM", Command::New),
    key(&[Key::Char('s')], "s", "start", "start it", Command::Start),
    key(&[Key::Char('S')], "S", "stop", "shut it down (asks)", Command::Stop),
    key(&[Key::Char('r')], "r", "restart", "restart it (asks)", Command::Restart),
    key(&[Key::Char('p')], "p", "pause", "pause it, or let it go on", Command::Pause),
    key(&[Key::Char('p')], "p", "resume", "", Command::Resume),
    key(&[Key::Char('c')], "c", "console", "serial console; Ctrl-] leaves it", Command::Console),
    key(&[Key::Char('d')], "d", "destroy", "destroy it (asks for its name)", Command::Destroy),
    key(&[Key::Char('/')], "/", "filter", "show only what holds a word", Command::Filter),
    key(&[Key::Char('a')], "a", "mine/all", "your VMs, or everybody's", Command::All),
    key(&[Key::Esc, Key::Left, Key::Char('h')], "Esc", "back", "back from a message, a detail, a filter", Command::Close),
    key(&[Key::Right, Key::Char('l')], "→", "", "the VM in detail (also l)", Command::Open),
    key(&[Key::Up, Key::Char('k')], "↑ ↓", "", "select (also k and j)", Command::Up),
    key(&[Key::Down, Key::Char('j')], "", "", "", Command::Down),
    key(&[Key::PageUp, Key::Ctrl('b')], "PgUp PgDn", "", "a page (also Ctrl-B and Ctrl-F)", Command::PageUp),
    key(&[Key::PageDown, Key::Ctrl('f'), Key::Char(' ')], "", "", "", Command::PageDown),
    key(&[Key::Home, Key::Char('g')], "Home End", "", "the first, the last (also g and G)", Command::First),
    key(&[Key::End, Key::Char('G')], "", "", "", Command::Last),
];

/// Whether a command makes sense now.
pub fn applies(model: &Model, command: Command) -> bool {
    let state = model.vms.selected().map(|row| row.vm.state);
    let busy = model.vms.selected().is_some_and(|row| model.job_of(&row.vm).is_some());
    match command {
        Command::Enter | Command::Console => state == Some(VmState::Running),
        Command::Start => matches!(state, Some(VmState::Stopped | VmState::Error)) && !busy,
        Command::Stop | Command::Restart => {
            matches!(state, Some(VmState::Running | VmState::Paused)) && !busy
        }
        Command::Pause => state == Some(VmState::Running) && !busy,
        Command::Resume => state == Some(VmState::Paused) && !busy,
        Command::Destroy => state.is_some() && !busy,
        Command::All => model.me.sees_all,
        Command::Close => model.toast.is_some() || model.vms.detail || !model.vms.filter.is_empty(),
        Command::Filter => !model.vms.rows().is_empty(),
        Command::New
        | Command::Up
        | Command::Down
        | Command::PageUp
        | Command::PageDown
        | Command::First
        | Command::Last
        | Command::Open => true,
    }
}

/// What a key does while the filter is typed; the others are text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Filter {
    Keep,
    Clear,
    Up,
    Down,
}

/// The filter's keys.
pub static FILTER_KEYS: &[Binding<Filter>] = &[
    Binding { keys: &[Key::Enter], shown: "Enter", word: "keep", help: "", command: Filter::Keep },
    Binding {
        keys: &[Key::Esc, Key::Ctrl('c')],
        shown: "Esc",
        word: "show all",
        help: "",
        command: Filter::Clear,
    },
    Binding { keys: &[Key::Up], shown: "↑ ↓", word: "select", help: "", command: Filter::Up },
    Binding { keys: &[Key::Down], shown: "", word: "", help: "", command: Filter::Down },
];
