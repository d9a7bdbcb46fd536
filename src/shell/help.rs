//! `help`: the commands from the grammar itself, so that it cannot lie, and the
//! pages of the manual, so that it can be read over SSH.

use std::fmt::Write;

use clap::CommandFactory;

use super::grammar::{Line, tidy};
use crate::error::{Code, Error, Result};
use crate::model::text;

/// Pages of the manual: name, and text.
const PAGES: &[(&str, &str)] = &[
    ("guide", include_str!("../../docs/guide.md")),
    ("admin", include_str!("../../docs/admin.md")),
    ("troubleshooting", include_str!("../../docs/troubleshooting.md")),
    ("developers", include_str!("../../docs/developers.md")),
];

/// Help on a topic; on everything if there is none.
pub(super) fn about(topic: &[String]) -> Result<String> {
    if topic.is_empty() {
        return Ok(overview());
    }
    if let [word] = topic
        && let Some((_, page)) = PAGES.iter().find(|(name, _)| name == word)
    {
        return Ok((*page).to_owned());
    }
    of_command(topic)
}

fn of_command(topic: &[String]) -> Result<String> {
    let mut command = Line::command();
    command.build();
    let mut found = &mut command;
    for word in topic {
        let known: Vec<String> = found.get_subcommands().map(|c| c.get_name().to_owned()).collect();
        found = found.find_subcommand_mut(word).ok_or_else(|| unknown(word, known))?;
    }
    Ok(tidy(&found.render_long_help().to_string()))
}

fn unknown(word: &str, known: Vec<String>) -> Error {
    let pages = PAGES.iter().map(|(name, _)| (*name).to_owned());
    let nearest = known.into_iter().chain(pages).min_by_key(|k| strsim::damerau_levenshtein(k, word));
    let e = Error::new(Code::UnknownCommand, format!("There is no help on “{}”.", text::short(word, 40)));
    match nearest {
        Some(n) if strsim::damerau_levenshtein(&n, word) <= 2 => e.hint(format!("Did you mean `help {n}`?")),
        _ => e.hint("`help` lists the commands."),
    }
}

/// Columns of the overview's first column, and of the whole.
const NOUNS: usize = 12;
const WIDTH: usize = 80;

fn overview() -> String {
    let command = Line::command();
    let mut out = String::from("NOUN VERB [ARG…] [--flag]\n\n");
    for noun in command.get_subcommands() {
        let verbs: Vec<_> = noun.get_subcommands().map(clap::Command::get_name).collect();
        let about = noun.get_about().map(ToString::to_string).unwrap_or_default();
        let what = text::short(&about, WIDTH - NOUNS);
        let _ = writeln!(out, "{:NOUNS$}{what}", noun.get_name());
        if !verbs.is_empty() {
            let _ = writeln!(out, "{:NOUNS$}{}", "", verbs.join(" "));
        }
    }
    let pages: Vec<_> = PAGES.iter().map(|(name, _)| *name).collect();
    let _ = write!(
        out,
        "\nShort  ls new rm start stop restart ssh  are verbs of `vm`.\n\
         More   `help vm`, `help vm new`; pages: {}.\n\
         JSON   `--json` after any command.\n",
        pages.join(", "),
    );
    out
}

/// The words that may follow those of the line so far, for completion: nouns,
/// verbs, flags. VM names are the shell's to add.
pub(super) fn next_words(before: &[String]) -> Vec<String> {
    let mut command = Line::command();
    command.build();
    let mut found = &mut command;
    for word in before.iter().filter(|w| !w.starts_with('-')) {
        match found.find_subcommand_mut(word) {
            Some(_) => {
                found = match found.find_subcommand_mut(word) {
                    Some(f) => f,
                    None => return vec![],
                }
            }
            None => break,
        }
    }
    let verbs: Vec<String> = found.get_subcommands().map(|c| c.get_name().to_owned()).collect();
    if verbs.is_empty() {
        return found.get_arguments().filter_map(|a| a.get_long()).map(|l| format!("--{l}")).collect();
    }
    verbs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(s: &str) -> Vec<String> {
        s.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn every_topic_there_is() {
        let all = overview();
        for noun in [
            "vm", "image", "plan", "job", "key", "account", "event", "user", "invite", "host", "whoami",
            "exit",
        ] {
            assert!(all.contains(noun), "{noun} is missing:\n{all}");
        }
        assert!(about(&words("vm new")).unwrap().contains("--image"));
        let set = about(&words("account set")).unwrap();
        for setting in crate::model::Setting::ALL {
            let line = format!("{setting:9}  {}", setting.choices().join(", "));
            assert!(set.contains(line.trim_end()), "{line}\n{set}");
        }
        assert!(about(&words("guide")).unwrap().contains('#'));
        assert!(about(&words("vm nww")).unwrap_err().hint.contains("new"));
    }

    /// What a line of the manual asks of the portal, its placeholders filled in.
    fn asked(line: &str) -> Vec<String> {
        let Some(line) = line.strip_prefix("    ") else { return vec![] };
        line.split("  ").map(str::trim).filter_map(asked_by).collect()
    }

    fn asked_by(piece: &str) -> Option<String> {
        let piece = piece.rsplit(" | ").next()?.split(" < ").next()?.split(" > ").next()?;
        let words: Vec<&str> = piece.split_whitespace().filter(|w| !matches!(*w, "-t" | "-T")).collect();
        let said = match words.as_slice() {
            ["ssh", "alice@PORTAL", rest @ ..] => rest.join(" "),
            [
                "vm" | "key" | "job" | "event" | "user" | "invite" | "role" | "group" | "image" | "plan"
                | "host" | "account" | "session" | "ca",
                _,
                ..,
            ] => piece.to_owned(),
            _ => return None,
        };
        Some(said.replace("ID", "1").replace("NAME", "web1"))
    }

    #[test]
    fn every_command_of_the_manual_is_one() {
        use super::super::grammar::{parse, words};
        let mut seen = 0;
        for (page, text) in PAGES {
            for one in text.lines().flat_map(asked) {
                parse(&words(one.as_bytes()).unwrap()).unwrap_or_else(|e| panic!("{page}: {one}: {e}"));
                seen += 1;
            }
        }
        assert!(seen > 30, "only {seen} commands were found");
    }

    #[test]
    fn what_may_follow() {
        assert!(next_words(&words("vm")).contains(&String::from("new")));
        assert!(next_words(&words("vm new")).contains(&String::from("--image")));
        assert!(next_words(&[]).contains(&String::from("vm")));
    }
}
