//! The keys that the account signs in with.

use super::WORD;
use super::add_key::AddKey;
use crate::action::key::{KeyLs, KeyRm};
use crate::model::{SshKey, Time, text, time};
use crate::term::keys::Key;
use crate::tui::app::Mood;
use crate::tui::effect::Effect;
use crate::tui::keymap::{Binding, key};
use crate::tui::page::Shared;
use crate::tui::widgets::listing::{Chosen, Kind, Place, named};
use crate::tui::widgets::table::{Column, Item, Width, plain};

impl Item for SshKey {
    fn key(&self) -> String {
        self.id.to_string()
    }

    fn words(&self, _shared: &Shared) -> String {
        format!("{} {} {}", self.note, self.algorithm, self.fingerprint)
    }
}

type R = SshKey;

fn used(key: &R) -> String {
    let ago = |t: Time| format!("{} ago", time::span(Time::now().seconds_since(t)));
    key.last_used_at.map_or_else(|| String::from("never"), ago)
}

fn limits(key: &R) -> String {
    text::clean(&key.limits.words())
}

/// What its owner calls it; failing that, the beginning of its fingerprint.
fn note(key: &R) -> String {
    if key.note.is_empty() { text::short(&key.fingerprint, 16) } else { text::clean(&key.note) }
}

#[rustfmt::skip]
static COLUMNS: &[Column<R>] = &[
    Column { title: "NOTE", rank: 0, width: Width::Words(8, 12), cell: |k, _| note(k), style: plain, order: |a, b| a.note.cmp(&b.note) },
    Column { title: "FINGERPRINT", rank: 2, width: Width::Words(50, 50), cell: |k, _| text::clean(&k.fingerprint), style: |_, s| s.theme.accent, order: |a, b| a.fingerprint.cmp(&b.fingerprint) },
    Column { title: "USED", rank: 1, width: Width::Figures(7), cell: |k, _| used(k), style: plain, order: |a, b| b.last_used_at.cmp(&a.last_used_at) },
    Column { title: "LIMITS", rank: 3, width: Width::Words(10, 24), cell: |k, _| limits(k), style: |_, s| s.theme.warn, order: |a, b| limits(a).cmp(&limits(b)) },
    Column { title: "ALGORITHM", rank: 5, width: Width::Words(11, 12), cell: |k, _| text::clean(&k.algorithm), style: plain, order: |a, b| a.algorithm.cmp(&b.algorithm) },
    Column { title: "ADDED", rank: 4, width: Width::Words(10, 10), cell: |k, s| s.preferences.time_zone.date(k.created_at), style: |_, s| s.theme.muted, order: |a, b| a.created_at.cmp(&b.created_at) },
];

/// The keys.
#[derive(Debug)]
pub struct Keys;

const PLACE: Place<Keys> = Place::new(WORD);

/// Tells of a key that was added, and looks the keys up again.
pub(super) fn added(keys: &[SshKey]) -> Vec<Effect> {
    let Some(key) = keys.last() else { return vec![PLACE.look()] };
    let said = format!("The key {} is added.", text::clean(&key.fingerprint));
    let mut effects = PLACE.made(key.id.to_string());
    effects.push(Effect::Say(Mood::Good, said, String::new()));
    effects
}

/// What a key does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Another key.
    Add,
    /// Remove keys.
    Remove,
    /// Copy one's line.
    Copy,
}

#[rustfmt::skip]
static KEYS: &[Binding<Verb>] = &[
    key(&[Key::Char('n')], "n", "add", "add a key: paste a line of a .pub file (here, too)", Verb::Add),
    key(&[Key::Char('d'), Key::Delete], "d", "remove", "remove the key, or those that are marked (asks)", Verb::Remove),
    key(&[Key::Char('y')], "y", "copy", "copy the key's line", Verb::Copy),
];

impl Kind for Keys {
    type Row = SshKey;
    type Ls = KeyLs;
    type Verb = Verb;

    const TITLE: &'static str = "Keys";
    const THINGS: &'static str = "your keys";
    const NONE: (&'static str, &'static str) = ("No keys yet.", "Press n, and paste a line of a .pub file.");
    const COLUMNS: &'static [Column<SshKey>] = COLUMNS;
    const KEYS: &'static [Binding<Verb>] = KEYS;

    fn ls() -> KeyLs {
        KeyLs {}
    }

    fn needs_none(verb: Verb) -> bool {
        verb == Verb::Add
    }

    fn act(place: Place<Keys>, verb: Verb, chosen: &Chosen<'_, SshKey>, _shared: &Shared) -> Vec<Effect> {
        match verb {
            Verb::Add => vec![Effect::Open(Box::new(AddKey::new("")))],
            Verb::Remove => {
                let remove = |key: &&SshKey| {
                    let said = format!("The key {} is removed.", text::clean(&key.fingerprint));
                    place.perform(KeyRm { keys: vec![key.id.to_string()] }, said)
                };
                let name = |key: &SshKey| {
                    let name = if key.note.is_empty() { &key.fingerprint } else { &key.note };
                    format!("the key “{}”", text::short(name, 50))
                };
                let what = named(chosen, "keys", name);
                let last = if chosen.len() == chosen.of { " It is the last one." } else { "" };
                place.ask(
                    "Remove a key",
                    format!("Remove {what}?{last}"),
                    chosen.iter().map(remove).collect(),
                )
            }
            Verb::Copy => {
                let Some(key) = chosen.first() else { return Vec::new() };
                let line = text::clean(format!("{} {}", key.line, key.note).trim());
                let said = format!("Copied: {}", text::clean(&key.fingerprint));
                vec![Effect::Copy(line), Effect::Say(Mood::Plain, said, String::new())]
            }
        }
    }

    fn paste(text: &str) -> Option<Vec<Effect>> {
        Some(vec![Effect::Open(Box::new(AddKey::new(text)))])
    }
}
