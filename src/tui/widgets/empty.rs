//! A page, or a part of one, with nothing in it: why, and what to press.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::words;
use crate::model::text;
use crate::tui::theme::Theme;

/// Draws the two sentences in the middle, with the cursor on them.
pub fn draw(frame: &mut Frame<'_>, area: Rect, what: &str, next: &str, theme: &Theme) {
    let width = area.width.saturating_sub(2).min(60);
    let mut lines = words::wrap(what, width);
    let said = lines.len();
    lines.extend(words::wrap(next, width));
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
