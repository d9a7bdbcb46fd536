//! What happens, as it happens: a table whose last row is the newest, and beside
//! it or over it the selected event with all its particulars.

pub mod columns;

use std::sync::Arc;

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::action::event::{self, EventTail};
use crate::error::Result;
use crate::model::{Event, Severity, text};
use crate::term::keys::Key;
use crate::tui::app::Mood;
use crate::tui::effect::Effect;
use crate::tui::feeds::{self, Heard};
use crate::tui::keymap::{self, Binding, Hint, key};
use crate::tui::page::{Entry, Me, News, Page, Shared};
use crate::tui::roster::Source;
use crate::tui::widgets::scroll::Scroll;
use crate::tui::widgets::table::{self, Table};
use crate::tui::widgets::{empty, sheet};

/// The page's place.
pub static ENTRY: Entry =
    Entry { word: WORD, title: "Events", allowed: |_: &Me| true, open: |_| Box::new(Events::new()) };

const WORD: &str = "events";
/// With this many columns the selected event finds room beside the table.
const WIDE: u16 = 110;
/// Events of before that are asked for, and events that are kept.
const FIRST: u32 = 300;
const KEPT: usize = 1000;

/// What a key does on this page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Command {
    Open,
    Close,
    Follow,
    More,
    Less,
    Mine,
    Copy,
    Nothing,
}

/// The page's keys, what matters most first.
#[rustfmt::skip]
static KEYS: &[Binding<Command>] = &[
    key(&[Key::Enter, Key::Right, Key::Char('l')], "Enter", "detail", "the event with all its particulars", Command::Open),
    key(&[Key::Esc, Key::Left, Key::Char('h')], "Esc", "back", "back from the detail or a filter", Command::Close),
    key(&[Key::Char('f')], "f", "follow", "go to the newest and stay with it", Command::Follow),
    key(&[Key::Char('v')], "v V", "severity", "only what is more severe; less severe, too", Command::More),
    key(&[Key::Char('V')], "", "", "", Command::Less),
    key(&[Key::Char('a')], "a", "mine/all", "what you did, or what everybody did", Command::Mine),
    key(&[Key::Char('y')], "y", "copy", "copy the event as JSON", Command::Copy),
    // Nothing is done to events, so that none are marked.
    key(&[Key::Char(' '), Key::Char('*')], "", "", "", Command::Nothing),
];

/// The page.
#[derive(Debug)]
pub struct Events {
    table: Table<Arc<Event>>,
    source: Source,
    /// Which feed is listened to: those before it had other filters.
    feed: u64,
    /// What comes next takes the place of all that is here.
    fresh: bool,
    /// At least so severe.
    least: Severity,
    /// Only what the viewer did.
    mine: bool,
    /// The newest is selected, whatever comes.
    following: bool,
    /// What came since it is not.
    unseen: usize,
    /// The selected one fills the page where there is no room beside the table.
    detail: bool,
    wide: bool,
    scroll: Scroll,
    /// Where the whole page was drawn.
    area: Rect,
}

impl Events {
    fn new() -> Events {
        Events {
            table: Table::new(columns::COLUMNS),
            source: Source::Waiting,
            feed: 0,
            fresh: true,
            least: Severity::Info,
            mine: false,
            following: true,
            unseen: 0,
            detail: false,
            wide: false,
            scroll: Scroll::default(),
            area: Rect::default(),
        }
    }

    /// Asks for the events that are wanted now.
    fn follow(&mut self, shared: &Shared) -> Vec<Effect> {
        self.feed += 1;
        self.fresh = true;
        let severity = (self.least > Severity::Info).then(|| self.least.to_string());
        let actor = self.mine.then(|| shared.me.name.clone());
        let tail = move || EventTail {
            severity: severity.clone(),
            actor: actor.clone(),
            action: None,
            attempts: false,
            limit: FIRST,
        };
        vec![Effect::Follow(feeds::follow(WORD, self.feed, tail))]
    }

