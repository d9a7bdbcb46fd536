use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn decode(bytes: &[u8]) -> Vec<Key> {
    let mut decoder = Decoder::new();
    let mut keys = decoder.feed(bytes);
    keys.extend(decoder.flush());
    keys
}

fn paste(text: &str) -> Key {
    Key::Paste(text.to_owned())
}

fn click(pressed: bool) -> Key {
    Key::Mouse(crate::term::keys::Mouse { button: 0, pressed, column: 0, row: 1 })
}

/// Sequences as xterm, the Linux console, rxvt and screen send them.
fn table() -> Vec<(&'static [u8], Vec<Key>)> {
    use Key::*;
    vec![
        (b"q", vec![Char('q')]),
        (b"\x03\x01\x00\x1d", vec![Ctrl('c'), Ctrl('a'), Ctrl(' '), Ctrl(']')]),
        (b"\r\n\t\x7f\x08", vec![Enter, Enter, Tab, Backspace, Backspace]),
        (b"\x1b[A\x1b[B\x1b[C\x1b[D", vec![Up, Down, Right, Left]),
        (b"\x1bOA\x1bOB\x1bOC\x1bOD", vec![Up, Down, Right, Left]),
        (b"\x1b[1;5A\x1b[1;2C", vec![Up, Right]),
        (b"\x1bO5A", vec![Up]),
        (b"\x1b[Aq", vec![Up, Char('q')]),
        (b"\x1b[H\x1b[F\x1bOH\x1bOF", vec![Home, End, Home, End]),
        (b"\x1b[1~\x1b[4~\x1b[7~\x1b[8~", vec![Home, End, Home, End]),
        (b"\x1b[2~\x1b[3~\x1b[5~\x1b[6~\x1b[3;5~", vec![Insert, Delete, PageUp, PageDown, Delete]),
        (b"\x1b[Z", vec![BackTab]),
        (b"\x1bOP\x1bOQ\x1bOR\x1bOS", vec![F(1), F(2), F(3), F(4)]),
        (b"\x1b[11~\x1b[15~\x1b[17~\x1b[21~\x1b[23~\x1b[24~", vec![F(1), F(5), F(6), F(10), F(11), F(12)]),
        (b"\x1b[[A\x1b[[Eq", vec![F(1), F(5), Char('q')]),
        (b"\x1bb\x1bf\x1bd\x1b.\x1b\x7f", vec![Alt('b'), Alt('f'), Alt('d'), Alt('.'), Alt('\u{7f}')]),
        ("\x1bé".as_bytes(), vec![Alt('é')]),
        (b"\x1b\x1b[A", vec![Esc, Up]),
        (b"\x1b\x03", vec![Esc, Ctrl('c')]),
        ("aé日😀".as_bytes(), vec![Char('a'), Char('é'), Char('日'), Char('😀')]),
        (b"a\xffb\xc3c", vec![Char('a'), Char('\u{fffd}'), Char('b'), Char('\u{fffd}'), Char('c')]),
        ("\u{80}\u{9b}A".as_bytes(), vec![Char('A')]),
        (b"\xe2\x82\x1b[A", vec![Char('\u{fffd}'), Up]),
        (b"\x1b[200~ls\r\nx\ty\x1b[31mz\x01\x1b[201~q", vec![paste("ls\nx\tyz"), Char('q')]),
        (b"\x1b[<0;1;2M\x1b[<0;1;2mq", vec![click(true), click(false), Char('q')]),
        // What is not a key: mice of old, focus, replies, and the strings of replies.
        (b"\x1b[Mabcq", vec![Char('q')]),
        (b"\x1b[I\x1b[Oq", vec![Char('q')]),
        (b"\x1b[12;40Rq\x1b[?62;c\x1b[>1;2c", vec![Char('q')]),
        (b"\x1b]11;rgb:0/0/0\x1b\\q", vec![Char('q')]),
        (b"\x1b]11;rgb:0/0/0\x07q", vec![Char('q')]),
        (b"\x1bP>|xterm(390)\x1b\\q\x1b_G\x1b\\", vec![Char('q')]),
        (b"\x1b]stuck\x03", vec![Ctrl('c')]),
        (b"\x1b[1;2;3", vec![]),
        // Silence afterwards.
        (b"\x1b", vec![Esc]),
        (b"\x1bO", vec![Alt('O')]),
        (b"\x1b[", vec![Alt('[')]),
        (b"\x1bP", vec![Alt('P')]),
    ]
}

