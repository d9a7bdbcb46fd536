//! What stands before `vt100`: each thing that a guest says is passed on, said in
//! other words, answered, or dropped. Sequences as in ECMA-48 and xterm's
//! *ctlseqs*.

use std::io::Write;
use std::num::NonZeroU16;

use unicode_width::UnicodeWidthChar;
use vt100::capture::RowContents;
use vte::Params;

use super::history::History;
use crate::model::text;

/// Columns of a title that are kept.
const LONGEST_TITLE: usize = 80;
/// Bytes of answers that may wait for a guest that does not read them.
const MOST_REPLIES: usize = 1024;
/// What one slice may cost, in about tens of nanoseconds: a millisecond or two.
const BUDGET: usize = 100_000;

/// A VT220 with colours (DA1).
const WHO_ARE_YOU: &[u8] = b"\x1b[?62;22c";
/// xterm's answer (DA2) from before it had manners that we lack; vim takes from
/// it that the mouse is told as SGR.
const WHICH_VERSION: &[u8] = b"\x1b[>41;277;0c";

/// Everything as at first, but for the lines above (RIS).
const RESET: &[u8] = b"\x1b[?47l\x1b[?6l\x1b[r\x1b[m\x1b[?1l\x1b[?25h\x1b[?9l\x1b[?1000l\x1b[?1002l\
    \x1b[?1003l\x1b[?1005l\x1b[?1006l\x1b[?2004l\x1b>\x1b[H\x1b[2J\x1b7";
/// The same of modes only (DECSTR).
const SOFT_RESET: &[u8] = b"\x1b[?6l\x1b[r\x1b[m\x1b[?1l\x1b[?25h\x1b>";

/// DEC's line drawing from `_` on, as VT100 and its heirs have it.
const GRAPHICS: [char; 32] = [
    ' ', '◆', '▒', '␉', '␌', '␍', '␊', '°', '±', '␤', '␋', '┘', '┐', '┌', '└', '┼', '⎺', '⎻', '─', '⎼', '⎽',
    '├', '┤', '┴', '┬', '│', '≤', '≥', 'π', '≠', '£', '·',
];

/// Takes the lines that leave the screen, and the bell.
#[derive(Debug, Default)]
pub(super) struct Sink {
    history: History,
    bell: bool,
}

impl vt100::Callbacks for Sink {
    fn audible_bell(&mut self, _: &mut vt100::Screen) {
        self.bell = true;
    }

    fn on_scroll(&mut self, row: RowContents<'_>, alternate_screen: bool) {
        if !alternate_screen {
            self.history.push(&row);
        }
    }
}

/// The character sets that are in use.
#[derive(Debug, Clone, Copy, Default)]
struct Charsets {
    /// G0 and G1: line drawing instead of ASCII.
    graphics: [bool; 2],
    /// G1 is in use.
    shifted: bool,
}

/// Between the guest's bytes and `vt100`.
pub(super) struct Front {
    pub vt: vt100::Parser<Sink>,
    pub title: String,
    pub bell: bool,
    pub replies: Vec<u8>,
    /// On its way to `vt100`.
    out: Vec<u8>,
    cost: usize,
    charsets: Charsets,
    saved: Charsets,
    /// What is printed moves the rest of the line (IRM).
    insert: bool,
    /// What finds no room goes to the next line (DECAWM).
    wrap: bool,
}

impl Front {
    pub fn new(rows: NonZeroU16, cols: NonZeroU16, above: usize) -> Front {
        Front {
            vt: vt100::Parser::new_with_callbacks(rows, cols, above, Sink::default()),
            title: String::new(),
            bell: false,
            replies: Vec::new(),
            out: Vec::new(),
            cost: 0,
            charsets: Charsets::default(),
            saved: Charsets::default(),
            insert: false,
            wrap: true,
        }
    }

    pub fn history(&self) -> &History {
        &self.vt.callbacks().history
    }

    /// Before a slice.
    pub fn begin(&mut self) {
        self.cost = 0;
        // Nobody is looking while it changes; and `vt100` need not keep the place.
        if self.vt.screen().scrollback() > 0 {
            self.vt.screen_mut().set_scrollback(0);
        }
    }

    /// Gives `vt100` what waits for it.
    pub fn flush(&mut self) {
        if !self.out.is_empty() {
            self.vt.process(&self.out);
            self.out.clear();
        }
        self.bell |= std::mem::take(&mut self.vt.callbacks_mut().bell);
    }

    fn size(&self) -> (u16, u16) {
        let (rows, cols) = self.vt.screen().size();
        (rows.get(), cols.get())
    }

    fn cells(&self) -> usize {
        let (rows, cols) = self.size();
        usize::from(rows) * usize::from(cols)
    }

    /// Row and column, from 0; the column is one too many after a line's last cell.
    fn cursor(&mut self) -> (u16, u16) {
        self.flush();
        self.vt.screen().cursor_position()
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a vector cannot fail.
        let _ = self.out.write_fmt(text);
    }

    fn reply(&mut self, bytes: &[u8]) {
        if self.replies.len() + bytes.len() <= MOST_REPLIES {
            self.replies.extend_from_slice(bytes);
        }
    }

