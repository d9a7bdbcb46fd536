use proptest::prelude::*;

use super::*;

#[tokio::test]
async fn all_goes_through_but_the_prefix() {
    let mut session = Session::new(80, 24);
    let mut guest = session.open("web1", Way::Shell).await;
    let typed = b"ls\r\x1b[A\x1bOP\x03\x04\x00\x1b[15~\xc3\xa9\x1b";
    assert_eq!(session.types(typed), []);
    guest.hears(typed).await;
    session.types(b"\x1d\x1d");
    guest.hears(b"\x1d").await;
    // A key that means nothing is nothing, and the next goes through.
    session.types(b"\x1dQw");
    guest.hears(b"w").await;
}

#[tokio::test]
async fn a_paste_is_marked_if_the_guest_wants_it_and_has_no_prefix_in_it() {
    let mut session = Session::new(80, 24);
    let mut guest = session.open("web1", Way::Shell).await;
    session.types(b"\x1b[200~a\x1ddb\x1b[201~c");
    guest.hears(b"a\x1ddbc").await;
    guest.says("\x1b[?2004hready").await;
    session.shows("ready").await;
    session.types(b"\x1b[200~a\x1ddb\x1b[201~c");
    guest.hears(b"\x1b[200~a\x1ddb\x1b[201~c").await;
}

#[tokio::test]
async fn what_is_typed_after_leaving_is_not_for_the_guest() {
    let mut session = Session::new(80, 24);
    let mut guest = session.open("web1", Way::Shell).await;
    assert_eq!(session.types(b"a\x1ddq\x1d"), [Step::ToList(b"q\x1d".to_vec())]);
    session.tabs.bring(TabId(1));
    assert_eq!(session.types(b"b\x1d\x1b"), [Step::ToList(vec![])]);
    session.tabs.bring(TabId(1));
    session.types(b"c");
    guest.hears(b"abc").await;
}

#[tokio::test]
async fn tabs_are_switched_and_closed() {
    let mut session = Session::new(80, 24);
    let mut guests = Vec::new();
    for vm in ["web1", "web2", "web3"] {
        guests.push(session.open(vm, Way::Shell).await);
    }
    for (keys, front) in
        [("n", "web1"), ("n", "web2"), ("p", "web1"), ("p", "web3"), ("2", "web2"), ("9", "web2")]
    {
        session.types(format!("\x1d{keys}").as_bytes());
        assert_eq!(session.front(), front, "{keys}");
    }
    // Asked once, and anything but yes keeps it.
    assert_eq!(session.types(b"\x1dxn"), []);
    assert_eq!(session.tabs.list().len(), 3);
    session.types(b"\x1dx");
    assert!(session.lines()[0].contains("web2: its shell still runs."), "{:?}", session.lines()[0]);
    session.types(b"y");
    assert_eq!((session.tabs.list().len(), session.front()), (2, "web3".into()));
    session.types(b"\x1dxy");
    assert_eq!(session.types(b"\x1dxy"), [Step::ToList(vec![])]);
}

#[tokio::test]
async fn two_tabs_share_the_screen_and_their_guests_are_told() {
    let mut session = Session::new(81, 24);
    let mut first = session.open("web1", Way::Shell).await;
    session.types(b"\x1d|");
    let mut second = session.guest().await;
    assert_eq!(second.vm.to_string(), "web1");
    first.is_told(40, 23).await;
    second.is_told(40, 23).await;
    session.types(b"b");
    second.hears(b"b").await;
    session.types(b"\x1d\x1b[D");
    session.types(b"a");
    first.hears(b"a").await;
    session.types(b"\x1do");
    session.types(b"b");
    second.hears(b"b").await;
    session.types(b"\x1d-");
    first.is_told(81, 11).await;
    second.is_told(81, 11).await;
    session.types(b"\x1dz");
    second.is_told(81, 23).await;
    session.types(b"\x1dz");
    second.is_told(81, 11).await;
    session.tabs.resize(WindowSize { cols: 100, rows: 41 });
    first.is_told(100, 19).await;
    second.is_told(100, 20).await;
    // There is no room for two any more, and then there is.
    session.tabs.resize(WindowSize { cols: 30, rows: 6 });
    second.is_told(30, 5).await;
    assert!(matches!(session.types(b"\x1d|").as_slice(), [Step::Say(_)]));
    session.tabs.resize(WindowSize { cols: 81, rows: 24 });
    first.is_told(81, 11).await;
    session.types(b"\x1dxy");
    first.is_told(81, 23).await;
}

