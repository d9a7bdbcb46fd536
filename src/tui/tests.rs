mod journey;
mod screens;
mod updates;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use uuid::Uuid;

use super::app::{Effect, Me, Model, Msg, update};
use super::pages::vms::Vms;
use super::theme::{Depth, Theme};
use super::view;
use crate::driver::DomainStats;
use crate::model::{Image, Job, JobState, Plan, Role, Time, Vm, VmState};
use crate::portal::VmSample;
use crate::term::WindowSize;
use crate::term::keys::Decoder;

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

fn model(role: Role, cols: u16, rows: u16) -> Model {
    let me = Me { name: "alice".into(), role, sees_all: role == Role::Admin };
    Model::new(me, WindowSize { cols, rows }, Vms::new(false, None, ""))
}

fn with_vms(cols: u16, rows: u16) -> Model {
    let mut model = model(Role::User, cols, rows);
    update(&mut model, Msg::Vms { all: false, list: some_vms() });
    model
}

fn images() -> Vec<Image> {
    let image = |name: &str, description: &str, size_bytes| Image {
        name: name.into(),
        description: description.into(),
        ssh_user: "root".into(),
        min_ram_mb: 64,
        min_disk_gb: 1,
        size_bytes,
        built_at: Time::from_millis(0),
        digest: String::new(),
    };
    vec![image("debian-12", "Debian 12 with cloud-init", 500), image("micro", "Boots in seconds", 900)]
}

/// Types bytes, as a terminal would send them; all effects.
fn press(model: &mut Model, bytes: &str) -> Vec<Effect> {
    let mut decoder = Decoder::new();
    let mut keys = decoder.feed(bytes.as_bytes());
    keys.extend(decoder.flush());
    keys.into_iter().flat_map(|key| update(model, Msg::Key(key))).collect()
}

fn offer(model: &mut Model) {
    update(model, Msg::Catalogue(images(), Plan::built_in()));
}

/// The screen as text, and where its cursor is (column, row).
fn seen(model: &Model) -> (Vec<String>, (u16, u16)) {
    let mut terminal = Terminal::new(TestBackend::new(model.size.cols, model.size.rows)).unwrap();
    let theme = Theme::new(Depth::None);
    terminal.draw(|frame| view::draw(frame, model, &theme)).unwrap();
    let at = terminal.get_cursor_position().unwrap();
    let buffer = terminal.backend().buffer();
    let lines = (0..model.size.rows)
        .map(|y| {
            let line: String = (0..model.size.cols).map(|x| buffer[(x, y)].symbol()).collect();
            line.trim_end().to_owned()
        })
        .collect();
    (lines, (at.x, at.y))
}
