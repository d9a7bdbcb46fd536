//! What becomes of a panic: it ends one session, and no other.
//!
//! For the tests of crashes: a portal that was built for debugging kills itself,
//! as `kill -9` would, where `TWARGA_DIE_AT` says. A release has none of this.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

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

/// Panics here, if this is the place that `TWARGA_PANIC_AT` names.
#[cfg(debug_assertions)]
#[allow(clippy::panic)]
pub(crate) fn mishap(place: &str) {
    if std::env::var_os("TWARGA_PANIC_AT").is_some_and(|wanted| wanted == place) {
        panic!("a mishap at {place}, as wished");
    }
}

/// Nothing.
#[cfg(not(debug_assertions))]
pub(crate) fn point(_place: &str) {}

/// Nothing.
#[cfg(not(debug_assertions))]
pub(crate) fn mishap(_place: &str) {}

/// Runs what may panic: a panic ends it with the panic's message.
pub(crate) async fn contain<T>(what: impl Future<Output = T>) -> Result<T, String> {
    let mut what = std::pin::pin!(what);
    std::future::poll_fn(|cx| {
        // What it worked with is dropped with it: nobody sees it half changed.
        let polled = catch_unwind(AssertUnwindSafe(|| what.as_mut().poll(cx)));
        match polled {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(message(panic.as_ref()))),
        }
    })
    .await
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| String::from("a panic"))
}

#[cfg(test)]
mod tests {
    use super::contain;

    #[tokio::test]
    async fn a_panic_stays_where_it_is() {
        assert_eq!(contain(async { 7 }).await, Ok(7));
        let broken = async {
            tokio::task::yield_now().await;
            let nothing: Vec<u8> = Vec::new();
            nothing[0]
        };
        assert!(contain(broken).await.unwrap_err().contains("index out of bounds"));
    }
}
