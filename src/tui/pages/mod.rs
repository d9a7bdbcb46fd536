//! The pages. Each keeps its own state, lists its own keys, and draws itself.

pub mod dashboard;
pub mod jobs;
pub mod vms;

use super::page::Entry;

/// Every page, in the order of their numbers: a new one is a line here.
pub static PAGES: &[&Entry] = &[&dashboard::ENTRY, &vms::ENTRY, &jobs::ENTRY];
