//! Cells of a guest's terminal as cells of ours. Nothing else of a guest reaches
//! the person's screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use unicode_width::UnicodeWidthStr;

use super::emulator::View;
use crate::model::text;
use crate::tui::theme::Depth;

/// Draws a view into an area, from its first row and column on.
pub fn view(view: &View<'_>, area: Rect, buffer: &mut Buffer, depth: Depth) {
    for (row, y) in (0..).zip(area.y..area.bottom()) {
        let mut x = area.x;
        for (col, at) in (0..).zip(area.x..area.right()) {
            if at < x {
                continue;
            }
            x = at + draw(view.cell(row, col), (at, y), area.right() - at, buffer, depth);
        }
    }
}

/// Draws a cell and says how many columns it took.
fn draw(cell: Option<&vt100::Cell>, (x, y): (u16, u16), room: u16, buffer: &mut Buffer, depth: Depth) -> u16 {
    let style = cell.map(|c| style(c, depth)).unwrap_or_default();
    let (symbol, width) = cell.map_or((" ", 1), |c| symbol(c, room));
    for dx in 0..width {
        if let Some(to) = buffer.cell_mut((x + dx, y)) {
            to.reset();
            to.set_symbol(if dx == 0 { symbol } else { " " }).set_style(style);
        }
    }
    width
}

/// What a cell shows and how wide that is, in one column or two. A wide one that
/// is cut, or half of one, shows nothing.
fn symbol(cell: &vt100::Cell, room: u16) -> (&str, u16) {
    let contents = cell.contents();
    let width = if cell.is_wide() { 2 } else { 1 };
    if contents.is_empty() || width > room {
        return (" ", 1);
    }
    if contents.len() == 1 && contents.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return (contents, 1);
    }
    // The emulator lets nothing else in; but this is where it would get out.
    if contents.chars().any(text::is_unsafe) || contents.width() != usize::from(width) {
        return ("?", 1);
    }
    (contents, width)
}

fn style(cell: &vt100::Cell, depth: Depth) -> Style {
    let (fg, bg) = (color(cell.fgcolor(), depth), color(cell.bgcolor(), depth));
    // What was two colours must not become one.
    let same = fg == bg && cell.fgcolor() != cell.bgcolor() && bg != Color::Reset;
    let fg = match bg {
        Color::Black | Color::DarkGray | Color::Blue | Color::Red if same => Color::White,
        _ if same => Color::Black,
        _ => fg,
    };
    let mut style = Style::new().fg(fg).bg(bg);
    for (set, modifier) in [
        (cell.bold(), Modifier::BOLD),
        (cell.dim(), Modifier::DIM),
        (cell.italic(), Modifier::ITALIC),
        (cell.underline(), Modifier::UNDERLINED),
        (cell.inverse(), Modifier::REVERSED),
    ] {
        if set {
            style = style.add_modifier(modifier);
        }
    }
    style
}

/// A guest's colour, or the nearest that there is. The first sixteen are in the
/// person's own shades.
fn color(color: vt100::Color, depth: Depth) -> Color {
    depth.fit(match color {
        vt100::Color::Default => Color::Reset,
        vt100::Color::Idx(i) => Color::Indexed(i),
        vt100::Color::Rgb(r, g, b) => Color::Rgb(r, g, b),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use vt100::Color::{Idx, Rgb};

    #[test]
    fn colours_become_those_that_there_are() {
        for (given, depth, shown) in [
            (Idx(1), Depth::True, Color::Indexed(1)),
            (Idx(208), Depth::True, Color::Indexed(208)),
            (Rgb(1, 2, 3), Depth::True, Color::Rgb(1, 2, 3)),
            (Rgb(255, 0, 0), Depth::Indexed, Color::Indexed(196)),
            (Idx(9), Depth::Indexed, Color::Indexed(9)),
            (Idx(1), Depth::Sixteen, Color::Red),
            (Rgb(250, 10, 10), Depth::Sixteen, Color::LightRed),
            (Idx(21), Depth::Sixteen, Color::Blue),
            (Idx(3), Depth::None, Color::Reset),
            (Rgb(9, 9, 9), Depth::None, Color::Reset),
            (vt100::Color::Default, Depth::True, Color::Reset),
        ] {
            assert_eq!(color(given, depth), shown, "{given:?} {depth:?}");
        }
    }
}
