//! What a person's terminal sends, as keys: [`Decoder`] makes them of bytes,
//! [`Keys`] reads a session's input as events and knows about silence.

mod decoder;

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Input, WindowSize};
pub use decoder::Decoder;

/// How long an ESC may stay alone before it is the Esc key.
pub const ESC_TIMEOUT: Duration = Duration::from_millis(50);
/// The longest paste that is kept, bytes; the rest of a longer one is dropped.
pub const LONGEST_PASTE: usize = 64 * 1024;
/// Asks a terminal to mark pastes.
pub const PASTE_ON: &str = "\x1b[?2004h";
/// Asks a terminal to tell of clicks and the wheel.
pub const MOUSE_ON: &str = "\x1b[?1000h\x1b[?1006h";
/// And not to.
pub const MOUSE_OFF: &str = "\x1b[?1006l\x1b[?1000l";
/// Asks a terminal not to mark pastes any more.
pub const PASTE_OFF: &str = "\x1b[?2004l";

/// A key. Modifiers of arrows and function keys are not told.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// A character, never a control character. U+FFFD stands for invalid UTF-8.
    Char(char),
    /// Control with a lower-case letter, space, or one of `\ ] ^ _`.
    Ctrl(char),
    /// Alt (or Meta) with a character; U+007F for Alt-Backspace.
    Alt(char),
    /// Return, or Ctrl-J.
    Enter,
    /// Tab.
    Tab,
    /// Shift-Tab.
    BackTab,
    /// Backspace, or Ctrl-H.
    Backspace,
    /// Delete.
    Delete,
    /// Insert.
    Insert,
    /// Esc by itself.
    Esc,
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Arrow left.
    Left,
    /// Arrow right.
    Right,
    /// Home.
    Home,
    /// End.
    End,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// A function key, from 1.
    F(u8),
    /// The mouse, where it was asked for.
    Mouse(Mouse),
    /// A bracketed paste: lines end in `\n`, and of the controls only it and tab are left.
    Paste(String),
}

/// What a mouse did (xterm's SGR form, mode 1006).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mouse {
    /// Button and modifiers, as xterm numbers them.
    pub button: u16,
    /// It was pressed, not released.
    pub pressed: bool,
    /// The column, from 0.
    pub column: u16,
    /// The row, from 0.
    pub row: u16,
}

/// A step of the wheel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wheel {
    /// Towards what is above.
    Up,
    /// Towards what is below.
    Down,
}

/// xterm's number of the wheel's first direction, and what modifiers add.
const WHEEL: u16 = 64;
const MODIFIERS: u16 = 4 | 8 | 16;

impl Mouse {
    /// The wheel's step, if it is one.
    pub fn wheel(self) -> Option<Wheel> {
        match self.button & !MODIFIERS {
            n if n == WHEEL => Some(Wheel::Up),
            n if n == WHEEL + 1 => Some(Wheel::Down),
            _ => None,
        }
    }

    /// Whether the first button was pressed.
    pub fn is_click(self) -> bool {
        self.pressed && self.button & !MODIFIERS == 0
    }
}

/// What happens at the person's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A key.
    Key(Key),
    /// Another size of their window.
    Resize(WindowSize),
    /// They will type no more, but may still read.
    Eof,
    /// They hung up.
    Gone,
}

/// Reads a session's input as events. It keeps what a packet has left over, so
/// one reader belongs to one session.
#[derive(Debug, Default)]
pub struct Keys {
    decoder: Decoder,
    ready: VecDeque<Event>,
    /// When the pending ESC becomes a key.
    esc_at: Option<Instant>,
}

impl Keys {
    /// A reader that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next event. Nothing is lost if this is dropped before it ends.
    pub async fn next(&mut self, input: &mut mpsc::Receiver<Input>) -> Event {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return event;
            }
            let got = match self.esc_at {
                None => input.recv().await,
                Some(at) => match tokio::time::timeout_at(at, input.recv()).await {
                    Ok(got) => got,
                    Err(_) => {
                        self.flush();
                        continue;
                    }
                },
            };
            self.take(got);
        }
    }

    /// The next event, if it has come already: so that many keys cost one redraw.
    pub fn try_next(&mut self, input: &mut mpsc::Receiver<Input>) -> Option<Event> {
        while self.ready.is_empty() {
            let got = input.try_recv().ok()?;
            self.take(Some(got));
        }
        self.ready.pop_front()
    }

    /// Takes bytes that somebody else had first.
    pub fn push(&mut self, bytes: &[u8]) {
        self.take(Some(Input::Data(bytes::Bytes::copy_from_slice(bytes))));
    }

    fn take(&mut self, got: Option<Input>) {
        match got {
            Some(Input::Data(bytes)) => {
                self.ready.extend(self.decoder.feed(&bytes).into_iter().map(Event::Key));
                self.esc_at = self.decoder.pending_esc().then(|| Instant::now() + ESC_TIMEOUT);
            }
            Some(Input::Resize(size)) => self.ready.push_back(Event::Resize(size)),
            Some(Input::Signal(name)) if name == "INT" => self.ready.push_back(Event::Key(Key::Ctrl('c'))),
            Some(Input::Signal(_)) => {}
            Some(Input::Eof) => {
                self.flush();
                self.ready.push_back(Event::Eof);
            }
            None => {
                self.flush();
                self.ready.push_back(Event::Gone);
            }
        }
    }

    fn flush(&mut self) {
        self.esc_at = None;
        self.ready.extend(self.decoder.flush().map(Event::Key));
    }
}

#[cfg(test)]
mod tests;
