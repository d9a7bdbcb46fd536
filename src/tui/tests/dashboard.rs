//! All at a glance.

use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::action::event::News;
use crate::error::{Code, Error, Result};
use crate::model::{Category, Check, Event, Gauges, Health, Outcome, Published, Severity, Status};
use crate::tui::feeds::Heard;

fn event(id: i64, action: &'static str, target: &str, outcome: Outcome) -> Event {
    Event {
        id,
        time: Time::from_millis(1_784_000_000_000 + id * 1000),
        category: Category::Configuration,
        action: action.into(),
        outcome,
        severity: if outcome == Outcome::Failure { Severity::Low } else { Severity::Info },
        actor: "alice".into(),
        source_ip: None,
        target: (!target.is_empty()).then(|| target.into()),
        session: None,
        message: "It said no.".into(),
        details: Value::Null,
        actor_id: Some(1),
    }
}

fn host() -> Arc<Published> {
    let check =
        |name, status| Check { name, status, message: "What is wrong with it.".into(), needed: false };
    Arc::new(Published {
        at: Time::from_millis(100_000_000),
        started_at: Time::from_millis(0),
        health: Health { checks: vec![check("ssh", Status::Healthy), check("libvirt", Status::Unhealthy)] },
        gauges: Gauges {
            cpu_percent: 12.4,
            load1: 0.42,
            cpus: 8,
            memory_total_bytes: 16 << 30,
            memory_used_bytes: 6 << 30,
            disk_total_bytes: 100 << 30,
            disk_free_bytes: 61 << 30,
            active_sessions: 2,
            vms_ram_mb: 2048,
            ..Gauges::default()
        },
        cpu_history: (0..120).map(f64::from).collect(),
        memory_history: vec![37.0; 120],
        sample_s: 5,
        ..Published::default()
    })
}

fn tell<T: Send + 'static>(model: &mut Model, news: Result<T>) {
    assert!(update(model, Msg::news("dashboard", Heard { feed: 0, news })).is_empty());
}

fn tell_events(model: &mut Model, events: Vec<Event>) {
    tell(model, Ok(News { events, missed: false }));
}

fn dashboard(role: RoleName, cols: u16, rows: u16) -> Model {
    let mut model = model(role.clone(), cols, rows);
    let begun = words(&update(&mut model, Msg::Key(Key::Char('1'))));
    let host = if role == RoleName::ADMIN { ", dashboard: host.follow" } else { "" };
    let followed = format!("Follow(dashboard: [dashboard: event.tail{host}])");
    assert_eq!(begun, ["Unfollow(\"vms\")".into(), followed]);
    model
}

fn full(role: RoleName, cols: u16, rows: u16) -> Model {
    let mut model = dashboard(role.clone(), cols, rows);
    for cpu in [10.0, 80.0, 42.0] {
        let mut list = some_vms();
        list[0].1 = sample(cpu);
        update(&mut model, Msg::Vms { all: false, list });
    }
    let db = model.shared.vms.rows()[1].vm.clone();
    let mut failed = job(6, "vm.start", &db, JobState::Failed, 30);
    failed.finished_at = Some(Time::from_millis(1000));
    failed.error =
        Some(JobError { code: "quota".into(), message: "No port is left.".into(), hint: "Ask.".into() });
    update(&mut model, jobs_now(false, vec![job(7, "vm.start", &db, JobState::Running, 45), failed]));
    let events = vec![
        event(1, "vm.new", "web1.alice", Outcome::Success),
        event(2, "vm.ls", "", Outcome::Success),
        event(3, "user.ls", "", Outcome::Failure),
    ];
    tell_events(&mut model, events);
    if role == RoleName::ADMIN {
        tell(&mut model, Ok(host()));
    }
    model
}

fn text(model: &mut Model) -> String {
    seen(model).0.join("\n")
}

#[test]
fn small_40x12_is_usable() {
    let mut model = full(RoleName::USER, 40, 12);
    let (lines, cursor) = seen(&mut model);
    assert_eq!(
        lines,
        [
            "Twarga  alice (user)  Dashboard    5 VMs",
            "CPU     ███░░░░░ 42% of 1 CPU",
            "Memory  ████░░░░ 231 MiB of 512 MiB",
            "STATE     NAME              CPU   MEMORY",
            "! error   broken              –     512M",
            "… pending lab                 –     512M",
            "● running web1              42% 231/512M",
            "▸ vm.start db  45% waiting for SSH",
            "03:33:23 ! user.ls: It said no.",
            "03:33:21 ✓ vm.new web1",
            "1–3 of 5",
            "Enter open  n new  ? help  q quit",
        ]
    );
    assert_eq!(cursor, (0, 4));
}

