//! What holds for any input at all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../fuzz/checks.rs"]
mod checks;

use proptest::collection::vec;
use proptest::prelude::*;
use twarga::config::Config;
use twarga::image::Manifest;
use twarga::model::name::{UserName, VmRef};
use twarga::model::{Time, VmName, text, time};
use twarga::portal::authorized_keys;
use twarga::shell::grammar;

/// The contract's rule, said another way: `[a-z]([a-z0-9-]{0,30}[a-z0-9])?`.
fn is_vm_name(s: &str, also: char) -> bool {
    let middle = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == also;
    let end = |c: char| middle(c) && c != '-' && c != also;
    let chars: Vec<char> = s.chars().collect();
    match chars.as_slice() {
        [] => false,
        [first, rest @ ..] => {
            first.is_ascii_lowercase()
                && chars.len() <= 32
                && rest.iter().all(|c| middle(*c))
                && chars.last().is_some_and(|c| end(*c))
        }
    }
}

/// Text with more of what is awkward than chance would bring.
fn awkward() -> impl Strategy<Value = String> {
    let sign = prop_oneof![
        any::<char>(),
        prop::sample::select(vec![
            '\0', '\n', '\r', '\t', '\u{7}', '\u{1b}', '\u{7f}', '\u{9b}', '\u{200b}', '\u{200d}',
            '\u{202e}', '\u{2066}', '\u{feff}', '\u{301}', '\u{fe0f}', '日', '👩', 'é', ' ', '…', '\u{ad}',
            '\u{1160}',
        ]),
        prop::char::range('a', 'f'),
    ];
    vec(sign, 0..60).prop_map(|signs| signs.into_iter().collect())
}

/// Lines that look like a configuration, right and wrong.
fn toml_like() -> impl Strategy<Value = String> {
    let words = [
        "data_dir",
        "host_key_dir",
        "[ssh]",
        "[http]",
        "[driver]",
        "[driver.libvirt]",
        "[registration]",
        "[monitor]",
        "[[plan]]",
        "[plan]",
        "[limits]",
        "[events]",
        "listen",
        "name",
        "vcpus",
        "ram_mb",
        "sample_s",
        "first_port",
        "boot_timeout_s",
        "last_port",
        "metrics_token",
        "max_startups",
        " = ",
        "=",
        "\n",
        "\n",
        "\n",
        "\"\"",
        "\"x\"",
        "\"127.0.0.1:1\"",
        "1",
        "-1",
        "0x1f",
        "1_000",
        "1e9",
        "nan",
        "inf",
        "true",
        "[",
        "]",
        "{",
        "}",
        ".",
        ",",
        "99999999999999999999",
        "1979-05-27",
        "'''",
        "#",
        "\"",
        "é",
        "\u{0}",
        "starting_credits",
        "uri",
        "accel",
    ];
    vec(prop::sample::select(words.to_vec()), 0..40).prop_map(|w| w.concat())
}

/// Words of the grammar and of no grammar.
fn line_like() -> impl Strategy<Value = Vec<String>> {
    let words = [
        "vm",
        "image",
        "plan",
        "job",
        "key",
        "account",
        "event",
        "user",
        "host",
        "ls",
        "new",
        "show",
        "rm",
        "start",
        "stop",
        "ssh",
        "help",
        "whoami",
        "exit",
        "shell",
        "destroy",
        "cancel",
        "watch",
        "web1",
        "web1.alice",
        "7",
        "--json",
        "--all",
        "--help",
        "-h",
        "--",
        "-",
        "--ram",
        "--cpu",
        "--plan",
        "--since",
        "1h",
        "--limit",
        "--severity",
        "low",
        "--tag",
        "--user-data",
        "--key",
        "--role",
        "",
        "\u{1b}[31m",
        "é",
        "99999999999999999999",
        "--force",
        "--yes",
        "--no-wait",
        "ssh-config",
        "--portal",
        "a:b",
        "passwd",
        "add",
        "stats",
        "console",
    ];
    vec(prop::sample::select(words.to_vec()).prop_map(str::to_owned), 0..8)
}

const MANIFEST: &str = "description = \"d\"\nssh_user = \"root\"\nkernel_args = \"quiet\"\nmin_ram_mb = 64\n\
    min_disk_gb = 1\nguest_agent = false\nbuilt_at_ms = 5\n\
    [files.kernel]\nbytes = 1\nsha256 = \"aa\"\n[files.initrd]\nbytes = 1\nsha256 = \"aa\"\n\
    [files.\"disk.qcow2\"]\nbytes = 1\nsha256 = \"aa\"\n";

