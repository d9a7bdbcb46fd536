//! Small parts that pages are drawn with. They know nothing of VMs.

pub mod area;
pub mod bar;
pub mod columns;
pub mod empty;
pub mod footer;
pub mod form;
pub mod input;
pub mod listing;
pub mod modal;
pub mod panes;
pub mod scroll;
pub mod secret;
pub mod sheet;
pub mod spark;
pub mod table;
pub mod words;
