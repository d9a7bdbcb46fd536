//! The pages. Each keeps its own state, lists its own keys, and draws itself.

pub mod vms;
