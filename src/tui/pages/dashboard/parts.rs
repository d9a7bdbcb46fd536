//! The dashboard's parts, each drawn into the room that it is given.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::health::Status;
use crate::model::{Event, Gauges, Job, JobState, Outcome, Published, Severity, text, time};
use crate::tui::page::Shared;
use crate::tui::pages::jobs::columns as of_jobs;
use crate::tui::pages::vms::columns::load_style;
use crate::tui::roster::Source;
use crate::tui::widgets::bar::bar;
use crate::tui::widgets::{empty, spark, words};

/// Columns of a gauge's name.
const LABEL: u16 = 8;
/// Columns of a gauge's bar: where there is little room, and else.
const BAR: (u16, u16) = (8, 16);
/// Columns of the words beside a bar: what is left is for the last samples.
const WORDS: usize = 26;
/// Columns of a job's bar.
const JOB_BAR: u16 = 10;
/// Rows of what a newcomer is told.
pub const WELCOME: u16 = 6;
/// Verbs that only look; they are nobody's news here, unless they were refused.
const LOOKING: &[&str] =
    &["ls", "show", "follow", "tail", "watch", "stats", "limits", "prefs", "whoami", "ssh_config"];

/// Of a whole, how much: a name, a bar, words, and the last samples where there is room.
struct Gauge<'a> {
    label: &'a str,
    ratio: f64,
    said: &'a str,
    history: &'a [u64],
    style: Style,
}

impl Gauge<'_> {
    fn draw(&self, frame: &mut Frame<'_>, row: Rect, shared: &Shared) {
        if row.height == 0 {
            return;
        }
        let theme = &shared.theme;
        let columns = if row.width < 60 { BAR.0 } else { BAR.1 };
        let buffer = frame.buffer_mut();
        buffer.set_stringn(row.x, row.y, self.label, usize::from(LABEL), theme.muted);
        let room = usize::from(row.width.saturating_sub(LABEL));
        let (x, _) = buffer.set_stringn(row.x + LABEL, row.y, bar(self.ratio, columns), room, self.style);
        let left = usize::from(row.right().saturating_sub(x + 1));
        buffer.set_stringn(x + 1, row.y, text::short(self.said, left), left, self.style);
        // Always at the same place, whatever the words.
        let at = x + 2 + rows(WORDS);
        let left = usize::from(row.right().saturating_sub(at));
        if text::columns(self.said) <= WORDS && left >= 8 {
            buffer.set_stringn(at, row.y, spark::line(self.history, left), left, theme.accent);
        }
    }
}

/// What all VMs use together: two rows.
pub fn totals(frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
    let load = shared.vms.load();
    let cpu = load.cpu_ratio();
    let cpus = if load.cpus == 1 { "1 CPU".to_owned() } else { format!("{} CPUs", load.cpus) };
    let rows = |n: u16| Rect { y: area.y + n, height: area.height.saturating_sub(n).min(1), ..area };
    let idle = load.cpus == 0;
    let words = |said: String| if idle { String::from("no VM is running") } else { said };
    let said = words(format!("{:.0}% of {cpus}", cpu * 100.0));
    let history = shared.vms.load_history();
    let style = load_style(cpu * 100.0, &shared.theme);
    Gauge { label: "CPU", ratio: cpu, said: &said, history: &history, style }.draw(frame, rows(0), shared);
    let said = words(format!("{} of {}", words::size(load.memory_used), words::size(load.memory)));
    // Guests use all they have, as they should: that wants no look.
    let (ratio, style) = (ratio(load.memory_used, load.memory), Style::new());
    Gauge { label: "Memory", ratio, said: &said, history: &[], style }.draw(frame, rows(1), shared);
}

/// The last samples of all VMs' processors, large.
pub fn load_chart(frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
    let whose = if shared.vms.all { "CPU of everybody's VMs" } else { "CPU of your VMs" };
    spark::chart(frame, area, whose, &shared.vms.load_history(), &shared.theme);
}

/// How one begins.
pub fn welcome(frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
    let theme = &shared.theme;
    let width = usize::from(area.width);
    let lines = [
        ("", format!("Welcome, {}. No VMs yet.", shared.me.name)),
        ("n", String::from("make one; Ctrl-S creates it")),
        (":", String::from("any command, such as `help`")),
        ("?", String::from("the keys here; 1 to 9: the pages")),
        ("", format!("ssh {}+NAME@PORTAL enters a VM.", shared.me.name)),
    ];
    let buffer = frame.buffer_mut();
    for ((key, words), y) in lines.iter().zip(area.y..area.bottom()) {
        let indent = if key.is_empty() { 0 } else { 4 };
        buffer.set_stringn(area.x, y, key, width, theme.key);
        let room = usize::from(area.width.saturating_sub(indent));
        let style = if y == area.y { theme.heading } else { Style::new() };
        buffer.set_stringn(area.x + indent.min(area.width), y, text::short(words, room), room, style);
    }
    frame.set_cursor_position((area.x, area.y + u16::from(area.height > 1)));
}

