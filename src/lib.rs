//! Twarga: a small cloud that you SSH into.
pub mod driver;
pub mod error;
pub mod http;
pub mod model;
pub mod stdio;
