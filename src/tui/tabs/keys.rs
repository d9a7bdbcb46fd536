//! The keys of tabs: what each does, once, for whoever presses it, for the bar
//! and for the help.

use crate::model::preferences::Prefix;
use crate::term::keys::Key;
use crate::tui::keymap::{Binding, key};

/// What a key does after the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Next,
    Previous,
    Number,
    Another,
    Columns,
    Rows,
    Zoom,
    FirstPane,
    SecondPane,
    OtherPane,
    Scroll,
    Close,
    List,
    Help,
}

use Key::Char;

const DIGITS: &[Key] =
    &[Char('1'), Char('2'), Char('3'), Char('4'), Char('5'), Char('6'), Char('7'), Char('8'), Char('9')];

/// The keys after the prefix.
pub(super) static KEYS: &[Binding<Command>] = &[
    key(&[Char('d'), Key::Esc], "d", "list", "back to the list; tabs live on", Command::List),
    key(&[Char('n'), Key::Ctrl('n'), Key::Tab], "n", "next", "the next tab", Command::Next),
    key(&[Char('p'), Key::Ctrl('p'), Key::BackTab], "p", "previous", "the tab before", Command::Previous),
    key(DIGITS, "1…9", "", "the tab of that number", Command::Number),
    key(&[Char('c')], "c", "another", "another shell in the same VM", Command::Another),
    key(&[Char('[')], "[", "scroll", "scroll back, search, copy (so does Page up)", Command::Scroll),
    key(&[Key::PageUp], "PgUp", "", "", Command::Scroll),
    key(&[Char('|')], "|", "split", "two tabs side by side", Command::Columns),
    key(&[Char('-')], "-", "", "two tabs, one over the other", Command::Rows),
    key(&[Char('o')], "o", "", "the other of two", Command::OtherPane),
    key(&[Key::Left, Key::Up], "← ↑", "", "the first of two", Command::FirstPane),
    key(&[Key::Right, Key::Down], "→ ↓", "", "the second of two", Command::SecondPane),
    key(&[Char('z')], "z", "", "one of two on the whole screen, and back", Command::Zoom),
    key(&[Char('x')], "x", "close", "close the tab", Command::Close),
    key(&[Char('?'), Key::F(1)], "?", "help", "these keys", Command::Help),
];

/// What a key does while one scrolls back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Search,
    Older,
    Newer,
    Mark,
    Copy,
    Leave,
}

/// The keys while one scrolls back.
pub(super) static SCROLL_KEYS: &[Binding<Move>] = &[
    key(&[Key::Up, Char('k'), Key::Ctrl('p')], "↑", "", "a line up", Move::Up),
    key(&[Key::Down, Char('j'), Key::Ctrl('n')], "↓", "", "a line down", Move::Down),
    key(&[Key::PageUp, Key::Ctrl('b')], "PgUp", "", "a page up", Move::PageUp),
    key(&[Key::PageDown, Key::Ctrl('f')], "PgDn", "", "a page down", Move::PageDown),
    key(&[Char('g'), Key::Home], "g", "", "the oldest line", Move::First),
    key(&[Char('G'), Key::End], "G", "", "the newest line", Move::Last),
    key(&[Char('/')], "/", "search", "search, towards older lines first", Move::Search),
    key(&[Char('n')], "n", "", "the next older line that matches", Move::Older),
    key(&[Char('N')], "N", "", "the next newer one", Move::Newer),
    key(&[Char(' '), Char('v')], "Space", "mark", "mark lines from here on", Move::Mark),
    key(&[Key::Enter, Char('y')], "Enter", "copy", "copy the marked lines, or this one", Move::Copy),
    key(&[Key::Esc, Char('q'), Key::Ctrl('c')], "q", "back", "back to what happens now", Move::Leave),
];

/// How the control bytes are written for people, from 0 on.
const NAMES: [&str; 32] = [
    "Ctrl-Space",
    "Ctrl-A",
    "Ctrl-B",
    "Ctrl-C",
    "Ctrl-D",
    "Ctrl-E",
    "Ctrl-F",
    "Ctrl-G",
    "Ctrl-H",
    "Ctrl-I",
    "Ctrl-J",
    "Ctrl-K",
    "Ctrl-L",
    "Ctrl-M",
    "Ctrl-N",
    "Ctrl-O",
    "Ctrl-P",
    "Ctrl-Q",
    "Ctrl-R",
    "Ctrl-S",
    "Ctrl-T",
    "Ctrl-U",
    "Ctrl-V",
    "Ctrl-W",
    "Ctrl-X",
    "Ctrl-Y",
    "Ctrl-Z",
    "Ctrl-[",
    "Ctrl-\\",
    "Ctrl-]",
    "Ctrl-^",
    "Ctrl-_",
];
/// What the prefix key sends: its character without the upper three bits.
pub(super) fn byte(prefix: Prefix) -> u8 {
    u8::try_from(prefix.key()).unwrap_or(b']') & 0x1f
}

/// How it is written, such as `Ctrl-]`.
pub fn shown(prefix: Prefix) -> &'static str {
    NAMES.get(usize::from(byte(prefix))).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_has_its_byte_and_its_name() {
        for (word, sends, name) in [
            ("ctrl-]", 0x1d, "Ctrl-]"),
            ("ctrl-b", 2, "Ctrl-B"),
            ("ctrl-\\", 0x1c, "Ctrl-\\"),
            ("ctrl-_", 0x1f, "Ctrl-_"),
        ] {
            let prefix = Prefix::parse(word).unwrap();
            assert_eq!((byte(prefix), shown(prefix)), (sends, name));
        }
    }

    #[test]
    fn no_key_means_two_things() {
        fn twice<C>(bindings: &[Binding<C>]) -> Vec<&Key> {
            let all: Vec<_> = bindings.iter().flat_map(|b| b.keys).collect();
            all.iter().enumerate().filter(|(i, key)| all[..*i].contains(key)).map(|(_, key)| *key).collect()
        }
        assert!(twice(KEYS).is_empty() && twice(SCROLL_KEYS).is_empty());
    }
}
