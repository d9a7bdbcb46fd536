//! A box over the page.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::widgets::{Block, BorderType, Clear};

use crate::tui::theme::Theme;

/// Clears a box in the middle of `within` for that many columns and rows of
/// content, draws its frame, and returns what is inside: smaller where there is
/// no room, with a column of air on both sides.
pub fn open(frame: &mut Frame<'_>, within: Rect, theme: &Theme, title: &str, size: (u16, u16)) -> Rect {
    let width = size.0.saturating_add(4).min(within.width);
    let height = size.1.saturating_add(2).min(within.height);
    let area = Rect {
        x: within.x + (within.width - width) / 2,
        y: within.y + (within.height - height) / 2,
        width,
        height,
    };
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.accent)
        .title(format!(" {title} "))
        .title_style(theme.heading);
    let inner = block.inner(area);
    frame.render_widget(Clear, area);
    frame.render_widget(block, area);
    Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner }
}
