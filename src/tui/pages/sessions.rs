//! Connections that are signed in, to be looked at and ended: one's own, or everybody's.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::action::session::{SessionFollow, SessionKill};
use crate::model::{SessionInfo, text, time};
use crate::term::keys::Key;
use crate::tui::app::Msg;
use crate::tui::confirm::Confirm;
use crate::tui::effect::{Effect, Feed, Task};
use crate::tui::feeds::{self, Heard};
use crate::tui::keymap::{self, Binding, Hint};
use crate::tui::page::{News, Shared};
use crate::tui::widgets::panes::Pane;
use crate::tui::widgets::table::{self, Column, Item, Table, Width, plain};
use crate::tui::widgets::{empty, words};

impl Item for SessionInfo {
    fn key(&self) -> String {
        self.id.clone()
    }

    fn words(&self, _shared: &Shared) -> String {
        format!("{} {} {}", self.user, self.source_ip, self.id)
    }
}

type R = SessionInfo;

fn bytes(n: u64) -> String {
    words::size(n)
}

const USER: Column<R> = Column {
    title: "USER",
    rank: 0,
    width: Width::Words(8, 10),
    cell: |s, _| text::clean(&s.user),
    style: plain,
    order: |a, b| a.user.cmp(&b.user),
};

#[rustfmt::skip]
const REST: [Column<R>; 9] = [
    Column { title: "FROM", rank: 1, width: Width::Words(15, 15), cell: |s, _| text::clean(&s.source_ip), style: plain, order: |a, b| a.source_ip.cmp(&b.source_ip) },
    Column { title: "WAY", rank: 4, width: Width::Words(10, 18), cell: |s, _| text::clean(&s.route), style: plain, order: |a, b| a.route.cmp(&b.route) },
    Column { title: "BY", rank: 8, width: Width::Words(9, 14), cell: |s, _| text::clean(&s.method), style: |_, s| s.theme.muted, order: |a, b| a.method.cmp(&b.method) },
    Column { title: "SINCE", rank: 5, width: Width::Words(14, 14), cell: |s, all| all.preferences.time_zone.short(s.signed_in_at), style: |_, s| s.theme.muted, order: |a, b| a.signed_in_at.cmp(&b.signed_in_at) },
    Column { title: "IDLE", rank: 3, width: Width::Figures(5), cell: |s, _| time::span(s.idle_s), style: plain, order: |a, b| b.idle_s.cmp(&a.idle_s) },
    Column { title: "IN", rank: 6, width: Width::Figures(7), cell: |s, _| bytes(s.bytes_in), style: plain, order: |a, b| b.bytes_in.cmp(&a.bytes_in) },
    Column { title: "OUT", rank: 7, width: Width::Figures(7), cell: |s, _| bytes(s.bytes_out), style: plain, order: |a, b| b.bytes_out.cmp(&a.bytes_out) },
    Column { title: "", rank: 2, width: Width::Words(8, 8), cell: |s, _| String::from(if s.current { "this one" } else { "" }), style: |_, s| s.theme.accent, order: |a, b| b.current.cmp(&a.current) },
    Column { title: "ID", rank: 9, width: Width::Words(12, 12), cell: |s, _| s.id.clone(), style: |_, s| s.theme.muted, order: |a, b| a.id.cmp(&b.id) },
];

static OWN: &[Column<R>] = &REST;
static ALL: &[Column<R>] = {
    let [a, b, c, d, e, f, g, h, i] = REST;
    &[USER, a, b, c, d, e, f, g, h, i]
};

/// What a key does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Show,
    Kill,
    Back,
}

static KEYS: &[Binding<Command>] = &[
    Binding {
        keys: &[Key::Enter],
        shown: "Enter",
        word: "show",
        help: "all that is known of the connection",
        command: Command::Show,
    },
    Binding {
        keys: &[Key::Char('d'), Key::Delete],
        shown: "d",
        word: "end",
        help: "end the connection, or those that are marked, and all that runs in it (asks)",
        command: Command::Kill,
    },
    Binding {
        keys: &[Key::Esc],
        shown: "Esc",
        word: "",
        help: "take marks or the filter away",
        command: Command::Back,
    },
];

