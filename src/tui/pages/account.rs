//! One's own account: keys, password, preferences, connections.

pub mod add_key;
pub mod enrol;
pub mod factor;
pub mod keys;
pub mod password;
pub mod preferences;
pub mod prove;

use super::sessions::Sessions;
use crate::tui::page::Entry;
use crate::tui::widgets::listing::Listing;
use crate::tui::widgets::panes::Panes;

const WORD: &str = "account";

/// The page's place.
pub static ENTRY: Entry = Entry {
    word: WORD,
    title: "Account",
    allowed: |_| true,
    open: |_| {
        Box::new(Panes::new(
            WORD,
            vec![
                Box::new(Listing::<keys::Keys>::new(WORD)),
                Box::new(password::Password::default()),
                Box::new(factor::Factor::default()),
                Box::new(preferences::Wishes::default()),
                Box::new(Sessions::new(WORD, false)),
            ],
        ))
    },
};
