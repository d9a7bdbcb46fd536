//! The keys at the foot of the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use crate::model::text;
use crate::tui::keymap::Hint;
use crate::tui::theme::Theme;

/// Between two hints.
const GAP: usize = 2;

fn columns((key, word): &Hint) -> usize {
    text::columns(key) + 1 + text::columns(word)
}

/// The hints in rows, as many as fit into at most `most` rows. Of those that
/// find no room the first go last: `keep` at the end are always there.
pub fn rows(hints: &[Hint], keep: usize, width: u16, most: usize) -> Vec<Vec<Hint>> {
    let mut shown = hints.to_vec();
    loop {
        let rows = flow(&shown, usize::from(width));
        if rows.len() <= most || shown.len() <= keep {
            return rows.into_iter().take(most).collect();
        }
        shown.remove(shown.len() - keep - 1);
    }
}

fn flow(hints: &[Hint], width: usize) -> Vec<Vec<Hint>> {
    let mut rows: Vec<Vec<Hint>> = Vec::new();
    let mut used = 0;
    for hint in hints {
        let needs = columns(hint);
        match rows.last_mut() {
            Some(row) if used + GAP + needs <= width => {
                used += GAP + needs;
                row.push(*hint);
            }
            _ => {
                used = needs;
                rows.push(vec![*hint]);
            }
        }
    }
    rows
}

/// Draws rows of hints.
pub fn draw(rows: &[Vec<Hint>], area: Rect, buffer: &mut Buffer, theme: &Theme) {
    for (row, y) in rows.iter().zip(area.y..area.bottom()) {
        let mut x = area.x;
        for (key, word) in row {
            let left = usize::from(area.right().saturating_sub(x));
            let style = theme.accent.add_modifier(Modifier::BOLD);
            (x, _) = buffer.set_stringn(x, y, key, left, style);
            let left = usize::from(area.right().saturating_sub(x + 1));
            (x, _) =
                buffer.set_stringn((x + 1).min(area.right()), y, word, left, ratatui::style::Style::new());
            x = (x + u16::try_from(GAP).unwrap_or(2)).min(area.right());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_stay() {
        let hints = [("a", "one"), ("b", "two"), ("c", "three"), ("?", "help"), ("q", "quit")];
        assert_eq!(rows(&hints, 2, 80, 1).concat(), hints);
        assert_eq!(rows(&hints, 2, 24, 1).concat(), [hints[0], hints[3], hints[4]]);
        assert_eq!(rows(&hints, 2, 15, 2).len(), 2);
        assert_eq!(rows(&hints, 2, 3, 1).len(), 1);
    }
}
