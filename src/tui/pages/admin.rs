//! For those who run the place: accounts, connections, the host, what is offered.

pub mod catalogue;
pub mod host;
pub mod new_user;
pub mod users;

use super::sessions::Sessions;
use crate::model::{Permission, Scope};
use crate::tui::page::Entry;
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
                Box::new(users::Users::default()),
                Box::new(Sessions::new(WORD, true)),
                Box::new(host::Host::default()),
                Box::new(catalogue::Catalogue::default()),
            ],
        ))
    },
};
