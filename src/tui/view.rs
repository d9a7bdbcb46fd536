//! The whole screen: header, page, what is going on, keys. What lies over the
//! page is drawn last, and has the cursor.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::app::{Model, Mood};
use super::page::Shared;
use super::roster::Source;
use super::theme::Theme;
use super::widgets::bar::bar;
use super::widgets::{footer, words};
use crate::model::{Job, VmState, text};
use crate::term::WindowSize;
use crate::term::keys::Mouse;

/// Screens of fewer columns or rows hold nothing that could be used.
const LEAST: (u16, u16) = (20, 6);
/// With this many rows and columns the pages have a row of their own.
const ROOM: (u16, u16) = (60, 18);

/// Rows of the keys: the same whatever keys there are, so that nothing jumps.
fn footer_rows(size: WindowSize) -> u16 {
    if size.rows >= 20 && size.cols < 120 { 2 } else { 1 }
}

/// Rows above the page.
fn header_rows(size: WindowSize) -> u16 {
    if size.cols >= ROOM.0 && size.rows >= ROOM.1 { 2 } else { 1 }
}

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, model: &mut Model) {
    let whole = frame.area();
    let theme = model.shared.theme;
    if whole.width < LEAST.0 || whole.height < LEAST.1 {
        let lines = words::wrap("This window is too small for Twarga.", whole.width);
        for (line, y) in lines.iter().zip(whole.y..whole.bottom()) {
            frame.buffer_mut().set_stringn(0, y, line, usize::from(whole.width), Style::new());
        }
        return;
    }
    let head = header_rows(model.shared.size);
    header(frame, Rect { height: 1, ..whole }, model, &theme);
    if head > 1 {
        pages(frame, Rect { y: 1, height: 1, ..whole }, model, &theme);
    }
    let foot = footer_rows(model.shared.size);
    // Help and quitting are always there.
    let keys = footer::rows(&model.hints(), 2, whole.width, usize::from(foot));
    let mut notice = notice(model, &theme, whole);
    let told = u16::try_from(notice.len()).unwrap_or(1).max(1);
    let page = Rect { y: head, height: whole.height.saturating_sub(head + foot + told), ..whole };
    if let Some((front, shared)) = model.front_page() {
        front.draw(frame, page, shared);
    }
    if notice.is_empty() {
        // Only now the page knows what is seen of it.
        let status = model.status().map(|s| text::short(&s, usize::from(whole.width)));
        notice.extend(status.map(|s| (s, theme.muted)));
    }
    for ((line, style), y) in notice.iter().zip(page.bottom()..) {
        frame.buffer_mut().set_stringn(0, y, line, usize::from(whole.width), *style);
    }
    let foot = Rect { y: whole.bottom() - foot, height: foot, ..whole };
    footer::draw(&keys, foot, frame.buffer_mut(), &theme);
    let over = Rect { y: 1, height: whole.height.saturating_sub(1 + foot.height), ..whole };
    let shared = &model.shared;
    for overlay in &mut model.overlays {
        overlay.draw(frame, over, shared);
    }
    theme.paint(frame.buffer_mut());
}

/// Draws the toast alone, in the first row: the tabs' own, never a guest's.
pub fn draw_toast_over(frame: &mut Frame<'_>, model: &Model) {
    let Some(toast) = &model.toast else { return };
    let area = frame.area();
    let theme = &model.shared.theme;
    let line = text::short(&format!(" {} {}", toast.text, toast.hint), usize::from(area.width / 2));
    let width = u16::try_from(text::columns(&line)).unwrap_or(area.width);
    let row = Rect { x: area.right() - width, height: 1, width, ..area };
    frame.render_widget(ratatui::widgets::Clear, row);
    let style = if toast.mood == Mood::Bad { theme.bad } else { theme.accent };
    frame.buffer_mut().set_stringn(row.x, row.y, line, usize::from(width), style);
}

/// Whose screen it is, where one is, and how many VMs there are.
fn header(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: &Theme) {
    let width = usize::from(area.width);
    let shared = &model.shared;
    let buffer = frame.buffer_mut();
    let name = text::short(&shared.portal, width / 4);
    let (mut x, _) = buffer.set_stringn(0, area.y, name, width, theme.title);
    let who = text::short(&format!("{} ({})", shared.me.name, shared.me.role), width.saturating_sub(10) / 2);
    // Who one is can be looked up; where one is cannot.
    let crumbs = model.crumbs().join(" › ");
    let counts = counts(shared);
    for (words, style) in [(who, Style::new()), (crumbs, theme.heading)] {
        let left = width.saturating_sub(usize::from(x) + 2);
        if text::columns(&words) <= left {
            (x, _) = buffer.set_stringn(x + 2, area.y, words, left, style);
        }
    }
    let left = width.saturating_sub(usize::from(x) + 2);
    let Some(counts) = counts.into_iter().find(|c| text::columns(c) <= left) else { return };
    let at = area.width - u16::try_from(text::columns(&counts)).unwrap_or(0);
    buffer.set_string(at, area.y, counts, Style::new());
}

