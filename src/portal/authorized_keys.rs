//! Lines of an `authorized_keys` file (sshd(8)): options, key, note. Of the options
//! those that the portal keeps are read; any other is a mistake, for what it was to
//! forbid would be allowed.

use std::borrow::Cow;
use std::str::FromStr;

use super::keys::parse_public;
use crate::error::{Code, Error, Result};
use crate::model::limits::{AddressRule, MOST_LIMITS, Verb};
use crate::model::{KeyLimits, Time, text, time};
use crate::store::NewKey;

/// Keys that are read at once.
pub const MOST_LINES: usize = 100;
/// The longest options of a line, bytes.
const LONGEST_OPTIONS: usize = 4096;

/// Reads keys, a line each; blank lines and those that begin with `#` do not count.
///
/// # Errors
/// `key.invalid`, saying what is wrong with the first line that is: of several
/// lines, with which.
pub fn parse(lines: &str, now: Time) -> Result<Vec<NewKey>> {
    if lines.contains("PRIVATE KEY") {
        return Err(private());
    }
    let numbered = lines.lines().enumerate().map(|(i, line)| (i + 1, line.trim()));
    let meant: Vec<_> = numbered.filter(|(_, l)| !l.is_empty() && !l.starts_with('#')).collect();
    if meant.len() > MOST_LINES {
        return Err(bad(format!("Those are {} keys; at most {MOST_LINES} are read at once.", meant.len())));
    }
    let one = meant.len() <= 1;
    if meant.is_empty() {
        return parse_public("").map(|key| vec![key]);
    }
    let mut keys: Vec<NewKey> = Vec::with_capacity(meant.len());
    for (number, line) in meant {
        let key = parse_line(line, now).and_then(|key| {
            match keys.iter().any(|k| k.fingerprint == key.fingerprint) {
                true => Err(bad(format!("The key {} stands there twice.", key.fingerprint))),
                false => Ok(key),
            }
        });
        keys.push(key.map_err(|e| {
            if one { e } else { Error { message: format!("Line {number}: {}", e.message), ..e } }
        })?);
    }
    Ok(keys)
}

fn bad(message: impl Into<String>) -> Error {
    Error::new(Code::BadKey, message)
}

fn private() -> Error {
    // Its words, and nothing of what was pasted.
    match parse_public("PRIVATE KEY") {
        Err(e) => e,
        Ok(_) => bad("That is a private key."),
    }
}

fn parse_line(line: &str, now: Time) -> Result<NewKey> {
    let Some((options, key)) = split(line)? else { return parse_public(line) };
    let limits = limits(options, now)?;
    Ok(NewKey { limits, ..parse_public(key)? })
}

/// The options of a line, and the rest; none if it begins with the key.
fn split(line: &str) -> Result<Option<(&str, &str)>> {
    let first = line.split_whitespace().next().unwrap_or_default();
    let kinds = ["ssh-", "ecdsa-", "sk-", "rsa-", "webauthn-"];
    let is_key = kinds.iter().any(|k| first.starts_with(k)) && !first.contains(['=', '"']);
    // One word is neither.
    if is_key || first.len() == line.len() {
        return Ok(None);
    }
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in line.char_indices() {
        if at > LONGEST_OPTIONS {
            return Err(bad("The options before a key are too long."));
        }
        match c {
            '"' if !escaped => quoted = !quoted,
            c if c.is_whitespace() && !quoted => {
                let (options, key) = line.split_at(at);
                // Two words that are neither: no better told than as a bad key.
                let looks = options.contains(['=', ',', '"']) || KNOWN_TO_SSHD.contains(&options);
                return Ok(looks.then(|| (options, key.trim_start())));
            }
            _ => {}
        }
        escaped = c == '\\' && !escaped;
    }
    match quoted {
        true => Err(bad("A quote is left open in the options before the key.")),
        false => Ok(None),
    }
}

