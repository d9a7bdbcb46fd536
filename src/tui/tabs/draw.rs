//! Tabs on the screen: the line of their names, what their guests show, and what
//! there is to say about them.

use std::sync::atomic::Ordering;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::layout::{self, Split};
use super::wire::Stage;
use super::{Mode, Panes, Tab, TabId, Tabs, Way, keys, paint, scroll, word};
use crate::model::text;
use crate::term::keys::Key;
use crate::tui::theme::Theme;
use crate::tui::widgets::{footer, modal, words};

/// Columns of the keys in the help.
const HELP_KEYS: u16 = 10;
/// Columns of a name in the bar.
const LONGEST_NAME: usize = 20;

/// Scrolls the help or closes it.
#[allow(clippy::wildcard_enum_match_arm)]
pub(super) fn help_key(key: &Key, scroll: u16) -> Mode {
    match key {
        Key::Down | Key::Char('j') => Mode::Help(scroll.saturating_add(1)),
        Key::Up | Key::Char('k') => Mode::Help(scroll.saturating_sub(1)),
        Key::PageDown | Key::Char(' ') => Mode::Help(scroll.saturating_add(8)),
        Key::PageUp => Mode::Help(scroll.saturating_sub(8)),
        _ => Mode::Pass,
    }
}

impl Tabs {
    /// Draws the tabs into that area; the cursor is where the guest in front has it.
    pub fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, theme: &Theme) {
        self.place(area);
        let Panes { tabs, line } = self.panes();
        for (id, pane) in &tabs {
            self.pane(*id, *pane, frame, theme);
        }
        if let Some((line, split)) = line {
            divider(line, split, frame.buffer_mut(), theme);
        }
        let (bar, inner) = layout::bar(area);
        self.bar(bar, frame.buffer_mut(), theme);
        if let Mode::Help(scroll) = self.mode {
            self.draw_help(frame, inner, scroll, theme);
        }
    }

    fn pane(&mut self, id: TabId, pane: Rect, frame: &mut Frame<'_>, theme: &Theme) {
        let front = self.front == Some(id);
        let Some(tab) = self.tabs.iter_mut().find(|t| t.id == id) else { return };
        tab.line.news.store(false, Ordering::Relaxed);
        tab.line.bell.store(false, Ordering::Relaxed);
        let line = std::sync::Arc::clone(&tab.line);
        let mut emulator = line.emulator();
        if let Some(scroll) = &mut tab.scroll {
            scroll.fit(&emulator);
        }
        let top = tab.scroll.as_ref().map(|s| s.top);
        paint::view(&emulator.view(top), pane, frame.buffer_mut(), theme.depth);
        match &tab.scroll {
            Some(scroll) => draw_scroll(scroll, &mut emulator, pane, front, frame, theme),
            None if front && !emulator.screen().hide_cursor() => {
                let (row, col) = emulator.screen().cursor_position();
                let col = col.min(emulator.size().cols - 1);
                if row < pane.height && col < pane.width {
                    frame.set_cursor_position((pane.x + col, pane.y + row));
                }
            }
            None => {}
        }
        drop(emulator);
        draw_words(tab, pane, frame.buffer_mut(), theme);
    }

    /// The line of tabs; while a command is awaited, its keys instead.
    fn bar(&self, bar: Rect, buffer: &mut Buffer, theme: &Theme) {
        if bar.height == 0 {
            return;
        }
        buffer.set_style(bar, Style::reset());
        for x in bar.x..bar.right() {
            if let Some(cell) = buffer.cell_mut((x, bar.y)) {
                cell.set_symbol(" ");
            }
        }
        let scrolls = self.front().is_some_and(|t| t.scroll.is_some());
        let asked = match self.mode {
            Mode::Close(id) => self.tab(id).map(|t| format!("{}: its {} still runs.  ", t.vm, word(t.way))),
            Mode::Command | Mode::Help(_) => Some(String::new()),
            Mode::Pass => scrolls.then(|| self.place_in_words()),
        };
        if let Some(asked) = asked {
            let room = usize::from(bar.width);
            let (x, _) = buffer.set_stringn(bar.x, bar.y, asked, room, theme.warn);
            let left = Rect { x, width: bar.right() - x, ..bar };
            let rows = footer::rows(&self.hints(), 1, left.width, 1);
            return footer::draw(&rows, left, buffer, theme);
        }
        let mut x = bar.x;
        for (number, tab) in (1..).zip(&self.tabs) {
            x = self.name(number, tab, Rect { x, width: bar.right() - x, ..bar }, buffer, theme);
        }
        self.bar_end(Rect { x, width: bar.right() - x, ..bar }, buffer, theme);
    }

    /// ` 1 web1 `, and a sign if there is something to say; the column after it.
    fn name(&self, number: usize, tab: &Tab, room: Rect, buffer: &mut Buffer, theme: &Theme) -> u16 {
        let (sign, style) = match tab.line.stage() {
            Stage::Over(_) => ("×", theme.muted),
            _ if tab.line.bell.load(Ordering::Relaxed) => ("!", theme.warn),
            _ if tab.line.news.load(Ordering::Relaxed) => ("•", theme.accent),
            Stage::Entering => ("…", theme.muted),
            Stage::Inside => ("", Style::new()),
        };
        let style = if self.front == Some(tab.id) { theme.selected } else { style };
        let way = match tab.way {
            Way::Shell => "",
            Way::Console => " console",
        };
        let name = text::short(&tab.vm.to_string(), LONGEST_NAME);
        let words = format!(" {number} {name}{way}{sign} ");
        let (x, _) = buffer.set_stringn(room.x, room.y, words, usize::from(room.width), style);
        x
    }

    /// The title of the guest in front, and the key for everything else.
    fn bar_end(&self, room: Rect, buffer: &mut Buffer, theme: &Theme) {
        let hint = format!(" {} ?", keys::shown(self.prefs.prefix));
        let wide = u16::try_from(text::columns(&hint)).unwrap_or(0);
        if wide >= room.width {
            return;
        }
        buffer.set_string(room.right() - wide, room.y, hint, theme.accent);
        let Some(front) = self.front() else { return };
        let left = usize::from(room.width - wide).saturating_sub(2);
        let title = text::short(front.line.emulator().title(), left);
        buffer.set_stringn(room.x + 1, room.y, title, left, theme.muted);
    }

    /// Where in the lines of the tab in front one looks.
    fn place_in_words(&self) -> String {
        let Some(tab) = self.front() else { return String::new() };
        let Some(scroll) = &tab.scroll else { return String::new() };
        if let Some(prompt) = &scroll.prompt {
            return format!("/{}▏ ", prompt.text());
        }
        let lines = tab.line.emulator().lines();
        let (at, all) = (scroll.at.saturating_sub(lines.start) + 1, lines.end - lines.start);
        let marked = scroll.marked().map(|m| format!(", {} marked", m.end() - m.start() + 1));
        format!("line {at} of {all}{}  ", marked.unwrap_or_default())
    }

    fn draw_help(&self, frame: &mut Frame<'_>, within: Rect, scroll: u16, theme: &Theme) {
        let keys = self.help();
        let rows = u16::try_from(keys.len()).unwrap_or(u16::MAX);
        let inner = modal::open(frame, within, theme, "Keys of tabs", (60, rows));
        let scroll = scroll.min(rows.saturating_sub(inner.height));
        let buffer = frame.buffer_mut();
        for ((key, words), y) in keys.iter().skip(usize::from(scroll)).zip(inner.y..inner.bottom()) {
            let width = usize::from(inner.width);
            buffer.set_stringn(inner.x, y, key, width, theme.accent.patch(theme.heading));
            let room = usize::from(inner.width.saturating_sub(HELP_KEYS));
            buffer.set_stringn(inner.x + HELP_KEYS, y, text::short(words, room), room, Style::new());
        }
        frame.set_cursor_position((inner.x, inner.y));
    }
}