    /// A sequence as it came.
    fn pass(&mut self, lead: &str, params: &Params, action: char) {
        self.put(format_args!("\x1b[{lead}"));
        for (i, param) in params.iter().enumerate() {
            let param = param.first().copied().unwrap_or(0);
            self.put(format_args!("{}{param}", if i > 0 { ";" } else { "" }));
        }
        self.put(format_args!("{action}"));
    }

    fn reset(&mut self) {
        self.cost += self.cells() / 2;
        self.out.extend_from_slice(RESET);
        (self.charsets, self.saved) = Default::default();
        (self.insert, self.wrap) = (false, true);
    }

    fn soft_reset(&mut self) {
        let (row, col) = self.cursor();
        self.out.extend_from_slice(SOFT_RESET);
        self.put(format_args!("\x1b[{};{}H", row + 1, col + 1));
        self.charsets = Charsets::default();
        (self.insert, self.wrap) = (false, true);
    }

    fn save(&mut self) {
        self.saved = self.charsets;
        self.out.extend_from_slice(b"\x1b7");
    }

    fn restore(&mut self) {
        self.charsets = self.saved;
        self.out.extend_from_slice(b"\x1b8");
    }

    /// The character as this terminal shows it; none if it shows nothing.
    fn shown(&self, c: char) -> Option<char> {
        let Charsets { graphics: [g0, g1], shifted } = self.charsets;
        match c {
            '_'..='~' if (if shifted { g1 } else { g0 }) => {
                GRAPHICS.get(usize::try_from(u32::from(c) - u32::from('_')).ok()?).copied()
            }
            '\u{fffd}' => Some('?'),
            // Which of an emoji's forms is meant: `vt100` fails on the one in a
            // last column, and few programs count its columns.
            '\u{fe0e}' | '\u{fe0f}' => None,
            c if text::is_unsafe(c) => c.width().is_some_and(|w| w > 0).then_some('?'),
            c => Some(c),
        }
    }

    /// Each mode of `CSI ? … h` or `l` by itself.
    fn mode(&mut self, mode: u16, on: bool) {
        let action = if on { 'h' } else { 'l' };
        match mode {
            7 => self.wrap = on,
            1 | 6 | 9 | 25 | 1000 | 1002 | 1003 | 1005 | 1006 | 2004 => {
                self.put(format_args!("\x1b[?{mode}{action}"));
            }
            47 | 1047 => {
                self.cost += self.cells() / 4;
                self.put(format_args!("\x1b[?47{action}"));
            }
            1048 if on => self.save(),
            1048 => self.restore(),
            1049 => {
                self.cost += self.cells() / 4;
                match on {
                    true => self.saved = self.charsets,
                    false => self.charsets = self.saved,
                }
                self.put(format_args!("\x1b[?1049{action}"));
            }
            _ => {}
        }
    }

    /// Colours and the like, one by one: `vt100` would take the rest of what it
    /// does not know for something that it does.
    fn sgr(&mut self, params: &Params) {
        let mut params = params.iter();
        while let Some(param) = params.next() {
            match param {
                [k @ (38 | 48), 2, r, g, b] | [k @ (38 | 48), 2, _, r, g, b] => {
                    self.put(format_args!("\x1b[{k};2;{r};{g};{b}m"));
                }
                [k @ (38 | 48), 5, n] => self.put(format_args!("\x1b[{k};5;{n}m")),
                [k @ (38 | 48 | 58)] => {
                    let mut next = || params.next().and_then(|p| p.first().copied());
                    match next() {
                        Some(2) => {
                            let (Some(r), Some(g), Some(b)) = (next(), next(), next()) else { return };
                            if *k != 58 {
                                self.put(format_args!("\x1b[{k};2;{r};{g};{b}m"));
                            }
                        }
                        Some(5) => {
                            let Some(n) = next() else { return };
                            if *k != 58 {
                                self.put(format_args!("\x1b[{k};5;{n}m"));
                            }
                        }
                        _ => return,
                    }
                }
                [4, 0] => self.put(format_args!("\x1b[24m")),
                [4, _] | [21] => self.put(format_args!("\x1b[4m")),
                [n] => self.put(format_args!("\x1b[{n}m")),
                _ => {}
            }
        }
    }

    fn report(&mut self, what: u16) {
        match what {
            5 => self.reply(b"\x1b[0n"),
            6 => {
                let (row, col) = self.cursor();
                let (_, cols) = self.size();
                self.reply(format!("\x1b[{};{}R", row + 1, col.min(cols - 1) + 1).as_bytes());
            }
            _ => {}
        }
    }

