//! ratatui's picture as one write. The backend is our own: crossterm's asks the
//! *server's* terminal for its size and the server's environment for `NO_COLOR`,
//! and writes the sixteen colours as if there were 256.

mod kept;

use std::convert::Infallible;
use std::fmt::Write;

use bytes::Bytes;
use ratatui::backend::{Backend, ClearType, WindowSize as BackendSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Rect, Size};
use ratatui::style::{Color, Modifier};
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};

use crate::term::WindowSize;
use crate::term::keys::{MOUSE_OFF, MOUSE_ON, PASTE_OFF, PASTE_ON};
use kept::Kept;

/// Whatever ran before may have left these on: mice, focus reports, application
/// keys, a hidden cursor.
const QUIET: &str = "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1006l\x1b[?1l\x1b>\x1b[0m\x1b[?25h";
/// Holds the terminal's picture still until the frame is whole; unknown to old terminals, which skip it.
const HOLD: &str = "\x1b[?2026h";
const SHOW: &str = "\x1b[?2026l";

/// What makes the terminal ours.
pub fn enter(with_mouse: bool) -> Bytes {
    Bytes::from(format!("{QUIET}\x1b[?1049h\x1b[2J{PASTE_ON}{}", mouse(with_mouse)))
}

/// What has the terminal tell of its mouse, or not.
pub fn mouse(on: bool) -> &'static str {
    if on { MOUSE_ON } else { MOUSE_OFF }
}

/// What gives it back as it was.
pub fn leave() -> Bytes {
    Bytes::from(format!("{PASTE_OFF}{MOUSE_OFF}\x1b[0m\x1b[?25h\x1b[?1049l"))
}

/// The person's screen as it is known to be. Between two drawings it is small.
#[derive(Debug)]
pub struct Screen {
    size: Size,
    /// What is seen; none if it is not known, and to be drawn anew.
    seen: Option<Kept>,
    cursor: Option<Position>,
}

impl Screen {
    /// A screen of that size, of which nothing is known.
    pub fn new(size: WindowSize) -> Screen {
        Screen { size: Size::new(size.cols, size.rows), seen: None, cursor: None }
    }

    /// Takes another size; everything is drawn anew.
    pub fn resize(&mut self, size: WindowSize) {
        *self = Screen::new(size);
    }

    /// Draws everything anew, whatever has been written over it.
    pub fn clear(&mut self) {
        self.seen = None;
        self.cursor = None;
    }

    /// The bytes that change what is seen into what `view` draws; none if it is that already.
    pub fn draw(&mut self, view: impl FnOnce(&mut Frame<'_>)) -> Option<Bytes> {
        let mut wire = Wire { bytes: String::new(), size: self.size, cells: 0, cursor: None };
        if self.seen.is_none() {
            let Ok(()) = wire.clear();
        }
        let area = Rect::from((Position::ORIGIN, self.size));
        let Ok(mut terminal) =
            Terminal::with_options(wire, TerminalOptions { viewport: Viewport::Fixed(area) });
        if let Some(seen) = &self.seen {
            *terminal.current_buffer_mut() = seen.restored();
            terminal.swap_buffers();
        }
        let Ok(drawn) = terminal.draw(view);
        self.seen = Some(Kept::of(drawn.buffer));
        let wire = terminal.backend_mut();
        let body = std::mem::take(&mut wire.bytes);
        let changed = wire.cells > 0 || wire.cursor != self.cursor;
        self.cursor = wire.cursor;
        changed.then(|| Bytes::from(format!("{HOLD}\x1b[?25l{body}{SHOW}")))
    }
}

/// Collects a frame's bytes.
#[derive(Debug)]
struct Wire {
    bytes: String,
    size: Size,
    cells: usize,
    cursor: Option<Position>,
}

impl Wire {
    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.bytes.write_fmt(text);
    }

    fn style(&mut self, cell: &Cell) {
        self.bytes.push_str("\x1b[0");
        for (modifier, code) in [
            (Modifier::BOLD, 1),
            (Modifier::DIM, 2),
            (Modifier::ITALIC, 3),
            (Modifier::UNDERLINED, 4),
            (Modifier::REVERSED, 7),
            (Modifier::CROSSED_OUT, 9),
        ] {
            if cell.modifier.contains(modifier) {
                self.put(format_args!(";{code}"));
            }
        }
        self.color(cell.fg, 0);
        self.color(cell.bg, 10);
        self.bytes.push('m');
    }

