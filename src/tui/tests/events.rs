//! The page of events.

use super::*;
use crate::action::event::News;
use crate::error::{Code, Error};
use crate::model::{Category, Event, Outcome, Setting, Severity};
use crate::tui::feeds::Heard;

fn event(id: i64, action: &str, actor: &str, severity: Severity) -> Event {
    Event {
        id,
        time: Time::from_millis(1_784_000_000_000 + id * 61_000),
        category: Category::Configuration,
        action: action.into(),
        outcome: if severity > Severity::Info { Outcome::Failure } else { Outcome::Success },
        severity,
        actor: actor.into(),
        source_ip: Some("203.0.113.9".into()),
        target: action.starts_with("vm.").then(|| "web1.alice".into()),
        session: Some("3f9a52c81b07".into()),
        message: format!("{actor} did {action}."),
        details: serde_json::json!({ "names": ["web1"], "force": false }),
        actor_id: Some(1),
    }
}

fn some_events() -> Vec<Event> {
    let words = [
        ("session.login", "alice", Severity::Info),
        ("vm.new", "alice", Severity::Info),
        ("host.show", "bob", Severity::Medium),
        ("job.interrupted", "system", Severity::Medium),
        ("vm.ssh", "alice", Severity::High),
    ];
    let one = |(i, (action, actor, severity)): (usize, &(&str, &str, Severity))| {
        event(i64::try_from(i).unwrap() + 1, action, actor, *severity)
    };
    (0..6).flat_map(|_| words.iter()).enumerate().map(one).collect()
}

fn heard(model: &mut Model, feed: u64, events: Vec<Event>) -> Vec<String> {
    let news = Ok(News { events, missed: false });
    words(&update(model, Msg::news("events", Heard { feed, news })))
}

fn page(role: RoleName, cols: u16, rows: u16) -> Model {
    let mut model = model(role, cols, rows);
    press(&mut model, ":events\r");
    heard(&mut model, 1, some_events());
    model
}

/// The event's number in the row that the cursor is on, by its time.
fn at_cursor(model: &mut Model) -> String {
    let (lines, (_, y)) = seen(model);
    lines[usize::from(y)].chars().take(14).collect()
}

#[test]
fn fits_small_usual_and_large_screens() {
    for (cols, rows) in [(40, 12), (80, 24), (200, 60)] {
        let mut model = page(RoleName::ADMIN, cols, rows);
        let (lines, _) = seen(&mut model);
        let all = lines.join("\n");
        for word in ["TIME", "ACTION", "vm.ssh", "job.interrupted", "following"] {
            assert!(all.contains(word), "{word} at {cols}x{rows}:\n{all}");
        }
        assert!(!all.contains('…'), "something is cut at {cols}x{rows}:\n{all}");
        press(&mut model, "\r");
        let (lines, _) = seen(&mut model);
        let all = lines.join("\n");
        for word in ["Event 30", "alice did vm.ssh.", "high", "configuration"] {
            assert!(all.contains(word), "{word} at {cols}x{rows}:\n{all}");
        }
        assert_eq!(all.contains("TIME "), cols == 200, "{all}");
    }
}

#[test]
fn stays_with_the_newest_until_one_moves() {
    let mut model = page(RoleName::USER, 80, 24);
    assert_eq!(at_cursor(&mut model), "07-14 04:03:50");
    heard(&mut model, 1, vec![event(31, "vm.stop", "alice", Severity::Info)]);
    assert_eq!(at_cursor(&mut model), "07-14 04:04:51");
    press(&mut model, "k");
    heard(&mut model, 1, vec![event(33, "vm.start", "alice", Severity::Info)]);
    // One that is told late, and one that is told again.
    heard(
        &mut model,
        1,
        vec![event(32, "vm.start", "alice", Severity::Info), event(33, "x", "alice", Severity::Info)],
    );
    assert_eq!(at_cursor(&mut model), "07-14 04:03:50");
    assert!(seen(&mut model).0.join("\n").contains("2 new below"));
    press(&mut model, "f");
    assert_eq!(at_cursor(&mut model), "07-14 04:06:53");
    assert!(seen(&mut model).0.join("\n").contains("following"));
    press(&mut model, "gG");
    heard(&mut model, 1, vec![event(34, "vm.start", "alice", Severity::Info)]);
    assert_eq!(at_cursor(&mut model), "07-14 04:07:54");
}

#[test]
fn no_more_are_kept_than_a_thousand() {
    let mut model = page(RoleName::USER, 80, 24);
    for batch in 0..30 {
        let ids = 100 + batch * 50..150 + batch * 50;
        heard(&mut model, 1, ids.map(|id| event(id, "vm.start", "alice", Severity::Info)).collect());
    }
    assert!(seen(&mut model).0.join("\n").contains("983–1000 of 1000"), "{:#?}", seen(&mut model).0);
}

