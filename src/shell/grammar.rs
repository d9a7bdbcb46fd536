//! The one grammar: `NOUN VERB [ARG…] [--flag]`. A line becomes words, words
//! become a [`Command`]; what cannot be understood becomes one error with the
//! nearest word as its hint.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};

use super::help;
use crate::action::{
    account, ban, ca, catalogue, enter, event, group, host, invite, job, key, role, session, totp, user,
    user_import, vm,
};
use crate::error::{Code, Error, Result};
use crate::model::limits::Verb;
use crate::model::text;

/// The longest line that is looked at, bytes.
pub const LONGEST_LINE: usize = 64 * 1024;

/// A command, understood.
#[derive(Debug, Parser)]
#[command(
    name = "twarga",
    no_binary_name = true,
    disable_help_subcommand = true,
    disable_version_flag = true,
    infer_long_args = true,
    override_usage = "NOUN VERB [ARG…] [--flag]",
    help_template = "{usage-heading} {usage}\n\n{all-args}{after-help}"
)]
pub struct Line {
    /// One JSON document on standard output, for programs
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    #[allow(missing_docs)]
    pub command: Command,
}

/// Nouns, and the few words that stand alone.
#[derive(Debug, Subcommand)]
#[allow(missing_docs)]
pub enum Command {
    /// Machines
    #[command(subcommand)]
    Vm(VmVerb),
    /// What VMs are made from
    #[command(subcommand)]
    Image(ImageVerb),
    /// Sizes and their prices
    #[command(subcommand)]
    Plan(PlanVerb),
    /// Long work: watch it, stop it, do it again
    #[command(subcommand)]
    Job(JobVerb),
    /// Your public keys
    #[command(subcommand)]
    Key(KeyVerb),
    /// Your account
    #[command(subcommand)]
    Account(AccountVerb),
    /// Who is signed in
    #[command(subcommand)]
    Session(SessionVerb),
    /// What happened
    #[command(subcommand)]
    Event(EventVerb),
    /// Addresses from which no password is taken (for admins)
    #[command(subcommand)]
    Ban(BanVerb),
    /// The accounts (for admins)
    #[command(subcommand)]
    User(UserVerb),
    /// Invitations, by which people make themselves an account (for admins)
    #[command(subcommand)]
    Invite(InviteVerb),
    /// What accounts may do (for admins)
    #[command(subcommand)]
    Role(RoleVerb),
    /// Classes and teams that share machines (for admins)
    #[command(subcommand)]
    Group(GroupVerb),
    /// Authorities whose certificates let people in (for admins)
    #[command(subcommand)]
    Ca(CaVerb),
    /// The machine below (for admins)
    #[command(subcommand)]
    Host(HostVerb),
    Whoami(account::Whoami),
    SshConfig(enter::SshConfig),
    /// This list, a command (`help vm new`), or a page of the manual (`help guide`)
    Help {
        /// A noun, a command, or a page
        #[arg(value_name = "TOPIC")]
        topic: Vec<String>,
    },
    /// The line shell, on a terminal
    Shell,
    /// Leave
    #[command(alias = "quit", alias = "logout")]
    Exit,
}

#[derive(Debug, Subcommand)]
#[allow(missing_docs)]
pub enum VmVerb {
    New(vm::VmNew),
    Ls(vm::VmLs),
    Show(vm::VmShow),
    Start(vm::VmStart),
    Stop(vm::VmStop),
    Restart(vm::VmRestart),
    Pause(vm::VmPause),
    Resume(vm::VmResume),
    #[command(alias = "rm")]
    Destroy(vm::VmDestroy),
    Ssh(enter::VmSsh),
    Console(enter::VmConsole),
    Stats(vm::VmStats),
    Share(group::VmShare),
    Unshare(group::VmUnshare),
    Shares(group::VmShares),
}

#[derive(Debug, Subcommand)]
#[allow(missing_docs)]
pub enum ImageVerb {
    Ls(catalogue::ImageLs),
}

#[derive(Debug, Subcommand)]
#[allow(missing_docs)]
pub enum PlanVerb {
    Ls(catalogue::PlanLs),
    Limits(catalogue::PlanLimits),
}

