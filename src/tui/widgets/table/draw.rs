//! How a table is drawn: which columns and rows find room.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{Item, Table, Width};
use crate::model::text;
use crate::tui::page::Shared;
use crate::tui::theme::Theme;
use crate::tui::widgets::columns::{Want, fit};

/// Rows that are measured for the columns' widths.
const MEASURED: usize = 300;

impl<R: Item> Table<R> {
    /// Draws it and puts the cursor on the selected row. False if there is no row to draw.
    pub fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) -> bool {
        let theme = &shared.theme;
        let table = Rect { height: area.height.saturating_sub(u16::from(self.filtering)), ..area };
        self.area = table;
        if !self.visible.is_empty() {
            self.draw_rows(frame, table, shared);
        }
        if self.filtering {
            let line = Rect { y: table.bottom(), height: 1, ..area };
            self.draw_filter(frame, line, theme);
        }
        !self.visible.is_empty()
    }

    fn draw_rows(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        let theme = &shared.theme;
        let gutter = if self.marked.is_empty() { 0 } else { 2 };
        let inner = Rect { x: area.x + gutter, width: area.width.saturating_sub(gutter), ..area };
        let rows = usize::from(area.height.saturating_sub(1));
        let selected = self.selected_index();
        // The window moves only as far as it must.
        self.first = self.first.min(selected).max((selected + 1).saturating_sub(rows));
        self.first = self.first.min(self.visible.len().saturating_sub(rows));
        let widths = self.widths(inner.width, shared);
        self.spans = spans(&widths, inner.x);
        let buffer = frame.buffer_mut();
        let titles: Vec<String> = (0..self.columns.len()).map(|i| self.title(i)).collect();
        self.line(buffer, inner, area.y, &titles, &widths, &|_| theme.heading);
        let mut cursor = None;
        let places = self.first..(self.first + rows).min(self.visible.len());
        for (place, y) in places.zip(area.y + 1..area.bottom()) {
            let Some(row) = self.at(place) else { continue };
            let cells: Vec<String> = self.columns.iter().map(|c| (c.cell)(row, shared)).collect();
            let style = |i: usize| self.columns.get(i).map_or_else(Style::new, |c| (c.style)(row, shared));
            self.line(buffer, inner, y, &cells, &widths, &style);
            if self.marked.contains(&row.key()) {
                buffer.set_string(area.x, y, "✓", theme.accent);
            }
            if place == selected {
                buffer.set_style(Rect { y, height: 1, ..area }, theme.selected);
                cursor = Some((area.x, y));
            }
        }
        if let Some(cursor) = cursor {
            frame.set_cursor_position(cursor);
        }
    }

    fn title(&self, column: usize) -> String {
        let title = self.columns.get(column).map_or("", |c| c.title);
        match self.sort {
            Some((c, reverse)) if c == column => format!("{title}{}", if reverse { "↓" } else { "↑" }),
            _ => title.to_owned(),
        }
    }

    fn widths(&self, width: u16, shared: &Shared) -> Vec<Option<u16>> {
        let wants: Vec<Want> = self
            .columns
            .iter()
            .map(|column| {
                let cells =
                    self.visible().take(MEASURED).map(|row| text::columns(&(column.cell)(row, shared)));
                // There is always room for the sort's arrow.
                let longest = cells.max().unwrap_or(0).max(column.title.len());
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
        &self,
        buffer: &mut Buffer,
        area: Rect,
        y: u16,
        cells: &[String],
        widths: &[Option<u16>],
        style: &dyn Fn(usize) -> Style,
    ) {
        let mut x = area.x;
        for (i, ((cell, width), column)) in cells.iter().zip(widths).zip(self.columns).enumerate() {
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

    fn draw_filter(&self, frame: &mut Frame<'_>, area: Rect, theme: &Theme) {
        let (typed, cursor) = self.filter.view(area.width.saturating_sub(20));
        let buffer = frame.buffer_mut();
        buffer.set_string(area.x, area.y, "/", theme.accent);
        let room = usize::from(area.width.saturating_sub(1));
        let (x, _) = buffer.set_stringn(area.x + 1, area.y, typed, room, Style::new());
        let note = format!("  {} of {}", self.visible.len(), self.rows.len());
        buffer.set_stringn(x, area.y, note, usize::from(area.right().saturating_sub(x)), theme.muted);
        frame.set_cursor_position((area.x + 1 + cursor, area.y));
    }
}

/// From where to where each column that is shown is drawn.
fn spans(widths: &[Option<u16>], mut x: u16) -> Vec<(u16, u16, usize)> {
    let mut spans = Vec::new();
    for (i, width) in widths.iter().enumerate() {
        if let Some(width) = width {
            spans.push((x, x + width, i));
            x += width + 1;
        }
    }
    spans
}
