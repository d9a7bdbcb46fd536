//! A command for a face that is not a stream: what it would have written, as text.

use super::grammar::{self, AccountVerb, Command, EventVerb, JobVerb, Parsed, TotpVerb, VmVerb};
use crate::model::name::VmRef;
use crate::portal::{Portal, Principal};
use crate::term::{self, Ended, Input, Output};

/// The most that is kept of what a command says, bytes.
const LONGEST: usize = 256 * 1024;

/// What running a line needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Nothing but the answer's room.
    Answers,
    /// A terminal: it asks, or is used.
    Talks,
    /// A VM is entered by a shell.
    Enter(VmRef),
    /// Its console is.
    Console(VmRef),
    /// Somebody leaves.
    Leave,
}

/// What running that line needs. A line that is not understood needs nothing: it
/// is answered with what is wrong.
pub fn kind(line: &[u8]) -> Kind {
    let parsed = grammar::words(line).and_then(|words| grammar::parse(&words));
    let Ok(Parsed::Run(line)) = parsed else { return Kind::Answers };
    #[allow(clippy::wildcard_enum_match_arm)]
    match line.command {
        Command::Exit => Kind::Leave,
        Command::Shell | Command::Account(AccountVerb::Passwd(_)) => Kind::Talks,
        Command::Account(AccountVerb::Totp(TotpVerb::Enable(enable))) if !enable.text => Kind::Talks,
        Command::Account(AccountVerb::Totp(TotpVerb::Confirm(confirm))) if confirm.code.is_empty() => {
            Kind::Talks
        }
        Command::Account(AccountVerb::Totp(TotpVerb::Disable(_) | TotpVerb::BackupCodes(_))) => Kind::Talks,
        // They go on and on.
        Command::Job(JobVerb::Watch(_)) | Command::Event(EventVerb::Tail(_)) => Kind::Talks,
        Command::Vm(VmVerb::Ssh(ssh)) if ssh.command.is_empty() => Kind::Enter(ssh.name),
        Command::Vm(VmVerb::Ssh(_)) => Kind::Talks,
        Command::Vm(VmVerb::Console(console)) => Kind::Console(console.name),
        Command::Vm(VmVerb::Destroy(destroy)) if !destroy.yes => Kind::Talks,
        _ => Kind::Answers,
    }
}

/// What became of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The line.
    pub line: String,
    /// Its exit status.
    pub status: u32,
    out: String,
    err: String,
}

impl Said {
    /// What it said: the answer, or if there is none, the remarks.
    pub fn text(&self) -> &str {
        if self.out.trim().is_empty() { &self.err } else { &self.out }
    }
}

/// Runs a line that needs no terminal.
pub async fn capture(portal: &Portal, who: &Principal, line: &str) -> Said {
    let (mut stdio, input, mut output) = term::pair(None, Vec::new());
    // Nothing is on its standard input. Its other end stays: without it, whoever
    // asked would be gone.
    let _ = input.send(Input::Eof).await;
    let running = async {
        let ended = super::command(portal, who, &mut stdio, line.as_bytes()).await;
        drop(stdio);
        ended
    };
    let reading = async {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        while let Some(said) = output.recv().await {
            let (into, bytes) = match said {
                Output::Out(bytes) => (&mut out, bytes),
                Output::Err(bytes) => (&mut err, bytes),
            };
            let room = LONGEST.saturating_sub(into.len());
            into.extend(bytes.iter().take(room));
        }
        (out, err)
    };
    let (ended, (out, err)) = tokio::join!(running, reading);
    drop(input);
    let status = match ended {
        Ended::Status(status) => status,
        Ended::Signal { .. } => 1,
    };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said { line: line.to_owned(), status, out: text(out), err: text(err) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_needs_a_terminal_is_known() {
        for (line, wanted) in [
            ("vm ls", Kind::Answers),
            ("vm nonsense", Kind::Answers),
            ("", Kind::Answers),
            ("exit", Kind::Leave),
            ("quit", Kind::Leave),
            ("ssh web1", Kind::Enter("web1".parse().unwrap())),
            ("vm ssh web1 top", Kind::Talks),
            ("vm console web1", Kind::Console("web1".parse().unwrap())),
            ("vm destroy web1", Kind::Talks),
            ("vm destroy web1 --yes", Kind::Answers),
            ("account passwd", Kind::Talks),
            ("account totp enable", Kind::Talks),
            ("account totp enable --text", Kind::Answers),
            ("account totp confirm", Kind::Talks),
            ("account totp confirm 123 456", Kind::Answers),
            ("account totp disable", Kind::Talks),
            ("account totp show", Kind::Answers),
            ("event tail", Kind::Talks),
        ] {
            assert_eq!(kind(line.as_bytes()), wanted, "{line}");
        }
    }
}