#[derive(Debug, Subcommand)]
#[allow(missing_docs)]
pub enum SessionVerb {
    Ls(session::SessionLs),
    Show(session::SessionShow),
    Kill(session::SessionKill),
}

#[derive(Debug, Subcommand)]
#[allow(missing_docs)]
pub enum BanVerb {
    Ls(ban::BanLs),
    Add(ban::BanAdd),
    Rm(ban::BanRm),
}

#[derive(Debug, Subcommand)]
#[allow(missing_docs)]
pub enum JobVerb {
    Ls(job::JobLs),
    Show(job::JobShow),
    Watch(job::JobWatch),
    Cancel(job::JobCancel),
    Retry(job::JobRetry),
}

#[derive(Debug, Subcommand)]
#[allow(missing_docs)]
pub enum KeyVerb {
    Ls(key::KeyLs),
    Add(key::KeyAdd),
    Rename(key::KeyRename),
    Rm(key::KeyRm),
}

#[derive(Debug, Subcommand)]
#[allow(missing_docs)]
pub enum AccountVerb {
    Show(account::AccountShow),
    Passwd(account::AccountPasswd),
    Prefs(account::AccountPrefs),
    Set(account::AccountSet),
    /// The second factor: codes of an authenticator app
    #[command(subcommand)]
    Totp(TotpVerb),
}

#[derive(Debug, Subcommand)]
#[allow(missing_docs)]
pub enum TotpVerb {
    Enable(totp::TotpEnable),
    Confirm(totp::TotpConfirm),
    Disable(totp::TotpDisable),
    BackupCodes(totp::TotpBackupCodes),
    Show(totp::TotpShow),
}

#[derive(Debug, Subcommand)]
#[allow(missing_docs)]
pub enum EventVerb {
    Ls(event::EventLs),
    Show(event::EventShow),
    Tail(event::EventTail),
}

#[derive(Debug, Subcommand)]
#[allow(missing_docs)]
pub enum UserVerb {
    New(user::UserNew),
    Import(user_import::UserImport),
    Ls(user::UserLs),
    Show(user::UserShow),
    Set(user::UserSet),
    Disable(user::UserDisable),
    Enable(user::UserEnable),
    PasswdReset(user::UserPasswdReset),
    #[command(name = "reset-2fa")]
    Reset2fa(user::UserReset2fa),
    Rm(user::UserRm),
}

#[derive(Debug, Subcommand)]
#[allow(missing_docs)]
pub enum InviteVerb {
    New(invite::InviteNew),
    Ls(invite::InviteLs),
    Rm(invite::InviteRm),
}

#[derive(Debug, Subcommand)]
#[allow(missing_docs)]
pub enum RoleVerb {
    Ls(role::RoleLs),
    Show(role::RoleShow),
    New(role::RoleNew),
    Set(role::RoleSet),
    Rm(role::RoleRm),
    Grant(role::RoleGrant),
    Revoke(role::RoleRevoke),
}

#[derive(Debug, Subcommand)]
#[allow(missing_docs)]
pub enum GroupVerb {
    Ls(group::GroupLs),
    Show(group::GroupShow),
    New(group::GroupNew),
    Rm(group::GroupRm),
    Add(group::GroupAdd),
    Remove(group::GroupRemove),
}

#[derive(Debug, Subcommand)]
#[allow(missing_docs)]
pub enum CaVerb {
    Ls(ca::CaLs),
    Add(ca::CaAdd),
    Rm(ca::CaRm),
    Revoke(ca::CaRevoke),
}

#[derive(Debug, Subcommand)]
#[allow(missing_docs)]
pub enum HostVerb {
    Show(host::HostShow),
}

/// What a line came to.
#[derive(Debug)]
pub enum Parsed {
    /// A command.
    Run(Box<Line>),
    /// Help was asked for: its text.
    Help(String),
    /// There was nothing on the line.
    Nothing,
}

/// The short forms: one word for a verb of `vm`.
const SHORT: [&str; 7] = ["ls", "new", "rm", "start", "stop", "restart", "ssh"];