/// The pages by their numbers.
fn pages(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: &Theme) {
    let front = model.front().map(|e| e.word);
    for (at, entry, label) in places(model, area.width) {
        let style = if front == Some(entry) { theme.selected } else { theme.muted };
        let room = usize::from(area.width.saturating_sub(at));
        frame.buffer_mut().set_stringn(at, area.y, label, room, style);
    }
    let used = places(model, area.width)
        .last()
        .map_or(0, |(x, _, label)| x + u16::try_from(text::columns(label)).unwrap_or(0));
    let tabs = tabs(&model.shared);
    let room = usize::from(area.width.saturating_sub(used + 1));
    if !tabs.is_empty() && room > 8 {
        let tabs = text::short(&tabs, room);
        let at = area.width - u16::try_from(text::columns(&tabs)).unwrap_or(0);
        let news = model.shared.tabs.iter().any(|tab| tab.news || tab.bell);
        let style = if news { theme.warn } else { theme.accent };
        frame.buffer_mut().set_stringn(at, area.y, tabs, room, style);
    }
}

/// The tabs, and the key that leads to them: `Ctrl-] web1 db1•`.
fn tabs(shared: &Shared) -> String {
    let mark = |tab: &super::tabs::Listed| match (tab.ended, tab.bell, tab.news) {
        (true, ..) => "×",
        (_, true, _) => "!",
        (.., true) => "•",
        _ => "",
    };
    let names: Vec<String> =
        shared.tabs.iter().map(|tab| format!("{}{}", shared.short_name(&tab.name), mark(tab))).collect();
    if names.is_empty() {
        return String::new();
    }
    let key = super::tabs::key_word(shared.preferences.prefix);
    format!("{key} {}", names.join(" "))
}

/// Where each page stands in the row of pages: its column, its word, its label.
fn places(model: &Model, width: u16) -> Vec<(u16, &'static str, String)> {
    let mut x = 0;
    let mut places = Vec::new();
    for (i, entry) in model.entries().enumerate() {
        let label = format!(" {} {} ", i + 1, entry.title);
        let columns = u16::try_from(text::columns(&label)).unwrap_or(width);
        if x + columns > width {
            break;
        }
        places.push((x, entry.word, label));
        x += columns;
    }
    places
}

/// The page whose number was clicked.
pub fn page_at(model: &Model, mouse: Mouse) -> Option<usize> {
    if !mouse.is_click() || mouse.row != 1 || header_rows(model.shared.size) < 2 {
        return None;
    }
    let places = places(model, model.shared.size.cols);
    places.iter().position(|(x, _, label)| {
        let end = x + u16::try_from(text::columns(label)).unwrap_or(0);
        (*x..end).contains(&mouse.column)
    })
}

/// The counts, in ever fewer words.
fn counts(shared: &Shared) -> Vec<String> {
    let vms = &shared.vms;
    if vms.source == Source::Waiting {
        return Vec::new();
    }
    let count = vms.rows().len();
    let many = |n: usize| if n == 1 { String::from("1 VM") } else { format!("{n} VMs") };
    let whose = if vms.all { " of everybody" } else { "" };
    let order = [VmState::Running, VmState::Paused, VmState::Stopped, VmState::Pending, VmState::Error];
    let states: Vec<String> = order
        .into_iter()
        .filter(|s| vms.count(*s) > 0)
        .map(|s| format!("{} {} {s}", s.sign(), vms.count(s)))
        .collect();
    let jobs = match shared.jobs.len() {
        0 => String::new(),
        1 => String::from("  1 job"),
        n => format!("  {n} jobs"),
    };
    let up = vms.count(VmState::Running);
    vec![
        format!("{}{whose}  {}{jobs}", many(count), states.join("  ")),
        format!("{}{whose}  {up} running{jobs}", many(count)),
        format!("{}, {up} up", many(count)),
        many(count),
    ]
}

/// What is going on: how the last thing turned out, and the jobs at work.
fn notice(model: &Model, theme: &Theme, whole: Rect) -> Vec<(String, Style)> {
    let most = usize::from(whole.height / 5).clamp(1, 4);
    let mut lines = Vec::new();
    if let Some(toast) = &model.toast {
        let (sign, style) = match toast.mood {
            Mood::Good => ("✓", theme.good),
            Mood::Bad => ("!", theme.bad),
            Mood::Plain => ("·", Style::new()),
        };
        let words = words::wrap(&format!("{sign} {} {}", toast.text, toast.hint), whole.width);
        lines.extend(words.into_iter().map(|line| (line, style)));
    }
    let room = if model.page_tells_jobs() { 0 } else { most.saturating_sub(lines.len()) };
    let jobs = model.shared.jobs.values().rev().take(room);
    lines.extend(jobs.map(|j| (job_line(j, &model.shared, whole.width), theme.accent)));
    lines.truncate(most.max(usize::from(whole.height / 3)));
    lines
}

/// `vm.new web1 ████░░░░ 45% waiting for SSH`
fn job_line(job: &Job, shared: &Shared, width: u16) -> String {
    let what = format!("{} {}", job.action, shared.short_name(&job.target));
    let how = format!("{:>3}% {}", job.percent, text::clean(&job.step));
    let used = text::columns(&what) + text::columns(&how) + 2;
    let room = u16::try_from(usize::from(width).saturating_sub(used)).unwrap_or(0).min(30);
    let line = match room {
        0..6 => format!("{what} {how}"),
        room => format!("{what} {} {how}", bar(f64::from(job.percent) / 100.0, room)),
    };
    text::short(&line, usize::from(width))
}
