//! For those who run the place: accounts, connections, the host, what is offered.

pub mod bans;
pub mod catalogue;
pub mod groups;
pub mod host;
pub mod invites;
pub mod new_user;
pub mod roles;
pub mod users;

use super::sessions::Sessions;
use crate::model::{Permission, Scope};
use crate::tui::page::Entry;
use crate::tui::widgets::listing::Listing;
use crate::tui::widgets::panes::Panes;

const WORD: &str = "admin";

/// The page's place.
pub static ENTRY: Entry = Entry {
    word: WORD,
    title: "Admin",
    allowed: |me| me.rights.scope(Permission::UserRead) == Scope::All,
    open: |_| {
        Box::new(Panes::new(
            WORD,
            vec![
                Box::new(Listing::<users::Users>::new(WORD)),
                Box::new(Listing::<roles::Roles>::new(WORD)),
                Box::new(Listing::<groups::Groups>::new(WORD)),
                Box::new(Listing::<invites::Invites>::new(WORD)),
                Box::new(Listing::<bans::Bans>::new(WORD)),
                Box::new(Sessions::new(WORD, true)),
                Box::new(host::Host::default()),
                Box::new(catalogue::Catalogue::default()),
            ],
        ))
    },
};