fn is_clean(s: &str) -> bool {
    !s.chars().any(text::is_unsafe)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn names_are_what_the_rule_says_and_come_back_as_they_were(s in "[a-zA-Z0-9._-]{0,34}|[a-z][a-z0-9-]{0,31}|.{0,4}") {
        let vm = s.parse::<VmName>();
        prop_assert_eq!(vm.is_ok(), is_vm_name(&s, '-'), "{:?}", s);
        if let Ok(name) = vm {
            prop_assert_eq!(name.to_string(), s.clone());
        }
        let user = s.parse::<UserName>();
        prop_assert_eq!(user.is_ok(), is_vm_name(&s, '_'), "{:?}", s);
        if let Ok(name) = user {
            prop_assert_eq!(name.to_string(), s.clone());
        }
    }

    #[test]
    fn references_come_back_as_they_were(s in "[a-z][a-z0-9-]{0,5}([.][a-z][a-z0-9_-]{0,5}){0,2}|.{0,8}") {
        if let Ok(name) = s.parse::<VmRef>() {
            prop_assert_eq!(name.to_string(), s.clone());
            prop_assert_eq!(name.owner.is_some(), s.contains('.'));
            prop_assert_eq!(s.parse::<VmRef>().unwrap(), name);
        }
    }

    #[test]
    fn short_text_fits_and_is_harmless(s in awkward(), columns in 0_usize..40) {
        let out = text::short(&s, columns);
        prop_assert!(is_clean(&out), "{:?} from {:?}", out, s);
        prop_assert!(text::columns(&out) <= columns, "{:?} has {} of {columns} columns", out, text::columns(&out));
        let whole = text::clean(&s);
        prop_assert!(is_clean(&whole));
        if text::columns(&whole) <= columns {
            prop_assert_eq!(out, whole);
        }
    }

    #[test]
    fn sizes_and_moments_never_panic(n in any::<u64>(), t in any::<i64>()) {
        prop_assert!(!text::bytes(n).is_empty());
        let moment = time::Time::from_millis(t);
        prop_assert!(!moment.to_string().is_empty());
        let _ = moment.minus_seconds(n);
        let _ = moment.seconds_since(time::Time::from_millis(t.wrapping_neg()));
    }

    #[test]
    fn spans_are_read_as_they_are_written(n in 0_u64..1_000_000_000, s in ".{0,12}") {
        let _ = time::parse_span(&s);
        for (unit, seconds) in [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800)] {
            prop_assert_eq!(time::parse_span(&format!("{n}{unit}")), Some(n * seconds));
        }
        // What people are shown adds up to no more than what it was.
        let shown: u64 = time::span(n).split(' ').map(|part| time::parse_span(part).unwrap()).sum();
        prop_assert!(shown <= n && n - shown < 86_400, "{n}: {}", time::span(n));
    }

    #[test]
    fn a_configuration_is_read_or_refused_with_lines_that_exist(s in toml_like()) {
        if let Err(mistakes) = Config::parse(&s) {
            prop_assert!(!mistakes.is_empty());
            let lines = s.matches('\n').count() + 1;
            for mistake in mistakes {
                prop_assert!((1..=lines).contains(&mistake.line), "{mistake} of {lines} lines: {s:?}");
            }
        }
    }

    #[test]
    fn any_text_is_a_configuration_or_none(s in ".{0,200}") {
        let _ = Config::parse(&s);
    }

    #[test]
    fn any_bytes_are_a_command_or_a_clean_mistake(bytes in vec(any::<u8>(), 0..200)) {
        if let Err(e) = grammar::words(&bytes).and_then(|words| grammar::parse(&words)) {
            prop_assert!(is_clean(&e.message), "{:?}", e.message);
        }
    }

    #[test]
    fn any_words_are_a_command_or_a_clean_mistake(words in line_like(), odd in awkward()) {
        let mut all = words.clone();
        all.push(odd);
        for words in [words, all] {
            let _ = grammar::wants_json(&words);
            if let Err(e) = grammar::parse(&words) {
                prop_assert!(is_clean(&e.message) && is_clean(&e.hint), "{words:?}: {e:?}");
                prop_assert!(!e.message.is_empty() && e.exit() as u8 == 2, "{words:?}: {e:?}");
            }
        }
    }

    #[test]
    fn a_manifest_is_read_or_refused(at in 0..MANIFEST.len(), cut in 0_usize..40, put in ".{0,10}", any in ".{0,100}") {
        let _ = Manifest::parse(&any);
        let end = (at + cut).min(MANIFEST.len());
        let _ = Manifest::parse(&format!("{}{put}{}", &MANIFEST[..at], &MANIFEST[end..]));
    }
}

