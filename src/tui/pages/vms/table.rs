//! The table. Which columns are there depends on the room; state and name
//! always are.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{Row, Source, short_name};
use crate::model::{Job, Vm, VmState, text, time};
use crate::term::WindowSize;
use crate::tui::app::{Me, Model};
use crate::tui::theme::Theme;
use crate::tui::view;
use crate::tui::widgets::columns::{Want, fit};
use crate::tui::widgets::words;

/// A column of the table.
struct Column {
    title: &'static str,
    rank: u8,
    width: Width,
    cell: fn(&Row, &Around<'_>) -> String,
}

/// How wide a column may be.
enum Width {
    /// Words, which may be cut: at least so many columns, and rather so many.
    Words(u16, u16),
    /// Figures, which are never cut, and stand at the right: so many columns or more.
    Figures(u16),
}

/// What a cell's text depends on besides its VM.
struct Around<'a> {
    me: &'a Me,
    job: Option<&'a Job>,
}

#[rustfmt::skip]
static COLUMNS: &[Column] = &[
    Column { title: "STATE", rank: 0, width: Width::Words(9, 9), cell: |r, a| state(&r.vm, a.job) },
    Column { title: "NAME", rank: 1, width: Width::Words(12, 14), cell: |r, a| short_name(&r.vm.full_name(), a.me) },
    Column { title: "IMAGE", rank: 5, width: Width::Words(6, 9), cell: |r, _| text::clean(&r.vm.image) },
    Column { title: "PLAN", rank: 6, width: Width::Words(5, 6), cell: |r, _| text::clean(&r.vm.plan) },
    Column { title: "CPU", rank: 2, width: Width::Figures(4), cell: |r, _| cpu(r) },
    Column { title: "MEMORY", rank: 3, width: Width::Figures(8), cell: |r, _| memory(r) },
    Column { title: "UPTIME", rank: 4, width: Width::Figures(7), cell: |r, _| uptime(r) },
    Column { title: "SSH", rank: 7, width: Width::Words(6, 14), cell: |r, _| ssh(&r.vm) },
];

/// A VM's state in a word with its sign, or how far the job is that changes it.
pub fn state(vm: &Vm, job: Option<&Job>) -> String {
    match job {
        Some(job) => format!("… {}%", job.percent),
        None => format!("{} {}", vm.state.sign(), vm.state),
    }
}

/// The style of a state.
pub fn state_style(state: VmState, job: bool, theme: &Theme) -> Style {
    match state {
        _ if job => theme.accent,
        VmState::Running => theme.good,
        VmState::Paused => theme.warn,
        VmState::Pending => theme.accent,
        VmState::Stopped => theme.muted,
        VmState::Error => theme.bad,
    }
}

fn cpu(row: &Row) -> String {
    row.sample.and_then(|s| s.cpu_percent).map_or_else(|| String::from("–"), |p| format!("{p:.0}%"))
}

/// What it takes on the host of what it was given: `231/512M`, `1.2/4.0G`.
fn memory(row: &Row) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    let given = f64::from(row.vm.ram_mb);
    #[allow(clippy::cast_precision_loss)]
    let used = row.sample.map(|s| s.stats.rss_bytes as f64 / MIB);
    let large = given >= 1024.0;
    let number = |mb: f64| if large { format!("{:.1}", mb / 1024.0) } else { format!("{mb:.0}") };
    let unit = if large { "G" } else { "M" };
    match used {
        Some(used) => format!("{}/{}{unit}", number(used), number(given)),
        None => format!("{}{unit}", number(given)),
    }
}

fn uptime(row: &Row) -> String {
    row.vm.uptime_s.map_or_else(|| String::from("–"), time::span)
}

fn ssh(vm: &Vm) -> String {
    let user = text::clean(&vm.ssh_user);
    vm.ip.as_deref().map_or(user.clone(), |ip| format!("{user}@{}", text::clean(ip)))
}

/// Rows of the table on a screen of that size.
pub fn rows_in(size: WindowSize) -> u16 {
    view::page_rows(size).saturating_sub(1)
}

