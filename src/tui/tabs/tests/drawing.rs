use ratatui::style::{Color, Modifier};

use super::*;

#[tokio::test]
async fn the_bar_tells_which_tabs_there_are() {
    let mut session = Session::new(60, 6);
    let guest = session.open("web1", Way::Shell).await;
    let _console = session.open("db1.alice", Way::Console).await;
    guest.says("\x1b]0;top\x07hello").await;
    session.types(b"\x1d1");
    session.shows("hello").await;
    let lines = session.lines();
    assert!(lines[0].starts_with(" 1 web1  2 db1.alice console…  top"), "{lines:?}");
    assert!(lines[0].ends_with("Ctrl-] ?"), "{lines:?}");
    let terminal = session.draw();
    let buffer = terminal.backend().buffer();
    assert!(buffer[(1, 0)].modifier.contains(Modifier::REVERSED));
    assert!(!buffer[(10, 0)].modifier.contains(Modifier::REVERSED));
}

#[tokio::test]
async fn entering_is_told_until_the_guest_speaks() {
    let mut session = Session::new(40, 6);
    let guest = session.open("web1", Way::Shell).await;
    session.shows("Entering web1…").await;
    guest.says("$ ").await;
    session.shows("$").await;
    assert!(!session.lines().concat().contains("Entering"));
}

#[tokio::test]
async fn cells_have_their_colours_and_the_cursor_its_place() {
    let mut session = Session::new(40, 6);
    let guest = session.open("web1", Way::Shell).await;
    guest.says("a\x1b[1;31mred\x1b[0;48;2;0;205;0mgreen\x1b[0;7mx\x1b[m日本\x1b[3;5Hdone").await;
    session.shows("done").await;
    let terminal = session.draw();
    let buffer = terminal.backend().buffer();
    assert_eq!((buffer[(1, 1)].fg, buffer[(1, 1)].modifier), (Color::Red, Modifier::BOLD));
    assert_eq!(buffer[(4, 1)].bg, Color::Green);
    assert_eq!(buffer[(9, 1)].modifier, Modifier::REVERSED);
    assert_eq!((buffer[(10, 1)].symbol(), buffer[(11, 1)].symbol()), ("日", " "));
    let mut terminal = terminal;
    assert_eq!(terminal.get_cursor_position().unwrap(), (8, 3).into());
    guest.says("\x1b[?25l.").await;
    session.shows("done.").await;
    assert!(!cursor_is_shown(&mut session));
    guest.says("\x1b[?25h\x1b[2;40Hxy").await;
    session.shows("y").await;
    assert!(cursor_is_shown(&mut session));
}

/// Whether a cursor is drawn at all.
fn cursor_is_shown(session: &mut Session) -> bool {
    let mut terminal = session.draw();
    let marked = (39, 5);
    terminal.set_cursor_position(marked).unwrap();
    let area = Rect::new(0, 0, session.size.0, session.size.1);
    terminal.draw(|frame| session.tabs.draw(frame, area, &Theme::new(Depth::Sixteen))).unwrap();
    terminal.backend().cursor_position() != marked.into()
}

#[tokio::test]
async fn a_wide_character_that_a_split_cuts_shows_nothing() {
    let mut session = Session::new(81, 10);
    let first = session.open("web1", Way::Shell).await;
    first.says(&format!("{}\u{65e5}\r\nend", " ".repeat(39))).await;
    session.shows("end").await;
    assert!(session.lines()[1].ends_with('日'));
    session.types(b"\x1d|");
    let second = session.guest().await;
    second.says("second").await;
    session.shows("second").await;
    let lines = session.lines();
    assert!(lines[1].starts_with(&format!("{}│second", " ".repeat(40))), "{lines:?}");
}

#[tokio::test]
async fn no_size_is_too_small() {
    for (cols, rows) in [(1, 1), (2, 1), (1, 5), (3, 2), (500, 1), (1000, 1000)] {
        let mut session = Session::new(cols, rows);
        let guest = session.open("web1", Way::Shell).await;
        guest.says("日本語\u{2764}\u{fe0f}\x1b[31mhello\r\nworld").await;
        guest.end.send(Ok(Ended::Status(1))).unwrap();
        drop(guest.writer);
        session.settles().await;
        for keys in ["\x1d", "?", "q", "\x1d[", "/x", "\r", "q", "\x1d|", "\x1d-", "\x1dx"] {
            session.types(keys.as_bytes());
            if session.tabs.front.is_some() {
                session.draw();
            }
        }
    }
}

#[tokio::test]
async fn a_window_that_changes_while_wide_characters_come() {
    let mut session = Session::new(30, 8);
    let guest = session.open("web1", Way::Shell).await;
    for (n, (cols, rows)) in [(7, 3), (80, 24), (2, 2), (31, 8), (1, 1), (60, 20)].into_iter().enumerate() {
        guest.says(&format!("日本語日本語\u{1b}[5;9Hé\u{301}日\r\n{n}")).await;
        session.size = (cols, rows);
        session.shows("").await;
        session.draw();
    }
    guest.says("\x1b[2J\x1b[Hend").await;
    session.shows("end").await;
}

#[tokio::test]
async fn nothing_of_a_guest_is_drawn_that_a_terminal_could_obey() {
    let mut session = Session::new(60, 8);
    let guest = session.open("web1", Way::Shell).await;
    guest.says("\x1b]0;a\u{9b}31m\u{202e}b\x07\x1b]52;c;aGk=\x07\u{9b}31mok\u{200b}\u{2066}\x1b[?1049h\x1bPx\x1b\\end").await;
    session.shows("end").await;
    let terminal = session.draw();
    for cell in terminal.backend().buffer().content() {
        assert!(!cell.symbol().chars().any(crate::model::text::is_unsafe), "{:?}", cell.symbol());
    }
}
