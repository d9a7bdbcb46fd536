//! Bytes to keys. Bytes are a stream: one packet may
//! hold half a sequence, or an arrow key and a `q`. Every byte goes through one
//! state machine, so packets cannot matter.
//!
//! ```text
//!          ┌────────── text, controls: a key each ──────────┐
//!  Ground ─┤ ESC                                            │
//!          └──▶ Escape ── x ─────────────▶ Alt-x            ├─▶ Ground
//!                 │ ├── O ──▶ Ss3 ── A ──▶ Up, …            │
//!                 │ └── [ ] P X ^ _ ──▶ Sequence ── final ──┘
//!                 └── 50 ms of silence ──▶ Esc
//! ```
//!
//! `vte` reads parameters and UTF-8; what it cannot tell apart (a lone Esc, Alt
//! with a key that begins a string) is decided here.

use super::{Key, LONGEST_PASTE, Mouse};

/// The longest sequence that is read; a longer one is dropped.
const LONGEST_SEQUENCE: usize = 4096;

/// Where the bytes have led.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ground,
    /// After ESC; `ended` if that ESC may be the first half of a string's end (`ESC \`).
    Escape {
        ended: bool,
    },
    /// After ESC O.
    Ss3,
    /// In a control sequence (`[`) or a string (`] P X ^ _`), of so many bytes so far.
    Sequence {
        kind: u8,
        length: usize,
    },
    /// In a string that is too long to keep.
    Dropping,
    /// In the three bytes after `ESC [ M`: a mouse's, in the oldest form.
    Skip(u8),
}

/// Turns bytes into keys, however they are cut into packets.
pub struct Decoder {
    parser: vte::Parser,
    state: State,
    sink: Sink,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Decoder {
    /// A decoder that has seen nothing.
    pub fn new() -> Self {
        Decoder { parser: vte::Parser::new(), state: State::Ground, sink: Sink::default() }
    }

    /// The keys that these bytes complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Key> {
        for &byte in bytes {
            self.step(byte);
        }
        std::mem::take(&mut self.sink.keys)
    }

    /// True while silence would make a key of what has come: an ESC alone, or
    /// with one more byte that a person may have typed with Alt.
    pub fn pending_esc(&self) -> bool {
        self.sink.paste.is_none()
            && match self.state {
                State::Escape { ended } => !ended,
                State::Ss3 => true,
                State::Sequence { length, .. } => length == 2,
                State::Ground | State::Dropping | State::Skip(_) => false,
            }
    }

    /// The key that silence makes of what is pending.
    pub fn flush(&mut self) -> Option<Key> {
        if !self.pending_esc() {
            return None;
        }
        let key = match self.state {
            State::Escape { .. } => Key::Esc,
            State::Ss3 => Key::Alt('O'),
            State::Sequence { kind, .. } => Key::Alt(char::from(kind)),
            State::Ground | State::Dropping | State::Skip(_) => return None,
        };
        self.reset();
        Some(key)
    }

    fn reset(&mut self) {
        self.parser = vte::Parser::new();
        self.state = State::Ground;
    }

    fn step(&mut self, byte: u8) {
        match self.state {
            State::Ground => self.ground(byte),
            State::Escape { ended } => self.escape(byte, ended),
            State::Ss3 => self.ss3(byte),
            State::Sequence { kind, length } => self.sequence(byte, kind, length),
            State::Dropping => match byte {
                0x1b => self.begin_escape(true),
                0x00..=0x1f => self.reset(),
                _ => {}
            },
            State::Skip(n) => self.state = if n > 1 { State::Skip(n - 1) } else { State::Ground },
        }
    }

    fn pass(&mut self, byte: u8) {
        self.parser.advance(&mut self.sink, &[byte]);
    }

    fn begin_escape(&mut self, ended: bool) {
        self.pass(0x1b);
        self.state = State::Escape { ended };
    }

    fn ground(&mut self, byte: u8) {
        if byte == 0x1b {
            return self.begin_escape(false);
        }
        self.pass(byte);
    }