/// Options without a value: with those alone a line has options, too.
const KNOWN_TO_SSHD: [&str; 12] = [
    "restrict",
    "cert-authority",
    "no-pty",
    "no-port-forwarding",
    "no-agent-forwarding",
    "no-X11-forwarding",
    "no-user-rc",
    "no-touch-required",
    "verify-required",
    "pty",
    "port-forwarding",
    "agent-forwarding",
];

/// Options as name and value, split at commas outside of quotes.
fn pairs(options: &str) -> Vec<(&str, Option<Cow<'_, str>>)> {
    let (mut parts, mut begin, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in options.char_indices() {
        match c {
            '"' if !escaped => quoted = !quoted,
            ',' if !quoted => {
                parts.push(options.get(begin..at).unwrap_or_default());
                begin = at + 1;
            }
            _ => {}
        }
        escaped = c == '\\' && !escaped;
    }
    parts.push(options.get(begin..).unwrap_or_default());
    parts
        .into_iter()
        .map(|part| match part.split_once('=') {
            Some((name, value)) => (name, Some(unquoted(value))),
            None => (part, None),
        })
        .collect()
}

/// The value without its quotes; sshd knows `\"` inside of them.
fn unquoted(value: &str) -> Cow<'_, str> {
    match value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) {
        Some(inner) if inner.contains('\\') => Cow::Owned(inner.replace("\\\"", "\"")),
        Some(inner) => Cow::Borrowed(inner),
        None => Cow::Borrowed(value),
    }
}

fn limits(options: &str, now: Time) -> Result<KeyLimits> {
    let mut limits = KeyLimits::default();
    let mut seen: Vec<&str> = Vec::new();
    for (name, value) in pairs(options) {
        let shown = text::short(name, 40);
        let meant = if name == "expires" { "expiry-time" } else { name };
        if seen.contains(&meant) {
            return Err(bad(format!("The option “{shown}” stands there twice.")));
        }
        seen.push(meant);
        let wrong = |why: &str| {
            bad(format!("The option “{shown}”: {}.", text::short(why.trim_end_matches('.'), 160)))
        };
        let value = value.filter(|v| !v.trim().is_empty());
        match (name, value.as_deref()) {
            ("from", Some(list)) => limits.from = AddressRule::list(list).map_err(|e| wrong(&e.message))?,
            ("expiry-time" | "expires", Some(end)) => {
                limits.expires_at = Some(time::parse_end(end, now).map_err(|why| wrong(&why))?);
            }
            ("command", Some(list)) => limits.verbs = verbs(list).map_err(|e| wrong(&e.message))?,
            ("from" | "expiry-time" | "expires" | "command", None) => {
                return Err(wrong("it wants a value").hint(format!("Such as {}.", example(name))));
            }
            ("cert-authority", _) => {
                return Err(wrong("an account has no authority of its own")
                    .hint("An administrator trusts one with `ca add`."));
            }
            _ => {
                return Err(bad(format!("There is no option “{shown}” here.")).hint(
                    "Options before a key: from=\"…\", expiry-time=\"…\", command=\"…\". Flags do more: `help key add`.",
                ));
            }
        }
    }
    Ok(limits)
}

fn example(name: &str) -> &'static str {
    match name {
        "from" => "from=\"10.0.0.0/8,!10.1.0.0/16\"",
        "command" => "command=\"vm ls,vm start\"",
        _ => "expiry-time=\"20310501Z\"",
    }
}

