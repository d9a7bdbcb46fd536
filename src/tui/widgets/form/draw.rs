//! A form's picture: as many lines as its fields need, of which those around the
//! focus are seen.

use std::fmt::Debug;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::{Field, Form, Kind};
use crate::model::text;
use crate::tui::theme::Theme;
use crate::tui::widgets::{modal, words};

/// Columns of content at the most.
const WIDEST: u16 = 76;
/// Columns of a line of text, and of a number.
const TEXT: u16 = 34;
const DIGITS: u16 = 8;
/// Rows of a text of several lines: the fewest, the most.
const AREA: (u16, u16) = (3, 12);
/// Between a value and a word about it.
const GAP: u16 = 2;
/// Rows of what is said of the whole.
const NOTICE: usize = 4;
/// Said before something is lost.
const LOST: &str = "What you typed here would be lost. Esc again leaves it; any other key goes on.";

/// Words in a line.
type Span = (u16, String, Style);

/// A line of the form.
#[derive(Default)]
struct Line {
    field: usize,
    /// Which of the field's lines it is.
    of_field: u16,
    spans: Vec<Span>,
}

/// What a field looks like.
#[derive(Default)]
struct Look {
    lines: Vec<Vec<Span>>,
    /// The columns that its value's last line takes.
    used: u16,
    /// Where the cursor is, from the value's corner: column and row.
    cursor: (u16, u16),
}

impl<K: Copy + Eq + Debug> Form<K> {
    /// Draws the form in a box in the middle of `within`, and puts the cursor where
    /// typing goes.
    pub fn draw(&mut self, frame: &mut Frame<'_>, within: Rect, title: &str, theme: &Theme) {
        let width = within.width.saturating_sub(4).min(WIDEST);
        let labels = self.fields.iter().filter(|f| !f.hidden).map(|f| text::columns(f.label)).max();
        let indent = u16::try_from(labels.unwrap_or(0)).unwrap_or(0) + GAP;
        let said = if self.leaving { LOST } else { self.notice.as_str() };
        let mut notice = words::wrap(said, width);
        notice.truncate(NOTICE);
        let (said, room) = (rows_of(notice.len()), within.height.saturating_sub(2));
        let (mut lines, mut cursor) = self.lines(width, indent, AREA.0, theme);
        // A longer text gets more where there is room for it.
        let spare = room.saturating_sub(rows_of(lines.len()) + said);
        let wants = self.longest_area().min(usize::from(AREA.0 + spare));
        if wants > usize::from(AREA.0) {
            (lines, cursor) = self.lines(width, indent, rows_of(wants).min(AREA.1), theme);
        }
        let inner = modal::open(frame, within, theme, title, (width, rows_of(lines.len()) + said));
        let rows = inner.height.saturating_sub(said);
        self.scroll(&lines, cursor.1, usize::from(rows));
        let seen = Rect { height: rows, ..inner };
        self.put(frame, seen, &lines, theme);
        let below = inner.y + rows;
        for (line, y) in notice.iter().zip(below..inner.bottom()) {
            frame.buffer_mut().set_stringn(inner.x, y, line, usize::from(inner.width), theme.bad);
        }
        let row = rows_of(cursor.1.saturating_sub(self.first)).min(rows.saturating_sub(1));
        let x = (inner.x + cursor.0).min(inner.right().min(within.right()).saturating_sub(1));
        let y = (inner.y + row).min(within.bottom().saturating_sub(1));
        frame.set_cursor_position((x, y));
    }

    /// The lines of the longest text, and one to go on in.
    fn longest_area(&self) -> usize {
        let lines = |f: &Field<K>| if let Kind::Area(area) = &f.kind { area.lines() + 1 } else { 0 };
        self.fields.iter().map(lines).max().unwrap_or(0)
    }

    /// Moves as far as it must for the field in front to be seen: its last line, and
    /// before all the one with the cursor.
    fn scroll(&mut self, lines: &[Line], cursor: usize, rows: usize) {
        let last = lines.iter().rposition(|l| l.field == self.focus).unwrap_or(cursor);
        let rows = rows.max(1);
        self.first = self.first.max((last + 1).saturating_sub(rows)).min(cursor);
        self.first = self.first.max((cursor + 1).saturating_sub(rows)).min(lines.len().saturating_sub(rows));
    }

    fn put(&mut self, frame: &mut Frame<'_>, area: Rect, lines: &[Line], theme: &Theme) {
        self.drawn.clear();
        let buffer = frame.buffer_mut();
        for (line, y) in lines.iter().skip(self.first).zip(area.y..area.bottom()) {
            for (x, words, style) in &line.spans {
                let room = usize::from(area.width.saturating_sub(*x));
                buffer.set_stringn(area.x + x, y, text::short(words, room), room, *style);
            }
            self.drawn.push((y, line.field, line.of_field));
        }
        let more = |buffer: &mut ratatui::buffer::Buffer, y: u16, words: &str| {
            let at = area.right().saturating_sub(8);
            buffer.set_stringn(at, y, words, 8, theme.accent);
        };
        if self.first > 0 && area.y > 0 {
            more(buffer, area.y - 1, " more ↑ ");
        }
        if lines.len() > self.first + usize::from(area.height) && area.height > 0 {
            let y = if buffer.area.bottom() > area.bottom() { area.bottom() } else { area.bottom() - 1 };
            more(buffer, y, " more ↓ ");
        }
    }

