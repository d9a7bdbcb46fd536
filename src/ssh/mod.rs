//! The SSH server: it lets people in, and carries what they do to the faces.
//!
//! ```text
//! server    accepts connections, bounds them, tells them when the portal stops
//! handler   who may come in (russh's authentication callbacks)
//! channel   one task for each session channel: its requests, its bytes, its end
//! welcome   the channel of those who come for an account or another password
//! entry     the logins in a VM that a connection's channels use
//! forward   jumps, forwards and agent connections: bytes between two ends
//! flow      what channels have sent and nobody read yet, and their windows
//! stream    the TCP stream below: cut from outside, read while there is room
//! ```
//!
//! russh runs its callbacks inside the connection's own loop, so none of them
//! waits for anything once somebody is signed in: they hand over and return.

mod channel;
mod entry;
mod flow;
mod forward;
mod handler;
mod limits;
mod server;
mod stream;
mod welcome;

pub use server::Server;
