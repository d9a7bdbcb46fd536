//! The whole screen: header, page, what is going on, keys. What lies over the
//! page is drawn last, and has the cursor.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::app::{self, Model, Mood, Overlay};
use super::keymap::{self, Hint};
use super::pages::vms::{self, Row, Source, detail, table};
use super::theme::Theme;
use super::widgets::bar::bar;
use super::widgets::{footer, modal, words};
use crate::model::{Job, VmState, text};
use crate::term::WindowSize;

/// With this many columns the selected VM's details find room beside the table.
const WIDE: u16 = 110;
/// Columns of the keys in the help.
const HELP_KEYS: u16 = 10;

/// Rows that the page has on a screen of that size, while nobody says much.
pub fn page_rows(size: WindowSize) -> u16 {
    size.rows.saturating_sub(2 + footer_rows(size))
}

/// The same whatever keys there are, so that nothing jumps.
fn footer_rows(size: WindowSize) -> u16 {
    if size.rows >= 20 && size.cols < 120 { 2 } else { 1 }
}

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, model: &Model, theme: &Theme) {
    let whole = frame.area();
    if whole.width < 20 || whole.height < 6 {
        let lines = words::wrap("This window is too small for Twarga.", whole.width);
        for (line, y) in lines.iter().zip(whole.y..whole.bottom()) {
            frame.buffer_mut().set_stringn(0, y, line, usize::from(whole.width), Style::new());
        }
        return;
    }
    header(frame, Rect { height: 1, ..whole }, model, theme);
    let foot = footer_rows(model.size);
    let keys = footer::rows(&hints(model), 2, whole.width, usize::from(foot));
    let notice = notice(model, theme, whole);
    let told = u16::try_from(notice.len()).unwrap_or(1).max(1);
    let page = Rect { y: 1, height: whole.height.saturating_sub(1 + foot + told), ..whole };
    draw_page(frame, page, model, theme);
    for ((line, style), y) in notice.iter().zip(page.bottom()..) {
        frame.buffer_mut().set_stringn(0, y, line, usize::from(whole.width), *style);
    }
    if model.vms.filtering {
        filter(frame, Rect { y: page.bottom(), height: 1, ..whole }, model, theme);
    }
    let foot = Rect { y: whole.bottom() - foot, height: foot, ..whole };
    footer::draw(&keys, foot, frame.buffer_mut(), theme);
    let over = Rect { y: 1, height: whole.height.saturating_sub(1 + foot.height), ..whole };
    match &model.overlay {
        Overlay::None => {}
        Overlay::Help(scroll) => help(frame, over, *scroll, theme),
        Overlay::Ask(ask) => ask.draw(frame, over, theme),
        Overlay::New(form) => form.draw(frame, over, theme),
    }
}

fn draw_page(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: &Theme) {
    let selected = model.vms.selected();
    match selected {
        Some(row) if area.width >= WIDE => beside(frame, area, row, model, theme),
        Some(row) if model.vms.detail => {
            detail::draw(frame, area, row, model, theme);
            frame.set_cursor_position((area.x, area.y));
        }
        _ => table::draw(frame, area, model, theme),
    }
}

/// The table with the selected VM's details at its right.
fn beside(frame: &mut Frame<'_>, area: Rect, row: &Row, model: &Model, theme: &Theme) {
    let side = (area.width * 2 / 5).clamp(42, 76);
    let left = Rect { width: area.width - side - 2, ..area };
    let right = Rect { x: left.right() + 2, width: side, ..area };
    for y in area.y..area.bottom() {
        frame.buffer_mut().set_string(left.right(), y, "│", theme.muted);
    }
    detail::draw(frame, right, row, model, theme);
    // Last, for the cursor.
    table::draw(frame, left, model, theme);
}

/// Whose screen it is, and how many VMs there are.
fn header(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: &Theme) {
    let width = usize::from(area.width);
    let buffer = frame.buffer_mut();
    let (x, _) = buffer.set_stringn(0, area.y, "Twarga", width, theme.accent.patch(theme.heading));
    let who = text::short(&format!("{} ({})", model.me.name, model.me.role), width.saturating_sub(10) / 2);
    let (x, _) = buffer.set_stringn(x + 2, area.y, who, width, Style::new());
    let left = width.saturating_sub(usize::from(x) + 2);
    let Some(counts) = counts(model).into_iter().find(|c| text::columns(c) <= left) else { return };
    let at = area.width - u16::try_from(text::columns(&counts)).unwrap_or(0);
    buffer.set_string(at, area.y, counts, Style::new());
}

/// The counts, in ever fewer words.
fn counts(model: &Model) -> Vec<String> {
    if model.vms.source == Source::Waiting {
        return Vec::new();
    }
    let rows = model.vms.rows();
    let of = |state: VmState| rows.iter().filter(|r| r.vm.state == state).count();
    let vms = |n: usize| if n == 1 { String::from("1 VM") } else { format!("{n} VMs") };
    let whose = if model.vms.all { " of everybody" } else { "" };
    let order = [VmState::Running, VmState::Paused, VmState::Stopped, VmState::Pending, VmState::Error];
    let states: Vec<String> =
        order.into_iter().filter(|s| of(*s) > 0).map(|s| format!("{} {} {s}", s.sign(), of(s))).collect();
    let jobs = match model.jobs.len() {
        0 => String::new(),
        1 => String::from("  1 job"),
        n => format!("  {n} jobs"),
    };
    vec![
        format!("{}{whose}  {}{jobs}", vms(rows.len()), states.join("  ")),
        format!("{}{whose}  {} running{jobs}", vms(rows.len()), of(VmState::Running)),
        format!("{}, {} up", vms(rows.len()), of(VmState::Running)),
        vms(rows.len()),
    ]
}

