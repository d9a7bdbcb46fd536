//! Names and values, one below the other.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::scroll::Scroll;
use super::words;
use crate::model::text;
use crate::tui::theme::Theme;

/// The widest that names get.
const WIDEST: usize = 16;

/// A name, its value, and how that looks.
pub type Line = (String, String, Style);

/// Draws the lines, values wrapped beside their names, from where it is scrolled
/// to. A name without a value is a heading.
pub fn draw(frame: &mut Frame<'_>, area: Rect, lines: &[Line], scroll: &mut Scroll, theme: &Theme) {
    let label = lines.iter().map(|(name, ..)| text::columns(name)).max().unwrap_or(0).min(WIDEST);
    let label = u16::try_from(label + 2).unwrap_or(area.width).min(area.width / 2);
    let width = area.width.saturating_sub(label);
    let mut rows: Vec<(&str, String, Style)> = Vec::new();
    for (name, value, style) in lines {
        let parts = words::wrap(value, width);
        if parts.is_empty() {
            rows.push((name, String::new(), *style));
        }
        for (i, part) in parts.into_iter().enumerate() {
            rows.push((if i == 0 { name } else { "" }, part, *style));
        }
    }
    let first = scroll.shown(rows.len(), area.height);
    let buffer = frame.buffer_mut();
    for ((name, value, style), y) in rows.iter().skip(first).zip(area.y..area.bottom()) {
        let name = text::short(name, usize::from(label.saturating_sub(1)));
        let named = if value.is_empty() { *style } else { theme.muted };
        buffer.set_stringn(area.x, y, name, usize::from(label), named);
        buffer.set_stringn(area.x + label, y, value, usize::from(width), *style);
    }
}
