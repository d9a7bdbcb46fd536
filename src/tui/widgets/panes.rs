//! A page of several parts: one at a time under a row of their titles, or all of
//! them side by side where there is room. Tab goes from one to the next.

use std::fmt::Debug;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::widgets::{Block, BorderType};

use crate::model::text;
use crate::term::keys::{Key, Mouse};
use crate::tui::effect::{Effect, Feed};
use crate::tui::feeds;
use crate::tui::keymap::Hint;
use crate::tui::page::{News, Page, Shared};
use crate::tui::theme::Theme;

/// With so many columns and rows all parts are seen.
const ROOM: (u16, u16) = (140, 30);
/// A part has so many rows at least, where all are seen.
const LOWEST: u16 = 12;
/// With so many rows the titles stand apart.
const AIRY: u16 = 12;

/// A part of a page.
pub trait Pane: Debug + Send {
    /// Its title: a word.
    fn title(&self) -> &'static str;

    /// The page comes to the front: what is to be looked up.
    fn begin(&mut self, _shared: &Shared) -> Vec<Effect> {
        Vec::new()
    }

    /// What it follows while the page is in front.
    fn feed(&self) -> Option<Feed> {
        None
    }

    /// Takes a key; none if it means nothing here.
    fn on_key(&mut self, key: &Key, shared: &mut Shared) -> Option<Vec<Effect>>;

    /// Takes what it asked for; gives back what it did not.
    fn on_news(&mut self, news: News, _shared: &Shared) -> Result<Vec<Effect>, News> {
        Err(news)
    }

    /// Draws itself; in front, it puts the cursor on what is selected.
    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared, front: bool);

    /// A line for while nothing has just happened.
    fn status(&self) -> Option<String> {
        None
    }

    /// The keys that work now.
    fn hints(&self, shared: &Shared) -> Vec<Hint>;

    /// All of its keys.
    fn help(&self) -> Vec<Hint>;

    /// Keys are text now.
    fn takes_text(&self) -> bool {
        false
    }
}

/// The parts, one of them in front.
#[derive(Debug)]
pub struct Panes {
    word: &'static str,
    panes: Vec<Box<dyn Pane>>,
    front: usize,
    /// What goes to which part when it is clicked.
    places: Vec<Rect>,
    /// Where the part in front is drawn.
    inside: Rect,
}

/// What the footer says of Tab.
const TAB: Hint = ("Tab", "next part");

impl Panes {
    /// Those parts, on the page of that word.
    pub fn new(word: &'static str, panes: Vec<Box<dyn Pane>>) -> Panes {
        Panes { word, panes, front: 0, places: Vec::new(), inside: Rect::default() }
    }

    fn at_front(&self) -> Option<&dyn Pane> {
        self.panes.get(self.front).map(|p| &**p)
    }

    /// A click on another part brings that to the front.
    fn on_click(&mut self, mouse: Mouse) -> bool {
        let at = (mouse.column, mouse.row).into();
        let hit = self.places.iter().position(|place| place.contains(at));
        match hit {
            Some(hit) if hit != self.front => {
                self.front = hit;
                true
            }
            _ => false,
        }
    }

    fn draw_one(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        self.places.clear();
        let labels: Vec<String> = self.panes.iter().map(|pane| format!(" {} ", pane.title())).collect();
        let mut x = area.x;
        // Where there is no room for all, those before the one in front make way.
        let first = first_seen(&labels, self.front, area.width);
        for (i, label) in labels.iter().enumerate() {
            if i < first {
                self.places.push(Rect::default());
                continue;
            }
            let room = area.right().saturating_sub(x);
            let style = if i == self.front { shared.theme.selected } else { shared.theme.muted };
            frame.buffer_mut().set_stringn(x, area.y, label, usize::from(room), style);
            let width = u16::try_from(text::columns(label)).unwrap_or(room).min(room);
            self.places.push(Rect { x, y: area.y, width, height: 1 });
            x += width;
        }
        let top = if area.height >= AIRY { 2 } else { 1 };
        self.inside = Rect { y: area.y + top, height: area.height.saturating_sub(top), ..area };
        let inside = self.inside;
        if let Some(pane) = self.panes.get_mut(self.front) {
            pane.draw(frame, inside, shared, true);
        }
    }

    fn draw_all(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        self.places = grid(area, self.panes.len());
        let mut front = None;
        for (i, (pane, place)) in self.panes.iter_mut().zip(&self.places).enumerate() {
            let inside = frame_of(frame, *place, pane.title(), i == self.front, &shared.theme);
            if i == self.front {
                front = Some((pane, inside));
            } else {
                pane.draw(frame, inside, shared, false);
                // Only in front something is selected.
                let calm = Style::new().remove_modifier(Modifier::REVERSED);
                frame.buffer_mut().set_style(inside, calm);
            }
        }
        // Last, for the cursor.
        if let Some((pane, inside)) = front {
            self.inside = inside;
            pane.draw(frame, inside, shared, true);
        }
    }
}

