use proptest::prelude::*;

use super::*;
use crate::model::text;

fn size(cols: u16, rows: u16) -> WindowSize {
    WindowSize { cols, rows }
}

fn feed(emulator: &mut Emulator, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        rest = &rest[emulator.feed(rest)..];
    }
}

/// A terminal of 10×3 that was told that.
fn told(bytes: &str) -> Emulator {
    let mut emulator = Emulator::new(size(10, 3));
    feed(&mut emulator, bytes.as_bytes());
    emulator
}

/// Its lines, as many as there are.
fn all(emulator: &mut Emulator) -> Vec<String> {
    emulator.lines().map(|line| emulator.text(line).0).collect()
}

#[test]
fn what_vt100_does_not_know_is_said_in_other_words() {
    for (given, seen) in [
        ("\x1b(0lqk\x1b(B lq", "┌─┐ lq"),
        ("\x1b)0\x0etqu\x0ftq", "├─┤tq"),
        ("\x1b7\x1b(0\x1b8q", "q"),
        ("ab\x1bDc", "ab\n  c"),
        ("ab\x1bEc", "ab\nc"),
        ("ab\x1b[s\x1b[2;1Hx\x1b[uc", "abc\nx"),
        ("abcd\x1b[1G\x1b[4hXY\x1b[4lZ", "XYZbcd"),
        ("\x1b[?7l0123456789abc", "012345678c"),
        ("\x1b[9Gx\x1b[Zy", "        y"),
        ("\tx\x1b[2Zy", "y       x"),
        ("a\x1b[3bb", "aaaab"),
        ("a\u{fffd}b\u{202e}c\u{200d}d", "a?bcd"),
        ("a\x1b[1;2;3Xb\x1b]0;t\x07c\x1bPq#1\x1b\\d\x1b_x\x1b\\e", "abcde"),
        ("abc\x1bcd", "d"),
    ] {
        assert_eq!(told(given).screen().contents(), seen, "{given:?}");
    }
}

#[test]
fn colours_are_taken_as_they_were_meant() {
    use vt100::Color::{Default, Idx, Rgb};
    for (given, fg, bold) in [
        ("\x1b[31m", Idx(1), false),
        ("\x1b[38;5;200;1m", Idx(200), true),
        ("\x1b[38;2;1;2;3m", Rgb(1, 2, 3), false),
        ("\x1b[38:2:1:2:3m", Rgb(1, 2, 3), false),
        ("\x1b[38:2::1:2:3;1m", Rgb(1, 2, 3), true),
        // The colour of an underline must not become something else.
        ("\x1b[58;5;1m", Default, false),
        ("\x1b[58;2;1;31;1m", Default, false),
        ("\x1b[58:5:1m", Default, false),
    ] {
        let emulator = told(&format!("{given}x"));
        let cell = emulator.screen().cell(0, 0).unwrap();
        assert_eq!((cell.fgcolor(), cell.bold()), (fg, bold), "{given:?}");
    }
}

#[test]
fn questions_are_answered_where_programs_wait() {
    for (asked, answer) in [
        ("\x1b[c", "\x1b[?62;22c"),
        ("\x1b[0c", "\x1b[?62;22c"),
        ("\x1bZ", "\x1b[?62;22c"),
        ("\x1b[>c", "\x1b[>41;277;0c"),
        ("\x1b[5n", "\x1b[0n"),
        ("ab\r\nc\x1b[6n", "\x1b[2;2R"),
        ("0123456789\x1b[6n", "\x1b[1;10R"),
        ("\x1b[999;999H\x1b[6n", "\x1b[3;10R"),
        ("\x1b[18t", "\x1b[8;3;10t"),
        ("\x1b[?2026$p", "\x1b[?2026;0$y"),
        // These would put a guest's words into its own input.
        ("\x1b]0;rm -rf\x07\x1b[21t\x1b]52;c;?\x07\x1b[1;1H", ""),
    ] {
        assert_eq!(String::from_utf8(told(asked).take_replies()).unwrap(), answer, "{asked:?}");
    }
    assert!(told(&"\x1b[c".repeat(100_000)).take_replies().len() <= 1024);
}

