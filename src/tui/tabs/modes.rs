//! What the person's terminal must do while a tab is in front, so that its bytes
//! are right for the guest.

use bytes::Bytes;
use vt100::MouseProtocolMode as Mouse;

/// Modes of a terminal. Pastes are marked anyway, and the mouse is told as SGR;
/// tabs translate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Modes {
    /// Cursor keys send `ESC O` (DECCKM).
    cursor: bool,
    /// The keypad sends sequences (DECKPAM).
    keypad: bool,
    /// What is told of the mouse.
    mouse: Mouse,
}

impl Modes {
    /// For a guest with that screen. The wheel is wanted anyway; nothing is if the
    /// person wants no mouse.
    pub(super) fn of(screen: &vt100::Screen, mouse: bool) -> Modes {
        let mouse = match screen.mouse_protocol_mode() {
            _ if !mouse => Mouse::None,
            Mouse::None | Mouse::Press | Mouse::PressRelease => Mouse::PressRelease,
            more @ (Mouse::ButtonMotion | Mouse::AnyMotion) => more,
        };
        Modes { cursor: screen.application_cursor(), keypad: screen.application_keypad(), mouse }
    }

    /// The bytes that make a terminal in the modes `from` one in these; none if it is.
    pub fn since(&self, from: Modes) -> Bytes {
        let mut bytes = String::new();
        if self.cursor != from.cursor {
            bytes.push_str(if self.cursor { "\x1b[?1h" } else { "\x1b[?1l" });
        }
        if self.keypad != from.keypad {
            bytes.push_str(if self.keypad { "\x1b=" } else { "\x1b>" });
        }
        if self.mouse != from.mouse {
            bytes.push_str("\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l");
            bytes.push_str(match self.mouse {
                Mouse::None => "",
                Mouse::Press | Mouse::PressRelease => "\x1b[?1000h\x1b[?1006h",
                Mouse::ButtonMotion => "\x1b[?1002h\x1b[?1006h",
                Mouse::AnyMotion => "\x1b[?1003h\x1b[?1006h",
            });
        }
        Bytes::from(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_difference_is_written() {
        let vim = Modes { cursor: true, keypad: true, mouse: Mouse::AnyMotion };
        let none = Modes::default();
        assert!(vim.since(vim).is_empty());
        let there = String::from_utf8(vim.since(none).to_vec()).unwrap();
        assert!(there.contains("\x1b[?1h\x1b=") && there.ends_with("\x1b[?1003h\x1b[?1006h"), "{there:?}");
        let back = String::from_utf8(none.since(vim).to_vec()).unwrap();
        assert!(back.contains("\x1b[?1l\x1b>\x1b[?1000l") && !back.contains('h'), "{back:?}");
    }
}