/// Verbs with commas between them.
fn verbs(list: &str) -> Result<Vec<Verb>> {
    let verbs = list.split(',').map(Verb::from_str).collect::<Result<Vec<_>>>()?;
    match verbs.len() <= MOST_LIMITS {
        true => Ok(verbs),
        false => Err(Error::usage(format!("At most {MOST_LIMITS} commands are listed."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(1_784_000_000_000);

    fn key() -> String {
        super::super::keys::new_pair().unwrap().1
    }

    fn limits_of(options: &str) -> KeyLimits {
        let line = format!("{options} {} a note", key());
        let mut keys = parse(&line, NOW).unwrap_or_else(|e| panic!("{options}: {e}"));
        let key = keys.pop().unwrap();
        assert_eq!(key.note, "a note");
        key.limits
    }

    #[test]
    fn options_become_limits() {
        let all =
            limits_of(r#"from="10.0.0.0/8,!10.1.0.0/16",expiry-time="20310501Z",command="vm ls, vm start""#);
        assert_eq!(
            all.words(),
            "from 10.0.0.0/8,!10.1.0.0/16; until 2031-05-01T00:00:00Z; only vm ls,vm start"
        );
        assert_eq!(limits_of("from=10.0.0.1").words(), "from 10.0.0.1");
        assert!(limits_of("expires=30d").expires_at.is_some_and(|end| end > NOW));
        assert_eq!(parse(&key(), NOW).unwrap()[0].limits, KeyLimits::default());
    }

    #[test]
    fn several_lines_or_none_of_them() {
        let (a, b) = (key(), key());
        let file = format!("# mine\n\n{a} laptop\r\n  from=\"10.0.0.1\" {b} ci\n#{a}\n");
        let keys = parse(&file, NOW).unwrap();
        assert_eq!(keys.iter().map(|k| k.note.as_str()).collect::<Vec<_>>(), ["laptop", "ci"]);
        let e = parse(&format!("{a}\n# x\nrestrict {b}\n"), NOW).unwrap_err();
        assert!(e.message.starts_with("Line 3: ") && e.message.contains("“restrict”"), "{e}");
        let e = parse(&format!("{a}\n{a} again\n"), NOW).unwrap_err();
        assert!(e.message.contains("Line 2") && e.message.contains("twice"), "{e}");
        let many = vec![a; MOST_LINES + 1].join("\n");
        assert!(parse(&many, NOW).unwrap_err().message.contains("at most 100"));
    }

    #[test]
    fn options_that_are_none_of_ours() {
        let key = key();
        for (options, what) in [
            ("restrict", "no option “restrict”"),
            ("no-pty", "no option “no-pty”"),
            ("from=\"10.0.0.1\",tunnel=\"0\"", "no option “tunnel”"),
            ("FROM=\"10.0.0.1\"", "no option “FROM”"),
            ("from", "cannot be read"),
            ("from,restrict", "“from”: it wants a value"),
            ("from=\"\"", "“from”: it wants a value"),
            ("command=\"\"", "“command”: it wants a value"),
            ("from=\"example.com\"", "neither an address"),
            ("from=\"!10.0.0.1\"", "leave none"),
            ("command=\"rm -rf /\"", "is no command"),
            ("expiry-time=\"20200101Z\"", "over already"),
            ("expiry-time=\"soon\"", "an end is written"),
            ("expires=1d,expiry-time=\"20310501\"", "twice"),
            ("from=\"10.0.0.1\",from=\"10.0.0.2\"", "twice"),
            ("cert-authority", "no authority of its own"),
            ("from=\"10.0.0.1", "quote is left open"),
            ("\"from\"=\"10.0.0.1\"", "no option"),
            (",", "no option “”"),
            ("from=\"10.0.0.1\",", "no option “”"),
        ] {
            let e = parse(&format!("{options} {key}"), NOW).unwrap_err();
            assert!(e.code == Code::BadKey && e.message.contains(what), "{options}: {e}");
        }
        let long = format!("command=\"{}\" {key}", "vm ls,".repeat(1000));
        assert!(parse(&long, NOW).unwrap_err().message.contains("too long"));
        let e = parse(&format!("{key}\n-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl"), NOW).unwrap_err();
        assert!(e.message.contains("private key") && !e.message.contains("b3Bl"), "{e}");
    }
}
