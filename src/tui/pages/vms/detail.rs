//! One VM, with everything that is known of it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::columns;
use crate::model::{Job, Vm, text, time};
use crate::tui::page::Shared;
use crate::tui::pages::jobs::job_style;
use crate::tui::roster::Row;
use crate::tui::theme::Theme;
use crate::tui::widgets::bar::bar;
use crate::tui::widgets::{spark, words};

/// Columns of the labels.
const LABEL: u16 = 9;
/// Rows of a chart with its title: the fewest that are worth it, the most.
const CHART: (u16, u16) = (4, 11);
/// With so many columns the last samples stand beside their bar.
const BESIDE: u16 = 60;
/// Jobs of the VM that are told of.
const JOBS: usize = 5;

/// A line: its label, its value, its style.
type Line = (&'static str, String, Style);

/// Draws the VM's details from the area's top.
pub fn draw(frame: &mut Frame<'_>, area: Rect, row: &Row, shared: &Shared) {
    let theme = &shared.theme;
    let job = shared.job_of(&row.vm);
    let value_width = area.width.saturating_sub(LABEL);
    let mut lines = state(&row.vm, job, theme, value_width);
    lines.extend(figures(row, value_width, shared));
    lines.extend(access(&row.vm, shared));
    lines.extend(about(&row.vm, shared));
    let buffer = frame.buffer_mut();
    let name = row.vm.full_name();
    let name = text::short(shared.short_name(&name), usize::from(area.width));
    buffer.set_stringn(area.x, area.y, name, usize::from(area.width), theme.heading);
    let Some(below) = sheet(frame, Rect { y: area.y + 1, ..area }, area.bottom(), lines, theme) else {
        return;
    };
    let left = Rect { y: below, height: area.bottom().saturating_sub(below), ..area };
    let left = charts(frame, left, row, shared);
    latest(frame, left, &row.vm, shared);
}

/// Labels and values, each value in as many lines as it needs; the row below, if
/// there is one.
fn sheet(frame: &mut Frame<'_>, area: Rect, end: u16, lines: Vec<Line>, theme: &Theme) -> Option<u16> {
    let width = area.width.saturating_sub(LABEL);
    let mut y = area.y;
    for (label, value, style) in lines {
        for (i, part) in words::wrap(&value, width).into_iter().enumerate() {
            if y >= end {
                return None;
            }
            if i == 0 {
                frame.buffer_mut().set_stringn(area.x, y, label, usize::from(LABEL), theme.muted);
            }
            frame.buffer_mut().set_stringn(area.x + LABEL, y, part, usize::from(width), style);
            y += 1;
        }
    }
    (y < end).then_some(y)
}

/// The last samples, as large as there is room; what is left of it.
fn charts(frame: &mut Frame<'_>, area: Rect, row: &Row, shared: &Shared) -> Rect {
    let mut left = area;
    let cpu = shared.vms.cpu_history(&row.vm);
    let memory = shared.vms.memory_history(&row.vm);
    let beside = area.width.saturating_sub(LABEL) >= BESIDE && area.height < 2 * CHART.0;
    if row.sample.is_none() || beside {
        return left;
    }
    for (what, history) in [("CPU", cpu), ("Memory", memory)] {
        // A row of air above each.
        let height = left.height.saturating_sub(1).min(CHART.1);
        if height < CHART.0 || history.len() < 2 {
            break;
        }
        spark::chart(frame, Rect { y: left.y + 1, height, ..left }, what, &history, &shared.theme);
        left.y += height + 1;
        left.height -= height + 1;
    }
    left
}

/// The VM's latest jobs.
fn latest(frame: &mut Frame<'_>, area: Rect, vm: &Vm, shared: &Shared) {
    let jobs: Vec<&Job> = shared
        .recent
        .iter()
        .map(AsRef::as_ref)
        .filter(|j: &&Job| j.vm_id == Some(vm.id))
        .take(JOBS)
        .collect();
    if area.height < 3 || jobs.is_empty() {
        return;
    }
    let width = usize::from(area.width);
    frame.buffer_mut().set_stringn(area.x, area.y + 1, "Latest jobs", width, shared.theme.heading);
    for (job, y) in jobs.iter().zip(area.y + 2..area.bottom()) {
        let when = shared.preferences.time_zone.date_time(job.created_at);
        let why = job.error.as_ref().map(|e| format!(": {}", e.message)).unwrap_or_default();
        let line = format!("{} {when} {} {}{why}", job.state.sign(), job.action, job.state);
        let style = job_style(job.state, &shared.theme);
        frame.buffer_mut().set_stringn(area.x, y, text::short(&line, width), width, style);
    }
}

/// What matters most: what it is doing, and what is wrong.
fn state(vm: &Vm, job: Option<&Job>, theme: &Theme, width: u16) -> Vec<Line> {
    let up = vm.uptime_s.map_or_else(String::new, |s| format!(", up {}", time::span(s)));
    let style = columns::state_style(vm.state, job.is_some(), theme);
    let mut lines = vec![("State", format!("{} {}{up}", vm.state.sign(), vm.state), style)];
    if let Some(job) = job {
        let step = if job.step.is_empty() { "waiting for its turn" } else { &job.step };
        lines.push(("Job", format!("{} {}% {step}", job.action, job.percent), theme.accent));
        lines.push(("", bar(f64::from(job.percent) / 100.0, width.min(40)), theme.accent));
    }
    lines.extend(vm.fault.iter().map(|fault| ("Fault", fault.clone(), theme.bad)));
    lines
}

/// What it is.
fn about(vm: &Vm, shared: &Shared) -> Vec<Line> {
    let plain = Style::new();
    let ram = words::size(u64::from(vm.ram_mb) << 20);
    let size = format!("{}: {} CPU, {ram}, {} GB disk", vm.plan, vm.vcpus, vm.disk_gb);
    let zone = &shared.preferences.time_zone;
    let made = format!("{} {}", zone.date_time(vm.created_at), zone.abbreviation(vm.created_at));
    let mut lines = vec![
        ("Plan", format!("{size}, {}", words::price(vm.credits_per_hour)), plain),
        ("Image", vm.image.clone(), plain),
        ("Owner", vm.owner.clone(), plain),
        ("Made", made, plain),
        ("Runs on", format!("{} ({})", vm.node, vm.driver), plain),
    ];
    if !vm.tags.is_empty() {
        lines.push(("Tags", vm.tags.join(", "), plain));
    }
    lines
}

/// What it uses now, as bars where there is a whole to compare with.
fn figures(row: &Row, width: u16, shared: &Shared) -> Vec<Line> {
    let Some(sample) = row.sample else { return Vec::new() };
    let stats = sample.stats;
    // As long as each other, whatever stands beside them.
    let columns = if width >= 44 { 20 } else { 8 };
    let gauge = |ratio: f64, words: String| format!("{} {words}", bar(ratio, columns));
    let mut lines = Vec::new();
    if let Some(percent) = sample.cpu_percent {
        let room = usize::from(width.saturating_sub(columns + 8));
        let last = spark::line(&shared.vms.cpu_history(&row.vm), if width >= BESIDE { room } else { 0 });
        let style = columns::load_style(percent, &shared.theme);
        lines.push(("CPU", gauge(percent / 100.0, format!("{percent:>3.0}% {last}")), style));
    }
    let ram = u64::from(row.vm.ram_mb) << 20;
    let used = format!("{} of {} on the host", words::size(stats.rss_bytes), words::size(ram));
    lines.push(("Memory", gauge(ratio(stats.rss_bytes, ram), used), Style::new()));
    let disk = u64::from(row.vm.disk_gb) << 30;
    let used = format!("{} of {} on the host", words::size(stats.disk_used_bytes), words::size(disk));
    lines.push(("Disk", gauge(ratio(stats.disk_used_bytes, disk), used), Style::new()));
    if let (Some(read), Some(written)) = (sample.disk_read_bps, sample.disk_write_bps) {
        let line = format!("{}/s read, {}/s written", words::size(read), words::size(written));
        lines.push(("", line, Style::new()));
    }
    if let (Some(rx), Some(tx)) = (stats.net_rx_bytes, stats.net_tx_bytes) {
        let line = format!("{} in, {} out", words::size(rx), words::size(tx));
        lines.push(("Network", line, Style::new()));
    }
    lines
}

#[allow(clippy::cast_precision_loss)]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Commands that enter it, for somebody at a shell of their own.
pub fn ways_in(vm: &Vm, shared: &Shared) -> Vec<(&'static str, String)> {
    let full_name = vm.full_name();
    let name = shared.short_name(&full_name);
    let me = &shared.me.name;
    vec![
        ("shell", format!("ssh {me}+{name}@PORTAL")),
        ("jump", format!("ssh -J {me}@PORTAL {}@{name}", text::clean(&vm.ssh_user))),
    ]
}

/// How it is reached: what to type elsewhere.
fn access(vm: &Vm, shared: &Shared) -> Vec<Line> {
    let mut lines = Vec::new();
    lines.extend(vm.ip.iter().map(|ip| ("IP", ip.clone(), Style::new())));
    let labels = ["Enter", ""];
    let ways = ways_in(vm, shared).into_iter();
    lines.extend(labels.into_iter().zip(ways).map(|(label, (_, way))| (label, way, Style::new())));
    lines
}
