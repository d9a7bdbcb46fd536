//! The last samples of something.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::{Sparkline, Widget};

use crate::model::text;
use crate::tui::theme::Theme;

/// Eighths of a row.
const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The last samples, in percent, in one row of at most that many columns: a column
/// each, the newest at the right.
pub fn line(history: &[u64], columns: usize) -> String {
    let last = history.iter().skip(history.len().saturating_sub(columns));
    last.map(|percent| {
        let step = usize::try_from(percent * 8 / 101).unwrap_or(STEPS.len());
        STEPS.get(step).copied().unwrap_or('█')
    })
    .collect()
}

/// A chart of the last samples, in percent, below a line that says of what. It
/// fills the area.
pub fn chart(frame: &mut Frame<'_>, area: Rect, what: &str, history: &[u64], theme: &Theme) {
    let highest = history.iter().copied().max().unwrap_or(0);
    let title = match history.len() {
        0 => what.to_owned(),
        count => format!("{what}, the last {count} samples, highest {highest}%"),
    };
    let width = usize::from(area.width);
    frame.buffer_mut().set_stringn(area.x, area.y, text::short(&title, width), width, theme.muted);
    if area.height < 2 {
        return;
    }
    let shown = history.len().saturating_sub(width);
    let data: Vec<u64> = history.iter().skip(shown).copied().collect();
    let chart = Rect { y: area.y + 1, height: area.height - 1, ..area };
    let style = Style::new().patch(theme.accent);
    Sparkline::default().data(data).max(100).style(style).render(chart, frame.buffer_mut());
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn ends_with_the_newest() {
        assert_eq!(line(&[0, 50, 100], 8), "▁▄█");
        assert_eq!(line(&[0, 50, 100], 2), "▄█");
        assert_eq!(line(&[1000], 2), "█");
        assert_eq!(line(&[], 2), "");
    }
}
