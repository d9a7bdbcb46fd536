//! Lines of words.
pub mod editor;
