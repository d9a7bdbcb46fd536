//! The mouse: the person's terminal tells it as SGR, a guest wants it as it asked.

use vt100::{MouseProtocolEncoding as Encoding, MouseProtocolMode as Mode};

use crate::term::keys::Mouse;

/// Bit of a button's number: the mouse was moved.
const MOVED: u16 = 32;
/// And: it is of the wheel.
const WHEEL: u16 = 64;

/// Reads what stands after `ESC [ <`, to its last letter.
pub(super) fn parse(bytes: &[u8]) -> Option<Mouse> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (numbers, pressed) = match text.strip_suffix('M') {
        Some(numbers) => (numbers, true),
        None => (text.strip_suffix('m')?, false),
    };
    let mut numbers = numbers.split(';').map(|n| n.parse::<u16>().ok());
    let (button, column, row) = (numbers.next()??, numbers.next()??, numbers.next()??);
    if numbers.next().is_some() {
        return None;
    }
    Some(Mouse { button, column: column.checked_sub(1)?, row: row.checked_sub(1)?, pressed })
}

/// True when a button goes down.
pub(super) fn presses(mouse: Mouse) -> bool {
    mouse.pressed && mouse.button & (MOVED | WHEEL) == 0
}

/// The bytes for a guest that asked for the mouse in that way; none if it
/// does not want to know this, or cannot be told.
pub(super) fn encode(mouse: Mouse, mode: Mode, encoding: Encoding) -> Option<Vec<u8>> {
    let moved = mouse.button & MOVED != 0;
    let no_button = mouse.button & 3 == 3;
    let wanted = match mode {
        Mode::None => false,
        Mode::Press => presses(mouse),
        Mode::PressRelease => !moved,
        Mode::ButtonMotion => !(moved && no_button),
        Mode::AnyMotion => true,
    };
    if !wanted {
        return None;
    }
    let (col, row) = (mouse.column + 1, mouse.row + 1);
    if encoding == Encoding::Sgr {
        let end = if mouse.pressed { 'M' } else { 'm' };
        return Some(format!("\x1b[<{};{col};{row}{end}", mouse.button).into_bytes());
    }
    // The older ways do not tell which button was released.
    let button = if mouse.pressed { mouse.button } else { mouse.button | 3 };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_guest_is_told_what_it_asked_for() {
        let press = Mouse { button: 0, column: 9, row: 4, pressed: true };
        let release = Mouse { pressed: false, ..press };
        let drag = Mouse { button: 32, ..press };
        let over = Mouse { button: 35, ..press };
        let far = Mouse { column: 300, ..press };
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
            let bytes = encode(mouse, mode, encoding);
            assert_eq!(bytes.as_deref(), told.map(str::as_bytes), "{mouse:?} {mode:?} {encoding:?}");
        }
    }

    #[test]
    fn odd_reports_are_none() {
        for odd in ["", "M", "1;2M", "1;2;3;4M", "0;0;1M", "0;1;0M", "70000;1;1M", "-1;1;1M"] {
            assert_eq!(parse(odd.as_bytes()), None, "{odd}");
        }
    }
}