#[test]
fn is_filtered_by_words_by_severity_and_by_person() {
    let mut model = page(RoleName::ADMIN, 80, 24);
    press(&mut model, "/bob");
    assert!(seen(&mut model).0.join("\n").contains("/bob  6 of 30"));
    press(&mut model, "\x1b");
    assert_eq!(press(&mut model, "v"), ["Follow(events: event.tail)"],);
    // What the feed before it still tells is not what is wanted.
    heard(&mut model, 1, vec![event(99, "vm.start", "alice", Severity::Info)]);
    assert!(!seen(&mut model).0.join("\n").contains("07-14 05:13:59"));
    press(&mut model, "v");
    heard(&mut model, 3, vec![event(40, "vm.ssh", "alice", Severity::High)]);
    let all = seen(&mut model).0.join("\n");
    assert!(all.contains("medium and above") && !all.contains("session.login"), "{all}");
    press(&mut model, "Va");
    heard(&mut model, 5, vec![]);
    let all = seen(&mut model).0.join("\n");
    assert!(all.contains("low and above  yours only"), "{all}");
    assert!(all.contains("Nothing as severe as “low” has happened."), "{all}");
    // Who sees their own alone has no such key.
    let mut model = page(RoleName::USER, 80, 24);
    assert!(press(&mut model, "a").is_empty());
}

#[test]
fn times_are_those_of_ones_own_clock() {
    let mut model = page(RoleName::USER, 80, 24);
    let mut wishes = Preferences::default();
    wishes.set(Setting::TimeZone, "Asia/Tokyo").unwrap();
    model.shared.prefer(wishes);
    assert_eq!(at_cursor(&mut model), "07-14 13:03:50");
    press(&mut model, "\r");
    assert!(seen(&mut model).0.join("\n").contains("2026-07-14 13:03:50 JST"));
}

#[test]
fn the_mouse_selects_opens_and_goes_back() {
    let mut model = page(RoleName::USER, 80, 24);
    seen(&mut model);
    // The first row of the table is the fourth of the screen.
    press(&mut model, "\x1b[<0;10;4M\x1b[<0;10;4m");
    let (_, cursor) = seen(&mut model);
    assert_eq!(cursor, (0, 3));
    press(&mut model, "\x1b[<0;10;4M\x1b[<0;10;4m");
    assert!(seen(&mut model).0.join("\n").contains("‹ Event"));
    press(&mut model, "\x1b[<0;2;3M\x1b[<0;2;3m");
    assert!(!seen(&mut model).0.join("\n").contains("‹ Event"));
    let before = at_cursor(&mut model);
    press(&mut model, "\x1b[<65;10;10M");
    assert!(at_cursor(&mut model) > before);
}

#[test]
fn a_lost_feed_is_told_and_comes_back() {
    let mut model = model(RoleName::USER, 80, 24);
    press(&mut model, ":events\r");
    assert!(seen(&mut model).0.join("\n").contains("Looking for events…"));
    let lost: crate::error::Result<News> =
        Err(Error::new(Code::DatabaseUnavailable, "The database is busy."));
    update(&mut model, Msg::news("events", Heard { feed: 1, news: lost }));
    assert!(seen(&mut model).0.join("\n").contains("Trying again"));
    heard(&mut model, 1, some_events());
    assert!(seen(&mut model).0.join("\n").contains("vm.ssh"));
    let news = Ok(News { events: vec![event(50, "vm.new", "alice", Severity::Info)], missed: true });
    update(&mut model, Msg::news("events", Heard { feed: 1, news }));
    assert!(seen(&mut model).0.join("\n").contains("Some events are left out"));
}

#[test]
fn nothing_in_an_event_reaches_the_terminal_raw() {
    for (cols, detail) in [(80, false), (80, true), (200, true)] {
        let mut model = model(RoleName::USER, cols, 40);
        press(&mut model, ":events\r");
        let mut evil = event(1, "vm.\u{1b}[31m", "a\u{9b}b\u{202e}", Severity::Low);
        evil.details = serde_json::json!({ "\u{1b}]0;x\u{7}": "\u{1b}[2J", "list": ["\u{9b}"] });
        evil.message = "x\r\ny".into();
        evil.target = Some("\u{7f}".into());
        heard(&mut model, 1, vec![evil]);
        if detail {
            press(&mut model, "\r");
        }
        let text = seen(&mut model).0.concat();
        assert!(!text.chars().any(crate::model::text::is_unsafe), "{text:?}");
    }
}
