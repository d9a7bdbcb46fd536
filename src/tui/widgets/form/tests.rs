use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::term::keys::Decoder;
use crate::tui::theme::{Depth, Theme};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum F {
    Name,
    Colour,
    Size,
    About,
    Price,
    Send,
}

fn form() -> Form<F> {
    let colours = ["red", "green", "grey", "blue"].map(String::from).to_vec();
    Form::new(
        "send",
        vec![
            Field::new(F::Name, "Name", Kind::suggested("vm1")),
            Field::new(F::Colour, "Colour", Kind::Choice(Choice::new(colours))).noted("the paint"),
            Field::new(F::Size, "Size", Kind::Number(Number::new(100, "MB", (64, 1000), 64))),
            Field::new(F::About, "About", Kind::Area(Area::new(1000))),
            Field::new(F::Price, "Price", Kind::Info("nothing".into())),
            Field::new(F::Send, "", Kind::Button("Send it".into())),
        ],
    )
}

fn press(form: &mut Form<F>, bytes: &str) -> Vec<Reply<F>> {
    let mut decoder = Decoder::new();
    let mut keys = decoder.feed(bytes.as_bytes());
    keys.extend(decoder.flush());
    keys.iter().map(|key| form.on_key(key)).filter(|r| *r != Reply::Stay).collect()
}

fn seen(form: &mut Form<F>, cols: u16, rows: u16) -> (Vec<String>, (u16, u16)) {
    let mut terminal = Terminal::new(TestBackend::new(cols, rows)).unwrap();
    terminal.draw(|f| form.draw(f, f.area(), "Things", &Theme::new(Depth::None))).unwrap();
    let at = terminal.get_cursor_position().unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y| (0..cols).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    ((0..rows).map(line).collect(), (at.x, at.y))
}

#[test]
fn what_is_typed_replaces_what_was_suggested() {
    let mut form = form();
    assert_eq!(press(&mut form, "web"), [Reply::Changed(F::Name); 3]);
    assert_eq!(form.text(F::Name), "web");
    let mut form = super::tests::form();
    press(&mut form, "\x1b[Dx");
    assert_eq!(form.text(F::Name), "vmx1", "an arrow keeps it");
    let mut form = super::tests::form();
    press(&mut form, "\x7f");
    assert_eq!(form.text(F::Name), "");
}

#[test]
fn the_focus_goes_round_by_keys_alone() {
    let mut form = form();
    let order = [F::Colour, F::Size, F::About, F::Send, F::Name];
    for keys in ["\t", "\r", "\x1b[B"] {
        for to in order {
            if keys == "\r" && form.focus() == Some(F::Send) {
                assert_eq!(press(&mut form, keys), [Reply::Submit]);
                press(&mut form, "\t");
            } else {
                assert!(press(&mut form, keys).is_empty(), "{keys:?} to {to:?}");
            }
            assert_eq!(form.focus(), Some(to), "{keys:?}");
        }
    }
    for keys in ["\x1b[Z", "\x1b[A"] {
        for to in order.iter().rev().skip(1).chain([&F::Name]) {
            press(&mut form, keys);
            assert_eq!(form.focus(), Some(*to), "{keys:?}");
        }
    }
    form.show(F::Colour, false);
    press(&mut form, "\t");
    assert_eq!(form.focus(), Some(F::Size), "what is not shown gets no keys");
    assert_eq!(press(&mut form, "\x13"), [Reply::Submit]);
}

#[test]
fn choices_are_made_by_arrows_and_by_their_first_letters() {
    let mut form = form();
    press(&mut form, "\t");
    for (keys, colour) in [
        ("\x1b[C", "green"),
        ("\x1b[D\x1b[D", "blue"),
        ("g", "green"),
        ("rey", "grey"),
        ("b", "blue"),
        ("zz", "blue"),
        (" ", "red"),
        ("G", "green"),
    ] {
        press(&mut form, keys);
        assert_eq!(form.text(F::Colour), colour, "{keys:?}");
    }
    assert_eq!(form.chosen(F::Colour), Some(1));
}