#[test]
fn usual_80x24_is_complete() {
    let mut model = full(RoleName::ADMIN, 80, 24);
    let (lines, cursor) = seen(&mut model);
    assert_eq!(
        lines[2..20],
        [
            "CPU     ███████░░░░░░░░░ 42% of 1 CPU               ▁▇▄",
            "Memory  ███████░░░░░░░░░ 231 MiB of 512 MiB",
            "Host    CPU 12%  memory 38%  disk 39%  ! degraded",
            "",
            "STATE     NAME             IMAGE     PLAN    CPU   MEMORY  UPTIME SSH",
            "! error   broken           micro     small     –     512M       – root",
            "… pending lab              debian-12 small     –     512M       – debian",
            "● running web1             micro     small   42% 231/512M   1d 2h root@10.0.2.11",
            "‖ paused  a-very-long-nam… micro     small    0% 0.2/4.0G   1d 2h root@10.0.2.13",
            "… 45%     db               debian-12 small     –     512M       – debian",
            "",
            "Jobs",
            "▸ vm.start db  █████░░░░░  45% waiting for SSH",
            "! vm.start db  1970-01-01  No port is left.",
            "",
            "What happened",
            "03:33:23 ! user.ls: It said no.",
            "03:33:21 ✓ vm.new web1",
        ]
    );
    assert_eq!(cursor, (0, 7));
    // The jobs are told once.
    assert_eq!(lines.join("\n").matches("waiting for SSH").count(), 1);
}

#[test]
fn large_screens_have_two_columns_and_charts() {
    for (cols, rows) in [(120, 40), (200, 60)] {
        let mut model = full(RoleName::ADMIN, cols, rows);
        let (lines, _) = seen(&mut model);
        let parts: Vec<(&str, &str)> = lines.iter().filter_map(|l| l.split_once('│')).collect();
        assert!(parts.len() > usize::from(rows) - 6, "{lines:#?}");
        let left: String = parts.iter().map(|p| p.0).collect::<Vec<_>>().join("\n");
        let right: String = parts.iter().map(|p| p.1).collect::<Vec<_>>().join("\n");
        assert!(
            left.contains("CPU of your VMs, the last 3 samples, highest 80%")
                && left.contains("● running web1")
        );
        for part in [
            "Host    ! degraded, up 1d 3h, 2 sessions",
            "12% of 8, load 0.42",
            "2 GiB promised to VMs",
            "! libvirt: What is wrong with it.",
            "CPU of the host",
            "Memory of the host",
            "▸ vm.start db",
            "What happened",
            "✓ vm.new web1",
        ] {
            assert!(right.contains(part), "{part} at {cols}x{rows}:\n{right}");
        }
        // Whoever may not see the host has no host there.
        let mut model = full(RoleName::USER, cols, rows);
        assert!(!text(&mut model).contains("Host"));
    }
}

#[test]
fn a_newcomer_is_told_how_to_begin() {
    for (cols, rows) in [(40, 12), (80, 24), (120, 40), (200, 60)] {
        let mut model = dashboard(RoleName::USER, cols, rows);
        assert!(text(&mut model).contains("Looking for VMs…"), "{cols}x{rows}");
        update(&mut model, Msg::Vms { all: false, list: vec![] });
        let said = text(&mut model);
        for what in ["No VMs yet.", "n   make one", "alice+NAME@PORTAL", "n new"] {
            assert!(said.contains(what), "{what} at {cols}x{rows}:\n{said}");
        }
        assert_eq!(press(&mut model, "n")[0], "Do(image.ls {})");
        assert_eq!(over(&model), Some("new"));
    }
}

#[test]
fn keys_lead_on() {
    let mut model = full(RoleName::USER, 80, 24);
    // The order is by what wants a look.
    assert_eq!(press(&mut model, "jj\r"), ["Unfollow(\"dashboard\")"]);
    assert_eq!(model.front().map(|e| e.word), Some("vms"));
    assert_eq!(selected(&mut model), "web1");
    press(&mut model, "1");
    assert!(press(&mut model, "/db\r").is_empty());
    assert!(text(&mut model).contains("… 45%     db") && !text(&mut model).contains("broken"));
    press(&mut model, "\x1b");
    assert!(text(&mut model).contains("broken"));
    press(&mut model, "/zzz\r");
    assert!(text(&mut model).contains("Nothing here holds “zzz”."));
    press(&mut model, "\x1b");
    // Nothing is marked here, for nothing is done to several.
    press(&mut model, " *");
    assert!(!text(&mut model).contains("marked"));
    assert_eq!(press(&mut model, "q"), ["Quit"]);
    let mut model = full(RoleName::ADMIN, 80, 24);
    let follow = ["Follow(frame.vms: vm.follow true)", "Follow(frame.jobs: job.follow true)"];
    assert_eq!(press(&mut model, "a"), follow);
    let mut model = full(RoleName::USER, 80, 24);
    assert!(press(&mut model, "a").is_empty());
}