/// Why there is no VM to be seen.
pub fn no_vms(frame: &mut Frame<'_>, area: Rect, filter: &str, shared: &Shared) {
    let (what, next) = match &shared.vms.source {
        Source::Waiting => (String::from("Looking for VMs…"), ""),
        Source::Lost(why) => (why.clone(), "Trying again every few seconds."),
        Source::Live => (format!("Nothing here holds “{}”.", text::short(filter, 30)), "Esc shows all."),
    };
    empty::draw(frame, area, &what, next, &shared.theme);
}

/// A heading.
pub fn heading(frame: &mut Frame<'_>, row: Rect, words: &str, shared: &Shared) {
    if row.height > 0 {
        frame.buffer_mut().set_stringn(row.x, row.y, words, usize::from(row.width), shared.theme.heading);
    }
}

/// So many jobs at most: those at work, and if those that are over are wanted too,
/// the latest of them.
pub fn jobs(shared: &Shared, most: u16, over: bool) -> Vec<&Job> {
    let at_work = shared.jobs.values().rev();
    let over = shared.recent.iter().map(AsRef::as_ref).filter(|job: &&Job| over && job.state.is_final());
    at_work.chain(over).take(usize::from(most)).collect()
}

/// `▸ vm.new web1  ████░░░░  45% waiting for SSH`
pub fn job(frame: &mut Frame<'_>, row: Rect, job: &Job, shared: &Shared) {
    if row.height == 0 {
        return;
    }
    let what = format!("{} {} {}", job.state.sign(), job.action, shared.short_name(&job.target));
    let line = if job.state.is_final() {
        let why = of_jobs::step(job);
        let how = match job.state {
            // Its sign says enough.
            JobState::Succeeded => String::new(),
            _ if why.is_empty() => job.state.to_string(),
            _ => why,
        };
        format!("{what}  {}  {how}", of_jobs::when(job, shared)).trim_end().to_owned()
    } else if row.width < 60 {
        format!("{what}  {}% {}", job.percent, of_jobs::step(job))
    } else {
        let bar = bar(f64::from(job.percent) / 100.0, JOB_BAR);
        format!("{what}  {bar} {:>3}% {}", job.percent, of_jobs::step(job))
    };
    let width = usize::from(row.width);
    let style = of_jobs::style(job.state, &shared.theme);
    frame.buffer_mut().set_stringn(row.x, row.y, text::short(&line, width), width, style);
}

/// Whether an event says only that somebody looked at something.
pub fn is_looking(event: &Event) -> bool {
    let verb = event.action.rsplit('.').next().unwrap_or_default();
    event.outcome == Outcome::Success && LOOKING.contains(&verb)
}

/// `13:02:11 ✓ vm.new web1`
pub fn event(frame: &mut Frame<'_>, row: Rect, event: &Event, shared: &Shared) {
    let theme = &shared.theme;
    let (sign, mut style) = match event.outcome {
        Outcome::Success => ("✓", Style::new()),
        Outcome::Failure => ("!", theme.warn),
        Outcome::Unknown => ("·", theme.muted),
    };
    if event.severity >= Severity::High {
        style = theme.bad;
    }
    // What is made has no target yet, but a name.
    let name = || event.details.get("name").and_then(serde_json::Value::as_str);
    let target = event.target.as_deref().or_else(name).unwrap_or_default();
    let what = format!("{} {}", event.action, shared.short_name(target));
    let what = what.trim_end();
    // Of what went well, its name says enough.
    let why = if event.outcome == Outcome::Success { String::new() } else { format!(": {}", event.message) };
    let who = if event.actor == shared.me.name { String::new() } else { format!("{}: ", event.actor) };
    let when = shared.preferences.time_zone.clock(event.time);
    let width = usize::from(row.width);
    let buffer = frame.buffer_mut();
    if row.height > 0 {
        let (x, _) = buffer.set_stringn(row.x, row.y, format!("{when} "), width, theme.muted);
        let room = usize::from(row.right().saturating_sub(x));
        buffer.set_stringn(x, row.y, text::short(&format!("{sign} {who}{what}{why}"), room), room, style);
    }
}

/// That there are no events.
pub fn no_events(frame: &mut Frame<'_>, row: Rect, shared: &Shared) {
    if row.height > 0 {
        frame.buffer_mut().set_stringn(
            row.x,
            row.y,
            "Nothing yet.",
            usize::from(row.width),
            shared.theme.muted,
        );
    }
}

/// Why there are no events.
pub fn lost(frame: &mut Frame<'_>, row: Rect, why: &str, shared: &Shared) {
    let width = usize::from(row.width);
    if row.height > 0 {
        frame.buffer_mut().set_stringn(row.x, row.y, text::short(why, width), width, shared.theme.bad);
    }
}