#[test]
fn numbers_stay_within_their_limits_or_say_so() {
    let mut form = form();
    press(&mut form, "\t\t");
    for (keys, number) in [
        ("\x1b[C", Some(128)),
        ("\x1b[D\x1b[D", Some(64)),
        ("512", Some(512)),
        ("0", None),
        ("\x7f+", Some(576)),
        ("7x", None),
        ("\x15", None),
        ("70", Some(70)),
        ("\x1b[200~900\x1b[201~", Some(900)),
        ("\x1b[200~9 00\x1b[201~", Some(900)),
        ("\x1b[C\x1b[C\x1b[C", Some(1000)),
    ] {
        press(&mut form, keys);
        assert_eq!(form.number(F::Size), number, "{keys:?}");
    }
    press(&mut form, "1");
    assert!(seen(&mut form, 60, 20).0.join("\n").contains("It is 64 to 1000 MB."));
    press(&mut form, "\t");
    assert!(form.go_to_error());
    assert_eq!(form.focus(), Some(F::Size));
}

#[test]
fn texts_of_several_lines() {
    let mut form = form();
    press(&mut form, "\t\t\tab\rc");
    assert_eq!(form.text(F::About), "ab\nc");
    press(&mut form, "\x1b[A\x1b[A");
    assert_eq!(form.focus(), Some(F::Size), "arrows lead out of a text at its edge");
}

#[test]
fn what_was_typed_is_not_lost_by_one_key() {
    let mut form = form();
    assert_eq!(press(&mut form, "\x1b"), [Reply::Cancel]);
    press(&mut form, "w");
    assert!(press(&mut form, "\x1b").is_empty());
    assert!(seen(&mut form, 60, 20).0.join("\n").contains("would be lost"));
    assert!(press(&mut form, "\t").is_empty());
    assert!(!seen(&mut form, 60, 20).0.join("\n").contains("would be lost"));
    assert!(press(&mut form, "\x1b").is_empty());
    assert_eq!(press(&mut form, "\x03"), [Reply::Cancel]);
}

#[test]
fn a_click_goes_there_and_then_does_it() {
    let mut form = form();
    let (lines, _) = seen(&mut form, 60, 20);
    let click = |form: &mut Form<F>, what: &str| {
        let row = lines.iter().position(|l| l.contains(what)).unwrap() + 1;
        press(form, &format!("\x1b[<0;20;{row}M\x1b[<0;20;{row}m"))
    };
    assert!(click(&mut form, "Colour").is_empty());
    assert_eq!(form.focus(), Some(F::Colour));
    assert_eq!(click(&mut form, "Colour"), [Reply::Changed(F::Colour)]);
    assert_eq!(form.text(F::Colour), "green");
    assert!(click(&mut form, "Price").is_empty());
    assert_eq!(form.focus(), Some(F::Colour));
    assert_eq!(click(&mut form, "Send it"), [Reply::Submit]);
    press(&mut form, "\x1b[<64;1;1M");
    assert_eq!(form.focus(), Some(F::About));
}

#[test]
fn is_drawn_whole_where_there_is_room() {
    let mut form = form();
    form.refuse(F::Name, "There is one already.");
    let (lines, cursor) = seen(&mut form, 72, 10);
    assert_eq!(
        lines,
        [
            "╭ Things ──────────────────────────────────────────────────────────────╮",
            "│ Name    vm1                                 There is one already.    │",
            "│ Colour  ‹ red ›  1 of 4  the paint                                   │",
            "│ Size    100      MB                                                  │",
            "│ About                                                                │",
            "│                                                                      │",
            "│                                                                      │",
            "│ Price   nothing                                                      │",
            "│         [ Send it ]                                                  │",
            "╰──────────────────────────────────────────────────────────────────────╯",
        ]
    );
    assert_eq!(cursor, (13, 1));
}

#[test]
fn elsewhere_what_is_around_the_focus_is_seen() {
    for (cols, rows) in [(40, 8), (30, 5), (12, 3), (3, 2), (1, 1)] {
        let mut form = form();
        form.complain("What is wrong with all of this?");
        for _ in 0..2 {
            for label in ["Name", "Colour", "Size", "About", "Send it"] {
                let (lines, (x, y)) = seen(&mut form, cols, rows);
                assert!(x < cols && y < rows);
                assert!(cols < 30 || lines[usize::from(y)].contains(label), "{label}: {lines:#?}");
                press(&mut form, "\t");
            }
        }
    }
    let mut form = form();
    let text = |form: &mut Form<F>| seen(form, 40, 8).0.join("\n");
    assert!(text(&mut form).contains("more ↓") && !text(&mut form).contains("more ↑"));
    press(&mut form, "\x1b[Z");
    assert!(!text(&mut form).contains("more ↓") && text(&mut form).contains("more ↑"));
}