#[tokio::test]
async fn the_mouse_is_told_to_whom_it_concerns() {
    let mut session = Session::new(81, 24);
    let mut first = session.open("web1", Way::Shell).await;
    session.types(b"\x1d|");
    let mut second = session.guest().await;
    first.says("\x1b[?1000hfirst").await;
    second.says("\x1b[?1002h\x1b[?1006hsecond").await;
    session.shows("first").await;
    session.shows("second").await;
    assert_ne!(session.tabs.modes(), Modes::default());
    // In the right pane, which begins in column 42 of the screen.
    session.types(b"\x1b[<0;43;5M\x1b[<32;44;5M\x1b[<0;44;5m");
    second.hears(b"\x1b[<0;2;4M\x1b[<32;3;4M\x1b[<0;3;4m").await;
    // A click goes to the other, and it has the keys then.
    session.types(b"\x1b[<0;3;2Mx");
    first.hears(b"\x1b[M #!x").await;
    // The bar and the line between are nobody's.
    session.types(b"\x1b[<0;3;1M\x1b[<0;41;5My");
    first.hears(b"y").await;
}

#[tokio::test]
async fn the_wheel_scrolls_or_moves() {
    let mut session = Session::new(40, 6);
    let mut guest = session.open("web1", Way::Shell).await;
    guest.says(&(0..30).map(|n| format!("line {n}\r\n")).collect::<String>()).await;
    session.shows("line 29").await;
    session.types(b"\x1b[<64;1;3M\x1b[<64;1;3M");
    assert!(session.lines().contains(&String::from("line 20")));
    session.types(b"\x1b[<65;1;3M\x1b[<65;1;3M\x1b[<65;1;3Mx");
    guest.hears(b"x").await;
    // A program that has the whole screen gets arrows.
    guest.says("\x1b[?1049h\x1b[?1hless").await;
    session.shows("less").await;
    session.types(b"\x1b[<65;1;3M");
    guest.hears(b"\x1bOB\x1bOB\x1bOB").await;
}

#[tokio::test]
async fn lines_are_scrolled_searched_and_copied() {
    let mut session = Session::new(40, 6);
    let mut guest = session.open("web1", Way::Shell).await;
    guest.says(&(0..500).map(|n| format!("line {n}   \r\n")).collect::<String>()).await;
    session.shows("line 499").await;
    session.types(b"\x1d[");
    assert!(session.lines()[0].contains("line 501 of 501"), "{:?}", session.lines());
    session.types(b"g");
    assert_eq!(session.lines()[1..3], ["line 0", "line 1"]);
    // What is said meanwhile does not move what is looked at.
    guest.says("more\r\n").await;
    session.shows("line 1 of 502").await;
    assert_eq!(session.lines()[1], "line 0");
    // From the first line, the next older one is at the other end.
    session.types(b"/LINE 2\r");
    assert!(matches!(session.types(b"/Line 2\r").as_slice(), [Step::Say(_)]));
    session.types(b"/line 2\rN");
    session.types(b"G/line 321\r");
    assert!(session.lines()[0].contains("line 322 of 502"), "{:?}", session.lines());
    session.types(b"/line 32\r");
    assert!(session.lines()[0].contains("line 321 of 502"), "{:?}", session.lines());
    session.types(b"N");
    assert!(session.lines()[0].contains("line 322 of 502"), "{:?}", session.lines());
    session.types(b"vjj");
    assert!(session.lines()[0].contains("3 marked"), "{:?}", session.lines());
    assert_eq!(session.types(b"\r"), [Step::Copy("line 321\nline 322\nline 323".into())]);
    // Copied is left, and the keys are the guest's again.
    session.types(b"z");
    guest.hears(b"z").await;
    assert_eq!(session.types(b"\x1d[kky"), [Step::Copy("line 499".into())]);
    session.types(b"\x1d[\x1b");
    session.types(b"q");
    guest.hears(b"q").await;
}

