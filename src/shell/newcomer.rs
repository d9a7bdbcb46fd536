//! What those are shown who come for an account or another password: questions on a
//! terminal, one command without.

use clap::Parser;
use zeroize::Zeroizing;

use super::{ask, grammar};
use crate::error::{Code, Error, Result};
use crate::model::name::UserName;
use crate::model::{User, text};
use crate::portal::auth::{Newcomer, Promise, SHORTEST_PASSWORD};
use crate::term::keys::Keys;
use crate::term::{Ended, Input, Stdio};

/// Times that one thing is asked for.
const TRIES: usize = 4;
/// The longest line that is read from standard input, bytes.
const LONGEST: usize = 4096;

/// The command of somebody who is invited, without a terminal.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_flag = true, disable_version_flag = true)]
struct Wish {
    /// What the account is to be called.
    name: Option<String>,
    #[arg(long)]
    json: bool,
}

fn wish(command: &[u8]) -> Result<Wish> {
    let words = grammar::words(command)?;
    Wish::try_parse_from(words).map_err(|_| {
        Error::usage("That cannot be understood.")
            .hint("Give the name that your account shall have, and nothing else.")
    })
}

/// Leads a newcomer to what they came for.
pub async fn welcome(newcomer: &Newcomer, stdio: &mut Stdio, command: &[u8]) -> Ended {
    let json = grammar::words(command).is_ok_and(|words| grammar::wants_json(&words));
    let done = async {
        let wish = wish(command)?;
        match newcomer.promise().await? {
            Promise::Account(_) => account(newcomer, stdio, wish).await,
            Promise::Password(name) => password(newcomer, stdio, &name, wish).await,
        }
    };
    match done.await {
        Ok(()) => Ended::Status(0),
        Err(e) => {
            let text = if json { text::json_for_terminals(&e.to_json()) } else { e.to_string() };
            let _ = stdio.writer.err(format!("{text}\n")).await;
            Ended::Status(e.exit() as u32)
        }
    }
}

async fn account(newcomer: &Newcomer, stdio: &mut Stdio, wish: Wish) -> Result<()> {
    let asks = stdio.terminal.is_some() && !wish.json;
    let user = match asks {
        true => walk(newcomer, stdio, wish.name).await?,
        false => {
            let name = wish.name.ok_or_else(|| {
                Error::usage("The name for the account is missing.")
                    .hint("`ssh … NAME`, or ask ssh for a terminal with `-t`.")
            })?;
            let name: UserName = name.parse()?;
            // A key that was shown is better than what may stand on standard input.
            let password = match newcomer.key() {
                Some(_) => None,
                None => Some(line_of_input(stdio).await?),
            };
            newcomer.make_account(name, password).await?
        }
    };
    if wish.json {
        return document(stdio, &user).await;
    }
    let port = match newcomer.portal().config().ssh.listen.port() {
        22 => String::new(),
        port => format!("-p {port} "),
    };
    let words = format!(
        "The account {name} is made ({role}). Sign in from now on, at the same address:\n\n    ssh {port}{name}@PORTAL\n",
        name = user.name,
        role = user.role,
    );
    let _ = stdio.writer.out(words).await;
    Ok(())
}

/// Name, then password or key.
async fn walk(newcomer: &Newcomer, stdio: &mut Stdio, wished: Option<String>) -> Result<User> {
    let portal = text::short(&newcomer.portal().config().name, 60);
    let _ =
        stdio.writer.out(format!("Welcome to {portal}. Three answers, and you have an account.\n\n")).await;
    let mut keys = Keys::new();
    let name = ask_name(newcomer, stdio, &mut keys, wished).await?;
    if let Some(key) = newcomer.key() {
        let shown = format!("You came with the key {} ({}).\n", key.fingerprint, key.algorithm);
        let _ = stdio.writer.out(shown).await;
        let answer = ask_line(stdio, &mut keys, "Sign in with that key from now on? [Y/n] ", false).await?;
        if !matches!(answer.trim().to_lowercase().as_str(), "n" | "no") {
            return newcomer.make_account(name, None).await;
        }
    }
    if !newcomer.takes_passwords() {
        return Err(Error::new(Code::BadPassword, "Passwords are not taken here: an account needs a key.")
            .hint("`ssh-keygen` makes one; then come again."));
    }
    let mut last = gave_up();
    for _ in 0..TRIES {
        let Some(password) = new_password(stdio, &mut keys).await? else { continue };
        match newcomer.make_account(name.clone(), Some(password)).await {
            Err(e) if e.code == Code::BadPassword => {
                let _ = stdio.writer.err(format!("{e}\n")).await;
                last = e;
            }
            other => return other,
        }
    }
    Err(last)
}