    /// All lines, and where among them the cursor is: its column, its line.
    fn lines(&mut self, width: u16, indent: u16, area_rows: u16, theme: &Theme) -> (Vec<Line>, (u16, usize)) {
        let mut lines: Vec<Line> = Vec::new();
        let mut cursor = (0, 0);
        let room = width.saturating_sub(indent);
        for (i, field) in self.fields.iter_mut().enumerate().filter(|(_, f)| !f.hidden) {
            let focused = i == self.focus;
            let look = look(&mut field.kind, focused, (room, area_rows), theme);
            if focused {
                cursor = (indent + look.cursor.0, lines.len() + usize::from(look.cursor.1));
            }
            let label = if focused { theme.heading } else { theme.muted };
            let mut spans = with_note(field, look, room, theme);
            for line in &mut spans {
                line.iter_mut().for_each(|(x, ..)| *x += indent);
            }
            if let Some(first) = spans.first_mut() {
                first.insert(0, (0, field.label.to_owned(), label));
            }
            let numbered = (0..).zip(spans);
            lines.extend(numbered.map(|(of_field, spans)| Line { field: i, of_field, spans }));
        }
        (lines, cursor)
    }
}

/// The value's lines, and what is said of it: beside it, or below it where there is
/// no room.
fn with_note<K>(field: &Field<K>, look: Look, room: u16, theme: &Theme) -> Vec<Vec<Span>> {
    let problem = field.problem();
    let (words, style) = match problem.as_str() {
        "" => (field.note.clone(), theme.muted),
        _ => (problem, theme.bad),
    };
    let Look { mut lines, used, .. } = look;
    let beside = usize::from(room.saturating_sub(used + GAP));
    let fits = used > 0 && text::columns(&words) <= beside;
    match lines.last_mut() {
        Some(line) if fits => line.push((used + GAP, words, style)),
        _ => lines.extend(words::wrap(&words, room).into_iter().map(|w| vec![(0, w, style)])),
    }
    lines
}

/// What a value looks like in so many columns; an area in so many rows.
fn look(kind: &mut Kind, focused: bool, (room, rows): (u16, u16), theme: &Theme) -> Look {
    let plain = if focused { theme.heading } else { Style::new() };
    // A line to write on.
    let line = plain.add_modifier(Modifier::UNDERLINED);
    let fill = |words: &str, width: u16| {
        let left = usize::from(width).saturating_sub(text::columns(words));
        format!("{words}{}", " ".repeat(left))
    };
    let one = |words: String, style: Style| Look {
        used: columns(&words).min(room),
        lines: vec![vec![(0, words, style)]],
        cursor: (0, 0),
    };
    match kind {
        Kind::Text(value) => {
            let width = room.min(TEXT);
            let (seen, cursor) = value.input.view(width);
            let mut look = one(fill(&seen, width), line);
            if value.fresh && focused {
                look.lines = vec![vec![(0, fill(&seen, width), line), (0, seen, theme.selected)]];
            }
            Look { cursor: (cursor, 0), ..look }
        }
        Kind::Number(number) => {
            let cursor = (columns(number.digits()), 0);
            let mut look = one(fill(number.digits(), DIGITS), line);
            if let Some(spans) = look.lines.first_mut() {
                spans.push((DIGITS + 1, number.unit.to_owned(), Style::new()));
            }
            Look { used: DIGITS + 1 + columns(number.unit), cursor, ..look }
        }
        Kind::Choice(choice) => {
            let count = choice.count();
            let (words, of) = match choice.chosen() {
                None => (String::from("–"), String::new()),
                Some(_) if count == 1 => (choice.value().to_owned(), String::new()),
                Some(at) => (format!("‹ {} ›", choice.value()), format!("{} of {count}", at + 1)),
            };
            let used = columns(&words);
            let mut look = one(words, if focused { theme.selected } else { plain });
            if let Some(spans) = look.lines.first_mut().filter(|_| !of.is_empty()) {
                look.used = used + GAP + columns(&of);
                spans.push((used + GAP, of, theme.muted));
            }
            look
        }
        Kind::Area(area) => {
            let (seen, cursor) = area.view(room, rows);
            let seen = (0..usize::from(rows)).map(|i| seen.get(i).map_or("", String::as_str));
            let lines = seen.map(|l| vec![(0, fill(l, room), line)]).collect();
            Look { lines, used: 0, cursor }
        }
        Kind::Info(words) => {
            let lines = words::wrap(words, room).into_iter().map(|w| vec![(0, w, Style::new())]).collect();
            Look { lines, ..Look::default() }
        }
        Kind::Button(words) => {
            let style = if focused { theme.selected } else { theme.key };
            Look { used: 0, ..one(format!("[ {words} ]"), style) }
        }
    }
}

fn columns(words: &str) -> u16 {
    u16::try_from(text::columns(words)).unwrap_or(u16::MAX)
}

fn rows_of(lines: usize) -> u16 {
    u16::try_from(lines).unwrap_or(u16::MAX)
}
