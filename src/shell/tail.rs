//! `event tail`: each event in a line as it happens, until the person goes.

use super::{DONE, Flow, Shell};
use crate::action::event::EventTail;
use crate::error::{Error, Result};
use crate::model::text::{columns, short};
use crate::model::{Event, text};
use crate::term::Input;

/// What Ctrl-C sends.
const INTERRUPT: u8 = 3;

impl Shell<'_> {
    pub(super) async fn tail(&mut self, action: EventTail) -> Result<Flow> {
        if self.input_is_commands {
            return Err(Error::usage("`event tail` never ends, and commands may follow it here.")
                .hint("Ask for it by itself: `ssh PORTAL event tail`."));
        }
        let mut feed = self.perform(action).await?;
        let writer = self.stdio.writer.clone();
        let mut listens = true;
        loop {
            let news = tokio::select! {
                news = feed.next() => news?,
                () = writer.closed() => return Ok(DONE),
                input = self.stdio.input.recv(), if listens => match input {
                    Some(Input::Data(bytes)) if self.stdio.terminal.is_some() && bytes.contains(&INTERRUPT) => {
                        self.remark("").await;
                        return Ok(DONE);
                    }
                    Some(Input::Signal(name)) if name == "INT" => return Ok(DONE),
                    Some(_) => continue,
                    None => {
                        listens = false;
                        continue;
                    }
                },
            };
            if news.missed {
                self.remark("Some are left out: too many at once. `event ls` has them.").await;
            }
            for event in &news.events {
                if self.json {
                    self.document(event).await?;
                } else {
                    self.say(line(event)).await?;
                }
            }
        }
    }
}

/// `2026-07-14T03:33:20Z  medium    failure  alice  127.0.0.1  vm.start  web1  …`
fn line(e: &Event) -> String {
    let from = e.source_ip.as_deref().unwrap_or("-");
    let mut out = format!("{}  {:8}  {:7}", e.time, e.severity, e.outcome);
    for (word, width) in [(e.actor.as_str(), 12), (from, 15), (e.action.as_str(), 16)] {
        let word = short(word, 40);
        out.push_str("  ");
        out.push_str(&word);
        out.extend(std::iter::repeat_n(' ', usize::saturating_sub(width, columns(&word))));
    }
    if let Some(target) = &e.target {
        out.push_str("  ");
        out.push_str(&short(target, 40));
    }
    out.push_str("  ");
    out.push_str(&text::clean(&e.message));
    out.push('\n');
    out
}