    fn take(&mut self, news: Result<event::News>, shared: &Shared) -> Vec<Effect> {
        let news = match news {
            Ok(news) => news,
            Err(e) => {
                self.source = Source::Lost(e.message.clone());
                return vec![Effect::Say(Mood::Bad, e.message, e.hint.into_owned())];
            }
        };
        self.source = Source::Live;
        let fresh = std::mem::take(&mut self.fresh);
        let mut rows = if fresh { Vec::new() } else { self.table.rows().to_vec() };
        let before = rows.len();
        rows.extend(news.events.into_iter().map(Arc::new));
        // What is told again, or out of order.
        rows.sort_by_key(|e| e.id);
        rows.dedup_by_key(|e| e.id);
        self.unseen = if fresh || self.following { 0 } else { self.unseen + rows.len() - before };
        rows.drain(..rows.len().saturating_sub(KEPT));
        self.table.set(rows, shared);
        if self.following {
            self.go_to_newest();
        }
        if !news.missed {
            return Vec::new();
        }
        let said = String::from("Some events are left out: too many at once.");
        vec![Effect::Say(Mood::Plain, said, String::from("`event ls` has them all."))]
    }

    /// The detail is all that is seen.
    fn full(&self) -> bool {
        self.detail && !self.wide
    }

    fn newest(&self) -> Option<i64> {
        self.table.visible().map(|e| e.id).max()
    }

    fn go_to_newest(&mut self) {
        if let Some(id) = self.newest() {
            self.table.select(&id.to_string());
        }
        self.following = true;
        self.unseen = 0;
    }

    /// After a move: whoever goes to the newest stays with it.
    fn moved(&mut self) {
        self.following = self.table.selected().map(|e| e.id) == self.newest();
        if self.following {
            self.unseen = 0;
        }
        self.scroll = Scroll::default();
    }

    fn severity(&mut self, more: bool, shared: &Shared) -> Vec<Effect> {
        let all = Severity::ALL;
        let at = all.iter().position(|s| *s == self.least).unwrap_or(0);
        let to = if more { at + 1 } else { at + all.len() - 1 };
        self.least = all.get(to % all.len()).copied().unwrap_or(Severity::Info);
        self.follow(shared)
    }

    fn act(&mut self, command: Command, shared: &Shared) -> Vec<Effect> {
        match command {
            Command::Open => self.detail = self.table.selected().is_some(),
            Command::Close => {
                if !std::mem::take(&mut self.detail) {
                    self.table.back(shared);
                    if self.following {
                        self.go_to_newest();
                    }
                }
            }
            Command::Follow => self.go_to_newest(),
            Command::More => return self.severity(true, shared),
            Command::Less => return self.severity(false, shared),
            Command::Mine => {
                self.mine = !self.mine;
                return self.follow(shared);
            }
            Command::Copy => {
                let Some(event) = self.table.selected() else { return Vec::new() };
                let json = serde_json::to_string(&**event).unwrap_or_default();
                let said = format!("Copied: event {}", event.id);
                return vec![
                    Effect::Copy(text::json_for_terminals(&json)),
                    Effect::Say(Mood::Plain, said, String::new()),
                ];
            }
            Command::Nothing => {}
        }
        Vec::new()
    }

    fn applies(&self, shared: &Shared, command: Command) -> bool {
        match command {
            Command::Open => !self.full() && self.table.selected().is_some(),
            Command::Close => self.full() || self.table.has_back(),
            Command::Follow => !self.following,
            Command::Mine => shared.me.sees_all,
            Command::Copy => self.table.selected().is_some(),
            Command::More | Command::Less | Command::Nothing => true,
        }
    }

    /// The full page's detail: longer ones are scrolled; the title's row goes back.
    fn on_detail_key(&mut self, key: &Key) -> bool {
        match key {
            Key::PageUp | Key::PageDown | Key::Char(' ') => self.scroll.on_key(key),
            Key::Mouse(mouse) if mouse.wheel().is_some() => self.scroll.on_key(key),
            Key::Mouse(mouse) if mouse.is_click() && mouse.row == self.area.y => {
                self.detail = false;
                true
            }
            Key::Mouse(_) => true,
            _ => false,
        }
    }

    fn draw_detail(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        let Some(event) = self.table.selected() else { return };
        let title = format!("{}Event {}", if self.wide { "" } else { "‹ " }, event.id);
        let lines = columns::particulars(event, shared);
        frame.buffer_mut().set_stringn(area.x, area.y, title, usize::from(area.width), shared.theme.title);
        let below = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
        sheet::draw(frame, below, &lines, &mut self.scroll, &shared.theme);
    }

