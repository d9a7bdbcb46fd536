//! A terminal in memory: what a guest says becomes cells, never bytes for
//! somebody's terminal.
//!
//! ```text
//!  bytes ─▶ vte ─▶ Front ─▶ vt100 ─▶ cells
//!                    │         └──▶ lines that leave its top ─▶ History
//!                    └─▶ replies, title, bell
//! ```
//!
//! [`front::Front`] stands between two parsers. It lets pass what `vt100` knows
//! and what does it no harm, says in other words what it does not know, and
//! answers the questions that programs ask a terminal. What a few bytes may cost
//! is bounded, and so is what is kept: of one terminal at most
//!
//! - two screens of [`MOST_COLS`] × [`MOST_ROWS`] cells of 32 bytes, which is
//!   3 MB each; 60 kB at 80×24;
//! - [`NEAR_ROWS`] rows of cells above them;
//! - the lines above those as text: 2,000 of them, and 512 KiB.

mod front;
mod history;

use std::num::NonZeroU16;
use std::ops::Range;

use vt100::capture::{basic_formatted_rows, basic_formatted_to_plain};

use crate::term::WindowSize;
use front::Front;

/// The widest and the tallest screen; a window may be larger, its rest stays empty.
pub const MOST_COLS: u16 = 500;
/// See [`MOST_COLS`].
pub const MOST_ROWS: u16 = 200;
/// Under this, in both directions, `vt100` is not to be trusted.
const LEAST: u16 = 2;
/// Rows above the screen that are kept as cells: a window that grows shows them again.
const NEAR_ROWS: usize = 100;
/// Bytes that are taken at once: between two slices others get their turn.
const SLICE: usize = 2048;

/// The terminal that a guest's program believes to have.
pub struct Emulator {
    parser: vte::Parser,
    front: Front,
    size: WindowSize,
}

impl std::fmt::Debug for Emulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Emulator").field("size", &self.size).finish_non_exhaustive()
    }
}

/// A size that an emulator may have.
fn within(size: WindowSize) -> WindowSize {
    WindowSize { cols: size.cols.clamp(LEAST, MOST_COLS), rows: size.rows.clamp(LEAST, MOST_ROWS) }
}

fn rows_and_cols(size: WindowSize) -> (NonZeroU16, NonZeroU16) {
    let at_least_one = |n| NonZeroU16::new(n).unwrap_or(NonZeroU16::MIN);
    (at_least_one(size.rows), at_least_one(size.cols))
}

impl Emulator {
    /// A blank terminal, as near to that size as may be.
    pub fn new(size: WindowSize) -> Emulator {
        let size = within(size);
        let (rows, cols) = rows_and_cols(size);
        Emulator { parser: vte::Parser::new(), front: Front::new(rows, cols, NEAR_ROWS), size }
    }

    /// Its size.
    pub fn size(&self) -> WindowSize {
        self.size
    }

    /// Takes another size, as near to that one as may be. True if it is another one.
    pub fn resize(&mut self, size: WindowSize) -> bool {
        let size = within(size);
        if size == self.size {
            return false;
        }
        let (rows, cols) = rows_and_cols(size);
        self.front.vt.set_size(rows, cols);
        self.size = size;
        true
    }

    /// Takes some of what the guest says; how many bytes, at least one if there
    /// are any. Few where they ask for much work.
    pub fn feed(&mut self, bytes: &[u8]) -> usize {
        let slice = bytes.get(..bytes.len().min(SLICE)).unwrap_or_default();
        if slice.is_empty() {
            return 0;
        }
        self.front.begin();
        // The rest of a character that the last packet cut: byte by byte, for
        // `vte` 0.15 loses what stands after it otherwise.
        let cut = slice.iter().take(3).take_while(|b| matches!(b, 0x80..=0xbf)).count();
        let (rest, slice) = slice.split_at(cut);
        for byte in rest {
            self.parser.advance(&mut self.front, std::slice::from_ref(byte));
        }
        let used = cut + self.parser.advance_until_terminated(&mut self.front, slice);
        self.front.flush();
        used.max(1)
    }

