//! `account totp`: the second factor, set up and looked after by lines; and the
//! person at a terminal who has to set one up before anything else.

use std::fmt::Write;

use zeroize::Zeroizing;

use super::grammar::TotpVerb;
use super::{DONE, Flow, Render, Shell, ask, qr};
use crate::action::totp::{BackupCodes, NewSecret, SecondFactor, TotpConfirm, TotpEnable};
use crate::error::{Code, Error, Result};
use crate::portal::{Portal, Principal};
use crate::term::keys::Keys;
use crate::term::{Stdio, Terminal};

/// Wrong codes before we stop asking.
const TRIES: usize = 5;
/// Rows that the words below a QR code take.
const WORDS: usize = 3;

impl Render for BackupCodes {
    fn text(&self) -> String {
        let mut out =
            String::from("Backup codes: each works once, in place of a code. They are not shown again.\n\n");
        for pair in self.backup_codes.chunks(2) {
            let pair: Vec<_> = pair.iter().map(|code| code.as_str()).collect();
            let _ = writeln!(out, "    {}", pair.join("    "));
        }
        out
    }
}

impl Render for SecondFactor {
    fn text(&self) -> String {
        let demanded = if self.demanded { " Your role demands one." } else { "" };
        match self.since {
            Some(since) => {
                let codes = match self.backup_codes_left {
                    0 => String::from("No backup code is left: `account totp backup-codes` makes ten."),
                    1 => String::from("One backup code is left."),
                    n => format!("{n} backup codes are left."),
                };
                format!("The second factor is on since {since}. {codes}{demanded}\n")
            }
            None if self.to_be_confirmed => {
                format!("The second factor waits for `account totp confirm CODE`.{demanded}\n")
            }
            None => format!("There is no second factor. `account totp enable` sets one up.{demanded}\n"),
        }
    }
}

/// What an app is given, as text.
fn as_text(made: &NewSecret) -> Zeroizing<String> {
    Zeroizing::new(format!("secret  {}\nuri     {}\n", made.secret.as_str(), made.uri.as_str()))
}

/// The same as a QR code, where there is room for it.
fn as_picture(made: &NewSecret, terminal: Option<&Terminal>) -> Zeroizing<String> {
    let fits = |rows: &Vec<String>| {
        terminal.is_none_or(|t| {
            let cols = rows.first().map_or(0, |r| r.chars().count());
            usize::from(t.size.cols) >= cols && usize::from(t.size.rows) >= rows.len() + WORDS
        })
    };
    match qr::rows(&made.uri, qr::QUIET).filter(fits) {
        Some(rows) => Zeroizing::new(qr::coloured(&rows)),
        None => as_text(made),
    }
}

impl Shell<'_> {
    pub(super) async fn totp(&mut self, verb: TotpVerb) -> Result<Flow> {
        match verb {
            TotpVerb::Enable(action) => self.totp_enable(action).await,
            TotpVerb::Confirm(mut action) => {
                if action.code.is_empty() {
                    action.code.push(self.secret("Code: ").await?.to_string());
                }
                self.give(action).await
            }
            TotpVerb::Disable(mut action) => {
                action.proof = self.secret("Password or code: ").await?;
                self.perform(action).await?;
                self.remark("The second factor is off.").await;
                if self.json { self.say("{}\n").await } else { Ok(DONE) }
            }
            TotpVerb::BackupCodes(mut action) => {
                action.proof = self.secret("Code or password: ").await?;
                self.give(action).await
            }
            TotpVerb::Show(action) => self.give(action).await,
        }
    }

    async fn totp_enable(&mut self, action: TotpEnable) -> Result<Flow> {
        let text = action.text;
        let made = self.perform(action).await?;
        if self.json {
            return self.document(&made).await;
        }
        let shown = if text { as_text(&made) } else { as_picture(&made, self.stdio.terminal.as_ref()) };
        self.say(shown.to_string()).await?;
        let next = match text {
            true => "Give it to an authenticator app, then: `account totp confirm CODE`.",
            false => {
                "Scan it with an authenticator app (`--text` shows it as text), then: `account totp confirm CODE`."
            }
        };
        self.remark(next).await;
        Ok(DONE)
    }

    /// Something secret: asked for on a terminal, else the first line of standard input.
    async fn secret(&mut self, prompt: &str) -> Result<Zeroizing<String>> {
        if self.stdio.terminal.is_some() && !self.input_is_commands {
            let said = ask::line(self.stdio, &mut Keys::new(), prompt, true).await;
            return said.ok_or_else(|| Error::new(Code::Cancelled, "Nothing was changed."));
        }
        let text = Zeroizing::new(self.standard_input().await?);
        let line = text.lines().next().filter(|l| !l.is_empty());
        let what = prompt.trim_end_matches(": ").to_lowercase();
        line.map(|l| Zeroizing::new(l.to_owned())).ok_or_else(|| {
            Error::usage(format!("The {what} is missing.")).hint("It is the first line of standard input.")
        })
    }
}

/// Has the person set up the second factor that is demanded of them.
///
/// # Errors
/// `cancelled` if they give up.
pub async fn enrol(portal: &Portal, who: &Principal, stdio: &mut Stdio) -> Result<()> {
    let made = portal.perform(who, TotpEnable { text: false }).await?;
    let picture = as_picture(&made, stdio.terminal.as_ref());
    let _ = stdio.writer.out(picture.to_string()).await;
    let secret = format!("Scan it with an authenticator app, or type it in: {}\n", made.secret.as_str());
    let _ = stdio.writer.out(secret).await;
    let gave_up = || Error::new(Code::Cancelled, "There is no second factor yet.");
    let mut keys = Keys::new();
    for _ in 0..TRIES {
        let prompt = "The code that it shows: ";
        let code = ask::line(stdio, &mut keys, prompt, false).await.ok_or_else(gave_up)?;
        match portal.perform(who, TotpConfirm { code: vec![code.to_string()] }).await {
            Ok(codes) => {
                let _ = stdio.writer.out(format!("{}\n", codes.text())).await;
                // Or the full screen would cover them.
                let prompt = "Keep them somewhere, then press Enter. ";
                let _ = ask::line(stdio, &mut keys, prompt, false).await;
                return Ok(());
            }
            Err(e) if e.code == Code::BadCode => {
                let _ = stdio.writer.err(format!("{e}\n")).await;
            }
            Err(e) => return Err(e),
        }
    }
    Err(gave_up())
}
