//! A person at a terminal: a client in a pseudo-terminal of util-linux's
//! `script`, and the screen as they would see it.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};

use super::PATIENCE;

const ROWS: u16 = 24;
const COLS: u16 = 80;

/// A program in a terminal.
pub struct Pty {
    /// Where its terminal's device is written.
    tty: tempfile::NamedTempFile,
    child: Child,
    keyboard: ChildStdin,
    seen: Arc<Mutex<Seen>>,
}

struct Seen {
    screen: vt100::Parser,
    all: Vec<u8>,
}

impl Pty {
    /// Starts a program, as described by a command that is not run itself.
    pub fn spawn(command: &Command) -> Pty {
        Pty::spawn_sized(command, COLS, ROWS)
    }

    /// The same in a terminal of another size.
    pub fn spawn_sized(command: &Command, cols: u16, rows: u16) -> Pty {
        let tty = tempfile::NamedTempFile::new().unwrap();
        let command = command.as_std();
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<_> = words.map(|w| w.to_str().unwrap()).collect();
        let line = shlex::try_join(words).unwrap();
        let mut script = Command::new("script");
        let note = format!("tty > '{}'", tty.path().display());
        script.args(["-qfec", &format!("{note}; stty rows {rows} cols {cols}; exec {line}"), "/dev/null"]);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        script.env("TERM", "xterm-256color").env("SHELL", "/bin/sh");
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = script.spawn().unwrap();
        let mut output = child.stdout.take().unwrap();
        let screen = vt100::Parser::new(rows.try_into().unwrap(), cols.try_into().unwrap(), 0);
        let seen = Arc::new(Mutex::new(Seen { screen, all: Vec::new() }));
        let filling = Arc::clone(&seen);
        tokio::spawn(async move {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(n @ 1..) = output.read(&mut buffer).await {
                let mut seen = filling.lock().unwrap();
                seen.screen.process(&buffer[..n]);
                seen.all.extend_from_slice(&buffer[..n]);
            }
        });
        let keyboard = child.stdin.take().unwrap();
        Pty { tty, child, keyboard, seen }
    }

    /// Types.
    pub async fn send(&mut self, keys: impl AsRef<[u8]>) {
        self.keyboard.write_all(keys.as_ref()).await.unwrap();
        self.keyboard.flush().await.unwrap();
    }

    /// Gives the window another size.
    pub async fn resize(&self, cols: u16, rows: u16) {
        let (rows_word, cols_word) = (rows.to_string(), cols.to_string());
        self.seen
            .lock()
            .unwrap()
            .screen
            .screen_mut()
            .set_size(rows.try_into().unwrap(), cols.try_into().unwrap());
        let tty = std::fs::read_to_string(self.tty.path()).unwrap();
        let mut stty = Command::new("stty");
        stty.args(["-F", tty.trim(), "rows", &rows_word, "cols", &cols_word]);
        assert!(stty.status().await.unwrap().success());
    }

    /// Whether the terminal is as a program leaves it that cleans up: the usual
    /// screen, its cursor, no mouse, no marks around pastes.
    pub fn is_left_clean(&self) -> bool {
        let seen = self.seen.lock().unwrap();
        let screen = seen.screen.screen();
        !screen.alternate_screen()
            && !screen.hide_cursor()
            && !screen.bracketed_paste()
            && screen.mouse_protocol_mode() == vt100::MouseProtocolMode::None
    }

    /// What is on the screen.
    pub fn screen(&self) -> String {
        self.seen.lock().unwrap().screen.screen().contents()
    }

    /// Every byte that came.
    pub fn all(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap().all).into_owned()
    }

    /// Waits until that text is on the screen.
    pub async fn shows(&self, text: &str) {
        let deadline = tokio::time::Instant::now() + PATIENCE / 4;
        while !self.screen().contains(text) {
            assert!(tokio::time::Instant::now() < deadline, "no “{text}” on the screen:\n{}", self.screen());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until that text is not on the screen any more.
    pub async fn hides(&self, text: &str) {
        let deadline = tokio::time::Instant::now() + PATIENCE / 4;
        while self.screen().contains(text) {
            assert!(
                tokio::time::Instant::now() < deadline,
                "“{text}” stays on the screen:\n{}",
                self.screen()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for the end of the program; its exit status.
    pub async fn ended(&mut self) -> i32 {
        let status = tokio::time::timeout(PATIENCE / 4, self.child.wait()).await;
        status.unwrap_or_else(|_| panic!("it does not end:\n{}", self.screen())).unwrap().code().unwrap_or(-1)
    }
}