#[test]
fn sequences_mean_their_keys() {
    for (bytes, keys) in table() {
        assert_eq!(decode(bytes), keys, "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn packets_mean_nothing() {
    for (bytes, keys) in table() {
        for cut in 0..=bytes.len() {
            let mut decoder = Decoder::new();
            let mut got = decoder.feed(&bytes[..cut]);
            got.extend(decoder.feed(&bytes[cut..]));
            got.extend(decoder.flush());
            assert_eq!(got, keys, "{:?} cut at {cut}", String::from_utf8_lossy(bytes));
        }
    }
}

#[test]
fn a_reply_that_is_cut_does_not_become_keys() {
    let mut decoder = Decoder::new();
    for part in [&b"\x1b]11;rgb:00"[..], b"00/0000/0000\x1b", b"\\"] {
        assert_eq!(decoder.feed(part), []);
        assert_eq!(decoder.flush(), None);
    }
}

#[test]
fn a_paste_is_bounded_and_pauses_do_not_end_it() {
    let mut decoder = Decoder::new();
    assert_eq!(decoder.feed(b"\x1b[200~"), []);
    assert_eq!(decoder.feed(b"\x1b"), []);
    assert!(!decoder.pending_esc());
    for _ in 0..100 {
        assert_eq!(decoder.feed(&[b'x'; 4096]), []);
    }
    let keys = decoder.feed(b"\x1b[201~");
    assert!(matches!(&keys[..], [Key::Paste(text)] if text.len() == LONGEST_PASTE));
    assert_eq!(decoder.feed(b"q"), [Key::Char('q')]);
}

#[test]
fn endless_strings_are_dropped_and_people_get_out() {
    for start in [&b"\x1b]"[..], b"\x1bP", b"\x1bX", b"\x1b["] {
        let mut decoder = Decoder::new();
        decoder.feed(start);
        for _ in 0..100 {
            decoder.feed(&[b'0'; 4096]);
        }
        decoder.feed(b"\x03");
        assert_eq!(decoder.feed(b"q"), [Key::Char('q')], "{start:?}");
    }
}

proptest! {
    #[test]
    fn random_bytes_cut_anywhere_are_the_same_keys(
        bytes in prop::collection::vec(
            prop_oneof![
                Just(0x1bu8), Just(b'['), Just(b'O'), Just(b']'), Just(b'~'), Just(b'\\'), Just(b'M'),
                b'0'..=b'9', any::<u8>()
            ],
            0..300,
        ),
        cuts in prop::collection::vec(0usize..300, 0..20),
    ) {
        let whole = Decoder::new().feed(&bytes);
        let mut decoder = Decoder::new();
        let mut cuts: Vec<_> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
        cuts.push(bytes.len());
        cuts.sort_unstable();
        let mut at = 0;
        let mut got = Vec::new();
        for cut in cuts {
            got.extend(decoder.feed(&bytes[at..cut]));
            at = cut;
        }
        prop_assert_eq!(&got, &whole);
        for key in got {
            if let Key::Char(c) = key { prop_assert!(!c.is_control()); }
        }
    }
}

#[tokio::test]
async fn a_lone_esc_is_a_key_after_a_while() {
    let (mut stdio, input, _output) = crate::term::pair(None, vec![]);
    let mut keys = Keys::new();
    input.send(Input::Data(Bytes::from_static(b"\x1b"))).await.unwrap();
    assert_eq!(keys.next(&mut stdio.input).await, Event::Key(Key::Esc));
    // Cut within the time: one key.
    input.send(Input::Data(Bytes::from_static(b"\x1b"))).await.unwrap();
    input.send(Input::Data(Bytes::from_static(b"[Aq"))).await.unwrap();
    assert_eq!(keys.next(&mut stdio.input).await, Event::Key(Key::Up));
    assert_eq!(keys.next(&mut stdio.input).await, Event::Key(Key::Char('q')));
}

#[tokio::test]
async fn a_reader_that_was_dropped_midway_loses_nothing() {
    let (mut stdio, input, _output) = crate::term::pair(None, vec![]);
    let mut keys = Keys::new();
    input.send(Input::Data(Bytes::from_static(b"ab\x1b"))).await.unwrap();
    assert_eq!(keys.next(&mut stdio.input).await, Event::Key(Key::Char('a')));
    assert_eq!(keys.next(&mut stdio.input).await, Event::Key(Key::Char('b')));
    let short = tokio::time::timeout(Duration::from_millis(5), keys.next(&mut stdio.input)).await;
    assert!(short.is_err());
    assert_eq!(keys.next(&mut stdio.input).await, Event::Key(Key::Esc));
    input.send(Input::Signal(String::from("INT"))).await.unwrap();
    input.send(Input::Resize(WindowSize::clamp(40, 12))).await.unwrap();
    input.send(Input::Eof).await.unwrap();
    drop(input);
    assert_eq!(keys.next(&mut stdio.input).await, Event::Key(Key::Ctrl('c')));
    assert_eq!(keys.next(&mut stdio.input).await, Event::Resize(WindowSize { cols: 40, rows: 12 }));
    assert_eq!(keys.try_next(&mut stdio.input), Some(Event::Eof));
    assert_eq!(keys.next(&mut stdio.input).await, Event::Gone);
}
