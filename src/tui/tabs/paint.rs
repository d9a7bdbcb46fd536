//! Cells of a guest's terminal as cells of ours. Nothing else of a guest reaches
//! the person's screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use unicode_width::UnicodeWidthStr;

use super::emulator::View;
use crate::model::text;
use crate::tui::theme::Depth;

/// The sixteen colours as xterm has them.
const SIXTEEN: [(Color, [u8; 3]); 16] = [
    (Color::Black, [0, 0, 0]),
    (Color::Red, [205, 0, 0]),
    (Color::Green, [0, 205, 0]),
    (Color::Yellow, [205, 205, 0]),
    (Color::Blue, [0, 0, 238]),
    (Color::Magenta, [205, 0, 205]),
    (Color::Cyan, [0, 205, 205]),
    (Color::Gray, [229, 229, 229]),
    (Color::DarkGray, [127, 127, 127]),
    (Color::LightRed, [255, 0, 0]),
    (Color::LightGreen, [0, 255, 0]),
    (Color::LightYellow, [255, 255, 0]),
    (Color::LightBlue, [92, 92, 255]),
    (Color::LightMagenta, [255, 0, 255]),
    (Color::LightCyan, [0, 255, 255]),
    (Color::White, [255, 255, 255]),
];
/// The levels of xterm's colour cube, which begins at 16.
const CUBE: [u8; 6] = [0, 95, 135, 175, 215, 255];

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

/// A guest's colour with as many as there are.
pub fn color(color: vt100::Color, depth: Depth) -> Color {
    match (depth, color) {
        (Depth::None, _) | (_, vt100::Color::Default) => Color::Reset,
        (Depth::Sixteen, vt100::Color::Rgb(r, g, b)) => nearest_of_sixteen([r, g, b]),
        (Depth::Indexed, vt100::Color::Rgb(r, g, b)) => Color::Indexed(nearest_index([r, g, b])),
        (Depth::True, vt100::Color::Rgb(r, g, b)) => Color::Rgb(r, g, b),
        (_, vt100::Color::Idx(i)) => match SIXTEEN.get(usize::from(i)) {
            // In the person's own shades.
            Some((named, _)) => *named,
            None if depth == Depth::Sixteen => nearest_of_sixteen(rgb_of(i)),
            None => Color::Indexed(i),
        },
    }
}

/// What xterm's colour of that number is, from 16 on.
fn rgb_of(index: u8) -> [u8; 3] {
    match index {
        232.. => [8 + 10 * (index - 232); 3],
        _ => {
            let i = index.saturating_sub(16);
            [i / 36, i / 6 % 6, i % 6].map(|level| CUBE.get(usize::from(level)).copied().unwrap_or(0))
        }
    }
}

fn distance(a: [u8; 3], b: [u8; 3]) -> u32 {
    a.into_iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
}

fn nearest_of_sixteen(rgb: [u8; 3]) -> Color {
    SIXTEEN.into_iter().min_by_key(|(_, of)| distance(rgb, *of)).map_or(Color::Reset, |(color, _)| color)
}

fn nearest_index(rgb: [u8; 3]) -> u8 {
    (16..=255).min_by_key(|i| distance(rgb, rgb_of(*i))).unwrap_or(15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vt100::Color::{Idx, Rgb};

    #[test]
    fn colours_become_those_that_there_are() {
        for (given, depth, shown) in [
            (Idx(1), Depth::True, Color::Red),
            (Idx(208), Depth::True, Color::Indexed(208)),
            (Rgb(1, 2, 3), Depth::True, Color::Rgb(1, 2, 3)),
            (Rgb(255, 0, 0), Depth::Indexed, Color::Indexed(196)),
            (Rgb(120, 120, 120), Depth::Indexed, Color::Indexed(243)),
            (Idx(9), Depth::Indexed, Color::LightRed),
            (Rgb(250, 10, 10), Depth::Sixteen, Color::LightRed),
            (Idx(21), Depth::Sixteen, Color::Blue),
            (Idx(255), Depth::Sixteen, Color::Gray),
            (Idx(3), Depth::None, Color::Reset),
            (Rgb(9, 9, 9), Depth::None, Color::Reset),
            (vt100::Color::Default, Depth::True, Color::Reset),
        ] {
            assert_eq!(color(given, depth), shown, "{given:?} {depth:?}");
        }
    }
}
