//! Invitations.

use crate::action::invite::{InviteLs, InviteRm};
use crate::model::{Invitation, InvitationState, text};
use crate::term::keys::Key;
use crate::tui::effect::Effect;
use crate::tui::keymap::{Binding, key};
use crate::tui::page::Shared;
use crate::tui::widgets::listing::{Chosen, Kind, Place, named};
use crate::tui::widgets::table::{Column, Item, Width, plain};

impl Item for Invitation {
    fn key(&self) -> String {
        self.id.to_string()
    }

    fn words(&self, _shared: &Shared) -> String {
        let group = self.group.as_deref().unwrap_or_default();
        format!("{} {} {} {group} {}", self.id, self.state, self.role, self.created_by)
    }
}

type R = Invitation;

#[rustfmt::skip]
static COLUMNS: &[Column<R>] = &[
    Column { title: "ID", rank: 0, width: Width::Figures(4), cell: |i, _| i.id.to_string(), style: plain, order: |a, b| a.id.cmp(&b.id) },
    Column { title: "STATE", rank: 1, width: Width::Words(7, 8), cell: |i, _| i.state.to_string(),
        style: |i, s| if i.state == InvitationState::Open { s.theme.good } else { s.theme.muted }, order: |a, b| a.state.cmp(&b.state) },
    Column { title: "ROLE", rank: 2, width: Width::Words(8, 10), cell: |i, _| i.role.to_string(), style: plain, order: |a, b| a.role.cmp(&b.role) },
    Column { title: "USED", rank: 3, width: Width::Figures(7), cell: |i, _| format!("{} of {}", i.used, i.uses), style: plain, order: |a, b| a.used.cmp(&b.used) },
    Column { title: "GROUP", rank: 6, width: Width::Words(8, 12), cell: |i, _| text::clean(i.group.as_deref().unwrap_or_default()), style: plain, order: |a, b| a.group.cmp(&b.group) },
    Column { title: "UNTIL", rank: 4, width: Width::Words(14, 14), cell: |i, s| s.preferences.time_zone.short(i.expires_at), style: |_, s| s.theme.muted, order: |a, b| a.expires_at.cmp(&b.expires_at) },
    Column { title: "BY", rank: 5, width: Width::Words(8, 12), cell: |i, _| text::clean(&i.created_by), style: plain, order: |a, b| a.created_by.cmp(&b.created_by) },
];

/// The invitations.
#[derive(Debug)]
pub struct Invites;

/// What a key does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Another one.
    New,
    /// Take it back.
    Remove,
}

#[rustfmt::skip]
static KEYS: &[Binding<Verb>] = &[
    key(&[Key::Char('n')], "n", "invite", "invite somebody: the command, to go on with", Verb::New),
    key(&[Key::Char('d'), Key::Delete], "d", "take back", "take the invitation back (asks)", Verb::Remove),
];

impl Kind for Invites {
    type Row = Invitation;
    type Ls = InviteLs;
    type Verb = Verb;

    const TITLE: &'static str = "Invites";
    const THINGS: &'static str = "the invitations";
    const NONE: (&'static str, &'static str) = ("No invitations.", "Press n to invite somebody.");
    const COLUMNS: &'static [Column<Invitation>] = COLUMNS;
    const KEYS: &'static [Binding<Verb>] = KEYS;

    fn ls() -> InviteLs {
        InviteLs {}
    }

    fn needs_none(verb: Verb) -> bool {
        verb == Verb::New
    }

    fn act(place: Place<Invites>, verb: Verb, chosen: &Chosen<'_, Invitation>, _: &Shared) -> Vec<Effect> {
        match verb {
            Verb::New => vec![Effect::Compose(String::from("invite new "))],
            Verb::Remove => {
                let remove = |i: &&Invitation| {
                    place.perform(InviteRm { id: i.id }, format!("Invitation {} is taken back.", i.id))
                };
                let what = named(chosen, "invitations", |i| format!("invitation {}", i.id));
                let question = format!("Take {what} back? Nobody can come by it any more.");
                place.ask("Take back", question, chosen.iter().map(remove).collect())
            }
        }
    }
}
