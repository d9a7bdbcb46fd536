//! For the tests of crashes: a portal that was built for debugging kills itself,
//! as `kill -9` would, where `TWARGA_DIE_AT` says. A release has none of this.

/// Dies here, if this is the place that the environment names.
#[cfg(debug_assertions)]
pub(crate) fn point(place: &str) {
    use rustix::process::{Signal, getpid, kill_process};
    if std::env::var_os("TWARGA_DIE_AT").is_some_and(|wanted| wanted == place)
        && kill_process(getpid(), Signal::KILL).is_ok()
    {
        // The signal is on its way: nothing may happen meanwhile.
        loop {
            std::thread::park();
        }
    }
}

/// Nothing.
#[cfg(not(debug_assertions))]
pub(crate) fn point(_place: &str) {}