/// The first title that is drawn, so that the one in front is seen.
fn first_seen(labels: &[String], front: usize, width: u16) -> usize {
    let to_front = labels.get(..=front).unwrap_or(labels);
    let mut room = usize::from(width);
    let fits = |label: &&String| {
        let rest = room.checked_sub(text::columns(label));
        room = rest.unwrap_or(0);
        rest.is_some()
    };
    front + 1 - to_front.iter().rev().take_while(fits).count().clamp(1, front + 1)
}

/// Draws a part's frame; what is inside, with a column of air on both sides.
fn frame_of(frame: &mut Frame<'_>, place: Rect, title: &str, front: bool, theme: &Theme) -> Rect {
    let (lines, words) = if front { (theme.accent, theme.selected) } else { (theme.border, theme.muted) };
    let block = Block::bordered()
        .border_type(if front { BorderType::Thick } else { BorderType::Rounded })
        .border_style(lines)
        .title(format!(" {title} "))
        .title_style(Style::new().patch(words));
    let inner = block.inner(place);
    frame.render_widget(block, place);
    Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner }
}

/// Two columns of places.
fn grid(area: Rect, count: usize) -> Vec<Rect> {
    let rows = u16::try_from(count.div_ceil(2)).unwrap_or(1).max(1);
    let (width, height) = (area.width / 2, area.height / rows);
    (0..count)
        .map(|i| {
            let (row, column) = (u16::try_from(i / 2).unwrap_or(0), u16::try_from(i % 2).unwrap_or(0));
            let last = row + 1 == rows;
            let y = area.y + row * height;
            Rect {
                x: area.x + column * width,
                y,
                width: match column {
                    1 => area.width - width,
                    // The last one has its row to itself.
                    _ if i + 1 == count => area.width,
                    _ => width,
                },
                height: if last { area.bottom() - y } else { height },
            }
        })
        .collect()
}

impl Page for Panes {
    fn crumbs(&self, _shared: &Shared) -> Vec<String> {
        self.at_front().map(|p| p.title().to_owned()).into_iter().collect()
    }

    fn begin(&mut self, shared: &Shared) -> Vec<Effect> {
        let mut effects: Vec<Effect> = self.panes.iter_mut().flat_map(|p| p.begin(shared)).collect();
        let feeds: Vec<Feed> = self.panes.iter().filter_map(|p| p.feed()).collect();
        if !feeds.is_empty() {
            effects.push(Effect::Follow(feeds::together(self.word, feeds)));
        }
        effects
    }

    fn on_key(&mut self, key: &Key, shared: &mut Shared) -> Option<Vec<Effect>> {
        let count = self.panes.len().max(1);
        let text = self.takes_text();
        match key {
            Key::Tab if !text => self.front = (self.front + 1) % count,
            Key::BackTab if !text => self.front = (self.front + count - 1) % count,
            Key::Mouse(mouse) if mouse.is_click() && !text && self.on_click(*mouse) => {}
            Key::Mouse(mouse) if !self.inside.contains((mouse.column, mouse.row).into()) => return None,
            key => return self.panes.get_mut(self.front)?.on_key(key, shared),
        }
        Some(Vec::new())
    }

    fn on_news(&mut self, news: News, shared: &Shared) -> Vec<Effect> {
        let mut news = news;
        for pane in &mut self.panes {
            match pane.on_news(news, shared) {
                Ok(effects) => return effects,
                Err(other) => news = other,
            }
        }
        Vec::new()
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        frame.set_cursor_position((area.x, area.y));
        let rows = u16::try_from(self.panes.len().div_ceil(2)).unwrap_or(u16::MAX);
        if area.width >= ROOM.0 && area.height >= ROOM.1.max(rows.saturating_mul(LOWEST)) {
            self.draw_all(frame, area, shared);
        } else {
            self.draw_one(frame, area, shared);
        }
    }

    fn status(&self, _shared: &Shared) -> Option<String> {
        self.at_front().and_then(Pane::status)
    }

    fn hints(&self, shared: &Shared) -> Vec<Hint> {
        let mut hints = self.at_front().map_or_else(Vec::new, |p| p.hints(shared));
        if !self.takes_text() {
            hints.push(TAB);
        }
        hints
    }

    fn help(&self) -> Vec<Hint> {
        let mut help = self.at_front().map_or_else(Vec::new, Pane::help);
        help.push(("Tab", "the next part of the page; Shift-Tab: the one before"));
        help
    }

    fn takes_text(&self) -> bool {
        self.at_front().is_some_and(Pane::takes_text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_cover_the_page_and_do_not_overlap() {
        for (width, height, count) in [(200, 56, 4), (141, 31, 4), (200, 57, 3), (200, 57, 5)] {
            let area = Rect::new(0, 2, width, height);
            let places = grid(area, count);
            assert_eq!(places.len(), count);
            let cells: u32 = places.iter().map(|p| p.area()).sum();
            assert_eq!(cells, area.area());
            for (i, a) in places.iter().enumerate() {
                assert!(area.union(*a) == area, "{a} is not in {area}");
                assert!(places.iter().skip(i + 1).all(|b| a.intersection(*b).is_empty()));
            }
        }
    }
}
