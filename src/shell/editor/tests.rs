use proptest::prelude::*;

use super::*;
use crate::term::keys::Decoder;

fn screen_of(rows: u16, cols: u16, scrollback: usize) -> vt100::Parser {
    vt100::Parser::new(rows.try_into().unwrap(), cols.try_into().unwrap(), scrollback)
}

fn nothing(_: &str) -> Vec<String> {
    Vec::new()
}

fn verbs(before: &str) -> Vec<String> {
    let words = if before.contains(' ') {
        &["web1", "web2", "db"][..]
    } else {
        &["start", "stop", "status", "vm", "--tag="]
    };
    words.iter().map(|w| (*w).to_owned()).collect()
}

/// Types bytes; the last step.
fn feed(editor: &mut Editor, bytes: &[u8]) -> Step {
    let mut step = Step::Continue;
    let mut decoder = Decoder::new();
    let mut keys = decoder.feed(bytes);
    keys.extend(decoder.flush());
    for key in keys {
        step = editor.on_key(key, &verbs);
    }
    step
}

/// A terminal's first row and its cursor's column, after a redraw.
fn row(editor: &mut Editor, cols: u16) -> (String, u16) {
    let mut screen = screen_of(10, cols, 0);
    screen.process(b"stale text");
    screen.process(&editor.render(cols));
    let (y, x) = screen.screen().cursor_position();
    assert_eq!(y, 0);
    (screen.screen().rows(0, cols).next().unwrap(), x)
}

fn typed(bytes: &[u8]) -> Editor {
    let mut editor = Editor::new("> ");
    feed(&mut editor, bytes);
    editor
}

#[test]
fn emacs_keys() {
    for (bytes, line, column) in [
        (&b"vm ls"[..], "vm ls", 5),
        (b"vm ls\x01X", "Xvm ls", 1),
        (b"vm ls\x1b[D\x1b[DX", "vm Xls", 4),
        (b"vm ls\x01\x1b[C\x06\x05!", "vm ls!", 6),
        (b"vm ls\x7f\x7f", "vm ", 3),
        (b"vm ls\x01\x04\x1b[3~", " ls", 0),
        (b"vm ls web\x17", "vm ls ", 6),
        (b"vm ls web\x17\x17\x19\x19", "vm ls ls ", 9),
        (b"vm ls\x1bb\x0b", "vm ", 3),
        (b"vm ls\x15\x19", "vm ls", 5),
        (b"a.b-c\x1b\x7f\x1b\x7f", "a.", 2),
        (b"vm ls\x01\x1bd", " ls", 0),
        (b"vm ls\x01\x1bf\x1bfX", "vm lsX", 6),
        (b"ab\x1b[H\x1b[FX", "abX", 3),
        (b"\x1b[200~vm ls\nvm rm\n\x1b[201~", "vm ls vm rm", 11),
    ] {
        let mut editor = typed(bytes);
        assert_eq!(editor.line(), line, "{:?}", String::from_utf8_lossy(bytes));
        assert_eq!(row(&mut editor, 40), (format!("> {line}"), column + 2));
    }
}

#[test]
fn lines_end() {
    let mut editor = Editor::new("> ");
    assert_eq!(feed(&mut editor, b"ls\r"), Step::Submit("ls".into()));
    assert_eq!(editor.finish(40), b"\r\x1b[K> ls\r\x1b[4C\r\n");
    assert_eq!(feed(&mut editor, b"half\x03"), Step::Interrupt);
    let mut screen = screen_of(4, 40, 0);
    screen.process(&editor.finish(40));
    screen.process(&editor.render(40));
    assert_eq!(screen.screen().contents(), "> half^C\n> ");
    assert_eq!(feed(&mut editor, b"x\x04"), Step::Continue);
    assert_eq!(feed(&mut editor, b"\x7f\x04"), Step::Eof);
}

#[test]
fn history_keeps_the_draft() {
    let mut editor = typed(b"one\rtwo\rtwo\r  \rdraft");
    assert_eq!(editor.history().collect::<Vec<_>>(), ["one", "two"]);
    for (key, line) in [
        (&b"\x1b[A"[..], "two"),
        (b"\x10", "one"),
        (b"\x1b[A", "one"),
        (b"\x1b[B", "two"),
        (b"\x0e", "draft"),
        (b"\x1b[B", "draft"),
    ] {
        feed(&mut editor, key);
        assert_eq!(editor.line(), line);
    }
}

#[test]
fn history_is_bounded() {
    let mut editor = Editor::new("> ");
    for i in 0..600 {
        editor.remember(&format!("line {i}"));
    }
    assert_eq!(editor.history().count(), 500);
    assert_eq!(editor.history().next(), Some("line 100"));
}

