//! A frame put away between two drawings. ratatui's buffers take 40 bytes a cell
//! and there are two of them; hundreds of people look at screens that stand still.

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};

/// Around what is more than one character, or less. No cell holds a control character.
const MARK: char = '\u{1}';

/// A frame, as its characters and the runs of cells that look alike.
#[derive(Debug)]
pub(super) struct Kept {
    area: Rect,
    text: Box<str>,
    runs: Box<[Run]>,
}

/// Cells that look alike.
#[derive(Debug, PartialEq)]
struct Run {
    cells: u32,
    fg: Color,
    bg: Color,
    modifier: Modifier,
}

impl Kept {
    /// What is in that buffer.
    pub fn of(buffer: &Buffer) -> Kept {
        let mut text = String::with_capacity(buffer.content.len() * 2);
        let mut runs: Vec<Run> = Vec::new();
        for cell in &buffer.content {
            put(&mut text, cell.symbol());
            match runs.last_mut() {
                Some(run) if (run.fg, run.bg, run.modifier) == (cell.fg, cell.bg, cell.modifier) => {
                    run.cells += 1;
                }
                _ => runs.push(Run { cells: 1, fg: cell.fg, bg: cell.bg, modifier: cell.modifier }),
            }
        }
        Kept { area: buffer.area, text: text.into(), runs: runs.into() }
    }

    /// The same as a buffer again.
    pub fn restored(&self) -> Buffer {
        let mut buffer = Buffer::empty(self.area);
        let mut rest = self.text.chars();
        let looks = self.runs.iter().flat_map(|run| std::iter::repeat_n(run, run.cells as usize));
        for (cell, look) in buffer.content.iter_mut().zip(looks) {
            take(&mut rest, cell);
            (cell.fg, cell.bg, cell.modifier) = (look.fg, look.bg, look.modifier);
        }
        buffer
    }
}

fn put(text: &mut String, symbol: &str) {
    let mut chars = symbol.chars();
    if let (Some(only), None) = (chars.next(), chars.next()) {
        return text.push(only);
    }
    text.push(MARK);
    text.push_str(symbol);
    text.push(MARK);
}

fn take(rest: &mut std::str::Chars<'_>, cell: &mut Cell) {
    match rest.next() {
        Some(MARK) => {
            let symbol: String = rest.by_ref().take_while(|c| *c != MARK).collect();
            cell.set_symbol(&symbol);
        }
        Some(' ') | None => {}
        Some(c) => {
            cell.set_char(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::style::Style;

    #[test]
    fn what_is_put_away_comes_back() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 30, 4));
        let red = Style::new().fg(Color::Rgb(200, 0, 1)).add_modifier(Modifier::BOLD);
        buffer.set_string(2, 0, "plain 日本 and e\u{301}", Style::new());
        buffer.set_string(0, 2, "👩‍🚀 red", red);
        buffer.set_style(Rect::new(3, 3, 5, 1), Style::new().bg(Color::Indexed(7)));
        assert_eq!(Kept::of(&buffer).restored(), buffer);
        let empty = Buffer::empty(Rect::new(0, 0, 0, 0));
        assert_eq!(Kept::of(&empty).restored(), empty);
    }
}