/// The line between two tabs.
fn divider(line: Rect, split: Split, buffer: &mut Buffer, theme: &Theme) {
    let symbol = match split {
        Split::Columns => "│",
        Split::Rows => "─",
    };
    for position in line.positions() {
        if let Some(cell) = buffer.cell_mut(position) {
            cell.reset();
            cell.set_symbol(symbol).set_style(theme.muted);
        }
    }
}

/// The marked lines, the place, and what was searched for.
fn draw_scroll(
    scroll: &scroll::Scroll,
    emulator: &mut super::emulator::Emulator,
    pane: Rect,
    front: bool,
    frame: &mut Frame<'_>,
    theme: &Theme,
) {
    let marked = scroll.marked();
    for (line, y) in (scroll.top..).zip(pane.y..pane.bottom()) {
        let row = Rect { y, height: 1, ..pane };
        let buffer = frame.buffer_mut();
        if !scroll.needle.is_empty() {
            let (text, _) = emulator.text(line);
            let style = theme.accent.add_modifier(Modifier::BOLD | Modifier::UNDERLINED);
            for found in scroll::matches(&text, &scroll.needle) {
                let (start, end) = (found.start.min(pane.width), found.end.min(pane.width));
                buffer.set_style(Rect { x: pane.x + start, width: end - start, ..row }, style);
            }
        }
        if marked.as_ref().map_or(line == scroll.at, |m| m.contains(&line)) {
            buffer.set_style(row, theme.selected);
        }
        if front && line == scroll.at {
            frame.set_cursor_position((pane.x, y));
        }
    }
}

/// What there is to say of a tab, over its last rows: that it is entered, or how
/// it ended.
fn draw_words(tab: &Tab, pane: Rect, buffer: &mut Buffer, theme: &Theme) {
    let (words, style) = match (tab.line.stage(), tab.ending()) {
        (Stage::Inside, _) => return,
        (Stage::Entering, _) => (format!("Entering {}…", tab.vm), theme.muted),
        (Stage::Over(_), ending) => {
            (format!("{} Enter reopens it, x closes it.", ending.unwrap_or_default()), theme.warn)
        }
    };
    let lines = words::wrap(&words, pane.width);
    let rows = u16::try_from(lines.len()).unwrap_or(0).min(pane.height);
    for (line, y) in lines.iter().zip(pane.bottom() - rows..pane.bottom()) {
        for x in pane.x..pane.right() {
            if let Some(cell) = buffer.cell_mut((x, y)) {
                cell.reset();
            }
        }
        buffer.set_stringn(pane.x, y, line, usize::from(pane.width), style);
    }
}
