//! Questions to a person at a terminal: a confirmation, a password.

use zeroize::Zeroizing;

use super::editor::{Editor, Step};
use crate::action::account::{AccountPasswd, AccountShow};
use crate::error::{Code, Error, Result};
use crate::portal::{Portal, Principal};
use crate::term::Stdio;
use crate::term::keys::{Event, Keys};

/// Wrong answers before we stop asking.
const TRIES: usize = 3;

/// # Errors
/// `usage.terminal` if the person has none.
pub(super) fn needs_terminal(stdio: &Stdio, what: &str) -> Result<()> {
    if stdio.terminal.is_some() {
        return Ok(());
    }
    Err(Error::new(Code::NeedsTerminal, format!("{what} wants a terminal.")))
}

/// One line from the person; none if they gave up.
pub(super) async fn line(
    stdio: &mut Stdio,
    keys: &mut Keys,
    prompt: &str,
    hidden: bool,
) -> Option<Zeroizing<String>> {
    let mut editor = Editor::new(prompt).hidden(hidden);
    loop {
        let cols = stdio.terminal.as_ref().map_or(80, |t| t.size.cols);
        stdio.writer.raw(editor.render(cols).into()).await.ok()?;
        match keys.next(&mut stdio.input).await {
            Event::Key(key) => match editor.on_key(key, &|_| Vec::new()) {
                Step::Continue => {}
                Step::Submit(text) => {
                    let _ = stdio.writer.out("\n").await;
                    return Some(Zeroizing::new(text));
                }
                Step::Interrupt | Step::Eof => {
                    let _ = stdio.writer.out("\n").await;
                    return None;
                }
            },
            Event::Resize(size) => stdio.resized(size),
            Event::Eof | Event::Gone => return None,
        }
    }
}

/// Asks whether to go on. Without a terminal that is for `--yes` to say.
pub(super) async fn confirm(stdio: &mut Stdio, question: &str) -> Result<bool> {
    if stdio.terminal.is_none() {
        return Err(Error::new(Code::NeedsConfirmation, format!("{question} That has to be confirmed.")));
    }
    // A line of its own, which wraps: the editor cuts a prompt that is too long for its row.
    let _ = stdio.writer.out(format!("{question}\n")).await;
    let answer = line(stdio, &mut Keys::new(), "Go on? [y/N] ", false).await;
    Ok(answer.is_some_and(|a| matches!(a.trim().to_lowercase().as_str(), "y" | "yes")))
}

/// Has the person choose another password. The old one is asked for where
/// there is one.
///
/// # Errors
/// `cancelled` if they give up.
pub async fn choose_password(portal: &Portal, who: &Principal, stdio: &mut Stdio) -> Result<()> {
    let me = portal.perform(who, AccountShow {}).await?;
    let mut keys = Keys::new();
    let gave_up = || Error::new(Code::Cancelled, "The password stays as it is.");
    for _ in 0..TRIES {
        let old = match me.has_password {
            true => Some(line(stdio, &mut keys, "Password so far: ", true).await.ok_or_else(gave_up)?),
            false => None,
        };
        let new = line(stdio, &mut keys, "New password: ", true).await.ok_or_else(gave_up)?;
        let again = line(stdio, &mut keys, "The same again: ", true).await.ok_or_else(gave_up)?;
        let complaint = if *new == *again {
            match portal.perform(who, AccountPasswd { old, new }).await {
                Ok(()) => {
                    let _ = stdio.writer.err("The password is changed.\n").await;
                    return Ok(());
                }
                Err(e) if e.code == Code::BadPassword => e.to_string(),
                Err(e) => return Err(e),
            }
        } else {
            String::from("Those two are not the same.")
        };
        let _ = stdio.writer.err(format!("{complaint}\n")).await;
    }
    Err(gave_up())
}