#[test]
fn searches_backwards() {
    let mut editor = typed(b"vm new web1\rvm start db\rvm new web2\rkey ls\rdraft\x12new");
    assert_eq!(row(&mut editor, 60).0, "(search “new”) vm new web2");
    feed(&mut editor, b"\x12");
    assert_eq!(row(&mut editor, 60).0, "(search “new”) vm new web1");
    feed(&mut editor, b"\x12");
    assert_eq!(row(&mut editor, 60).0, "(no match “new”) vm new web1");
    feed(&mut editor, b"\x05!");
    assert_eq!(editor.line(), "vm new web1!");
    feed(&mut editor, b"\x15keep\x12st");
    assert_eq!(row(&mut editor, 60).0, "(search “st”) vm start db");
    feed(&mut editor, b"\x1b");
    assert_eq!(editor.line(), "keep");
    assert_eq!(feed(&mut editor, b"\x12web2\r"), Step::Submit("vm new web2".into()));
}

#[test]
fn tab_completes_then_lists() {
    let mut editor = typed(b"s\t");
    assert_eq!(editor.line(), "st");
    feed(&mut editor, b"o\t");
    assert_eq!(editor.line(), "stop ");
    feed(&mut editor, b"w\t");
    assert_eq!(editor.line(), "stop web");
    feed(&mut editor, b"\t");
    assert!(!String::from_utf8(editor.render(40)).unwrap().contains("web1"));
    feed(&mut editor, b"\t");
    let mut screen = screen_of(6, 40, 0);
    screen.process(&editor.render(40));
    assert_eq!(screen.screen().contents(), "> stop web\nweb1  web2\n> stop web");
    // Once.
    assert!(!String::from_utf8(editor.render(40)).unwrap().contains("web1"));
    assert_eq!(typed(b"--t\t").line(), "--tag=");
    assert_eq!(typed(b"zzz\t\t").line(), "zzz");
}

#[test]
fn hidden_lines_leave_no_trace() {
    let mut editor = Editor::new("Password: ").hidden(true);
    let empty = editor.render(40);
    assert_eq!(feed(&mut editor, b"secret\x17\x12s\x1bmore"), Step::Continue);
    assert_eq!(editor.render(40), empty);
    feed(&mut editor, b"\x15s3cret");
    assert_eq!(feed(&mut editor, b"\r"), Step::Submit("s3cret".into()));
    assert!(!String::from_utf8(editor.finish(40)).unwrap().contains("s3c"));
    assert_eq!(editor.history().count(), 0);
    feed(&mut editor, b"\x19\x1b[A");
    assert_eq!(editor.line(), "");
}

#[test]
fn long_lines_scroll_in_one_row() {
    let text: String = ('a'..='z').cycle().take(100).collect();
    let mut editor = typed(text.as_bytes());
    let (shown, x) = row(&mut editor, 20);
    assert!(shown.starts_with("> <") && shown.ends_with("tuv"), "{shown}");
    assert!(x < 20);
    feed(&mut editor, b"\x01");
    assert_eq!(row(&mut editor, 20), ("> abcdefghijklmnop>".into(), 2));
    for _ in 0..50 {
        feed(&mut editor, b"\x1b[C");
        let (shown, x) = row(&mut editor, 20);
        let under = shown.chars().nth(usize::from(x)).unwrap();
        assert!(under == editor.line.get(editor.cursor).copied().unwrap() || under == '>', "{shown} {x}");
    }
}

#[test]
fn wide_characters_keep_the_cursor_right() {
    let mut editor = typed("日本e\u{301}x".as_bytes());
    assert_eq!(row(&mut editor, 40).1, 2 + 4 + 2);
    feed(&mut editor, b"\x1b[D\x1b[D");
    assert_eq!(row(&mut editor, 40).1, 2 + 4);
    feed(&mut editor, b"\x1b[3~");
    assert_eq!(editor.line(), "日本x");
}

#[test]
fn a_line_is_bounded() {
    let mut editor = Editor::new("> ");
    editor.on_key(Key::Paste("日".repeat(10_000)), &nothing);
    assert!(editor.line().len() <= LONGEST_LINE);
    editor.render(80);
}

proptest! {
    #[test]
    fn whatever_is_typed_only_text_is_drawn(bytes in prop::collection::vec(any::<u8>(), 0..200), cols in 1u16..120) {
        let mut editor = Editor::new("twarga> ");
        editor.remember("vm ls");
        for key in Decoder::new().feed(&bytes) {
            let step = editor.on_key(key, &verbs);
            let mut drawn = editor.render(cols);
            if step != Step::Continue {
                drawn.extend(editor.finish(cols));
            }
            let drawn = String::from_utf8(drawn).unwrap();
            let ours = ["\x1b[H", "\x1b[2J", "\x1b[K", "\x1b[", "\r", "\n"];
            let text = ours.iter().fold(drawn.clone(), |text, ours| text.replace(ours, ""));
            prop_assert!(!text.chars().any(char::is_control), "{drawn:?}");
            let mut screen = screen_of(2, cols.max(4), 0);
            screen.process(editor.render(cols).as_slice());
            prop_assert_eq!(screen.screen().cursor_position().0, 0);
        }
    }
}
