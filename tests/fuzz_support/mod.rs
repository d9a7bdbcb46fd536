//! What the fuzzer of the SSH server is made of.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod dice;
pub mod life;
pub mod messages;