    fn escape(&mut self, byte: u8, ended: bool) {
        match byte {
            b'\\' if ended => self.reset(),
            b'[' | b']' | b'P' | b'X' | b'^' | b'_' => {
                self.pass(byte);
                self.state = State::Sequence { kind: byte, length: 2 };
            }
            b'O' => {
                self.reset();
                self.state = State::Ss3;
            }
            0x1b => self.sink.key(Key::Esc),
            0x08 | 0x7f => self.resolve(Key::Alt('\u{7f}')),
            0x20..=0x7e => self.resolve(Key::Alt(char::from(byte))),
            0x00..=0x1f => {
                self.resolve(Key::Esc);
                self.ground(byte);
            }
            // The rest of the character follows.
            0x80..=0xff => {
                self.reset();
                self.sink.alt = true;
                self.ground(byte);
            }
        }
    }

    fn resolve(&mut self, key: Key) {
        self.reset();
        self.sink.key(key);
    }

    /// Application cursor and keypad keys (`ESC O x`), as xterm sends them.
    fn ss3(&mut self, byte: u8) {
        let key = match byte {
            // A modifier, as in `ESC O 5 A`.
            b'0'..=b'9' | b';' => return,
            b'I' => Key::Tab,
            b'M' => Key::Enter,
            b'X' => Key::Char('='),
            b'j'..=b'y' => Key::Char(char::from(byte - 0x40)),
            0x40..=0x7e => {
                self.reset();
                if let Some(key) = letter(char::from(byte)) {
                    self.sink.key(key);
                }
                return;
            }
            _ => {
                self.resolve(Key::Alt('O'));
                return self.ground(byte);
            }
        };
        self.resolve(key);
    }

    fn sequence(&mut self, byte: u8, kind: u8, length: usize) {
        let control = kind == b'[';
        match byte {
            0x1b => return self.begin_escape(!control),
            // No reply of a terminal holds these: somebody is stuck in a string.
            0x03 | 0x0d if !control => {
                self.reset();
                return self.ground(byte);
            }
            _ => {}
        }
        self.pass(byte);
        let over = match byte {
            0x18 | 0x1a => true,
            0x07 => kind == b']',
            0x40..=0x7e => control,
            _ => false,
        };
        if over {
            self.state = match std::mem::take(&mut self.sink.skip) {
                0 => State::Ground,
                n => State::Skip(n),
            };
        } else if length >= LONGEST_SEQUENCE {
            self.reset();
            self.state = State::Dropping;
        } else {
            self.state = State::Sequence { kind, length: length + 1 };
        }
    }
}

/// The key of a final letter, after `ESC [` as after `ESC O`.
fn letter(c: char) -> Option<Key> {
    Some(match c {
        'A' => Key::Up,
        'B' => Key::Down,
        'C' => Key::Right,
        'D' => Key::Left,
        'H' => Key::Home,
        'F' => Key::End,
        'P' => Key::F(1),
        'Q' => Key::F(2),
        'R' => Key::F(3),
        'S' => Key::F(4),
        'Z' => Key::BackTab,
        _ => return None,
    })
}

/// The key of `ESC [ n ~`.
fn numbered(n: u16) -> Option<Key> {
    let function = |n: u16| u8::try_from(n).ok().map(Key::F);
    match n {
        1 | 7 => Some(Key::Home),
        2 => Some(Key::Insert),
        3 => Some(Key::Delete),
        4 | 8 => Some(Key::End),
        5 => Some(Key::PageUp),
        6 => Some(Key::PageDown),
        11..=15 => function(n - 10),
        17..=21 => function(n - 11),
        23..=26 => function(n - 12),
        28 | 29 => function(n - 13),
        31..=34 => function(n - 14),
        _ => None,
    }
}