/// The connections.
#[derive(Debug)]
pub struct Sessions {
    /// The word of the page that they are on.
    page: &'static str,
    all: bool,
    table: Table<SessionInfo>,
    lost: Option<String>,
}

impl Sessions {
    /// One's own, or everybody's, on the page of that word.
    pub fn new(page: &'static str, all: bool) -> Sessions {
        Sessions { page, all, table: Table::new(if all { ALL } else { OWN }), lost: None }
    }

    fn kill(&self, shared: &Shared) -> Vec<Effect> {
        let chosen = self.table.chosen();
        let question = match chosen.as_slice() {
            [] => return Vec::new(),
            [session] => {
                let (user, from) = (text::clean(&session.user), text::clean(&session.source_ip));
                match (session.current, user == shared.me.name) {
                    (true, _) => String::from("End the connection that you are in?"),
                    (_, true) => format!("End your connection from {from}, and all that runs in it?"),
                    _ => format!("End {user}'s connection from {from}, and all that runs in it?"),
                }
            }
            more => format!("End {} connections, and all that runs in them?", more.len()),
        };
        let end = |session: &&SessionInfo| {
            let (user, from) = (text::clean(&session.user), text::clean(&session.source_ip));
            let said = format!("The connection of {user} from {from} is ended.");
            let kill = SessionKill { id: Some(session.id.clone()), user: None };
            Effect::Do(Task::new(kill, |ended| ended.map_or_else(Msg::Failed, |_| Msg::Done(said))))
        };
        // The own one last: nothing is done after it.
        let (own, others): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|s| s.current);
        let then = others.iter().chain(&own).map(end).collect();
        vec![Effect::Open(Box::new(Confirm::new("End a connection", question, then)))]
    }

    fn show(&self) -> Vec<Effect> {
        self.table.selected().map(|s| Effect::Line(format!("session show {}", s.id))).into_iter().collect()
    }
}

impl Pane for Sessions {
    fn title(&self) -> &'static str {
        "Sessions"
    }

    fn feed(&self) -> Option<Feed> {
        let all = self.all;
        Some(feeds::follow(self.page, 0, move || SessionFollow { all }))
    }

    fn on_news(&mut self, news: News, shared: &Shared) -> Result<Vec<Effect>, News> {
        let heard = news.downcast::<Heard<Vec<SessionInfo>>>()?;
        match heard.news {
            Ok(list) => {
                self.table.set(list, shared);
                self.lost = None;
            }
            Err(e) => self.lost = Some(e.message),
        }
        Ok(Vec::new())
    }

    fn on_key(&mut self, key: &Key, shared: &mut Shared) -> Option<Vec<Effect>> {
        if !self.table.takes_text() {
            match keymap::find(KEYS, key, |_| true) {
                Some(Command::Show) => return Some(self.show()),
                Some(Command::Kill) => return Some(self.kill(shared)),
                Some(Command::Back) => return self.table.back(shared).then(Vec::new),
                None => {}
            }
        }
        self.table.on_key(key, shared).then(Vec::new)
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared, front: bool) {
        let below = Rect { height: area.height.saturating_sub(u16::from(self.lost.is_some())), ..area };
        if !self.table.draw(frame, below, shared) && front && !self.table.takes_text() {
            empty::draw(frame, below, "Looking who is signed in…", "", &shared.theme);
        }
        if let Some(why) = &self.lost {
            let why = text::short(why, usize::from(area.width));
            frame.buffer_mut().set_string(area.x, below.bottom(), why, shared.theme.bad);
        }
    }

    fn status(&self) -> Option<String> {
        self.table.status()
    }

    fn hints(&self, _shared: &Shared) -> Vec<Hint> {
        if self.table.takes_text() {
            return self.table.hints();
        }
        let mut hints = keymap::hints(KEYS, |_| self.table.selected().is_some());
        hints.extend(self.table.hints());
        hints
    }

    fn help(&self) -> Vec<Hint> {
        let mut help = keymap::help(KEYS);
        help.extend(keymap::help(table::KEYS));
        help
    }

    fn takes_text(&self) -> bool {
        self.table.takes_text()
    }
}