    fn plain_csi(&mut self, params: &Params, action: char) {
        let (rows, cols) = self.size();
        let first = params.iter().next().and_then(|p| p.first().copied()).unwrap_or(0);
        match action {
            '@' | 'K' | 'P' | 'X' => {
                self.cost += usize::from(cols);
                self.pass("", params, action);
            }
            'A' | 'B' | 'C' | 'D' | 'E' | 'F' | 'G' | 'H' | 'd' | 'f' | 'r' | '`' => {
                self.pass("", params, action);
            }
            'L' | 'M' | 'S' => {
                self.cost += usize::from(first.clamp(1, rows)) * usize::from(cols);
                self.pass("", params, action);
            }
            // With more it is about a mouse.
            'T' if params.len() <= 1 => {
                self.cost += usize::from(first.clamp(1, rows)) * usize::from(cols);
                self.pass("", params, action);
            }
            'J' if first == 3 => self.forget_lines(),
            'J' => {
                self.cost += self.cells() / 4;
                self.pass("", params, action);
            }
            'a' => self.pass("", params, 'C'),
            'e' => self.pass("", params, 'B'),
            'I' => {
                for _ in 0..first.clamp(1, cols / 8 + 1) {
                    self.out.push(b'\t');
                }
            }
            'Z' => {
                let (_, col) = self.cursor();
                let stop = col.div_ceil(8).saturating_sub(first.max(1)).saturating_mul(8);
                self.put(format_args!("\x1b[{}G", stop + 1));
            }
            'b' => {
                let most = u16::try_from(self.cells()).unwrap_or(u16::MAX);
                let count = first.clamp(1, most);
                self.cost += usize::from(count) * 5;
                self.put(format_args!("\x1b[{count}b"));
            }
            's' => self.save(),
            'u' => self.restore(),
            'm' => self.sgr(params),
            'c' if first == 0 => self.reply(WHO_ARE_YOU),
            'n' => self.report(first),
            't' if first == 18 => self.reply(format!("\x1b[8;{rows};{cols}t").as_bytes()),
            'h' | 'l' if params.iter().any(|p| *p == [4]) => self.insert = action == 'h',
            _ => {}
        }
    }

    fn forget_lines(&mut self) {
        self.flush();
        if self.vt.screen().alternate_screen() {
            return;
        }
        let near = self.vt.screen().scrollback_len();
        self.vt.screen_mut().clear_scrollback();
        self.vt.callbacks_mut().history.clear(near);
    }
}

impl vte::Perform for Front {
    fn print(&mut self, c: char) {
        self.cost += 1;
        let Some(c) = self.shown(c) else { return };
        if c.is_ascii() && self.wrap && !self.insert {
            return self.out.push(u8::try_from(c).unwrap_or(b'?'));
        }
        let width = u16::try_from(c.width().unwrap_or(1).min(2)).unwrap_or(1);
        if width > 0 && !self.wrap {
            let ((_, col), (_, cols)) = (self.cursor(), self.size());
            if col + width > cols {
                self.put(format_args!("\x1b[{}G", cols - width + 1));
            }
        }
        if width > 0 && self.insert {
            self.put(format_args!("\x1b[{width}@"));
        }
        self.out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn execute(&mut self, byte: u8) {
        self.cost += 1;
        match byte {
            0x07..=0x0d => self.out.push(byte),
            0x0e => self.charsets.shifted = true,
            0x0f => self.charsets.shifted = false,
            _ => {}
        }
    }

    fn esc_dispatch(&mut self, intermediates: &[u8], ignore: bool, byte: u8) {
        self.cost += 1;
        match (intermediates, byte) {
            _ if ignore => {}
            ([], b'7') => self.save(),
            ([], b'8') => self.restore(),
            ([], b'=' | b'>' | b'M') => self.out.extend_from_slice(&[0x1b, byte]),
            ([], b'D') => self.out.push(b'\n'),
            ([], b'E') => self.out.extend_from_slice(b"\r\n"),
            ([], b'Z') => self.reply(WHO_ARE_YOU),
            ([], b'c') => self.reset(),
            ([b'('], set) => self.charsets.graphics[0] = set == b'0',
            ([b')'], set) => self.charsets.graphics[1] = set == b'0',
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: char) {
        self.cost += 10;
        let first = params.iter().next().and_then(|p| p.first().copied()).unwrap_or(0);
        match (intermediates, action) {
            _ if ignore => {}
            ([], _) => self.plain_csi(params, action),
            (b"?", 'h' | 'l') => {
                for mode in params.iter().filter_map(|p| p.first()) {
                    self.mode(*mode, action == 'h');
                }
            }
            (b"?", 'J' | 'K') => {
                self.cost += self.cells() / 4;
                self.pass("?", params, action);
            }
            (b"?", 'n') if first == 6 => self.report(6),
            // Which modes there are: this one is not known here (DECRQM).
            (b"?$", 'p') => self.reply(format!("\x1b[?{first};0$y").as_bytes()),
            (b"!", 'p') => self.soft_reset(),
            (b">", 'c') if first == 0 => self.reply(WHICH_VERSION),
            _ => {}
        }
    }

    fn osc_dispatch(&mut self, params: &[&[u8]], _bell_terminated: bool) {
        if let [b"0" | b"2", title @ ..] = params {
            self.title = text::short(String::from_utf8_lossy(&title.join(&b';')).trim(), LONGEST_TITLE);
        }
    }

    fn terminated(&self) -> bool {
        self.cost >= BUDGET
    }
}
