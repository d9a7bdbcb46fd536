//! The two ends of a session as the faces see them: what the person types and
//! how wide their window is on one side, bounded output on the other. The SSH
//! layer makes these from a channel; tests make them from nothing.

pub mod keys;

use bytes::Bytes;
use tokio::sync::mpsc;

/// A terminal's size, always at least 1×1 and at most 1000×1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSize {
    /// Columns.
    pub cols: u16,
    /// Rows.
    pub rows: u16,
}

impl WindowSize {
    /// Takes a client's word for its size, within reason: 0 stands for unknown
    /// (RFC 4254 §6.2) and becomes 80×24.
    pub fn clamp(cols: u32, rows: u32) -> Self {
        let dimension = |n: u32, unknown: u16| match n {
            0 => unknown,
            n => u16::try_from(n.min(1000)).unwrap_or(1000),
        };
        WindowSize { cols: dimension(cols, 80), rows: dimension(rows, 24) }
    }
}

/// The terminal that a client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminal {
    /// Its `TERM`.
    pub term: String,
    /// Its size at first.
    pub size: WindowSize,
    /// Its modes (RFC 4254 §8): opcode and argument.
    pub modes: Vec<(u8, u32)>,
}

/// What comes from the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Bytes as they arrived: packets mean nothing.
    Data(Bytes),
    /// The window has another size.
    Resize(WindowSize),
    /// No more bytes will come; output is still read.
    Eof,
    /// They pressed a key that the client turned into a signal, such as `INT`.
    Signal(String),
}

/// What goes to the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Out(Bytes),
    /// Standard error.
    Err(Bytes),
}

/// Writes to the person. Waits while they do not read; clones share the way.
#[derive(Debug, Clone)]
pub struct Writer {
    to: mpsc::Sender<Output>,
    /// A terminal makes no difference between output and errors, and wants `\r\n`.
    terminal: bool,
}

impl Writer {
    /// To standard output. Errors mean that nobody is there any more.
    pub async fn out(&self, text: impl Into<Bytes>) -> Result<(), Gone> {
        self.send(text.into(), Output::Out).await
    }

    /// To standard error.
    pub async fn err(&self, text: impl Into<Bytes>) -> Result<(), Gone> {
        let make = if self.terminal { Output::Out } else { Output::Err };
        self.send(text.into(), make).await
    }

    /// Bytes for the terminal exactly as they are.
    pub async fn raw(&self, bytes: Bytes) -> Result<(), Gone> {
        self.to.send(Output::Out(bytes)).await.map_err(|_| Gone)
    }

    /// The same, of what a guest calls its standard error.
    pub async fn raw_err(&self, bytes: Bytes) -> Result<(), Gone> {
        self.to.send(Output::Err(bytes)).await.map_err(|_| Gone)
    }

    /// True while nobody reads and the way is full.
    pub fn is_full(&self) -> bool {
        self.to.capacity() == 0
    }

    /// Ends when nobody reads any more, ever.
    pub async fn closed(&self) {
        self.to.closed().await;
    }

    async fn send(&self, text: Bytes, make: fn(Bytes) -> Output) -> Result<(), Gone> {
        if text.is_empty() {
            return Ok(());
        }
        let text = if self.terminal { with_carriage_returns(&text) } else { text };
        self.to.send(make(text)).await.map_err(|_| Gone)
    }
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// With this status.
    Status(u32),
    /// By a signal (RFC 4254 §6.10).
    Signal {
        /// Without `SIG`.
        name: String,
        /// Whether it dumped core.
        core_dumped: bool,
        /// What was said of it.
        message: String,
    },
}

/// The person hung up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// Both ends of one session.
#[derive(Debug)]
pub struct Stdio {
    /// From the person.
    pub input: mpsc::Receiver<Input>,
    /// To the person.
    pub writer: Writer,
    /// Their terminal, if they asked for one.
    pub terminal: Option<Terminal>,
    /// Variables of theirs that are let through: `LANG`, `LC_*`, `COLORTERM`, `NO_COLOR`.
    pub env: Vec<(String, String)>,
}

impl Stdio {
    /// Takes note of the window's new size.
    pub fn resized(&mut self, size: WindowSize) {
        if let Some(terminal) = &mut self.terminal {
            terminal.size = size;
        }
    }

    /// The value of a variable.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.env.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// Messages that may wait in either direction.
const DEPTH: usize = 16;

/// A session's ends and, for whoever carries them, the other ends of those.
pub fn pair(
    terminal: Option<Terminal>,
    env: Vec<(String, String)>,
) -> (Stdio, mpsc::Sender<Input>, mpsc::Receiver<Output>) {
    let (input_tx, input) = mpsc::channel(DEPTH);
    let (to, output_rx) = mpsc::channel(DEPTH);
    let writer = Writer { to, terminal: terminal.is_some() };
    (Stdio { input, writer, terminal, env }, input_tx, output_rx)
}

fn with_carriage_returns(text: &Bytes) -> Bytes {
    if !text.contains(&b'\n') {
        return text.clone();
    }
    let mut out = Vec::with_capacity(text.len() + 16);
    let mut last = 0;
    for &b in text {
        if b == b'\n' && last != b'\r' {
            out.push(b'\r');
        }
        out.push(b);
        last = b;
    }
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_of_nothing_and_of_everything() {
        assert_eq!(WindowSize::clamp(0, 0), WindowSize { cols: 80, rows: 24 });
        assert_eq!(WindowSize::clamp(65535, 1), WindowSize { cols: 1000, rows: 1 });
    }

    #[tokio::test]
    async fn a_terminal_gets_one_stream_with_carriage_returns() {
        let terminal = Terminal { term: "xterm".into(), size: WindowSize::clamp(0, 0), modes: vec![] };
        let (stdio, _input, mut output) = pair(Some(terminal), vec![]);
        stdio.writer.err("a\nb\r\n").await.unwrap();
        assert_eq!(output.recv().await, Some(Output::Out(Bytes::from_static(b"a\r\nb\r\n"))));
    }
}
