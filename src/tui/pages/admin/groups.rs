//! Classes and teams.

use crate::action::group::{GroupLs, GroupRm};
use crate::model::group::Group;
use crate::model::text;
use crate::term::keys::Key;
use crate::tui::effect::Effect;
use crate::tui::keymap::{Binding, key};
use crate::tui::page::Shared;
use crate::tui::widgets::listing::{Chosen, Kind, Place, named};
use crate::tui::widgets::table::{Column, Item, Width, plain};

impl Item for Group {
    fn key(&self) -> String {
        self.name.to_string()
    }

    fn words(&self, _shared: &Shared) -> String {
        format!("{} {} {}", self.name, self.note, members(self))
    }
}

type R = Group;

fn members(group: &R) -> String {
    group.members.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[rustfmt::skip]
static COLUMNS: &[Column<R>] = &[
    Column { title: "NAME", rank: 0, width: Width::Words(8, 14), cell: |g, _| g.name.to_string(), style: plain, order: |a, b| a.name.cmp(&b.name) },
    Column { title: "MEMBERS", rank: 2, width: Width::Words(20, 36), cell: |g, _| members(g), style: plain, order: |a, b| b.members.len().cmp(&a.members.len()) },
    Column { title: "VMS", rank: 1, width: Width::Figures(3), cell: |g, _| g.vms.len().to_string(), style: plain, order: |a, b| b.vms.len().cmp(&a.vms.len()) },
    Column { title: "NOTE", rank: 3, width: Width::Words(10, 24), cell: |g, _| text::clean(&g.note), style: |_, s| s.theme.muted, order: |a, b| a.note.cmp(&b.note) },
];

/// The groups.
#[derive(Debug)]
pub struct Groups;

/// What a key does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Another group.
    New,
    /// Who is in it, what is shared with it.
    Show,
    /// Take members in.
    Add,
    /// Remove it.
    Remove,
}

#[rustfmt::skip]
static KEYS: &[Binding<Verb>] = &[
    key(&[Key::Char('n')], "n", "new", "make a group: the command, to go on with", Verb::New),
    key(&[Key::Enter], "Enter", "show", "who is in the group, and what is shared with it", Verb::Show),
    key(&[Key::Char('a')], "a", "add", "take members in: the command, to go on with", Verb::Add),
    key(&[Key::Char('d'), Key::Delete], "d", "remove", "remove the group (asks)", Verb::Remove),
];

impl Kind for Groups {
    type Row = Group;
    type Ls = GroupLs;
    type Verb = Verb;

    const TITLE: &'static str = "Groups";
    const THINGS: &'static str = "the groups";
    const NONE: (&'static str, &'static str) = ("No groups yet.", "Press n to make one.");
    const COLUMNS: &'static [Column<Group>] = COLUMNS;
    const KEYS: &'static [Binding<Verb>] = KEYS;

    fn ls() -> GroupLs {
        GroupLs {}
    }

    fn needs_none(verb: Verb) -> bool {
        verb == Verb::New
    }

    fn act(place: Place<Groups>, verb: Verb, chosen: &Chosen<'_, Group>, _shared: &Shared) -> Vec<Effect> {
        let of_one = |line: fn(&Group) -> Effect| chosen.first().map(|g| line(g)).into_iter().collect();
        match verb {
            Verb::New => vec![Effect::Compose(String::from("group new "))],
            Verb::Show => of_one(|group| Effect::Line(format!("group show {}", group.name))),
            Verb::Add => of_one(|group| Effect::Compose(format!("group add {} ", group.name))),
            Verb::Remove => {
                let remove = |group: &&Group| {
                    let rm = GroupRm { name: group.name.clone(), yes: true };
                    place.perform(rm, format!("The group {} is gone.", group.name))
                };
                let what = named(chosen, "groups", |g| format!("the group “{}”", g.name));
                let question = format!("Remove {what}, and what is shared with it?");
                place.ask("Remove a group", question, chosen.iter().map(remove).collect())
            }
        }
    }
}
