//! The line shell: many commands in one session. From a pipe it is plain, and
//! ends with the status of the last command; on a terminal it has an editor
//! with history and completion. It is the way for screen readers too: nothing
//! is ever drawn over.

use std::collections::BTreeSet;

use super::editor::{Editor, Step};
use super::{DONE, Flow, Shell, grammar, help};
use crate::action::vm::VmLs;
use crate::error::Error;
use crate::portal::{Action, Portal, Principal};
use crate::term::keys::{Event, Keys};
use crate::term::{Ended, Input, Stdio};

/// Runs the commands on standard input, a line each.
pub async fn piped(portal: &Portal, who: &Principal, stdio: &mut Stdio) -> Ended {
    let mut shell = Shell { portal, who, stdio, input_is_commands: true, json: false };
    let mut last = DONE;
    let mut lines = Lines::default();
    while let Some(line) = lines.next(shell.stdio).await {
        last = match line {
            Ok(line) if line.trim_ascii().is_empty() || line.trim_ascii_start().starts_with(b"#") => continue,
            Ok(line) => shell.execute(&line).await,
            Err(e) => {
                shell.complain(&e).await;
                Flow::Done(Ended::Status(e.exit() as u32))
            }
        };
        if last == Flow::Exit {
            return Ended::Status(0);
        }
    }
    match last {
        Flow::Done(ended) => ended,
        Flow::Exit => Ended::Status(0),
    }
}

/// Bytes on their way to being lines.
#[derive(Default)]
struct Lines {
    buffer: Vec<u8>,
    /// How much of the buffer was given out already.
    taken: usize,
    /// The line is too long: what comes of it is let go.
    dropping: bool,
    eof: bool,
}

impl Lines {
    /// The next line, without its end; none when there are no more.
    async fn next(&mut self, stdio: &mut Stdio) -> Option<Result<Vec<u8>, Error>> {
        loop {
            let rest = self.buffer.get(self.taken..).unwrap_or_default();
            if let Some(length) = rest.iter().position(|b| *b == b'\n') {
                let line = rest.iter().take(length).copied().collect();
                self.taken += length + 1;
                return Some(self.whole(line));
            }
            // Once for all the lines that came together: a packet may hold 250,000.
            self.buffer.drain(..std::mem::take(&mut self.taken));
            self.dropping |= self.buffer.len() > grammar::LONGEST_LINE;
            if self.dropping {
                self.buffer.clear();
            }
            if self.eof {
                let line = std::mem::take(&mut self.buffer);
                return (self.dropping || !line.is_empty()).then(|| self.whole(line));
            }
            match stdio.input.recv().await {
                Some(Input::Data(bytes)) => self.buffer.extend_from_slice(&bytes),
                Some(Input::Eof) | None => self.eof = true,
                Some(Input::Resize(_) | Input::Signal(_)) => {}
            }
        }
    }

    /// The line, if it is no longer than a line may be, however it came.
    fn whole(&mut self, mut line: Vec<u8>) -> Result<Vec<u8>, Error> {
        if std::mem::take(&mut self.dropping) || line.len() > grammar::LONGEST_LINE {
            return Err(Error::usage("That line is too long."));
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(line)
    }
}

/// Reads commands from a person at a terminal until they leave.
pub async fn interactive(portal: &Portal, who: &Principal, stdio: &mut Stdio) -> Ended {
    let mut hello =
        format!("Twarga, signed in as {}. `help` lists the commands, `exit` leaves.\n", who.name());
    for line in portal.greeting(who) {
        hello.push_str(&line);
        hello.push('\n');
    }
    let _ = stdio.writer.out(hello).await;
    let mut shell = Shell { portal, who, stdio, input_is_commands: false, json: false };
    let mut editor = Editor::new("twarga> ");
    let mut keys = Keys::new();
    loop {
        let names = shell.vm_names().await;
        let Some(line) = shell.read(&mut editor, &mut keys, &names).await else { break };
        if shell.execute(line.as_bytes()).await == Flow::Exit {
            break;
        }
    }
    Ended::Status(0)
}

impl Shell<'_> {
    /// One line from the editor; none if the person leaves.
    async fn read(&mut self, editor: &mut Editor, keys: &mut Keys, names: &[String]) -> Option<String> {
        loop {
            let cols = self.stdio.terminal.as_ref().map_or(80, |t| t.size.cols);
            self.stdio.writer.raw(editor.render(cols).into()).await.ok()?;
            match keys.next(&mut self.stdio.input).await {
                Event::Key(key) => match editor.on_key(key, &|line| complete(line, names)) {
                    Step::Continue => {}
                    Step::Submit(line) => {
                        self.stdio.writer.out("\n").await.ok()?;
                        return Some(line);
                    }
                    Step::Interrupt => self.stdio.writer.out("^C\n").await.ok()?,
                    Step::Eof => {
                        let _ = self.stdio.writer.out("\n").await;
                        return None;
                    }
                },
                Event::Resize(size) => self.stdio.resized(size),
                Event::Eof | Event::Gone => return None,
            }
        }
    }

    /// What completion offers as names; nothing if they cannot be had.
    async fn vm_names(&mut self) -> Vec<String> {
        if !self.who.limits().covers(VmLs::NAME) {
            return Vec::new();
        }
        let list = self.portal.perform(self.who, VmLs { all: false, tag: None, state: None }).await;
        list.map(|vms| vms.into_iter().map(|vm| vm.name).collect()).unwrap_or_default()
    }
}

/// Completions of the last word of the line up to the cursor; `names` are VMs'.
pub fn complete(line: &str, names: &[String]) -> Vec<String> {
    let (before, last) = match line.rfind(char::is_whitespace) {
        Some(i) => line.split_at(i + 1),
        None => ("", line),
    };
    let mut before: Vec<String> = before.split_whitespace().map(str::to_owned).collect();
    if before.first().is_some_and(|w| grammar::is_short(w)) {
        before.insert(0, String::from("vm"));
    }
    let mut offered: BTreeSet<String> = help::next_words(&before).into_iter().collect();
    if before.first().is_some_and(|w| w == "vm") && before.len() >= 2 {
        offered.extend(names.iter().cloned());
    }
    offered.into_iter().filter(|w| w.starts_with(last)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_flags_and_names_are_offered() {
        let names = vec![String::from("web1"), String::from("db1")];
        assert_eq!(complete("vm st", &names), ["start", "stats", "stop"]);
        assert_eq!(complete("vm start w", &names), ["web1"]);
        assert_eq!(complete("stop d", &names), ["db1"]);
        assert!(complete("vm new x --im", &names).contains(&String::from("--image")));
        assert_eq!(complete("acc", &names), ["account"]);
    }
}