/// Whether a line that begins so means a verb of `vm`.
pub fn is_short(word: &str) -> bool {
    SHORT.contains(&word)
}

/// Splits a line into words as a shell does: quotes and backslashes, nothing else.
///
/// # Errors
/// `usage` if it is not UTF-8, too long, or a quote is left open.
pub fn words(line: &[u8]) -> Result<Vec<String>> {
    if line.len() > LONGEST_LINE {
        return Err(Error::usage(format!("A command has at most {}.", text::bytes(LONGEST_LINE as u64))));
    }
    let line = std::str::from_utf8(line).map_err(|_| Error::usage("A command is written in UTF-8."))?;
    shlex::split(line).ok_or_else(|| Error::usage("A quote is left open."))
}

/// Whether the words ask for JSON: known even when the rest cannot be understood.
pub fn wants_json(words: &[String]) -> bool {
    words.iter().take_while(|w| *w != "--").any(|w| w == "--json")
}

/// Understands words.
///
/// # Errors
/// `usage…` with the nearest word as its hint.
pub fn parse(words: &[String]) -> Result<Parsed> {
    if words.is_empty() {
        return Ok(Parsed::Nothing);
    }
    let short = words.first().is_some_and(|w| is_short(w));
    let noun = short.then(|| String::from("vm"));
    match Line::try_parse_from(noun.into_iter().chain(words.iter().cloned())) {
        Ok(line) => Ok(Parsed::Run(Box::new(line))),
        Err(e) if e.kind() == ErrorKind::DisplayHelp => Ok(Parsed::Help(tidy(&e.to_string()))),
        Err(e) => Err(explain(&e, words)),
    }
}

/// The verb of a line that is a command with an action of its own; none of any other.
pub fn verb_of(line: &str) -> Option<Verb> {
    let words = words(line.as_bytes()).ok()?;
    let Ok(Parsed::Run(_)) = parse(&words) else { return None };
    let noun = words.first().is_some_and(|w| is_short(w)).then(|| String::from("vm"));
    let matches = Line::command().try_get_matches_from(noun.into_iter().chain(words)).ok()?;
    // By their own names, whatever short form was written.
    let (first, rest) = matches.subcommand()?;
    match rest.subcommand_name() {
        Some(second) => format!("{first} {second}").parse().ok(),
        None => first.parse().ok(),
    }
}

/// Whether there is such a verb.
///
/// # Errors
/// `usage.unknown_command`, with the nearest as its hint.
pub fn check_verb(verb: &Verb) -> Result<()> {
    // What a jump is; nobody types it.
    if verb.action().is_some_and(|action| action == "vm.forward") {
        return Ok(());
    }
    let shown = verb.to_string();
    let words: Vec<&str> = shown.split(' ').collect();
    let (known, before, wrong) = match words.as_slice() {
        [noun, verb] if help::next_words(&[]).iter().any(|n| n == noun) => {
            let verbs = help::next_words(&[(*noun).to_owned()]);
            (*verb == "*" || verbs.iter().any(|v| v == verb), format!("{noun} "), *verb)
        }
        [one] => (help::next_words(&[]).iter().any(|n| n == one), String::new(), *one),
        [noun, ..] => (false, String::new(), *noun),
        [] => (false, String::new(), ""),
    };
    if known {
        return Ok(());
    }
    let e = Error::new(Code::UnknownCommand, format!("There is no command “{}”.", text::short(&shown, 60)));
    let before_words: Vec<String> = before.split_whitespace().map(str::to_owned).collect();
    Err(match nearest(&[before_words, vec![wrong.to_owned()]].concat(), wrong) {
        Some(near) => e.hint(format!("Did you mean `{before}{near}`?")),
        None => e,
    })
}

/// clap's text without its trailing blanks, and with what is not ours taken out.
pub(super) fn tidy(help: &str) -> String {
    let lines: Vec<_> = help.lines().map(str::trim_end).collect();
    lines.join("\n").trim().to_owned() + "\n"
}

fn context(e: &clap::Error, kind: ContextKind) -> Option<String> {
    Some(match e.get(kind)? {
        ContextValue::String(s) => s.clone(),
        ContextValue::Strings(s) => s.join(", "),
        ContextValue::StyledStr(s) => s.to_string(),
        ContextValue::StyledStrs(s) => s.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        _ => return None,
    })
}

