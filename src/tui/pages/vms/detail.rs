//! One VM, with everything that is known of it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::{Sparkline, Widget};

use super::columns;
use crate::model::{Job, Vm, text, time};
use crate::tui::page::Shared;
use crate::tui::roster::Row;
use crate::tui::theme::Theme;
use crate::tui::widgets::bar::bar;
use crate::tui::widgets::words;

/// Columns of the labels.
const LABEL: u16 = 8;
/// Rows of the chart, and the fewest that are worth it.
const CHART: u16 = 8;
const LEAST_CHART: u16 = 3;

/// A line: its label, its value, its style.
type Line = (&'static str, String, Style);

/// Draws the VM's details from the area's top.
pub fn draw(frame: &mut Frame<'_>, area: Rect, row: &Row, shared: &Shared) {
    let theme = &shared.theme;
    let job = shared.job_of(&row.vm);
    let value_width = area.width.saturating_sub(LABEL);
    let mut lines = state(&row.vm, job, theme, value_width);
    lines.extend(figures(row, value_width));
    lines.extend(access(&row.vm, shared));
    lines.extend(about(&row.vm));
    let buffer = frame.buffer_mut();
    buffer.set_stringn(area.x, area.y, text::clean(&row.vm.name), usize::from(area.width), theme.heading);
    let mut y = area.y + 1;
    for (label, value, style) in lines {
        for (i, part) in words::wrap(&value, value_width).into_iter().enumerate() {
            if y >= area.bottom() {
                return;
            }
            if i == 0 {
                buffer.set_stringn(area.x, y, label, usize::from(LABEL), theme.muted);
            }
            buffer.set_stringn(area.x + LABEL, y, part, usize::from(value_width), style);
            y += 1;
        }
    }
    let history = shared.vms.cpu_history(&row.vm);
    let left = area.bottom().saturating_sub(y + 2);
    if left >= LEAST_CHART && history.len() > 1 {
        let chart = Rect { y: y + 1, height: left.min(CHART) + 1, ..area };
        draw_chart(frame, chart, &history, theme);
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
fn about(vm: &Vm) -> Vec<Line> {
    let plain = Style::new();
    let ram = words::size(u64::from(vm.ram_mb) << 20);
    let size = format!("{}: {} CPU, {ram}, {} GB disk", vm.plan, vm.vcpus, vm.disk_gb);
    let mut lines = vec![
        ("Plan", size, plain),
        ("Image", vm.image.clone(), plain),
        ("Owner", vm.owner.clone(), plain),
        ("Price", words::price(vm.credits_per_hour), plain),
        ("Made", vm.created_at.to_string(), plain),
    ];
    if !vm.tags.is_empty() {
        lines.push(("Tags", vm.tags.join(", "), plain));
    }
    lines
}

/// What it uses now, as bars where there is a whole to compare with.
fn figures(row: &Row, width: u16) -> Vec<Line> {
    let Some(sample) = row.sample else { return Vec::new() };
    let stats = sample.stats;
    // As long as each other, whatever stands beside them.
    let columns = if width >= 44 { 20 } else { 8 };
    let gauge = |ratio: f64, words: String| format!("{} {words}", bar(ratio, columns));
    let mut lines = Vec::new();
    if let Some(percent) = sample.cpu_percent {
        lines.push(("CPU", gauge(percent / 100.0, format!("{percent:.0}%")), Style::new()));
    }
    let ram = u64::from(row.vm.ram_mb) << 20;
    let used = format!("{} on the host", words::size(stats.rss_bytes));
    lines.push(("Memory", gauge(ratio(stats.rss_bytes, ram), used), Style::new()));
    let disk = u64::from(row.vm.disk_gb) << 30;
    let used = format!("{} on the host", words::size(stats.disk_used_bytes));
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

/// How it is reached: what to type elsewhere.
fn access(vm: &Vm, shared: &Shared) -> Vec<Line> {
    let mut lines = Vec::new();
    lines.extend(vm.ip.iter().map(|ip| ("IP", ip.clone(), Style::new())));
    let full_name = vm.full_name();
    let name = shared.short_name(&full_name);
    lines.push(("Ssh", format!("ssh {}+{name}@PORTAL", shared.me.name), Style::new()));
    lines.push(("", format!("ssh -J {}@PORTAL {}@{name}", shared.me.name, vm.ssh_user), Style::new()));
    lines
}

fn draw_chart(frame: &mut Frame<'_>, area: Rect, history: &[u64], theme: &Theme) {
    let highest = history.iter().copied().max().unwrap_or(0);
    let title = format!("CPU, the last {} samples, highest {highest}%", history.len());
    let buffer = frame.buffer_mut();
    buffer.set_stringn(
        area.x,
        area.y,
        text::short(&title, usize::from(area.width)),
        usize::from(area.width),
        theme.muted,
    );
    let shown = history.len().saturating_sub(usize::from(area.width));
    let data: Vec<u64> = history.iter().skip(shown).copied().collect();
    let chart = Rect { y: area.y + 1, height: area.height - 1, ..area };
    Sparkline::default().data(data).max(100).style(theme.accent).render(chart, buffer);
}
