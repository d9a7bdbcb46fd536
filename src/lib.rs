//! Twarga: a small cloud that you SSH into.
//!
//! # The map
//!
//! Folders are layers; a layer uses only what stands to its left.
//!
//! ```text
//! model ← store, driver, image, guest ← portal ← action ← shell, tui ← ssh ← cli
//!                                          └── http reads what the portal publishes
//! error, config, term, algorithms, memory, crash: below everything
//! ```
//!
//! | place | what is there |
//! | --- | --- |
//! | [`model`] | plain types: a VM, an account, a job, an event; names and their rules |
//! | [`error`] | the one table of errors: codes, hints, exit statuses |
//! | [`config`] | `twarga.toml`, with every mistake and its line |
//! | [`term`] | the two ends of a session as faces see them; a terminal's bytes as keys |
//! | [`algorithms`] | the SSH algorithms that are spoken, on both sides |
//! | [`memory`] | no dumps of it; what is not needed any more goes back to the system |
//! | `crash` | in debug builds: where a test lets the portal die |
//! | [`store`] | the only SQL: a writer's thread, pooled readers, migrations |
//! | [`driver`] | the trait `Driver`; libvirt; a mock; the NoCloud seed |
//! | [`image`] | the catalogue of images: manifests, hashes, recipes |
//! | [`guest`] | the portal as an SSH client of a VM; its console |
//! | [`portal`] | the rules: the door, logins, the guard, jobs, events, machines, the monitor |
//! | [`action`] | every verb once: one file per noun, one struct per verb |
//! | [`shell`] | lines: grammar, answers as text or JSON, prompts, the editor |
//! | [`tui`] | the full screen |
//! | [`ssh`] | the server: connections, logins, channels, forwards |
//! | [`http`] | the status page, probes and metrics, from a published snapshot |
//! | [`cli`] | the program on the host: `serve`, `doctor`, `backup`, … |
//!
//! # What always holds
//!
//! - **One door.** Whatever anybody wants done is an [`portal::Action`], performed by
//!   [`portal::Portal::perform`]: it alone finds the target, authorises that row,
//!   writes the attempt down, runs, and writes the outcome down. If the attempt
//!   cannot be written, nothing runs. What is missing and what is forbidden get one
//!   answer. Faces hold no rules, and import neither `store` nor `driver`.
//! - **One way in.** Whatever somebody shows (a password, a key, a certificate, a code)
//!   leads through [`portal::auth::Login`]; whoever is here is looked at again whenever
//!   rights change. Nobody gives, takes or changes more than he may himself.
//! - **Written down before it is made.** A VM's row, its identity and its port stand
//!   in the database before there is a folder or a domain, and leave it last; a
//!   restart finishes or undoes what a stop left in the middle.
//! - **Nothing waits where it must not.** No SQL and no libvirt call on an async
//!   worker; nothing in an SSH callback once somebody is signed in; HTTP answers
//!   from memory.
//! - **Bounded.** Connections, channels, lines, queues, histories, rows that strangers
//!   cause: each has a limit, and the slow client never grows our memory.
//! - **Secrets** are not serialised into the audit, not formatted by `Debug`, and not
//!   in error texts; what held them is wiped. What has to be kept readable is sealed
//!   with a key outside the database ([`portal::seal`]).
//! - **Text from outside** passes `model::text` before it reaches a terminal.
//! - **Nobody reaches the host.** A forward names a VM that the account may enter, or
//!   something inside one.
//! - `unsafe` lives in `driver::libvirt`, and as two calls in `memory`.

pub mod action;
pub mod algorithms;
pub mod cli;
pub mod config;
mod crash;
pub mod driver;
pub mod error;
pub mod guest;
pub mod http;
pub mod image;
pub mod memory;
pub mod model;
pub mod portal;
pub mod shell;
pub mod ssh;
pub mod store;
pub mod term;
pub mod tui;