/// What `vte` makes of the bytes that it is given.
#[derive(Default)]
struct Sink {
    keys: Vec<Key>,
    paste: Option<String>,
    /// The next character comes with Alt.
    alt: bool,
    /// The next letter is a function key of the Linux console (`ESC [ [ A`).
    linux: bool,
    /// The paste's last control was `\r`.
    carriage: bool,
    /// Bytes after the sequence that are a mouse's.
    skip: u8,
}

impl Sink {
    /// A key; within a paste there are none.
    fn key(&mut self, key: Key) {
        if self.paste.is_none() {
            self.keys.push(key);
        }
    }

    /// `ESC [ < button ; column ; row M`, or `m` for a release.
    fn mouse(&mut self, params: &vte::Params, pressed: bool) {
        let mut numbers = params.iter().filter_map(|p| p.first()).copied();
        if let (Some(button), Some(column @ 1..), Some(row @ 1..), None) =
            (numbers.next(), numbers.next(), numbers.next(), numbers.next())
        {
            self.key(Key::Mouse(Mouse { button, pressed, column: column - 1, row: row - 1 }));
        }
    }

    fn paste_char(&mut self, c: char) {
        let carriage = std::mem::replace(&mut self.carriage, c == '\r');
        let c = match c {
            '\r' => '\n',
            '\n' if carriage => return,
            '\n' | '\t' => c,
            c if c.is_control() => return,
            c => c,
        };
        if let Some(paste) = &mut self.paste
            && paste.len() + c.len_utf8() <= LONGEST_PASTE
        {
            paste.push(c);
        }
    }

    fn sequence(&mut self, n: u16, single: bool, action: char) {
        match (action, n) {
            ('~', 200) => self.paste = Some(self.paste.take().unwrap_or_default()),
            ('~', 201) => {
                if let Some(text) = self.paste.take() {
                    self.carriage = false;
                    self.keys.push(Key::Paste(text));
                }
            }
            // The end of a paste must not be taken for a mouse's bytes.
            _ if self.paste.is_some() => {}
            ('~', n) => self.keys.extend(numbered(n)),
            ('M', 0) if single => self.skip = 3,
            ('[', 0) if single => self.linux = true,
            // With parameters it is the cursor's position, which nobody asked for.
            ('R', n) if n > 0 => {}
            (c, _) => self.keys.extend(letter(c)),
        }
    }
}

impl vte::Perform for Sink {
    fn print(&mut self, c: char) {
        if self.paste.is_some() {
            return self.paste_char(c);
        }
        let (alt, linux) = (std::mem::take(&mut self.alt), std::mem::take(&mut self.linux));
        self.keys.push(match c {
            'A'..='E' if linux => Key::F(u8::try_from(c).unwrap_or(b'A') - b'A' + 1),
            '\u{7f}' => Key::Backspace,
            // C1 controls in UTF-8, which `vte` passes on where they come in two packets.
            c if c.is_control() => return,
            c if alt => Key::Alt(c),
            c => Key::Char(c),
        });
    }

    fn execute(&mut self, byte: u8) {
        if self.paste.is_some() {
            return self.paste_char(char::from(byte));
        }
        (self.alt, self.linux) = (false, false);
        self.keys.push(match byte {
            0x00 => Key::Ctrl(' '),
            0x08 => Key::Backspace,
            b'\t' => Key::Tab,
            b'\r' | b'\n' => Key::Enter,
            0x01..=0x1a => Key::Ctrl(char::from(byte + 0x60)),
            0x1c..=0x1f => Key::Ctrl(char::from(byte + 0x40)),
            // C1 controls: nobody's keyboard has them.
            _ => return,
        });
    }

    fn csi_dispatch(&mut self, params: &vte::Params, intermediates: &[u8], ignore: bool, action: char) {
        (self.alt, self.linux) = (false, false);
        if !ignore && intermediates == b"<" && matches!(action, 'M' | 'm') {
            return self.mouse(params, action == 'M');
        }
        if ignore || !intermediates.is_empty() {
            // A terminal's reply.
            return;
        }
        let first = params.iter().next().and_then(|p| p.first()).copied().unwrap_or(0);
        self.sequence(first, params.len() == 1, action);
    }
}
