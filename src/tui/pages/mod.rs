//! The pages. Each keeps its own state, lists its own keys, and draws itself.

pub mod account;
pub mod admin;
pub mod events;
mod sessions;
pub mod vms;

use super::page::Entry;

/// Every page, in the order of their numbers: a new one is a line here.
pub static PAGES: &[&Entry] = &[&vms::ENTRY, &events::ENTRY, &account::ENTRY, &admin::ENTRY];
