//! The accounts.

use super::WORD;
use super::new_user::NewUser;
use crate::action::user::{UserDisable, UserEnable, UserLs, UserReset2fa, UserRm};
use crate::model::name::UserName;
use crate::model::{Time, User, text, time};
use crate::term::keys::Key;
use crate::tui::effect::Effect;
use crate::tui::keymap::{Binding, key};
use crate::tui::page::Shared;
use crate::tui::widgets::listing::{Chosen, Kind, Place, named};
use crate::tui::widgets::table::{Column, Item, Width, plain};

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
    Column { title: "ROLE", rank: 1, width: Width::Words(5, 8), cell: |u, _| u.role.to_string(), style: plain, order: |a, b| a.role.as_str().cmp(b.role.as_str()) },
    Column { title: "STATE", rank: 2, width: Width::Words(8, 24), cell: |u, _| state(u).to_owned(),
        style: |u, s| if u.enabled && !u.must_change_password { s.theme.good } else { s.theme.warn }, order: |a, b| state(a).cmp(state(b)) },
    Column { title: "LAST LOGIN", rank: 3, width: Width::Figures(10), cell: |u, _| login(u), style: plain, order: |a, b| b.last_login_at.cmp(&a.last_login_at) },
    Column { title: "MADE", rank: 4, width: Width::Words(10, 10), cell: |u, s| s.preferences.time_zone.date(u.created_at), style: |_, s| s.theme.muted, order: |a, b| a.created_at.cmp(&b.created_at) },
];

/// The accounts.
#[derive(Debug)]
pub struct Users;

/// Where they are.
pub(super) const PLACE: Place<Users> = Place::new(WORD);

/// What a key does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Another account.
    New,
    /// All that is known of one.
    Show,
    /// Change one: the command.
    Set,
    /// Another role for a time: the command.
    Grant,
    /// Let them sign in no more, or again.
    Switch,
    /// A token for another password.
    Reset,
    /// Take the second factor off.
    ResetFactor,
    /// Remove them.
    Remove,
}

#[rustfmt::skip]
static KEYS: &[Binding<Verb>] = &[
    key(&[Key::Char('n')], "n", "new", "make an account", Verb::New),
    key(&[Key::Enter], "Enter", "show", "all that is known of the account", Verb::Show),
    key(&[Key::Char('e')], "e", "change", "change the account: the command, to go on with", Verb::Set),
    key(&[Key::Char('t')], "t", "", "grant it a role for a time: the command, to go on with", Verb::Grant),
    key(&[Key::Char('x')], "x", "dis/enable", "let it sign in no more, or again (asks)", Verb::Switch),
    key(&[Key::Char('p')], "p", "", "make a token for another password", Verb::Reset),
    key(&[Key::Char('f')], "f", "", "take its second factor off (asks)", Verb::ResetFactor),
    key(&[Key::Char('d'), Key::Delete], "d", "remove", "remove the account, or those that are marked (asks)", Verb::Remove),
];

impl Kind for Users {
    type Row = User;
    type Ls = UserLs;
    type Verb = Verb;

    const TITLE: &'static str = "Users";
    const THINGS: &'static str = "the accounts";
    const NONE: (&'static str, &'static str) = ("No accounts.", "");
    const COLUMNS: &'static [Column<User>] = COLUMNS;
    const KEYS: &'static [Binding<Verb>] = KEYS;

    fn ls() -> UserLs {
        UserLs {}
    }

    fn needs_none(verb: Verb) -> bool {
        verb == Verb::New
    }

    fn act(place: Place<Users>, verb: Verb, chosen: &Chosen<'_, User>, _shared: &Shared) -> Vec<Effect> {
        let of_one = |line: fn(&User) -> Effect| chosen.first().map(|user| line(user)).into_iter().collect();
        let who = named(chosen, "accounts", |u| format!("the account “{}”", u.name));
        match verb {
            Verb::New => vec![Effect::Open(Box::new(NewUser::default()))],
            Verb::Show => of_one(|user| Effect::Line(format!("user show {}", user.name))),
            Verb::Set => of_one(|user| Effect::Compose(format!("user set {} ", user.name))),
            Verb::Grant => {
                of_one(|user| Effect::Compose(format!("role grant operator {} --expires 2h", user.name)))
            }
            Verb::Reset => of_one(|user| Effect::Line(format!("user passwd-reset {}", user.name))),
            Verb::Switch => {
                let whose = if chosen.len() == 1 { "its" } else { "their" };
                let off = chosen.iter().any(|user| user.enabled);
                let then = each(chosen, |name, user| match off {
                    true => place.perform(UserDisable { name }, format!("{user} is disabled.")),
                    false => place.perform(UserEnable { name }, format!("{user} is enabled.")),
                });
                let question = match off {
                    true => format!("Disable {who}, and end {whose} connections? VMs go on."),
                    false => format!("Enable {who}?"),
                };
                place.ask("Accounts", question, then)
            }
            Verb::ResetFactor => {
                let then = each(chosen, |name, user| {
                    place.perform(UserReset2fa { name }, format!("{user} has no second factor any more."))
                });
                place.ask("Second factor", format!("Take the second factor off {who}?"), then)
            }
            Verb::Remove => {
                let then = each(chosen, |name, user| {
                    place.perform(UserRm { name, yes: true }, format!("{user} is gone."))
                });
                place.ask("Remove", format!("Remove {who}, with its keys?"), then)
            }
        }
    }
}

/// Something for each account.
fn each(chosen: &[&User], effect: impl Fn(UserName, &str) -> Effect) -> Vec<Effect> {
    chosen.iter().filter_map(|user| Some(effect(user.name.parse().ok()?, &user.name))).collect()
}
