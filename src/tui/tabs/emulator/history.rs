//! The lines that have left a terminal at its top, as text with colours: a
//! fraction of what they take as cells.

use std::collections::VecDeque;

use vt100::capture::{BasicFormattedCaptureState, RowContents};

/// Lines that are kept.
const MOST_LINES: usize = 2000;
/// And bytes of them.
const MOST_BYTES: usize = 512 * 1024;

/// A line of text, its colours as SGR sequences, beginning plain.
#[derive(Debug)]
pub(super) struct Line {
    pub text: Box<str>,
    /// The next one goes on with it.
    pub wrapped: bool,
}

/// The lines, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    pub lines: VecDeque<Line>,
    /// How many there were before the first.
    pub dropped: u64,
    bytes: usize,
    /// Knows whether the last line goes on.
    last: Option<BasicFormattedCaptureState>,
}

impl History {
    pub fn push(&mut self, row: &RowContents<'_>) {
        self.end_last(row);
        let (mut text, mut state) = (String::new(), BasicFormattedCaptureState::new());
        // Writing to a string cannot fail.
        let _ = row.write_formatted_basic(&mut text, &mut state);
        self.bytes += text.len();
        self.last = Some(state);
        self.lines.push_back(Line { text: text.into_boxed_str(), wrapped: false });
        while self.lines.len() > MOST_LINES || self.bytes > MOST_BYTES {
            self.drop_first();
        }
    }

    /// `vt100` tells whether a row goes on only by what it writes before the next.
    fn end_last(&mut self, row: &RowContents<'_>) {
        let mut begins = Begins::Nothing;
        let Some(mut state) = self.last.take() else { return };
        let _ = row.write_formatted_basic(&mut begins, &mut state);
        if let (Some(line), false) = (self.lines.back_mut(), matches!(begins, Begins::Newline)) {
            line.wrapped = true;
        }
    }

    fn drop_first(&mut self) {
        if let Some(line) = self.lines.pop_front() {
            self.bytes -= line.text.len();
            self.dropped += 1;
        }
    }

    /// Forgets all of them, and `more` that were not here yet.
    pub fn clear(&mut self, more: usize) {
        self.dropped += u64::try_from(self.lines.len() + more).unwrap_or(0);
        self.lines = VecDeque::new();
        self.bytes = 0;
        self.last = None;
    }
}

/// Looks at what is written first and wants no more.
enum Begins {
    Nothing,
    Newline,
    Text,
}

impl std::fmt::Write for Begins {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        if s.is_empty() {
            return Ok(());
        }
        *self = if s.starts_with('\n') { Begins::Newline } else { Begins::Text };
        Err(std::fmt::Error)
    }
}
