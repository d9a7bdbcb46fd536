//! How the line looks: one row, scrolled sideways where it does not fit.

use unicode_width::UnicodeWidthChar;

use super::history::Search;
use super::{Editor, Ending};
use crate::model::text;

/// Completions that are listed.
const MOST_LISTED: usize = 200;

/// What stands in the row: before the cursor's line, the line, and the cursor.
struct Row {
    prompt: String,
    line: Vec<char>,
    cursor: usize,
}

impl Editor {
    /// The bytes that draw the line anew, on a terminal of that many columns
    /// with its cursor in the line's row.
    pub fn render(&mut self, cols: u16) -> Vec<u8> {
        let mut out = String::new();
        if std::mem::take(&mut self.clear) {
            out.push_str("\x1b[H\x1b[2J");
        }
        let listing = std::mem::take(&mut self.listing);
        if !listing.is_empty() {
            let row = self.row();
            self.draw(&row, cols, &mut out);
            list(&listing, usize::from(cols), &mut out);
        }
        let row = self.row();
        self.draw(&row, cols, &mut out);
        out.into_bytes()
    }

    /// The bytes that leave the line that has just ended as it was, and begin the next row.
    pub fn finish(&mut self, cols: u16) -> Vec<u8> {
        let mut out = String::new();
        if let Some((line, ending)) = self.ended.take() {
            let cursor = line.len();
            let line = if self.hidden { Vec::new() } else { line };
            let row = Row { prompt: text::clean(&self.prompt), cursor: cursor.min(line.len()), line };
            self.scroll = 0;
            self.draw(&row, cols, &mut out);
            self.scroll = 0;
            if ending == Ending::Interrupted {
                out.push_str("^C");
            }
        }
        out.push_str("\r\n");
        out.into_bytes()
    }

    /// The prompt and what is seen of the line in that many columns, and the
    /// cursor's column there: for whoever draws a screen.
    pub fn view(&mut self, cols: u16) -> (String, u16) {
        let row = self.row();
        let prompt = text::short(&row.prompt, usize::from(cols) / 2);
        let room = usize::from(cols).saturating_sub(text::columns(&prompt) + 1).max(1);
        self.scroll = scroll(&row.line, row.cursor, self.scroll, room);
        let (shown, column) = window(&row.line, row.cursor, self.scroll, room);
        let column = text::columns(&prompt) + column;
        (format!("{prompt}{shown}"), u16::try_from(column).unwrap_or(cols))
    }

    /// The words that Tab could not decide between, once.
    pub fn take_listing(&mut self) -> Vec<String> {
        std::mem::take(&mut self.listing)
    }

    fn row(&self) -> Row {
        match &self.search {
            Some(search) => self.search_row(search),
            None if self.hidden => Row { prompt: text::clean(&self.prompt), line: Vec::new(), cursor: 0 },
            None => Row { prompt: text::clean(&self.prompt), line: self.line.clone(), cursor: self.cursor },
        }
    }

    fn search_row(&self, search: &Search) -> Row {
        let word = if search.failed() { "no match" } else { "search" };
        let found = search.found(&self.history);
        let line: Vec<char> = found.map_or_else(|| search.draft().to_vec(), |f| f.chars().collect());
        Row { prompt: format!("({word} “{}”) ", text::clean(search.query())), cursor: 0, line }
    }

    /// Draws the row and leaves the cursor at its place.
    fn draw(&mut self, row: &Row, cols: u16, out: &mut String) {
        let cols = usize::from(cols.max(4));
        let prompt = text::short(&row.prompt, cols / 2);
        // The last column stays free: a character there leaves the cursor between two rows.
        let room = (cols - text::columns(&prompt)).saturating_sub(1).max(1);
        self.scroll = scroll(&row.line, row.cursor, self.scroll, room);
        let (shown, cursor_column) = window(&row.line, row.cursor, self.scroll, room);
        out.push_str("\r\x1b[K");
        out.push_str(&prompt);
        out.push_str(&shown);
        let column = text::columns(&prompt) + cursor_column;
        out.push('\r');
        if column > 0 {
            out.push_str(&format!("\x1b[{column}C"));
        }
    }
}

fn width(c: char) -> usize {
    if text::is_unsafe(c) { 1 } else { c.width().unwrap_or(0) }
}

fn columns(line: &[char]) -> usize {
    line.iter().map(|c| width(*c)).sum()
}

/// Whether the line needs no more than that; looks no farther than it must.
fn fits(line: &[char], room: usize) -> bool {
    let mut used = 0;
    line.iter().all(|c| {
        used += width(*c);
        used <= room
    })
}

/// The first character to show so that the cursor is in sight: the old one if that will do.
fn scroll(line: &[char], cursor: usize, old: usize, room: usize) -> usize {
    let between = |from: usize| columns(line.get(from..cursor).unwrap_or_default());
    if fits(line, room) {
        return 0;
    }
    if old <= cursor && between(old) < room && (old == 0 || between(old) > 0) {
        return old;
    }
    // Half the room before the cursor, so that the row does not scroll at every key.
    let mut from = cursor;
    while from > 0 && between(from - 1) <= room / 2 {
        from -= 1;
    }
    from
}

/// The characters in sight, with `<` and `>` where there are more, and the cursor's column.
fn window(line: &[char], cursor: usize, from: usize, room: usize) -> (String, usize) {
    let mut shown = String::new();
    let (mut used, mut cursor_column) = (0, 0);
    for (i, &c) in line.iter().enumerate().skip(from) {
        if i == cursor {
            cursor_column = used;
        }
        let whole = fits(line.get(i..).unwrap_or_default(), room.saturating_sub(used));
        if !whole && used + width(c) + 1 > room {
            shown.push('>');
            used += 1;
            break;
        }
        if i == from && from > 0 {
            shown.push('<');
            shown.extend(std::iter::repeat_n(' ', width(c).saturating_sub(1)));
            used += width(c).max(1);
        } else {
            shown.push(if text::is_unsafe(c) { '?' } else { c });
            used += width(c);
        }
    }
    if cursor >= line.len() {
        cursor_column = used;
    }
    (shown, cursor_column)
}

/// Words in columns, below the line.
fn list(words: &[String], cols: usize, out: &mut String) {
    let shown: Vec<String> =
        words.iter().take(MOST_LISTED).map(|w| text::short(w, cols.saturating_sub(1))).collect();
    let widest = shown.iter().map(|w| text::columns(w)).max().unwrap_or(0) + 2;
    let across = (cols / widest).max(1);
    for row in shown.chunks(across) {
        out.push_str("\r\n");
        for (i, word) in row.iter().enumerate() {
            out.push_str(word);
            if i + 1 < row.len() {
                out.extend(std::iter::repeat_n(' ', widest - text::columns(word)));
            }
        }
    }
    if words.len() > MOST_LISTED {
        out.push_str(&format!("\r\n… and {} more", words.len() - MOST_LISTED));
    }
    out.push_str("\r\n");
}