#[test]
fn a_title_is_short_and_safe() {
    let mut emulator = told("\x1b]2;web1; \u{202e}top\u{7}\x07");
    assert_eq!(emulator.title(), "web1; ?top");
    assert!(emulator.take_bell() && !emulator.take_bell());
    // A string that never ends is not kept: `vte` without `std`.
    feed(&mut emulator, format!("\x1b]0;{}", "x".repeat(100_000)).as_bytes());
    feed(&mut emulator, b"\x07");
    assert!(text::columns(emulator.title()) <= 80);
    let raw = std::mem::size_of::<vte::Parser>();
    assert!(raw > 1024, "its buffer is its own: {raw} bytes");
}

#[test]
fn lines_that_leave_are_kept_with_their_colours() {
    let mut emulator = told("");
    for n in 0..300 {
        feed(&mut emulator, format!("\x1b[32mline {n}\x1b[m\r\n").as_bytes());
    }
    assert_eq!(emulator.lines(), 0..301);
    assert_eq!(all(&mut emulator)[..2], ["line 0", "line 1"]);
    for top in [0, 1, 190, 197, 198, 199, 200, 250, 298] {
        let view = emulator.view(Some(top));
        for row in 0..3 {
            let text: String = (0..10).filter_map(|col| view.cell(row, col)).map(|c| c.contents()).collect();
            let n = top + u64::from(row);
            let expected = if n < 300 { format!("line{n}") } else { String::new() };
            assert_eq!(text.replace(' ', ""), expected, "{top} {row}");
            if n < 300 {
                assert_eq!(view.cell(row, 0).unwrap().fgcolor(), vt100::Color::Idx(2));
            }
        }
    }
    // Looking back changes nothing of what goes on.
    feed(&mut emulator, b"next");
    assert_eq!(emulator.screen().contents(), "line 298\nline 299\nnext");
}

#[test]
fn a_line_keeps_its_number() {
    let mut emulator = told("");
    for n in 0..5000 {
        feed(&mut emulator, format!("{n}\r\n").as_bytes());
    }
    let lines = emulator.lines();
    assert_eq!(lines.end, 5001);
    assert!(lines.start > 2800 && lines.start < 3000, "{lines:?}");
    assert_eq!(emulator.text(4000).0, "4000");
    feed(&mut emulator, b"\x1b[3J");
    assert_eq!(emulator.lines(), 4998..5001);
    assert_eq!(emulator.text(4999).0, "4999");
}

#[test]
fn what_is_kept_is_bounded_by_bytes_too() {
    let mut emulator = Emulator::new(size(500, 2));
    for n in 0..3000u32 {
        let colours: String = (0..500).map(|i| format!("\x1b[38;5;{}mé", (i + n) % 256)).collect();
        feed(&mut emulator, format!("{colours}\r\n").as_bytes());
    }
    let kept: usize = emulator.front.history().lines.iter().map(|line| line.text.len()).sum();
    assert!(kept <= 512 * 1024, "{kept}");
    assert!(kept > 256 * 1024, "{kept}");
}

#[test]
fn long_lines_know_that_they_go_on() {
    let mut emulator = told("0123456789abc\r\nx\r\n");
    for _ in 0..200 {
        feed(&mut emulator, b"y\r\n");
    }
    assert_eq!(emulator.text(0), ("0123456789".into(), true));
    assert_eq!(emulator.text(1), ("abc".into(), false));
    assert_eq!(emulator.text(2), ("x".into(), false));
}

#[test]
fn the_alternate_screen_leaves_no_lines() {
    let mut emulator = told("1\r\n2\r\n3\r\n4\x1b[?1049h");
    assert_eq!(emulator.lines(), 0..3);
    feed(&mut emulator, "a\r\nb\r\nc\r\nd\r\ne\r\n".as_bytes());
    assert_eq!(emulator.lines(), 0..3);
    feed(&mut emulator, b"\x1b[?1049l");
    assert_eq!(all(&mut emulator), ["1", "2", "3", "4"]);
}

#[test]
fn a_window_that_grows_shows_what_was_above() {
    let mut emulator = told("1\r\n2\r\n3\r\n4\r\n5");
    assert!(emulator.resize(size(10, 5)));
    assert_eq!(emulator.screen().contents(), "1\n2\n3\n4\n5");
    assert!(!emulator.resize(size(10, 5)));
}

/// `vt100` 0.18 alone fails on this: a character in the last cell of the last row
/// becomes wide when the form of an emoji is asked for.
#[test]
fn a_character_that_becomes_wide_at_the_edge() {
    let mut emulator = told("\x1b[3;10H\u{2764}\u{fe0f}\x1b[2;10Hx\x1b[3;10Hx");
    emulator.resize(size(2, 2));
    feed(&mut emulator, "\u{2764}\u{fe0f}\u{2764}\u{fe0f}\u{2764}\u{fe0f}x".as_bytes());
}