const KEY: &str = include_str!("../fuzz/seeds/public_key/ed25519");

/// An address or a network, as it is shown again.
fn network() -> impl Strategy<Value = String> {
    let v4 = (any::<u32>(), 0_u8..=32).prop_map(|(bits, prefix)| {
        let kept = bits & u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        let address = std::net::Ipv4Addr::from_bits(kept);
        if prefix == 32 { address.to_string() } else { format!("{address}/{prefix}") }
    });
    prop_oneof![v4, Just(String::from("2001:db8::/32")), Just(String::from("::1"))]
}

proptest! {
    /// Whatever the order and the blanks: what a line says is what the key is limited
    /// to, and one word more that nobody knows lets none of it in.
    #[test]
    fn options_of_a_key_are_kept_to_the_letter(
        meant in vec(network(), 1..5),
        except in vec(network(), 0..3),
        verbs in vec("[a-z]{1,8} ([a-z][a-z-]{0,8}|\\*)", 1..5),
        days in 1_u64..10_000,
        order in Just([0, 1, 2]).prop_shuffle(),
        taken in 1_usize..=3,
        unknown in "[a-zA-Z-]{1,12}",
        at in 0_usize..=3,
    ) {
        let now = Time::from_millis(1_784_000_000_000);
        let rules = meant.iter().cloned().chain(except.iter().map(|e| format!("!{e}"))).collect::<Vec<_>>();
        let all = [
            format!("from=\"{}\"", rules.join(",")),
            format!("command=\"{}\"", verbs.join(" , ")),
            format!("expires=\"{days}d\""),
        ];
        let mut options: Vec<_> = order.iter().take(taken).map(|i| all[*i].clone()).collect();
        let has = |i| order.iter().take(taken).any(|o| *o == i);
        let keys = authorized_keys::parse(&format!("{} {KEY}", options.join(",")), now).unwrap();
        let limits = &keys[0].limits;
        let texts = |list: Vec<String>, there| if there { list } else { Vec::new() };
        prop_assert_eq!(limits.from.iter().map(ToString::to_string).collect::<Vec<_>>(), texts(rules, has(0)));
        prop_assert_eq!(limits.verbs.iter().map(ToString::to_string).collect::<Vec<_>>(), texts(verbs, has(1)));
        prop_assert_eq!(limits.expires_at.is_some(), has(2));
        let known = ["from", "command", "expires", "expiry-time"];
        prop_assume!(!known.contains(&unknown.as_str()));
        options.insert(at.min(options.len()), unknown);
        let read = authorized_keys::parse(&format!("{} {KEY}", options.join(",")), now);
        prop_assert!(read.is_err());
    }
}

/// The fuzzers' name for a check, and the check.
type Check = (&'static str, fn(&[u8]));

/// The checks that `make fuzz` makes for longer, by name.
const CHECKS: &[Check] = &[
    ("line", checks::line),
    ("name", checks::name),
    ("config", checks::config),
    ("manifest", checks::manifest),
    ("public_key", checks::public_key),
    ("authorized_keys", checks::authorized_keys),
    ("keys", checks::keys),
    ("guest", checks::guest),
    ("seed", checks::seed),
    #[cfg(feature = "libvirt")]
    ("definition", checks::definition),
];

/// The fuzzers' seeds of that name.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let files = std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    files.map(|f| std::fs::read(f.unwrap().path()).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_reader_bears_any_bytes_and_bent_seeds(
        any in vec(any::<u8>(), 0..300),
        text in awkward(),
        at in 0_usize..1000,
        cut in 0_usize..20,
        put in vec(any::<u8>(), 0..8),
    ) {
        for (name, check) in CHECKS {
            check(&any);
            check(text.as_bytes());
            for seed in seeds(name) {
                let at = at % (seed.len() + 1);
                let end = (at + cut).min(seed.len());
                check(&[&seed[..at], &put, &seed[end..]].concat());
            }
        }
    }
}

#[test]
fn every_reader_bears_its_seeds() {
    for (name, check) in CHECKS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        seeds.iter().for_each(|seed| check(seed));
    }
}

#[test]
fn the_manifest_that_is_bent_is_a_right_one() {
    Manifest::parse(MANIFEST).unwrap();
}
