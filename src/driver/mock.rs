//! A driver that only remembers: for tests of everything above it.
