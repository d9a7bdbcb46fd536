//! The accounts.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::WORD;
use super::new_user::NewUser;
use crate::action::user::UserLs;
use crate::error::Result;
use crate::model::{Time, User, text, time};
use crate::term::keys::Key;
use crate::tui::app::Msg;
use crate::tui::effect::{Effect, Task};
use crate::tui::keymap::{self, Binding, Hint, key};
use crate::tui::page::{News, Shared};
use crate::tui::widgets::empty;
use crate::tui::widgets::panes::Pane;
use crate::tui::widgets::table::{self, Column, Item, Table, Width, plain};

impl Item for User {
    fn key(&self) -> String {
        self.name.clone()
    }

    fn words(&self, _shared: &Shared) -> String {
        format!("{} {} {}", self.name, self.role, state(self))
    }
}

type R = User;

fn state(user: &R) -> &'static str {
    match (user.enabled, user.must_change_password) {
        (false, _) => "disabled",
        (true, true) => "has to choose a password",
        (true, false) => "enabled",
    }
}

fn login(user: &R) -> String {
    let ago = |t: Time| format!("{} ago", time::span(Time::now().seconds_since(t)));
    user.last_login_at.map_or_else(|| String::from("never"), ago)
}

#[rustfmt::skip]
static COLUMNS: &[Column<R>] = &[
    Column { title: "NAME", rank: 0, width: Width::Words(10, 14), cell: |u, _| text::clean(&u.name), style: plain, order: |a, b| a.name.cmp(&b.name) },
    Column { title: "ROLE", rank: 1, width: Width::Words(5, 6), cell: |u, _| u.role.to_string(), style: plain, order: |a, b| a.role.as_str().cmp(b.role.as_str()) },
    Column { title: "STATE", rank: 2, width: Width::Words(8, 24), cell: |u, _| state(u).to_owned(),
        style: |u, s| if u.enabled && !u.must_change_password { s.theme.good } else { s.theme.warn }, order: |a, b| state(a).cmp(state(b)) },
    Column { title: "LAST LOGIN", rank: 3, width: Width::Figures(10), cell: |u, _| login(u), style: plain, order: |a, b| b.last_login_at.cmp(&a.last_login_at) },
    Column { title: "MADE", rank: 4, width: Width::Words(10, 10), cell: |u, s| s.preferences.time_zone.date(u.created_at), style: |_, s| s.theme.muted, order: |a, b| a.created_at.cmp(&b.created_at) },
];

/// What this part hears.
#[derive(Debug)]
pub enum Heard {
    /// The accounts.
    Users(Result<Vec<User>>),
    /// The name of a new one.
    Made(String),
}

/// Looks the accounts up.
pub(super) fn look() -> Effect {
    Effect::Do(Task::new(UserLs {}, |users| Msg::news(WORD, Heard::Users(users))))
}

/// What a key does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    New,
    Show,
    Refresh,
    Back,
}

#[rustfmt::skip]
static KEYS: &[Binding<Command>] = &[
    key(&[Key::Char('n')], "n", "new", "make an account", Command::New),
    key(&[Key::Enter], "Enter", "show", "all that is known of the account", Command::Show),
    key(&[Key::Char('r')], "r", "look again", "look the accounts up again", Command::Refresh),
    key(&[Key::Esc], "Esc", "", "take marks or the filter away", Command::Back),
];

/// The accounts.
#[derive(Debug)]
pub struct Users {
    table: Table<User>,
    known: bool,
}

impl Default for Users {
    fn default() -> Self {
        Users { table: Table::new(COLUMNS), known: false }
    }
}

impl Pane for Users {
    fn title(&self) -> &'static str {
        "Users"
    }

    fn begin(&mut self, _shared: &Shared) -> Vec<Effect> {
        vec![look()]
    }

    fn on_news(&mut self, news: News, shared: &Shared) -> Result<Vec<Effect>, News> {
        match *news.downcast::<Heard>()? {
            Heard::Users(Ok(users)) => {
                self.table.set(users, shared);
                self.known = true;
            }
            Heard::Users(Err(e)) => return Ok(vec![Effect::complain(e)]),
            Heard::Made(name) => self.table.select(&name),
        }
        Ok(Vec::new())
    }

    fn on_key(&mut self, key: &Key, shared: &mut Shared) -> Option<Vec<Effect>> {
        if !self.table.takes_text() {
            match keymap::find(KEYS, key, |_| true) {
                Some(Command::New) => return Some(vec![Effect::Open(Box::new(NewUser::default()))]),
                Some(Command::Show) => {
                    let line = |user: &User| Effect::Line(format!("user show {}", user.name));
                    return Some(self.table.selected().map(line).into_iter().collect());
                }
                Some(Command::Refresh) => return Some(vec![look()]),
                // Where there is nothing to take away, the frame has the key.
                Some(Command::Back) => return self.table.back(shared).then(Vec::new),
                None => {}
            }
        }
        self.table.on_key(key, shared).then(Vec::new)
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, shared: &Shared, _front: bool) {
        if !self.table.draw(frame, area, shared) && !self.table.takes_text() {
            let (what, next) = match self.known {
                false => ("Looking for the accounts…", ""),
                true => ("No account holds these words.", "Esc shows all."),
            };
            empty::draw(frame, area, what, next, &shared.theme);
        }
    }

    fn status(&self) -> Option<String> {
        self.table.status()
    }

    fn hints(&self, _shared: &Shared) -> Vec<Hint> {
        if self.table.takes_text() {
            return self.table.hints();
        }
        let mut hints = keymap::hints(KEYS, |c| c != Command::Show || self.table.selected().is_some());
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
