//! A VM's serial console on a person's terminal; Ctrl-] leaves it.

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::term::{Ended, Input, Stdio};

/// What Ctrl-] sends, as telnet and virsh have it.
const LEAVE: u8 = 0x1d;

/// How long the guest may take for what was typed at once.
const TAKE: std::time::Duration = std::time::Duration::from_millis(500);

/// Carries both ways until the person leaves or the console ends.
pub async fn run(stdio: &mut Stdio, console: DuplexStream, name: &str) -> Ended {
    let writer = stdio.writer.clone();
    let hello = format!("Console of {name}. Ctrl-] leaves it; Enter wakes it.\r\n");
    let _ = writer.raw(Bytes::from(hello)).await;
    carry(stdio, console, Some(LEAVE)).await;
    // The guest may have left colours or the alternate screen behind.
    let _ = writer.raw(Bytes::from_static(b"\x1b[0m\x1b[?1049l\x1b[?25h\r\nLeft the console.\r\n")).await;
    Ended::Status(0)
}

/// The same without a word, and with another byte that leaves it, or none.
pub async fn carry(stdio: &mut Stdio, console: DuplexStream, leave: Option<u8>) {
    let writer = stdio.writer.clone();
    let (mut from, mut to) = tokio::io::split(console);
    let typed = async {
        while let Some(input) = stdio.input.recv().await {
            match input {
                Input::Data(bytes) => {
                    let end = bytes.iter().position(|b| Some(*b) == leave);
                    let before = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
                    // A guest that takes no input must not keep anybody here; a
                    // serial line loses what nobody takes.
                    let written = tokio::time::timeout(TAKE, to.write_all(before)).await;
                    if matches!(written, Ok(Err(_))) || end.is_some() {
                        return;
                    }
                }
                Input::Eof => return,
                Input::Resize(_) | Input::Signal(_) => {}
            }
        }
    };
    let shown = async {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(n @ 1..) = from.read(&mut buffer).await {
            let bytes = Bytes::copy_from_slice(buffer.get(..n).unwrap_or_default());
            if writer.raw(bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = typed => {}
        () = shown => {}
        () = writer.closed() => {}
    }
}
