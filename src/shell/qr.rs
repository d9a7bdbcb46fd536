//! QR codes for terminals: two modules a character.

use qrcode::{Color, EcLevel, QrCode};

/// Modules around a code that stay light, as ISO/IEC 18004 wants it.
pub const QUIET: usize = 4;
/// With which most scanners are content.
pub const NARROW: usize = 2;

/// Black on white, whatever the terminal's own colours are: of the 256, for the
/// first sixteen are the theme's.
const COLOURS: &str = "\u{1b}[38;5;16;48;5;231m";
const RESET: &str = "\u{1b}[0m";

/// The rows of a code, for whoever draws dark on light themselves; none if the text
/// is too long for one. So many modules around it stay light.
pub fn rows(text: &str, quiet: usize) -> Option<Vec<String>> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let side = code.width() + 2 * quiet;
    let colours = code.to_colors();
    let dark = |x: usize, y: usize| {
        let inside = |at: usize| at.checked_sub(quiet).filter(|at| *at < code.width());
        let at = inside(x).zip(inside(y)).map(|(x, y)| y * code.width() + x);
        at.and_then(|at| colours.get(at)) == Some(&Color::Dark)
    };
    let half = |x: usize, y: usize| match (dark(x, y), dark(x, y + 1)) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    };
    Some((0..side).step_by(2).map(|y| (0..side).map(|x| half(x, y)).collect()).collect())
}

/// The code for a terminal, in colours of its own.
pub(super) fn coloured(rows: &[String]) -> String {
    rows.iter().map(|row| format!("{COLOURS}{row}{RESET}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the picture back, module by module.
    #[test]
    fn the_picture_is_the_code_with_a_light_margin() {
        let text = "otpauth://totp/Twarga:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Twarga";
        let rows = rows(text, QUIET).unwrap();
        let code = QrCode::with_error_correction_level(text, EcLevel::L).unwrap();
        let (width, colours) = (code.width(), code.to_colors());
        assert!(rows.len() <= 24 && rows[0].chars().count() <= 80, "it does not fit a terminal");
        let cells: Vec<Vec<char>> = rows.iter().map(|r| r.chars().collect()).collect();
        for y in 0..width + 2 * QUIET {
            for x in 0..width + 2 * QUIET {
                let cell = cells[y / 2][x];
                let dark = matches!((cell, y % 2), ('█', _) | ('▀', 0) | ('▄', 1));
                let within = |at| (QUIET..QUIET + width).contains(&at);
                let expected =
                    within(x) && within(y) && colours[(y - QUIET) * width + x - QUIET] == Color::Dark;
                assert_eq!(dark, expected, "at {x}, {y}");
            }
        }
        for line in coloured(&rows).lines() {
            assert!(line.starts_with(COLOURS) && line.ends_with(RESET), "{line:?}");
        }
        assert!(self::rows(&"x".repeat(10_000), QUIET).is_none());
    }
}
