mod account;
mod admin;
mod dashboard;
mod events;
mod forms;
mod jobs;
mod journey;
mod screens;
mod updates;

use std::sync::Arc;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use uuid::Uuid;

use super::app::{Model, Msg, update};
use super::effect::Effect;
use super::page::{Me, Shared};
use super::theme::Depth;
use super::view;
use crate::driver::DomainStats;
use crate::model::job::JobError;
use crate::model::{Job, JobState, Preferences, RoleName, Time, Vm, VmState};
use crate::portal::VmSample;
use crate::term::WindowSize;
use crate::term::keys::{Decoder, Key};

fn vm(id: i64, name: &str, owner: &str, state: VmState) -> Vm {
    let running = matches!(state, VmState::Running | VmState::Paused);
    Vm {
        id,
        name: name.into(),
        owner: owner.into(),
        owner_id: 1,
        state,
        image: if id % 2 == 0 { "debian-12".into() } else { "micro".into() },
        plan: "small".into(),
        vcpus: 1,
        ram_mb: if id % 3 == 0 { 4096 } else { 512 },
        disk_gb: 10,
        driver: "mock".into(),
        node: "local".into(),
        ip: running.then(|| format!("10.0.2.{}", 10 + id)),
        ssh_host: Some("127.0.0.1".into()),
        ssh_port: Some(22000),
        ssh_user: if id % 2 == 0 { "debian".into() } else { "root".into() },
        created_at: Time::from_millis(1_784_000_000_000),
        uptime_s: running.then_some(3600 * 26 + 120),
        credits_per_hour: 1.5,
        tags: vec![],
        fault: (state == VmState::Error).then(|| "Its disk \u{1b}[31mis full.".into()),
        host_key: String::new(),
        uuid: Uuid::from_u128(u128::try_from(id).unwrap()),
    }
}

fn sample(cpu: f64) -> Option<VmSample> {
    let stats = DomainStats { rss_bytes: 231 << 20, disk_used_bytes: 1 << 30, ..DomainStats::default() };
    Some(VmSample { stats, cpu_percent: Some(cpu), disk_read_bps: Some(1536), disk_write_bps: Some(0) })
}

fn job(id: i64, action: &str, target: &Vm, state: JobState, percent: u8) -> Job {
    Job {
        id,
        action: action.into(),
        target: target.full_name(),
        state,
        step: "waiting for SSH".into(),
        percent,
        error: None,
        created_at: Time::from_millis(0),
        finished_at: None,
        steps: Vec::new(),
        owner_id: 1,
        vm_id: Some(target.id),
    }
}

fn some_vms() -> Vec<(Vm, Option<VmSample>)> {
    vec![
        (vm(1, "web1", "alice", VmState::Running), sample(42.0)),
        (vm(2, "db", "alice", VmState::Stopped), None),
        (vm(3, "a-very-long-name-of-a-machine-32", "alice", VmState::Paused), sample(0.0)),
        (vm(4, "lab", "alice", VmState::Pending), None),
        (vm(5, "broken", "alice", VmState::Error), None),
    ]
}

/// The news that these are the latest jobs.
fn jobs_now(all: bool, list: Vec<Job>) -> Msg {
    Msg::Jobs { all, list: list.into_iter().map(Arc::new).collect() }
}

fn model(role: RoleName, cols: u16, rows: u16) -> Model {
    let me = Me {
        name: "alice".into(),
        rights: role.built_in().unwrap_or_default(),
        sees_all: role == RoleName::ADMIN,
        role,
    };
    let size = WindowSize { cols, rows };
    let shared = Shared::new("Twarga".into(), me, size, Preferences::default(), Depth::None);
    Model::new(shared, "vms")
}

fn with_vms(cols: u16, rows: u16) -> Model {
    let mut model = model(RoleName::USER, cols, rows);
    update(&mut model, Msg::Vms { all: false, list: some_vms() });
    model
}

/// Types bytes, as a terminal would send them; all effects.
fn effects(model: &mut Model, bytes: &str) -> Vec<Effect> {
    let mut decoder = Decoder::new();
    let mut keys = decoder.feed(bytes.as_bytes());
    keys.extend(decoder.flush());
    keys.into_iter().flat_map(|key| update(model, Msg::Key(key))).collect()
}

/// The same, as words; toasts' timers are left out.
fn press(model: &mut Model, bytes: &str) -> Vec<String> {
    words(&effects(model, bytes))
}

fn words(effects: &[Effect]) -> Vec<String> {
    let timer = |e: &&Effect| matches!(e, Effect::ForgetAfter(..));
    effects.iter().filter(|e| !timer(e)).map(|e| format!("{e:?}")).collect()
}

/// What an effect that does something to VMs is called.
fn does(action: &str, names: &[&str]) -> Vec<String> {
    let parts = |n: &&str| {
        let (name, owner) = n.split_once('.').unwrap();
        format!("{{\"name\":\"{name}\",\"owner\":\"{owner}\"}}")
    };
    let names: Vec<String> = names.iter().map(parts).collect();
    let mut given = format!("{{\"names\":[{}]", names.join(","));
    if action == "vm.stop" || action == "vm.restart" {
        given.push_str(",\"force\":false");
    }
    if action == "vm.destroy" {
        given.push_str(",\"yes\":true");
    }
    vec![format!("Do({action} {given}}})")]
}

/// The word of what lies over the page.
fn over(model: &Model) -> Option<&'static str> {
    model.overlays.last().map(|o| o.word())
}

/// The screen as text, and where its cursor is (column, row).
fn seen(model: &mut Model) -> (Vec<String>, (u16, u16)) {
    let WindowSize { cols, rows } = model.shared.size;
    let mut terminal = Terminal::new(TestBackend::new(cols, rows)).unwrap();
    terminal.draw(|frame| view::draw(frame, model)).unwrap();
    let at = terminal.get_cursor_position().unwrap();
    let buffer = terminal.backend().buffer();
    let lines = (0..rows)
        .map(|y| {
            let line: String = (0..cols).map(|x| buffer[(x, y)].symbol()).collect();
            line.trim_end().to_owned()
        })
        .collect();
    (lines, (at.x, at.y))
}

/// The name in the row that the cursor is on.
fn selected(model: &mut Model) -> String {
    // Wide enough for the longest.
    let size = std::mem::replace(&mut model.shared.size, WindowSize { cols: 200, rows: 24 });
    let (lines, (_, y)) = seen(model);
    model.shared.size = size;
    seen(model);
    lines[usize::from(y)].split_whitespace().nth(2).unwrap_or_default().to_owned()
}
