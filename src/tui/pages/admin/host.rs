//! The host: its figures and its parts, as they are told.

use std::sync::Arc;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::{Sparkline, Widget};

use super::WORD;
use crate::action::host::HostFollow;
use crate::model::{Published, Status, text, time};
use crate::term::keys::Key;
use crate::tui::effect::{Effect, Feed};
use crate::tui::feeds::{self, Heard};
use crate::tui::keymap::Hint;
use crate::tui::page::{News, Shared};
use crate::tui::theme::Theme;
use crate::tui::widgets::bar::bar;
use crate::tui::widgets::panes::Pane;
use crate::tui::widgets::scroll::Scroll;
use crate::tui::widgets::sheet::{self, Line};
use crate::tui::widgets::{empty, words};

/// Rows of the chart, and the fewest that are worth it.
const CHART: u16 = 6;
const LEAST_CHART: u16 = 3;
/// Columns beside a bar that its words want.
const BESIDE: u16 = 44;

/// The figures.
#[derive(Debug, Default)]
pub struct Host {
    published: Option<Arc<Published>>,
    lost: Option<String>,
    scroll: Scroll,
}

#[allow(clippy::cast_precision_loss)]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn status_style(status: Status, theme: &Theme) -> Style {
    match status {
        Status::Healthy => theme.good,
        Status::Degraded => theme.warn,
        Status::Unhealthy => theme.bad,
    }
}

fn figures(p: &Published, theme: &Theme, width: u16) -> Vec<Line> {
    let g = &p.gauges;
    let plain = Style::new();
    let columns = if width >= BESIDE + 20 { 20 } else { 8 };
    let gauge = |ratio: f64, words: String| format!("{} {words}", bar(ratio, columns));
    let line = |name: &str, value: String, style| (String::from(name), value, style);
    let status = p.health.status();
    let used = g.disk_total_bytes.saturating_sub(g.disk_free_bytes);
    let memory = (words::size(g.memory_used_bytes), words::size(g.memory_total_bytes));
    let disk = (words::size(g.disk_free_bytes), words::size(g.disk_total_bytes));
    let up = time::span(p.at.seconds_since(p.started_at));
    vec![
        line(
            "State",
            format!("{}, twarga {}, up {up}", status.as_str(), p.version),
            status_style(status, theme),
        ),
        line(
            "CPU",
            gauge(g.cpu_percent / 100.0, format!("{:.0}% of {}, load {:.2}", g.cpu_percent, g.cpus, g.load1)),
            plain,
        ),
        line("Memory", gauge(g.memory_percent() / 100.0, format!("{} of {}", memory.0, memory.1)), plain),
        line("Disk", gauge(ratio(used, g.disk_total_bytes), format!("{} free of {}", disk.0, disk.1)), plain),
        line("VMs", format!("{}; promised {} vCPU, {} MB", vms(p), g.vms_vcpus, g.vms_ram_mb), plain),
        line("Sessions", format!("{}, {} signing in", g.active_sessions, g.startups), plain),
        line("Jobs", format!("{} at work or waiting", g.jobs_active), plain),
        line(
            "Portal",
            format!("{} of memory, {} descriptors", words::size(g.portal_rss_bytes), g.portal_open_fds),
            plain,
        ),
    ]
}

fn vms(p: &Published) -> String {
    let named = crate::model::VmState::ALL.iter().zip(p.gauges.vms).filter(|(_, n)| *n > 0);
    let said: Vec<String> = named.map(|(state, n)| format!("{n} {state}")).collect();
    if said.is_empty() { String::from("none") } else { said.join(", ") }
}

fn parts(p: &Published, theme: &Theme) -> Vec<Line> {
    let part = |c: &crate::model::Check| {
        let sign = match c.status {
            Status::Healthy => "✓",
            Status::Degraded => "~",
            Status::Unhealthy => "!",
        };
        let words = format!("{sign} {}: {}", c.status.as_str(), c.message);
        (c.name.to_owned(), words, status_style(c.status, theme))
    };
    p.health.checks.iter().map(part).collect()
}

fn chart(frame: &mut Frame<'_>, area: Rect, p: &Published, theme: &Theme) {
    let minutes = p.cpu_history.len() as u64 * p.sample_s;
    let title = format!("CPU, the last {}", time::span(minutes));
    let room = usize::from(area.width);
    frame.buffer_mut().set_stringn(area.x, area.y, text::short(&title, room), room, theme.muted);
    let shown = p.cpu_history.len().saturating_sub(room);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let data: Vec<u64> =
        p.cpu_history.iter().skip(shown).map(|v| v.round().clamp(0.0, 100.0) as u64).collect();
    let chart = Rect { y: area.y + 1, height: area.height - 1, ..area };
    Sparkline::default().data(data).max(100).style(theme.accent).render(chart, frame.buffer_mut());
}

impl Pane for Host {
    fn title(&self) -> &'static str {
        "Host"
    }

    fn feed(&self) -> Option<Feed> {
        Some(feeds::follow(WORD, 0, || HostFollow {}))
    }

    fn on_news(&mut self, news: News, _shared: &Shared) -> Result<Vec<Effect>, News> {
        match news.downcast::<Heard<Arc<Published>>>()?.news {
            Ok(published) => (self.published, self.lost) = (Some(published), None),
            Err(e) => self.lost = Some(e.message),
        }
        Ok(Vec::new())
    }

    fn on_key(&mut self, key: &Key, _shared: &mut Shared) -> Option<Vec<Effect>> {
        self.scroll.on_key(key).then(Vec::new)
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared, front: bool) {
        let theme = &shared.theme;
        if front {
            frame.set_cursor_position((area.x, area.y));
        }
        let Some(p) = &self.published else {
            let why = self.lost.as_deref().unwrap_or("Looking at the host…");
            if front {
                empty::draw(frame, area, why, "", theme);
            }
            return;
        };
        let mut lines = figures(p, theme, area.width);
        lines.extend(self.lost.iter().map(|why| (String::from("Lost"), why.clone(), theme.bad)));
        lines.push((String::new(), String::new(), Style::new()));
        lines.extend(parts(p, theme));
        let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        // The chart gets what the lines leave, wrapped ones among them.
        let left = area.height.saturating_sub(rows + 3);
        let chart_rows = if left >= LEAST_CHART && p.cpu_history.len() > 1 { left.min(CHART) + 1 } else { 0 };
        let sheet_area = Rect { height: area.height - chart_rows, ..area };
        sheet::draw(frame, sheet_area, &lines, &mut self.scroll, theme);
        if chart_rows > 0 {
            chart(frame, Rect { y: area.bottom() - chart_rows, height: chart_rows, ..area }, p, theme);
        }
    }

    fn hints(&self, _shared: &Shared) -> Vec<Hint> {
        vec![("↑ ↓", "scroll")]
    }

    fn help(&self) -> Vec<Hint> {
        vec![("↑ ↓", "scroll (also PgUp and PgDn)")]
    }
}