/// What is going on: how the last thing turned out, and the jobs at work.
fn notice(model: &Model, theme: &Theme, whole: Rect) -> Vec<(String, Style)> {
    let most = usize::from(whole.height / 5).clamp(1, 4);
    let mut lines = Vec::new();
    if model.vms.filtering {
        lines.push((String::new(), Style::new()));
    }
    if let Some(toast) = &model.toast {
        let (sign, style) = match toast.mood {
            Mood::Good => ("✓", theme.good),
            Mood::Bad => ("!", theme.bad),
            Mood::Plain => ("·", Style::new()),
        };
        let words = words::wrap(&format!("{sign} {} {}", toast.text, toast.hint), whole.width);
        lines.extend(words.into_iter().map(|line| (line, style)));
    }
    let room = most.saturating_sub(lines.len());
    lines.extend(
        model.jobs.values().rev().take(room).map(|j| (job_line(j, model, whole.width), theme.accent)),
    );
    if lines.is_empty() && !model.vms.filter.is_empty() {
        let (seen, all) = (model.vms.visible().len(), model.vms.rows().len());
        let word = text::short(&model.vms.filter.text(), 20);
        lines.push((format!("Filter “{word}”: {seen} of {all}"), theme.muted));
    }
    if let (true, Some((first, last, count))) = (lines.is_empty(), table::range(model)) {
        lines.push((format!("{first}–{last} of {count}"), theme.muted));
    }
    lines.truncate(most.max(usize::from(whole.height / 3)));
    lines
}

/// `vm.new web1 ████░░░░ 45% waiting for SSH`
fn job_line(job: &Job, model: &Model, width: u16) -> String {
    let what = format!("{} {}", job.action, vms::short_name(&job.target, &model.me));
    let how = format!("{:>3}% {}", job.percent, text::clean(&job.step));
    let used = text::columns(&what) + text::columns(&how) + 2;
    let room = u16::try_from(usize::from(width).saturating_sub(used)).unwrap_or(0).min(30);
    let line = match room {
        0..6 => format!("{what} {how}"),
        room => format!("{what} {} {how}", bar(f64::from(job.percent) / 100.0, room)),
    };
    text::short(&line, usize::from(width))
}

fn filter(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: &Theme) {
    let (seen, all) = (model.vms.visible().len(), model.vms.rows().len());
    let (typed, cursor) = model.vms.filter.view(area.width.saturating_sub(20));
    let buffer = frame.buffer_mut();
    buffer.set_string(0, area.y, "/", theme.accent);
    let (x, _) = buffer.set_stringn(1, area.y, typed, usize::from(area.width) - 1, Style::new());
    let note = format!("  {seen} of {all}");
    buffer.set_stringn(x, area.y, note, usize::from(area.width.saturating_sub(x)), theme.muted);
    frame.set_cursor_position((1 + cursor, area.y));
}

/// The keys that work now.
pub fn hints(model: &Model) -> Vec<Hint> {
    match &model.overlay {
        Overlay::Ask(ask) => return ask.hints(),
        Overlay::New(form) => return form.hints(),
        Overlay::Help(_) => return vec![("↑ ↓", "scroll"), ("Esc", "close")],
        Overlay::None => {}
    }
    if model.vms.filtering {
        return keymap::hints(vms::FILTER_KEYS, |_| true);
    }
    let mut hints = keymap::hints(vms::KEYS, |c| vms::applies(model, c));
    hints.extend(keymap::hints(app::KEYS, |_| true));
    hints
}

/// Every key, from the pages' own lists.
fn help(frame: &mut Frame<'_>, within: Rect, scroll: u16, theme: &Theme) {
    let mut keys = keymap::help(vms::KEYS);
    keys.extend(keymap::help(app::KEYS));
    let rows = u16::try_from(keys.len()).unwrap_or(u16::MAX);
    let inner = modal::open(frame, within, theme, "Keys", (56, rows));
    let scroll = scroll.min(rows.saturating_sub(inner.height));
    let buffer = frame.buffer_mut();
    for ((key, words), y) in keys.iter().skip(usize::from(scroll)).zip(inner.y..inner.bottom()) {
        buffer.set_stringn(inner.x, y, key, usize::from(inner.width), theme.accent.patch(theme.heading));
        let room = usize::from(inner.width.saturating_sub(HELP_KEYS));
        buffer.set_stringn(inner.x + HELP_KEYS, y, text::short(words, room), room, Style::new());
    }
    if scroll + inner.height < rows {
        let at = (inner.right().saturating_sub(7), inner.bottom());
        buffer.set_string(at.0, at.1, " more ↓ ", theme.accent);
    }
    frame.set_cursor_position((inner.x, inner.y));
}