/// Draws the table and puts the cursor on the selected row.
pub fn draw(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: &Theme) {
    let visible = model.vms.visible();
    if visible.is_empty() {
        return empty(frame, area, model, theme);
    }
    let cells: Vec<Vec<String>> = visible
        .iter()
        .map(|row| {
            let around = Around { me: &model.me, job: model.job_of(&row.vm) };
            COLUMNS.iter().map(|c| (c.cell)(row, &around)).collect()
        })
        .collect();
    let widths = widths(&cells, area.width);
    let buffer = frame.buffer_mut();
    let titles: Vec<String> = COLUMNS.iter().map(|c| c.title.to_owned()).collect();
    line(buffer, area, area.y, &titles, &widths, &|_| theme.heading);
    let rows = usize::from(area.height.saturating_sub(1));
    let selected = model.vms.selected_index();
    let first = first(selected, rows, visible.len());
    let mut cursor = None;
    let shown = visible.iter().zip(&cells).enumerate().skip(first).take(rows);
    for ((i, (row, cells)), y) in shown.zip(area.y + 1..area.bottom()) {
        let style = state_style(row.vm.state, model.job_of(&row.vm).is_some(), theme);
        line(buffer, area, y, cells, &widths, &|column| if column == 0 { style } else { Style::new() });
        if i == selected {
            buffer.set_style(Rect { y, height: 1, ..area }, theme.selected);
            cursor = Some((area.x, y));
        }
    }
    if let Some(cursor) = cursor {
        frame.set_cursor_position(cursor);
    }
}

/// Which rows are seen of how many, counted from 1; none if all are. The window
/// follows the selection, which stays in the middle where it can.
pub fn range(model: &Model) -> Option<(usize, usize, usize)> {
    let (rows, count) = (usize::from(rows_in(model.size)), model.vms.visible().len());
    let first = first(model.vms.selected_index(), rows, count);
    (count > rows).then(|| (first + 1, (first + rows).min(count), count))
}

fn first(selected: usize, rows: usize, count: usize) -> usize {
    selected.saturating_sub(rows / 2).min(count.saturating_sub(rows))
}

fn widths(cells: &[Vec<String>], width: u16) -> Vec<Option<u16>> {
    let wants: Vec<Want> = COLUMNS
        .iter()
        .enumerate()
        .map(|(i, column)| {
            let longest = cells.iter().filter_map(|row| row.get(i)).map(|c| text::columns(c)).max();
            let longest = longest.unwrap_or(0).max(column.title.len());
            let most = u16::try_from(longest).unwrap_or(u16::MAX);
            let (least, fair) = match column.width {
                Width::Words(least, fair) => (least, fair),
                Width::Figures(least) => (most.max(least), most.max(least)),
            };
            // No narrower for what the cells hold just now: columns should not jump about.
            Want { least, fair, most: most.max(fair), rank: column.rank }
        })
        .collect();
    fit(&wants, width)
}

fn line(
    buffer: &mut Buffer,
    area: Rect,
    y: u16,
    cells: &[String],
    widths: &[Option<u16>],
    style: &dyn Fn(usize) -> Style,
) {
    let mut x = area.x;
    for (i, ((cell, width), column)) in cells.iter().zip(widths).zip(COLUMNS).enumerate() {
        let Some(width) = *width else { continue };
        let cell = text::short(cell, usize::from(width));
        let used = u16::try_from(text::columns(&cell)).unwrap_or(width);
        let start = match column.width {
            Width::Words(..) => x,
            Width::Figures(_) => x + width.saturating_sub(used),
        };
        buffer.set_stringn(start, y, &cell, usize::from(width), style(i));
        x += width + 1;
        if x >= area.right() {
            break;
        }
    }
}

/// Says why there is nothing to see, and what to press.
fn empty(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: &Theme) {
    let (what, next) = match &model.vms.source {
        Source::Waiting => (String::from("Looking for VMs…"), String::new()),
        Source::Lost(why) => (why.clone(), String::from("Trying again every few seconds.")),
        Source::Live if !model.vms.rows().is_empty() => (
            format!("Nothing here holds “{}”.", text::short(&model.vms.filter.text(), 30)),
            String::from("Esc shows all."),
        ),
        Source::Live => (String::from("No VMs yet."), String::from("Press n to make one.")),
    };
    let width = area.width.saturating_sub(2).min(60);
    let mut lines = words::wrap(&what, width);
    let said = lines.len();
    lines.extend(words::wrap(&next, width));
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(area.height);
    let top = area.y + (area.height - height) / 2;
    let buffer = frame.buffer_mut();
    for ((i, line), y) in lines.iter().enumerate().zip(top..area.bottom()) {
        let columns = u16::try_from(text::columns(line)).unwrap_or(area.width).min(area.width);
        let style = if i < said { theme.heading } else { Style::new() };
        let x = area.x + (area.width - columns) / 2;
        buffer.set_stringn(x, y, line, usize::from(area.width), style);
    }
    frame.set_cursor_position((area.x, top));
}