#[tokio::test]
async fn a_line_that_was_broken_by_the_edge_is_copied_whole() {
    let mut session = Session::new(20, 6);
    let guest = session.open("web1", Way::Shell).await;
    let url = "https://example.org/a/long/path/that/goes/on/and/on";
    guest.says(&format!("{url}\r\n{}ready", "\r\n".repeat(150))).await;
    session.shows("ready").await;
    assert_eq!(session.types(b"\x1d[gvjjy"), [Step::Copy(url.into())]);
}

#[tokio::test]
async fn the_help_tells_every_key() {
    let mut session = Session::new(80, 50);
    let mut guest = session.open("web1", Way::Shell).await;
    session.types(b"\x1d?");
    let lines = session.lines().concat();
    for (key, words) in session.tabs.help() {
        assert!(lines.contains(key) && lines.contains(words), "{key} {words}");
    }
    session.types(b"q");
    session.types(b"x");
    guest.hears(b"x").await;
    // The bar shows the keys when one is awaited.
    session.types(b"\x1d");
    assert!(session.lines()[0].contains("d list  n next"), "{:?}", session.lines()[0]);
}

#[tokio::test]
async fn a_guest_that_takes_nothing_fills_no_memory() {
    let mut session = Session::new(80, 24);
    session.tabs.open("web1".parse().unwrap(), Way::Shell).unwrap();
    let steps: Vec<Step> = (0..100).flat_map(|_| session.types(&[b'x'; 32 * 1024])).collect();
    assert_eq!(steps[0], Step::Say("web1 does not take what is typed.".into()));
    let typed = session.tabs.tabs[0].line.typed();
    assert!(typed.len() <= 256 * 1024, "{}", typed.len());
}

#[tokio::test]
async fn another_prefix_leaves_the_usual_one_to_the_guest() {
    let (made, guests) = mpsc::unbounded_channel();
    let prefs = Prefs { prefix: Prefix::parse("ctrl-b").unwrap(), ..prefs(Depth::True) };
    let tabs = Tabs::new(prefs, Arc::new(Theatre(made)), WindowSize { cols: 80, rows: 24 });
    let mut session = Session { tabs, guests, size: (80, 24) };
    let mut guest = session.open("web1", Way::Shell).await;
    session.types(b"\x1d");
    guest.hears(b"\x1d").await;
    assert_eq!(session.types(b"\x02d"), [Step::ToList(vec![])]);
}

/// What was done, what each guest was typed, and what is on the screen.
type After = (Vec<Step>, Vec<(String, Vec<u8>)>, String);

/// What there is after that was typed in packets of that size.
fn after(typed: &[u8], packet: usize) -> After {
    let mut session = Session::new(81, 24);
    for vm in ["web1", "web2"] {
        session.tabs.open(vm.parse().unwrap(), Way::Shell).unwrap();
    }
    let mut steps = Vec::new();
    for packet in typed.chunks(packet) {
        if session.tabs.away {
            session.tabs.bring(TabId(1));
        }
        for step in session.tabs.on_bytes(packet) {
            // Who is away is back at once here; the frame's bytes are dropped.
            steps.push(if let Step::ToList(_) = step { Step::ToList(vec![]) } else { step });
        }
    }
    while session.tabs.silence_at().is_some() {
        steps.extend(session.tabs.on_silence());
    }
    let typed = session.tabs.tabs.iter().map(|t| (t.vm.to_string(), t.line.typed())).collect();
    (steps, typed, format!("{:?} {:?} {:?}", session.tabs.mode, session.tabs.front, session.tabs.panes()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Wherever packets are cut, and in the middle of whatever command.
    #[test]
    fn packets_mean_nothing(
        parts in proptest::collection::vec(proptest::sample::select(vec![
            "ls\r", "\x1b[A", "é", "\x1dn", "\x1dp", "\x1d2", "\x1d\x1d", "\x1d[gj/x\rq", "\x1d|", "\x1do",
            "\x1dz", "\x1dxn", "\x1d?q", "\x1b[200~\x1dx\x1b[201~", "\x1b[<0;50;5M", "\x1d[\x1b[<64;2;2M",
            "\x1d[q", "\x1d\x1b[C", "\x1b[<64;60;9M", "q",
        ]), 0..10),
        packet in 1usize..4,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let typed = parts.concat();
        runtime.block_on(async {
            prop_assert_eq!(after(typed.as_bytes(), packet), after(typed.as_bytes(), usize::MAX));
            Ok(())
        })?;
    }
}