async fn ask_name(
    newcomer: &Newcomer,
    stdio: &mut Stdio,
    keys: &mut Keys,
    mut wished: Option<String>,
) -> Result<UserName> {
    let mut last = gave_up();
    for _ in 0..TRIES {
        let name = match wished.take() {
            Some(name) => name,
            None => {
                ask_line(stdio, keys, "What shall your account be called? ", false).await?.trim().to_owned()
            }
        };
        match newcomer.check_name(&name).await {
            Err(e) if matches!(e.code, Code::BadName | Code::Exists) => {
                let _ = stdio.writer.err(format!("{e}\n")).await;
                last = e;
            }
            other => return other,
        }
    }
    Err(last)
}

async fn password(newcomer: &Newcomer, stdio: &mut Stdio, name: &str, wish: Wish) -> Result<()> {
    if wish.name.is_some() {
        return Err(Error::usage("This token is for another password, and for nothing else."));
    }
    let user = if stdio.terminal.is_some() && !wish.json {
        let _ = stdio.writer.out(format!("Another password for {name}.\n\n")).await;
        reset(newcomer, stdio).await?
    } else {
        newcomer.choose_password(line_of_input(stdio).await?).await?
    };
    if wish.json {
        return document(stdio, &user).await;
    }
    let words = format!(
        "The password of {} is changed, and its connections are ended. Sign in with it.\n",
        user.name
    );
    let _ = stdio.writer.out(words).await;
    Ok(())
}

async fn reset(newcomer: &Newcomer, stdio: &mut Stdio) -> Result<User> {
    let mut keys = Keys::new();
    let mut last = gave_up();
    for _ in 0..TRIES {
        let Some(password) = new_password(stdio, &mut keys).await? else { continue };
        match newcomer.choose_password(password).await {
            Err(e) if e.code == Code::BadPassword => {
                let _ = stdio.writer.err(format!("{e}\n")).await;
                last = e;
            }
            other => return other,
        }
    }
    Err(last)
}

fn gave_up() -> Error {
    Error::new(Code::Cancelled, "Nothing is changed.")
}

async fn ask_line(
    stdio: &mut Stdio,
    keys: &mut Keys,
    prompt: &str,
    hidden: bool,
) -> Result<Zeroizing<String>> {
    ask::line(stdio, keys, prompt, hidden).await.ok_or_else(gave_up)
}

/// A password, said twice; none if the two differ, which is told.
async fn new_password(stdio: &mut Stdio, keys: &mut Keys) -> Result<Option<Zeroizing<String>>> {
    let prompt = format!("New password (at least {SHORTEST_PASSWORD} characters): ");
    let new = ask_line(stdio, keys, &prompt, true).await?;
    let again = ask_line(stdio, keys, "The same again: ", true).await?;
    if *new == *again {
        return Ok(Some(new));
    }
    let _ = stdio.writer.err("Those two are not the same.\n").await;
    Ok(None)
}

/// The first line of standard input.
async fn line_of_input(stdio: &mut Stdio) -> Result<Zeroizing<String>> {
    let mut all = Zeroizing::new(Vec::with_capacity(LONGEST));
    while !all.contains(&b'\n') {
        match stdio.input.recv().await {
            Some(Input::Data(bytes)) if all.len() + bytes.len() > LONGEST => {
                return Err(Error::usage("That line is too long."));
            }
            Some(Input::Data(bytes)) => all.extend_from_slice(&bytes),
            Some(Input::Eof) | None => break,
            Some(Input::Resize(_) | Input::Signal(_)) => {}
        }
    }
    let line = all.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| Error::usage("Standard input is not UTF-8."))?;
    let line = line.trim_end_matches('\r');
    if line.is_empty() {
        return Err(Error::usage("A password is missing.").hint(
            "Come with a key, ask ssh for a terminal with `-t`, or give the password on standard input.",
        ));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

async fn document(stdio: &mut Stdio, user: &User) -> Result<()> {
    let document = serde_json::to_string(user).map_err(Error::internal)?;
    let _ = stdio.writer.out(text::json_for_terminals(&document) + "\n").await;
    Ok(())
}
