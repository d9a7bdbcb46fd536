//! The line face: one-shot commands, lines from a pipe, and a line editor on a
//! terminal. All three run the same words through the same [`Shell::execute`].

mod ask;
mod capture;
pub mod editor;
mod follow;
pub mod grammar;
mod help;
mod lines;
mod newcomer;
mod people;
pub mod qr;
mod render;
mod run;
mod tail;
mod totp;

use bytes::Bytes;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::model::text;
use crate::portal::{Portal, Principal};
use crate::term::{Ended, Stdio};

pub use ask::choose_password;
pub use capture::{Kind, Said, capture, kind};
pub use lines::{complete, interactive, piped};
pub use newcomer::welcome;
pub use render::{Render, table};
pub use totp::enrol;

/// Where words are executed for somebody.
pub struct Shell<'a> {
    portal: &'a Portal,
    who: &'a Principal,
    stdio: &'a mut Stdio,
    /// Standard input holds the commands themselves: no verb may read it.
    input_is_commands: bool,
    /// This command's answer is one JSON document.
    json: bool,
}

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Flow {
    /// It ended so.
    Done(Ended),
    /// Somebody wants to leave.
    Exit,
}

/// It was done.
const DONE: Flow = Flow::Done(Ended::Status(0));

/// Whether a command is the one that asks for another password itself.
pub fn changes_password(line: &[u8]) -> bool {
    use grammar::{AccountVerb, Command, Parsed};
    let parsed = grammar::words(line).and_then(|words| grammar::parse(&words));
    matches!(parsed, Ok(Parsed::Run(line)) if matches!(line.command, Command::Account(AccountVerb::Passwd(_))))
}

/// The verb of a command, as a limit of a key names it; none of what is no command.
pub fn verb_of(line: &str) -> Option<crate::model::limits::Verb> {
    grammar::verb_of(line)
}

/// Whether a command may be run before a second factor is set up that is demanded.
pub fn needs_no_factor(line: &[u8]) -> bool {
    use grammar::{Command, Parsed};
    let parsed = grammar::words(line).and_then(|words| grammar::parse(&words));
    match parsed {
        Ok(Parsed::Run(line)) => matches!(
            line.command,
            Command::Account(_) | Command::Whoami(_) | Command::Help { .. } | Command::Exit
        ),
        Ok(Parsed::Help(_)) => true,
        Ok(Parsed::Nothing) | Err(_) => false,
    }
}

/// Runs one command, as in `ssh portal vm ls`.
pub async fn command(portal: &Portal, who: &Principal, stdio: &mut Stdio, line: &[u8]) -> Ended {
    let mut shell = Shell { portal, who, stdio, input_is_commands: false, json: false };
    match shell.execute(line).await {
        Flow::Done(ended) => ended,
        Flow::Exit => Ended::Status(0),
    }
}

impl Shell<'_> {
    /// Runs a line and says how it went; never fails.
    async fn execute(&mut self, line: &[u8]) -> Flow {
        match self.try_execute(line).await {
            Ok(flow) => flow,
            Err(e) => {
                self.complain(&e).await;
                Flow::Done(Ended::Status(e.exit() as u32))
            }
        }
    }

    async fn try_execute(&mut self, line: &[u8]) -> Result<Flow> {
        self.json = false;
        let words = grammar::words(line).inspect_err(|_| {
            // Before the words are known, the flag can only be looked for.
            self.json = line.windows(6).any(|w| w == b"--json");
        })?;
        self.json = grammar::wants_json(&words);
        match grammar::parse(&words)? {
            grammar::Parsed::Nothing => Ok(DONE),
            grammar::Parsed::Help(text) => self.say(text).await,
            grammar::Parsed::Run(line) if matches!(line.command, grammar::Command::Shell) => {
                Box::pin(self.nested()).await
            }
            grammar::Parsed::Run(line) => self.run(line.command).await,
        }
    }

    /// `shell`, where there is none yet.
    async fn nested(&mut self) -> Result<Flow> {
        if self.stdio.terminal.is_none() {
            return Err(Error::new(
                crate::error::Code::NeedsTerminal,
                "The line shell wants a terminal, or commands on standard input.",
            ));
        }
        Ok(Flow::Done(interactive(self.portal, self.who, self.stdio).await))
    }

    async fn complain(&mut self, e: &Error) {
        let text = if self.json { text::json_for_terminals(&e.to_json()) } else { e.to_string() };
        let _ = self.stdio.writer.err(format!("{text}\n")).await;
    }

    /// Text for people: on standard output.
    async fn say(&mut self, text: impl Into<Bytes>) -> Result<Flow> {
        let _ = self.stdio.writer.out(text).await;
        Ok(DONE)
    }

    /// A remark beside the answer: on standard error.
    async fn remark(&mut self, text: &str) {
        let _ = self.stdio.writer.err(format!("{text}\n")).await;
    }

    /// An answer: a JSON document, or its text.
    async fn answer<T: Serialize + Render + ?Sized>(&mut self, value: &T) -> Result<Flow> {
        if self.json { self.document(value).await } else { self.say(value.text()).await }
    }

    async fn document<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<Flow> {
        let document = serde_json::to_string(value).map_err(Error::internal)?;
        let mut text = text::json_for_terminals(&document);
        text.push('\n');
        self.say(text).await
    }
}