#[test]
fn clicks_lead_on() {
    for (cols, rows) in [(80, 24), (200, 60)] {
        for (what, word) in [("▸ vm.start db", "jobs"), ("✓ vm.new web1", "events")] {
            let mut model = full(RoleName::USER, cols, rows);
            let (lines, _) = seen(&mut model);
            let row = lines.iter().position(|l| l.contains(what)).unwrap();
            let (before, _) = lines[row].split_once(what).unwrap();
            let column = before.chars().count();
            press(&mut model, &format!("\x1b[<0;{};{}M", column + 1, row + 1));
            assert_eq!(model.front().map(|e| e.word), Some(word), "{cols}x{rows}");
        }
    }
}

#[test]
fn what_is_told_again_is_shown_once_and_looking_is_no_news() {
    let mut model = full(RoleName::USER, 80, 24);
    tell_events(&mut model, vec![event(1, "vm.new", "web1.alice", Outcome::Success)]);
    tell_events(&mut model, vec![event(4, "vm.stop", "db.alice", Outcome::Success)]);
    let said = text(&mut model);
    assert_eq!(said.matches("vm.new web1").count(), 1);
    assert!(said.contains("✓ vm.stop db") && !said.contains("vm.ls"));
    tell::<News>(&mut model, Err(Error::new(Code::DatabaseUnavailable, "The database is busy.")));
    assert!(text(&mut model).contains("The database is busy."));
    tell_events(&mut model, vec![]);
    assert!(!text(&mut model).contains("The database is busy."));
}

#[test]
fn what_is_made_is_named() {
    let mut model = full(RoleName::USER, 80, 24);
    let mut made = event(9, "vm.new", "", Outcome::Success);
    made.details = serde_json::json!({"name": "web7", "image": null});
    tell_events(&mut model, vec![made]);
    assert!(text(&mut model).contains("✓ vm.new web7"));
}

#[test]
fn nothing_from_outside_reaches_the_terminal_raw() {
    for (cols, rows) in [(40, 12), (80, 24), (200, 60)] {
        let mut model = full(RoleName::ADMIN, cols, rows);
        let evil = "\u{1b}[2J\u{202e}\u{9b}31m";
        let mut event = event(9, "session.login", evil, Outcome::Failure);
        (event.actor, event.message, event.action) = (evil.into(), evil.into(), evil.into());
        tell_events(&mut model, vec![event]);
        let mut host = (*host()).clone();
        host.health.checks[1].message = evil.into();
        tell(&mut model, Ok(Arc::new(host)));
        let db = model.shared.vms.rows()[1].vm.clone();
        let mut bad = job(8, "vm.start", &db, JobState::Running, 1);
        bad.step = evil.into();
        update(&mut model, Msg::Begun(vec![bad]));
        assert!(!seen(&mut model).0.concat().chars().any(crate::model::text::is_unsafe));
    }
}

/// Bytes a second that an idle dashboard may send.
const BUDGET: usize = 2048;

#[test]
fn an_idle_dashboard_is_quiet() {
    for (cols, rows) in [(80, 24), (200, 60)] {
        let size = WindowSize { cols, rows };
        let mut model = full(RoleName::ADMIN, cols, rows);
        let mut screen = crate::tui::screen::Screen::new(size);
        screen.draw(|frame| view::draw(frame, &mut model));
        // Every figure of every VM and of the host is another, as seldom happens.
        let list = |n: u16| -> Vec<_> {
            (0..30)
                .map(|i| {
                    (
                        vm(i, &format!("vm{i:02}"), "alice", VmState::Running),
                        sample(f64::from((n * 37 + i as u16 * 11) % 100)),
                    )
                })
                .collect()
        };
        let mut sent = 0;
        let samples = 200;
        for n in 0..samples {
            update(&mut model, Msg::Vms { all: false, list: list(n) });
            let mut host = (*host()).clone();
            host.gauges.cpu_percent = f64::from(n * 31 % 100);
            host.cpu_history.rotate_left(usize::from(n) % 120);
            tell(&mut model, Ok(Arc::new(host)));
            sent += screen.draw(|frame| view::draw(frame, &mut model)).map_or(0, |b| b.len());
            assert!(screen.draw(|frame| view::draw(frame, &mut model)).is_none(), "nothing moves by itself");
        }
        let seconds =
            usize::from(samples) * usize::try_from(crate::config::Config::default().sample_s).unwrap();
        let rate = sent / seconds;
        println!("{cols}x{rows}: {rate} bytes a second");
        assert!(rate <= BUDGET, "{cols}x{rows}: {rate} bytes a second");
    }
}