    fn nothing(&self) -> (String, &'static str) {
        match &self.source {
            Source::Waiting => (String::from("Looking for events…"), ""),
            Source::Lost(why) => (why.clone(), "Trying again every few seconds."),
            Source::Live if !self.table.filter().is_empty() => {
                (format!("Nothing here holds “{}”.", text::short(&self.table.filter(), 30)), "Esc shows all.")
            }
            Source::Live if self.least > Severity::Info => (
                format!("Nothing as severe as “{}” has happened.", self.least),
                "V shows what is less severe.",
            ),
            Source::Live => (String::from("Nothing has happened yet."), ""),
        }
    }
}

impl Page for Events {
    fn crumbs(&self, _shared: &Shared) -> Vec<String> {
        self.table.selected().filter(|_| self.full()).map(|e| e.id.to_string()).into_iter().collect()
    }

    fn begin(&mut self, shared: &Shared) -> Vec<Effect> {
        self.follow(shared)
    }

    fn on_news(&mut self, news: News, shared: &Shared) -> Vec<Effect> {
        match news.downcast::<Heard<event::News>>() {
            Ok(heard) if heard.feed == self.feed => self.take(heard.news, shared),
            Ok(_) | Err(_) => Vec::new(),
        }
    }

    fn on_key(&mut self, key: &Key, shared: &mut Shared) -> Option<Vec<Effect>> {
        if self.table.takes_text() {
            self.table.on_key(key, shared);
            self.moved();
            return Some(Vec::new());
        }
        if self.full() && self.on_detail_key(key) {
            return Some(Vec::new());
        }
        if let Some(command) = keymap::find(KEYS, key, |c| self.applies(shared, c)) {
            // Where there is nothing to go back from, the frame has the key.
            return self.applies(shared, command).then(|| self.act(command, shared));
        }
        let before = self.table.selected().map(|e| e.id);
        if !self.table.on_key(key, shared) {
            return None;
        }
        let same = self.table.selected().map(|e| e.id) == before;
        // A click on what is selected opens it.
        if let Key::Mouse(mouse) = key
            && mouse.is_click()
            && same
            && mouse.row > self.area.y
        {
            self.detail = before.is_some();
        }
        self.moved();
        Some(Vec::new())
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared) {
        self.area = area;
        self.wide = area.width >= WIDE;
        let selected = self.table.selected().is_some();
        if selected && self.full() {
            self.draw_detail(frame, area, shared);
            return frame.set_cursor_position((area.x, area.y));
        }
        let mut left = area;
        if selected && self.wide {
            let side = (area.width / 3).clamp(42, 70);
            left.width = area.width - side - 2;
            let right = Rect { x: left.right() + 2, width: side, ..area };
            for y in area.y..area.bottom() {
                frame.buffer_mut().set_string(left.right(), y, "│", shared.theme.border);
            }
            self.draw_detail(frame, right, shared);
        }
        // Last, for the cursor.
        if !self.table.draw(frame, left, shared) && !self.table.takes_text() {
            let (what, next) = self.nothing();
            empty::draw(frame, left, &what, next, &shared.theme);
        }
    }

    fn status(&self, shared: &Shared) -> Option<String> {
        let mut said = Vec::new();
        if self.least > Severity::Info {
            said.push(format!("{} and above", self.least));
        }
        if self.mine && shared.me.sees_all {
            said.push(String::from("yours only"));
        }
        said.push(match (self.following, self.unseen) {
            (true, _) => String::from("following"),
            (false, 0) => String::from("not following"),
            (false, n) => format!("{n} new below"),
        });
        said.extend(self.table.status());
        Some(said.join("  "))
    }

    fn hints(&self, shared: &Shared) -> Vec<Hint> {
        if self.table.takes_text() {
            return self.table.hints();
        }
        let mut hints = keymap::hints(KEYS, |c| self.applies(shared, c));
        if !self.full() {
            hints.extend(self.table.hints());
        }
        hints
    }

    fn help(&self) -> Vec<Hint> {
        let mut help = keymap::help(KEYS);
        let marks = |c: table::Command| matches!(c, table::Command::Mark | table::Command::MarkAll);
        help.extend(
            table::KEYS.iter().filter(|b| !b.help.is_empty() && !marks(b.command)).map(|b| (b.shown, b.help)),
        );
        help
    }

    fn takes_text(&self) -> bool {
        self.table.takes_text()
    }
}
