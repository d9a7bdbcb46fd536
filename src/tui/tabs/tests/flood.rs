use std::time::Instant as Clock;

use bytes::Bytes;
use tokio::time::Instant;

use super::super::wire::Pace;
use super::*;

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_tab_takes_its_share_and_no_more() {
    for (shown, share) in [(true, 5), (false, 20)] {
        let begin = Instant::now();
        let mut pace = Pace::new(begin);
        let (mut now, mut worked) = (begin, Duration::ZERO);
        while now - begin < 1000 * MS * 30 {
            now += 2 * MS;
            worked += 2 * MS;
            now += pace.spend(2 * MS, now, shown);
        }
        let all = now - begin;
        assert!(worked <= all / share + 100 * MS, "{worked:?} of {all:?}");
        assert!(worked >= all / share / 2, "{worked:?} of {all:?}");
    }
}

#[test]
fn who_types_is_answered_sooner_for_a_while() {
    let begin = Instant::now();
    let mut pace = Pace::new(begin);
    pace.hurry(begin);
    let (mut now, mut first, mut all) = (begin, Duration::ZERO, Duration::ZERO);
    while now - begin < 10_000 * MS {
        now += 2 * MS;
        all += 2 * MS;
        if now - begin < 1000 * MS {
            first += 2 * MS;
        }
        now += pace.spend(2 * MS, now, true);
    }
    assert!((400 * MS..600 * MS).contains(&first), "{first:?}");
    assert!(all < 2600 * MS, "{all:?}");
}

#[test]
fn little_is_shown_at_once() {
    let mut now = Instant::now();
    let mut pace = Pace::new(now);
    for _ in 0..100 {
        now += 50 * MS;
        assert_eq!(pace.spend(5 * MS, now, true), Duration::ZERO);
    }
}

/// `yes` in one tab: another answers at once, what stops it gets through, and
/// what is kept is bounded.
#[tokio::test]
async fn a_flood_holds_nobody_up() {
    let mut session = Session::new(80, 24);
    let mut quiet = session.open("quiet", Way::Shell).await;
    let mut flood = session.open("flood", Way::Shell).await;
    let stop = tokio::spawn(async move {
        let lines = Bytes::from("y\r\n".repeat(4096));
        loop {
            tokio::select! {
                written = flood.writer.raw(lines.clone()) => written.unwrap(),
                input = flood.heard.recv() => {
                    if input == Some(Input::Data(Bytes::from_static(b"\x03"))) {
                        break;
                    }
                }
            }
        }
        flood.says("stopped").await;
        flood
    });
    session.shows("y").await;
    let mut slowest = Duration::ZERO;
    for n in 0..20 {
        let asked = format!("echo {n}\r");
        let began = Clock::now();
        session.types(b"\x1d1");
        session.types(asked.as_bytes());
        quiet.hears(asked.as_bytes()).await;
        quiet.says(&format!("answer {n}\r\n")).await;
        session.shows(&format!("answer {n}")).await;
        slowest = slowest.max(began.elapsed());
        session.types(b"\x1d2");
        session.shows("y").await;
    }
    assert!(slowest < PATIENCE / 4, "{slowest:?}");
    session.types(b"\x03");
    session.shows("stopped").await;
    let lines = session.tabs.tabs[1].line.emulator().lines();
    assert!(lines.end - lines.start < 2200, "{lines:?}");
    stop.await.unwrap();
}
