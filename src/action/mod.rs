//! Every verb, once: one file per noun, one struct per verb. The struct is what
//! clap fills from a line, what a form on the screen fills, and what the audit
//! writes down; [`crate::portal::Portal::perform`] alone runs it.

pub mod account;
pub mod ban;
pub mod ca;
pub mod catalogue;
pub mod enter;
pub mod event;
pub mod group;
pub mod host;
pub mod invite;
pub mod job;
pub mod key;
pub mod role;
pub mod session;
pub mod totp;
pub mod user;
pub mod user_import;
pub mod vm;
