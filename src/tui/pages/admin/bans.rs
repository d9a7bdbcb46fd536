//! Addresses that are kept out.

use crate::action::ban::{BanLs, BanRm};
use crate::model::{Ban, text};
use crate::term::keys::Key;
use crate::tui::effect::Effect;
use crate::tui::keymap::{Binding, key};
use crate::tui::page::Shared;
use crate::tui::widgets::listing::{Chosen, Kind, Place, named};
use crate::tui::widgets::table::{Column, Item, Width, plain};

impl Item for Ban {
    fn key(&self) -> String {
        self.network.to_string()
    }

    fn words(&self, _shared: &Shared) -> String {
        format!("{} {} {}", self.network, by(self), self.note)
    }
}

type R = Ban;

fn by(ban: &R) -> String {
    ban.by.as_deref().map_or_else(|| String::from("the guard"), text::clean)
}

fn until(ban: &R, shared: &Shared) -> String {
    ban.until.map_or_else(|| String::from("it is lifted"), |t| shared.preferences.time_zone.short(t))
}

#[rustfmt::skip]
static COLUMNS: &[Column<R>] = &[
    Column { title: "ADDRESS", rank: 0, width: Width::Words(18, 22), cell: |b, _| b.network.to_string(), style: plain, order: |a, b| a.network.cmp(&b.network) },
    Column { title: "UNTIL", rank: 1, width: Width::Words(14, 14), cell: until, style: |_, s| s.theme.warn, order: |a, b| a.until.cmp(&b.until) },
    Column { title: "BY", rank: 2, width: Width::Words(9, 12), cell: |b, _| by(b), style: plain, order: |a, b| by(a).cmp(&by(b)) },
    Column { title: "STRIKES", rank: 3, width: Width::Figures(7), cell: |b, _| b.strikes.to_string(), style: plain, order: |a, b| b.strikes.cmp(&a.strikes) },
    Column { title: "SINCE", rank: 5, width: Width::Words(14, 14), cell: |b, s| s.preferences.time_zone.short(b.since), style: |_, s| s.theme.muted, order: |a, b| a.since.cmp(&b.since) },
    Column { title: "NOTE", rank: 4, width: Width::Words(26, 30), cell: |b, _| text::clean(&b.note), style: |_, s| s.theme.muted, order: |a, b| a.note.cmp(&b.note) },
];

/// The bans.
#[derive(Debug)]
pub struct Bans;

/// What a key does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Another one.
    Add,
    /// Lift it.
    Lift,
}

#[rustfmt::skip]
static KEYS: &[Binding<Verb>] = &[
    key(&[Key::Char('n')], "n", "ban", "ban an address or a network: the command, to go on with", Verb::Add),
    key(&[Key::Char('d'), Key::Delete], "d", "lift", "let it in again, or all that are marked (asks)", Verb::Lift),
];

impl Kind for Bans {
    type Row = Ban;
    type Ls = BanLs;
    type Verb = Verb;

    const TITLE: &'static str = "Bans";
    const THINGS: &'static str = "the bans";
    const NONE: (&'static str, &'static str) = ("Nobody is banned.", "");
    const COLUMNS: &'static [Column<Ban>] = COLUMNS;
    const KEYS: &'static [Binding<Verb>] = KEYS;

    fn ls() -> BanLs {
        BanLs {}
    }

    fn needs_none(verb: Verb) -> bool {
        verb == Verb::Add
    }

    fn act(place: Place<Bans>, verb: Verb, chosen: &Chosen<'_, Ban>, _shared: &Shared) -> Vec<Effect> {
        match verb {
            Verb::Add => vec![Effect::Compose(String::from("ban add "))],
            Verb::Lift => {
                let lift = |ban: &&Ban| {
                    place.perform(BanRm { network: ban.network }, format!("{} is let in again.", ban.network))
                };
                let what = named(chosen, "addresses", |b| b.network.to_string());
                place.ask("Lift a ban", format!("Let {what} in again?"), chosen.iter().map(lift).collect())
            }
        }
    }
}
