//! What accounts may do.

use crate::action::role::{RoleLs, RoleRm};
use crate::model::{Role, Scope};
use crate::term::keys::Key;
use crate::tui::effect::Effect;
use crate::tui::keymap::{Binding, key};
use crate::tui::page::Shared;
use crate::tui::widgets::listing::{Chosen, Kind, Place, named};
use crate::tui::widgets::table::{Column, Item, Width, plain};

impl Item for Role {
    fn key(&self) -> String {
        self.name.to_string()
    }

    fn words(&self, _shared: &Shared) -> String {
        format!("{} {} {}", self.name, self.policy, reach(self))
    }
}

type R = Role;

fn reach(role: &R) -> String {
    let all = role.permissions.iter().filter(|(_, scope)| *scope == Scope::All).count();
    let own = role.permissions.iter().count() - all;
    match (all, own) {
        (0, own) => format!("{own} for one's own"),
        (all, 0) => format!("{all} for everything"),
        (all, own) => format!("{all} for everything, {own} for one's own"),
    }
}

#[rustfmt::skip]
static COLUMNS: &[Column<R>] = &[
    Column { title: "NAME", rank: 0, width: Width::Words(8, 12), cell: |r, _| r.name.to_string(), style: plain, order: |a, b| a.name.cmp(&b.name) },
    Column { title: "USERS", rank: 1, width: Width::Figures(5), cell: |r, _| r.users.to_string(), style: plain, order: |a, b| b.users.cmp(&a.users) },
    Column { title: "DEMANDS", rank: 2, width: Width::Words(14, 30), cell: |r, _| r.policy.to_string(), style: |_, s| s.theme.warn, order: |a, b| a.policy.to_string().cmp(&b.policy.to_string()) },
    Column { title: "PERMISSIONS", rank: 3, width: Width::Words(35, 38), cell: |r, _| reach(r), style: |_, s| s.theme.muted, order: |a, b| reach(a).cmp(&reach(b)) },
];

/// The roles.
#[derive(Debug)]
pub struct Roles;

/// What a key does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Another role.
    New,
    /// All that it may do.
    Show,
    /// Change it.
    Set,
    /// Remove it.
    Remove,
}

#[rustfmt::skip]
static KEYS: &[Binding<Verb>] = &[
    key(&[Key::Char('n')], "n", "new", "make a role: the command, to go on with", Verb::New),
    key(&[Key::Enter], "Enter", "show", "all that the role may do", Verb::Show),
    key(&[Key::Char('e')], "e", "change", "change the role: the command, to go on with", Verb::Set),
    key(&[Key::Char('d'), Key::Delete], "d", "remove", "remove the role (asks)", Verb::Remove),
];

impl Kind for Roles {
    type Row = Role;
    type Ls = RoleLs;
    type Verb = Verb;

    const TITLE: &'static str = "Roles";
    const THINGS: &'static str = "the roles";
    const NONE: (&'static str, &'static str) = ("No roles.", "");
    const COLUMNS: &'static [Column<Role>] = COLUMNS;
    const KEYS: &'static [Binding<Verb>] = KEYS;

    fn ls() -> RoleLs {
        RoleLs {}
    }

    fn needs_none(verb: Verb) -> bool {
        verb == Verb::New
    }

    fn act(place: Place<Roles>, verb: Verb, chosen: &Chosen<'_, Role>, _shared: &Shared) -> Vec<Effect> {
        let of_one = |line: fn(&Role) -> Effect| chosen.first().map(|r| line(r)).into_iter().collect();
        match verb {
            Verb::New => vec![Effect::Compose(String::from("role new "))],
            Verb::Show => of_one(|role| Effect::Line(format!("role show {}", role.name))),
            Verb::Set => of_one(|role| Effect::Compose(format!("role set {} ", role.name))),
            Verb::Remove => {
                let remove = |role: &&Role| {
                    place.perform(
                        RoleRm { name: role.name.clone() },
                        format!("The role {} is gone.", role.name),
                    )
                };
                let what = named(chosen, "roles", |r| format!("the role “{}”", r.name));
                place.ask("Remove a role", format!("Remove {what}?"), chosen.iter().map(remove).collect())
            }
        }
    }
}
