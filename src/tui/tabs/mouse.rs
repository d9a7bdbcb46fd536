//! The mouse: the person's terminal tells it as SGR, a guest wants it as it asked.

use vt100::{MouseProtocolEncoding as Encoding, MouseProtocolMode as Mode};

/// Bit of a button's number: the mouse was moved.
const MOVED: u16 = 32;
/// And the wheel was turned: up, or down with the lowest bit.
const WHEEL: u16 = 64;
/// Shift, Meta and Control.
const MODIFIERS: u16 = 4 | 8 | 16;

/// Something that the mouse did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mouse {
    /// The button and what was held, as xterm numbers them.
    pub button: u16,
    /// From 0.
    pub col: u16,
    /// From 0.
    pub row: u16,
    /// Pressed or moved, not released.
    pub down: bool,
}

/// Where a wheel was turned to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wheel {
    /// To what was before.
    Up,
    /// And back.
    Down,
}

impl Mouse {
    /// Reads what stands after `ESC [ <`, to its last letter.
    pub(super) fn parse(bytes: &[u8]) -> Option<Mouse> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (numbers, down) = match text.strip_suffix('M') {
            Some(numbers) => (numbers, true),
            None => (text.strip_suffix('m')?, false),
        };
        let mut numbers = numbers.split(';').map(|n| n.parse::<u16>().ok());
        let (button, col, row) = (numbers.next()??, numbers.next()??, numbers.next()??);
        if numbers.next().is_some() {
            return None;
        }
        Some(Mouse { button, col: col.checked_sub(1)?, row: row.checked_sub(1)?, down })
    }

    /// Where the wheel was turned to, if it was.
    pub(super) fn wheel(self) -> Option<Wheel> {
        match self.button & !MODIFIERS {
            b if b == WHEEL => Some(Wheel::Up),
            b if b == WHEEL + 1 => Some(Wheel::Down),
            _ => None,
        }
    }

    /// True when a button goes down.
    pub(super) fn pressed(self) -> bool {
        self.down && self.button & (MOVED | WHEEL) == 0
    }

    /// The bytes for a guest that asked for the mouse in that way; none if it
    /// does not want to know this, or cannot be told.
    pub(super) fn encode(self, mode: Mode, encoding: Encoding) -> Option<Vec<u8>> {
        let moved = self.button & MOVED != 0;
        let no_button = self.button & 3 == 3;
        let wanted = match mode {
            Mode::None => false,
            Mode::Press => self.pressed(),
            Mode::PressRelease => !moved,
            Mode::ButtonMotion => !(moved && no_button),
            Mode::AnyMotion => true,
        };
        if !wanted {
            return None;
        }
        let (col, row) = (self.col + 1, self.row + 1);
        if encoding == Encoding::Sgr {
            let end = if self.down { 'M' } else { 'm' };
            return Some(format!("\x1b[<{};{col};{row}{end}", self.button).into_bytes());
        }
        // The older ways do not tell which button was released.
        let button = if self.down { self.button } else { self.button | 3 };
        let mut bytes = b"\x1b[M".to_vec();
        for n in [button, col, row] {
            let n = n.checked_add(32)?;
            match encoding {
                Encoding::Utf8 if n < 2048 => {
                    let c = char::from_u32(u32::from(n))?;
                    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                _ => bytes.push(u8::try_from(n).ok()?),
            }
        }
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_guest_is_told_what_it_asked_for() {
        let press = Mouse { button: 0, col: 9, row: 4, down: true };
        let release = Mouse { down: false, ..press };
        let drag = Mouse { button: 32, ..press };
        let over = Mouse { button: 35, ..press };
        let far = Mouse { col: 300, ..press };
        for (mouse, mode, encoding, told) in [
            (press, Mode::None, Encoding::Sgr, None),
            (press, Mode::Press, Encoding::Default, Some("\x1b[M *%")),
            (release, Mode::Press, Encoding::Default, None),
            (release, Mode::PressRelease, Encoding::Default, Some("\x1b[M#*%")),
            (release, Mode::PressRelease, Encoding::Sgr, Some("\x1b[<0;10;5m")),
            (drag, Mode::PressRelease, Encoding::Sgr, None),
            (drag, Mode::ButtonMotion, Encoding::Sgr, Some("\x1b[<32;10;5M")),
            (over, Mode::ButtonMotion, Encoding::Sgr, None),
            (over, Mode::AnyMotion, Encoding::Sgr, Some("\x1b[<35;10;5M")),
            (far, Mode::Press, Encoding::Default, None),
            (far, Mode::Press, Encoding::Utf8, Some("\x1b[M \u{14d}%")),
        ] {
            let bytes = mouse.encode(mode, encoding);
            assert_eq!(bytes.as_deref(), told.map(str::as_bytes), "{mouse:?} {mode:?} {encoding:?}");
        }
    }

    #[test]
    fn odd_reports_are_none() {
        for odd in ["", "M", "1;2M", "1;2;3;4M", "0;0;1M", "0;1;0M", "70000;1;1M", "-1;1;1M"] {
            assert_eq!(Mouse::parse(odd.as_bytes()), None, "{odd}");
        }
    }
}
