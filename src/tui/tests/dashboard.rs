//! All at a glance.

use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::model::{Category, Check, Event, Gauges, Health, Outcome, Published, Severity, Status};
use crate::tui::pages::dashboard::Heard;

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

fn tell(model: &mut Model, heard: Heard) {
    assert!(update(model, Msg::news("dashboard", heard)).is_empty());
}

fn dashboard(role: Role, cols: u16, rows: u16) -> Model {
    let mut model = model(role, cols, rows);
    let begun = words(&update(&mut model, Msg::Key(Key::Char('1'))));
    let followed = if role == Role::Admin { "event.tail, host.follow" } else { "event.tail" };
    assert_eq!(begun, ["Unfollow(\"vms\")".into(), format!("Follow(dashboard: {followed})")]);
    model
}

fn full(role: Role, cols: u16, rows: u16) -> Model {
    let mut model = dashboard(role, cols, rows);
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
    update(
        &mut model,
        Msg::Jobs { all: false, list: vec![job(7, "vm.start", &db, JobState::Running, 45), failed] },
    );
    let events = vec![
        event(1, "vm.new", "web1.alice", Outcome::Success),
        event(2, "vm.ls", "", Outcome::Success),
        event(3, "user.ls", "", Outcome::Failure),
    ];
    tell(&mut model, Heard::Events(events));
    if role == Role::Admin {
        tell(&mut model, Heard::Host(host()));
    }
    model
}

#[test]
fn look() {
    for (role, cols, rows) in
        [(Role::User, 40, 12), (Role::Admin, 80, 24), (Role::User, 120, 40), (Role::Admin, 200, 60)]
    {
        let mut model = full(role, cols, rows);
        println!("{}", seen(&mut model).0.join("\n"));
    }
    let mut model = dashboard(Role::User, 80, 24);
    update(&mut model, Msg::Vms { all: false, list: vec![] });
    println!("{}", seen(&mut model).0.join("\n"));
    model.shared.size = WindowSize { cols: 40, rows: 12 };
    println!("{}", seen(&mut model).0.join("\n"));
}
