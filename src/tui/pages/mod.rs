//! The pages. Each keeps its own state, lists its own keys, and draws itself.

pub mod account;
pub mod admin;
pub mod dashboard;
pub mod events;
pub mod jobs;
mod sessions;
pub mod vms;

use super::page::Entry;

/// Every page, in the order of their numbers: a new one is a line here.
pub static PAGES: &[&Entry] =
    &[&dashboard::ENTRY, &vms::ENTRY, &jobs::ENTRY, &events::ENTRY, &account::ENTRY, &admin::ENTRY];