    /// The screen as it is now.
    pub fn screen(&self) -> &vt100::Screen {
        self.front.vt.screen()
    }

    /// What the guest calls its window: short, and safe for a terminal.
    pub fn title(&self) -> &str {
        &self.front.title
    }

    /// What the guest is answered to what it asked meanwhile.
    pub fn take_replies(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.front.replies)
    }

    /// Whether the bell has rung since the last time.
    pub fn take_bell(&mut self) -> bool {
        std::mem::take(&mut self.front.bell)
    }

    /// The numbers of the lines that are kept; the last ones are the screen's. A
    /// line keeps its number. The alternate screen has no lines above it.
    pub fn lines(&self) -> Range<u64> {
        let rows = u64::from(self.size.rows);
        if self.screen().alternate_screen() {
            return 0..rows;
        }
        let history = &self.front.history().lines;
        let first = self.front.history().dropped;
        first..first + u64::try_from(history.len() + self.screen().scrollback_len()).unwrap_or(0) + rows
    }

    /// The screen, or the rows from the line `top` on.
    pub fn view(&mut self, top: Option<u64>) -> View<'_> {
        let lines = self.lines();
        let live = lines.end - u64::from(self.size.rows);
        let top = top.unwrap_or(live).clamp(lines.start, live);
        let up = usize::try_from(live - top).unwrap_or(usize::MAX);
        self.front.vt.screen_mut().set_scrollback(up);
        let far = up.saturating_sub(self.screen().scrollback_len());
        let far_rows = u16::try_from(far).unwrap_or(u16::MAX).min(self.size.rows);
        let far = (far_rows > 0).then(|| self.far(top, far_rows));
        View { screen: self.front.vt.screen(), far, far_rows }
    }

    /// Lines of the history, drawn on a screen of their own.
    fn far(&self, top: u64, count: u16) -> vt100::Parser {
        let (rows, cols) = rows_and_cols(self.size);
        let mut far = vt100::Parser::new(rows, cols, 0);
        let history = self.front.history();
        let skip = usize::try_from(top - history.dropped).unwrap_or(usize::MAX);
        for (line, row) in history.lines.iter().skip(skip).zip(1..=count) {
            let cut = basic_formatted_rows(&line.text, self.size.cols).next().unwrap_or_default();
            far.process(format!("\x1b[{row}H\x1b[m{cut}").as_bytes());
        }
        far
    }

    /// The text of a line, and whether the next one goes on with it.
    pub fn text(&mut self, line: u64) -> (String, bool) {
        let lines = self.lines();
        if !lines.contains(&line) {
            return (String::new(), false);
        }
        let history = self.front.history();
        let far = usize::try_from(line - lines.start).unwrap_or(usize::MAX);
        if !self.screen().alternate_screen()
            && let Some(line) = history.lines.get(far)
        {
            return (basic_formatted_to_plain(&line.text).collect(), line.wrapped);
        }
        let live = lines.end - u64::from(self.size.rows);
        let up = usize::try_from(live.saturating_sub(line)).unwrap_or(usize::MAX);
        let cols = self.size.cols;
        let screen = self.front.vt.screen_mut();
        screen.set_scrollback(up);
        let row = u16::try_from(line.saturating_sub(live)).unwrap_or(u16::MAX);
        (screen.rows(0, cols).nth(usize::from(row)).unwrap_or_default(), screen.row_wrapped(row))
    }
}

/// Some rows of a terminal.
pub struct View<'a> {
    screen: &'a vt100::Screen,
    far: Option<vt100::Parser>,
    far_rows: u16,
}

impl View<'_> {
    /// The cell there, if there is one: nothing stands where a row is shorter.
    pub fn cell(&self, row: u16, col: u16) -> Option<&vt100::Cell> {
        match &self.far {
            Some(far) if row < self.far_rows => far.screen().cell(row, col),
            _ => self.screen.cell(row - self.far_rows.min(row), col),
        }
    }
}

#[cfg(test)]
mod tests;