#[test]
fn little_may_ask_for_much_work_in_slices_only() {
    let mut emulator = Emulator::new(size(500, 200));
    for greedy in ["\x1bc", "\x1b[65535b", "\x1b[2J", "\x1b[?1049h", "\x1b[65535S", "\x1b[65535L"] {
        let bytes = greedy.repeat(1000);
        assert!(emulator.feed(bytes.as_bytes()) < 200, "{greedy:?}");
    }
}

/// Programs as they were recorded at 80×24 (TERM is xterm-256color but for the
/// last), and what tmux showed of the same bytes.
#[test]
fn real_programs_look_as_they_should() {
    macro_rules! recorded {
        ($($name:literal),*) => {
            [$(($name, &include_bytes!(concat!("programs/", $name, ".bytes"))[..],
                include_str!(concat!("programs/", $name, ".txt")))),*]
        };
    }
    for (name, bytes, expected) in recorded!["vim", "less", "tmux", "tmux-ascii", "bash", "vt220"] {
        for packet in [bytes.len(), 7] {
            let mut emulator = Emulator::new(size(80, 24));
            for part in bytes.chunks(packet) {
                feed(&mut emulator, part);
            }
            let seen: Vec<String> =
                emulator.screen().rows(0, 80).map(|row| row.trim_end().to_owned()).collect();
            let expected: Vec<&str> = expected.lines().map(str::trim_end).collect();
            assert_eq!(seen, expected, "{name}");
        }
    }
}

/// What terminals are told, with more of what is awkward than chance would bring.
fn awkward() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 1..6),
        4 => proptest::sample::select(vec![
            "日本", "e\u{301}", "\u{2764}\u{fe0f}", "\u{1f468}\u{200d}\u{1f469}", "\u{17d8}", "\r\n", "\n", "\t",
            "\x1b[?1049h", "\x1b[?1049l", "\x1b[?6h", "\x1b[4h", "\x1b[?7l", "\x1b(0", "\x1bM", "\x1b7",
            "\x1b8", "\x1bc", "\x1b[!p", "\x1b[3J", "\x1b[J", "\x1b[1J", "\x1b[2K", "\x1b[Z", "\x1b[5I",
        ]).prop_map(|s| s.as_bytes().to_vec()),
        4 => (0u16..30, 0u16..30, proptest::sample::select("@ABCDEFGHJKLMPSTXZabdefghlmnrstu`".chars().collect::<Vec<_>>()))
            .prop_map(|(a, b, c)| format!("\x1b[{a};{b}{c}").into_bytes()),
    ];
    proptest::collection::vec(piece, 0..80).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is said, between whatever sizes: every cell is safe, and has one
    /// column or two.
    #[test]
    fn any_bytes_make_safe_cells(
        parts in proptest::collection::vec((awkward(), 0u16..25, 0u16..12), 1..6),
    ) {
        let mut emulator = Emulator::new(size(1, 1));
        for (bytes, cols, rows) in parts {
            feed(&mut emulator, &bytes);
            emulator.resize(size(cols, rows));
            feed(&mut emulator, &bytes);
            let lines = emulator.lines();
            for top in [None, Some(0), Some(lines.end), Some((lines.start + lines.end) / 2)] {
                let (cols, rows) = (emulator.size().cols, emulator.size().rows);
                let view = emulator.view(top);
                for (row, col) in (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col))) {
                    let contents = view.cell(row, col).map_or("", |c| c.contents());
                    prop_assert!(!contents.chars().any(text::is_unsafe), "{contents:?}");
                }
            }
            for line in lines {
                emulator.text(line);
            }
        }
    }

    /// How it is cut into packets does not matter.
    #[test]
    fn packets_mean_nothing(bytes in awkward(), cut in 1usize..7) {
        let (mut whole, mut parts) = (Emulator::new(size(20, 6)), Emulator::new(size(20, 6)));
        feed(&mut whole, &bytes);
        for part in bytes.chunks(cut) {
            feed(&mut parts, part);
        }
        prop_assert_eq!(whole.screen().state_formatted(), parts.screen().state_formatted());
        prop_assert_eq!(whole.take_replies(), parts.take_replies());
    }
}