    /// `offset` is 0 for the foreground and 10 for the background.
    fn color(&mut self, color: Color, offset: u8) {
        let code = match color {
            Color::Reset => return,
            Color::Rgb(r, g, b) => return self.put(format_args!(";{};2;{r};{g};{b}", 38 + offset)),
            Color::Indexed(i) => return self.put(format_args!(";{};5;{i}", 38 + offset)),
            Color::Black => 30,
            Color::Red => 31,
            Color::Green => 32,
            Color::Yellow => 33,
            Color::Blue => 34,
            Color::Magenta => 35,
            Color::Cyan => 36,
            Color::Gray => 37,
            Color::DarkGray => 90,
            Color::LightRed => 91,
            Color::LightGreen => 92,
            Color::LightYellow => 93,
            Color::LightBlue => 94,
            Color::LightMagenta => 95,
            Color::LightCyan => 96,
            Color::White => 97,
        };
        self.put(format_args!(";{}", code + offset));
    }
}

impl Backend for Wire {
    type Error = Infallible;

    fn draw<'a, I>(&mut self, content: I) -> Result<(), Infallible>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut next = None;
        let mut look = None;
        for (x, y, cell) in content {
            if next != Some((x, y)) {
                self.put(format_args!("\x1b[{};{}H", y + 1, x + 1));
            }
            if look != Some((cell.fg, cell.bg, cell.modifier)) {
                self.style(cell);
                look = Some((cell.fg, cell.bg, cell.modifier));
            }
            self.bytes.push_str(cell.symbol());
            self.cells += 1;
            // A terminal may think a character wider or narrower than we do.
            next = cell.symbol().is_ascii().then_some((x + 1, y));
        }
        if look.is_some() {
            self.bytes.push_str("\x1b[0m");
        }
        Ok(())
    }

    fn hide_cursor(&mut self) -> Result<(), Infallible> {
        self.cursor = None;
        Ok(())
    }

    fn show_cursor(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn get_cursor_position(&mut self) -> Result<Position, Infallible> {
        Ok(self.cursor.unwrap_or_default())
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> Result<(), Infallible> {
        let at = position.into();
        self.cursor = Some(at);
        self.put(format_args!("\x1b[{};{}H\x1b[?25h", at.y + 1, at.x + 1));
        Ok(())
    }

    fn clear(&mut self) -> Result<(), Infallible> {
        self.clear_region(ClearType::All)
    }

    fn clear_region(&mut self, clear_type: ClearType) -> Result<(), Infallible> {
        self.cells += 1;
        self.bytes.push_str(match clear_type {
            ClearType::All => "\x1b[2J",
            ClearType::AfterCursor => "\x1b[J",
            ClearType::BeforeCursor => "\x1b[1J",
            ClearType::CurrentLine => "\x1b[2K",
            ClearType::UntilNewLine => "\x1b[K",
        });
        Ok(())
    }

    fn size(&self) -> Result<Size, Infallible> {
        Ok(self.size)
    }

    fn window_size(&mut self) -> Result<BackendSize, Infallible> {
        Ok(BackendSize { columns_rows: self.size, pixels: Size::ZERO })
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::style::Style;

    const SIZE: WindowSize = WindowSize { cols: 20, rows: 3 };

    #[test]
    fn a_frame_is_one_write_and_none_if_nothing_changed() {
        let mut screen = Screen::new(SIZE);
        let view = |frame: &mut Frame<'_>| {
            frame.buffer_mut().set_string(2, 1, "héllo", Style::new().fg(Color::Green));
            frame.set_cursor_position((2, 1));
        };
        let bytes = screen.draw(view).unwrap();
        assert!(bytes.starts_with(HOLD.as_bytes()) && bytes.ends_with(SHOW.as_bytes()));
        let mut seen = vt100::Parser::new(3.try_into().unwrap(), 20.try_into().unwrap(), 0);
        seen.process(&bytes);
        assert_eq!(seen.screen().contents(), "\n  héllo");
        assert_eq!(seen.screen().cursor_position(), (1, 2));
        assert_eq!(seen.screen().cell(1, 2).unwrap().fgcolor(), vt100::Color::Idx(2));
        assert_eq!(screen.draw(view), None);
        screen.clear();
        assert!(screen.draw(view).is_some());
    }

    #[test]
    fn sixteen_colours_are_written_as_such() {
        let mut screen = Screen::new(SIZE);
        let red = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
        let bytes = screen.draw(|frame| frame.buffer_mut().set_string(0, 0, "x", red)).unwrap();
        assert!(String::from_utf8_lossy(&bytes).contains("\x1b[0;1;31mx"), "{bytes:?}");
    }
}