/// The nearest of the words that could have stood in place of `wrong`.
fn nearest(words: &[String], wrong: &str) -> Option<String> {
    let before: Vec<String> = words.iter().take_while(|w| *w != wrong).cloned().collect();
    let short = if before.is_empty() { &SHORT[..] } else { &[] };
    let known = help::next_words(&before).into_iter().chain(short.iter().map(|w| (*w).to_owned()));
    let measured = known.map(|word| (strsim::damerau_levenshtein(&word, wrong), word));
    measured.filter(|(distance, word)| *distance <= 2 && *distance < word.len()).min().map(|(_, word)| word)
}

/// clap's error in our words.
fn explain(e: &clap::Error, words: &[String]) -> Error {
    let shown = |kind| context(e, kind).map(|s| text::short(&s, 60)).unwrap_or_default();
    let usage = context(e, ContextKind::Usage).unwrap_or_default();
    let usage = usage.trim().trim_start_matches("Usage:").trim().to_owned();
    let usage_hint = if usage.is_empty() { Code::Usage.hint().to_owned() } else { format!("Usage: {usage}") };
    match e.kind() {
        ErrorKind::InvalidSubcommand => {
            let wrong = context(e, ContextKind::InvalidSubcommand).unwrap_or_default();
            let hint = nearest(words, &wrong)
                .map_or_else(|| Code::UnknownCommand.hint().to_owned(), |n| format!("Did you mean `{n}`?"));
            let message = format!("There is no command “{}”.", shown(ContextKind::InvalidSubcommand));
            Error::new(Code::UnknownCommand, message).hint(hint)
        }
        ErrorKind::UnknownArgument => {
            let nearest = context(e, ContextKind::SuggestedArg);
            let hint = nearest.map_or(usage_hint, |n| format!("Did you mean `{n}`?"));
            Error::usage(format!("There is no “{}” here.", shown(ContextKind::InvalidArg))).hint(hint)
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let source = std::error::Error::source(e).map(ToString::to_string);
            let arg = shown(ContextKind::InvalidArg);
            let value = shown(ContextKind::InvalidValue);
            if value.is_empty() {
                return Error::usage(format!("{arg} wants a value.")).hint(usage_hint);
            }
            match source.as_deref().and_then(|s| s.split_once("VM.")) {
                Some(_) => Error::new(Code::BadName, format!("“{value}” cannot be the name of a VM.")),
                None => {
                    let why = source
                        .map(|s| format!(": {}", text::short(s.trim_end_matches('.'), 160)))
                        .unwrap_or_default();
                    Error::usage(format!("“{value}” does not do for {arg}{why}.")).hint(usage_hint)
                }
            }
        }
        ErrorKind::MissingRequiredArgument => {
            Error::usage(format!("{} is missing.", shown(ContextKind::InvalidArg))).hint(usage_hint)
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let verbs = help::next_words(words).join(", ");
            Error::usage("A verb is missing.").hint(format!("There are: {verbs}."))
        }
        ErrorKind::ArgumentConflict => {
            let (a, b) = (shown(ContextKind::InvalidArg), shown(ContextKind::PriorArg));
            Error::usage(format!("{a} and {b} exclude one another.")).hint(usage_hint)
        }
        _ => Error::usage("That cannot be understood.").hint(usage_hint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: &str) -> Error {
        match words(line.as_bytes()).and_then(|w| parse(&w)) {
            Err(e) => e,
            Ok(p) => panic!("{line}: {p:?}"),
        }
    }

    fn command(line: &str) -> Command {
        match parse(&words(line.as_bytes()).unwrap()) {
            Ok(Parsed::Run(line)) => line.command,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn short_forms_mean_vm_verbs() {
        assert!(matches!(command("ls"), Command::Vm(VmVerb::Ls(_))));
        assert!(matches!(command("new web1"), Command::Vm(VmVerb::New(_))));
        assert!(matches!(command("rm web1"), Command::Vm(VmVerb::Destroy(_))));
    }

    #[test]
    fn the_nearest_word_is_offered() {
        let e = error("vn ls");
        assert_eq!((e.code, e.exit() as u8), (Code::UnknownCommand, 2));
        assert!(e.hint.contains("`vm`"), "{e}");
        assert!(error("vm lst").hint.contains("`ls`"), "{}", error("vm lst"));
        assert!(
            error("vm new web1 --imgae x").hint.contains("--image"),
            "{}",
            error("vm new web1 --imgae x")
        );
    }

    #[test]
    fn what_is_wrong_is_told_without_the_rest() {
        assert_eq!(error("vm new ../x").code, Code::BadName);
        assert_eq!(error("vm new 'a b'").code, Code::BadName);
        assert!(error("vm new").message.contains("missing"), "{}", error("vm new"));
        assert!(error("vm").hint.contains("ls"), "{}", error("vm"));
        assert!(
            error("vm new web1 --ram lots").message.contains("lots"),
            "{}",
            error("vm new web1 --ram lots")
        );
        assert!(error("vm new web1 --plan small --ram 5000").message.contains("exclude"));
        assert!(error("account set them dark").message.contains("theme, colors"));
        assert_eq!(error("job show 99999999999999999999").code, Code::Usage);
        assert_eq!(error("vm ls 'open").code, Code::Usage);
    }

    #[test]
    fn errors_are_short_and_clean() {
        let e = error(&format!("vm new {}", "x".repeat(10_000)));
        assert!(e.to_string().len() < 300, "{e}");
        let e = error("vm new \u{1b}[31m");
        assert!(!e.to_string().contains('\u{1b}'));
        assert_eq!(words(b"\xff").unwrap_err().code, Code::Usage);
        assert_eq!(words(&vec![b'a'; 1 << 20]).unwrap_err().code, Code::Usage);
    }

    #[test]
    fn the_verb_of_a_line() {
        let verb = |line: &str| verb_of(line).map(|v| v.to_string());
        for (line, is) in [
            ("vm ls", "vm ls"),
            ("ls --all --json", "vm ls"),
            ("--json vm ls", "vm ls"),
            ("rm web1 --yes", "vm destroy"),
            ("vm ssh web1 -- rm -rf /", "vm ssh"),
            ("whoami", "whoami"),
            ("ssh-config", "ssh-config"),
        ] {
            assert_eq!(verb(line).as_deref(), Some(is), "{line}");
        }
        for none in
            ["", "help", "shell", "exit", "vm", "vm lst", "vm ls --help", "/bin/sh", "vm ls; vm ls", "'"]
        {
            assert_eq!(verb(none), None, "{none}");
        }
    }

    #[test]
    fn verbs_that_are_there() {
        let check = |verb: &str| check_verb(&verb.parse().unwrap());
        for good in ["vm ls", "vm *", "vm forward", "whoami", "ssh-config", "key add", "job watch"] {
            check(good).unwrap();
        }
        assert!(check("vm strat").unwrap_err().hint.contains("`vm start`"));
        assert!(check("vmm ls").unwrap_err().hint.contains("`vm`"));
        assert_eq!(check("tea *").unwrap_err().code, Code::UnknownCommand);
    }

    /// Limits of keys are written as commands and asked as actions.
    #[test]
    fn commands_are_called_as_their_actions() {
        let mut sources = String::new();
        for file in std::fs::read_dir("src/action").unwrap() {
            sources += &std::fs::read_to_string(file.unwrap().path()).unwrap();
        }
        for noun in Line::command().get_subcommands() {
            for verb in noun.get_subcommands().filter(|v| !v.has_subcommands()) {
                let Ok(verb) = format!("{} {}", noun.get_name(), verb.get_name()).parse::<Verb>() else {
                    continue;
                };
                let action = format!("\"{}\"", verb.action().unwrap());
                assert!(sources.contains(&action), "no action is called {action}");
            }
        }
    }

    #[test]
    fn help_is_help() {
        assert!(matches!(parse(&words(b"vm new --help").unwrap()), Ok(Parsed::Help(_))));
        assert!(matches!(parse(&[]), Ok(Parsed::Nothing)));
    }
}
