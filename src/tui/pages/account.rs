//! One's own account: keys, password, preferences, connections.

mod add_key;
mod keys;
mod password;
mod preferences;

use super::sessions::Sessions;
use crate::tui::page::Entry;
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
                Box::new(keys::Keys::new()),
                Box::new(password::Password::new()),
                Box::new(preferences::Wishes::new()),
                Box::new(Sessions::new(WORD, false)),
            ],
        ))
    },
};
