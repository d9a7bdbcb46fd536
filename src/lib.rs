//! Twarga: a small cloud that you SSH into.
pub mod action;
pub mod algorithms;
pub mod cli;
pub mod config;
pub mod driver;
pub mod error;
pub mod guest;
pub mod http;
pub mod image;
pub mod model;
pub mod portal;
pub mod shell;
pub mod ssh;
pub mod store;
pub mod term;
pub mod tui;