/// The host in a row: `Host    CPU 12%  memory 43%  disk 39%  healthy`
pub fn host_line(frame: &mut Frame<'_>, row: Rect, host: &Published, shared: &Shared) {
    let theme = &shared.theme;
    let gauges = &host.gauges;
    let (sign, word, style) = health(host, shared);
    let figures = format!(
        "CPU {:.0}%  memory {:.0}%  disk {:.0}%  {sign} {word}",
        gauges.cpu_percent,
        gauges.memory_percent(),
        disk(gauges) * 100.0
    );
    let width = usize::from(row.width);
    let buffer = frame.buffer_mut();
    if row.height > 0 {
        buffer.set_stringn(row.x, row.y, "Host", width, theme.muted);
        let room = width.saturating_sub(usize::from(LABEL));
        buffer.set_stringn(row.x + LABEL, row.y, text::short(&figures, room), room, style);
    }
}

/// The parts that are not as they should be.
fn faults(host: &Published) -> impl Iterator<Item = String> + '_ {
    let wrong = host.health.checks.iter().filter(|c| c.status != Status::Healthy);
    wrong.map(|c| format!("! {}: {}", c.name, c.message))
}

/// The rows that the host takes.
pub fn host_rows(host: &Published, tall: bool) -> u16 {
    let charts = if tall && host.cpu_history.len() > 1 { 2 * (super::CHART + 1) } else { 0 };
    5 + rows(faults(host).count().min(3)) + charts
}

/// The host: its health, its gauges, and if there is room, its last samples.
pub fn host(frame: &mut Frame<'_>, mut area: Rect, host: &Published, tall: bool, shared: &Shared) {
    let gauges = &host.gauges;
    let (sign, word, style) = health(host, shared);
    let up = time::span(host.at.seconds_since(host.started_at));
    let sessions = if gauges.active_sessions == 1 { "session" } else { "sessions" };
    let said = format!("{sign} {word}, up {up}, {} {sessions}", gauges.active_sessions);
    let row = super::take(&mut area, 1);
    heading(frame, row, "Host", shared);
    let width = usize::from(row.width.saturating_sub(LABEL));
    frame.buffer_mut().set_stringn(row.x + LABEL, row.y, text::short(&said, width), width, style);
    let cpu = format!("{:.0}% of {}, load {:.2}", gauges.cpu_percent, gauges.cpus, gauges.load1);
    let memory =
        format!("{} of {}", words::size(gauges.memory_used_bytes), words::size(gauges.memory_total_bytes));
    let disk_said = format!("{} free", words::size(gauges.disk_free_bytes));
    let promised = gauges.vms_ram_mb << 20;
    let vms = format!("{} promised to VMs", words::size(promised));
    // Where the last samples are drawn large, they need no small line.
    let (of_cpu, of_memory) = if tall { (Vec::new(), Vec::new()) } else { histories(host) };
    let of_disk = disk(gauges);
    let gauges = [
        ("CPU", gauges.cpu_percent / 100.0, &cpu, of_cpu),
        ("Memory", gauges.memory_percent() / 100.0, &memory, of_memory),
        ("", ratio(promised, gauges.memory_total_bytes), &vms, Vec::new()),
        ("Disk", of_disk, &disk_said, Vec::new()),
    ];
    for (label, ratio, said, history) in &gauges {
        let style = load_style(ratio * 100.0, &shared.theme);
        let gauge = Gauge { label, ratio: *ratio, said, history, style };
        gauge.draw(frame, super::take(&mut area, 1), shared);
    }
    for fault in faults(host).take(3) {
        lost(frame, super::take(&mut area, 1), &fault, shared);
    }
    let (of_cpu, of_memory) = histories(host);
    for (what, history) in [("CPU of the host", of_cpu), ("Memory of the host", of_memory)] {
        super::take(&mut area, 1);
        if area.height >= super::CHART {
            spark::chart(frame, super::take(&mut area, super::CHART), what, &history, &shared.theme);
        }
    }
}

/// The last samples of the host's processors and memory.
fn histories(host: &Published) -> (Vec<u64>, Vec<u64>) {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = |history: &[f64]| history.iter().map(|p| p.round().clamp(0.0, 100.0) as u64).collect();
    (whole(&host.cpu_history), whole(&host.memory_history))
}

fn health(host: &Published, shared: &Shared) -> (&'static str, &'static str, Style) {
    let status = host.health.status();
    let (sign, style) = match status {
        Status::Healthy => ("●", shared.theme.good),
        Status::Degraded => ("!", shared.theme.warn),
        Status::Unhealthy => ("✗", shared.theme.bad),
    };
    (sign, status.as_str(), style)
}

/// Of the data directory's filesystem, how much is used.
fn disk(gauges: &Gauges) -> f64 {
    ratio(gauges.disk_total_bytes.saturating_sub(gauges.disk_free_bytes), gauges.disk_total_bytes)
}

#[allow(clippy::cast_precision_loss)]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn rows(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}
