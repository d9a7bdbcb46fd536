//! Whether the daemon answers: a question every second, over a connection and
//! from a thread of its own, for a hung daemon holds whoever asks it.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use virt::connect::Connect;

use super::link;

/// Pause between two questions.
const EVERY: Duration = Duration::from_secs(1);

/// An answer takes a millisecond; on a host that swaps, some more. Later than
/// this it is overdue.
const OVERDUE: Duration = Duration::from_secs(4);

/// When the question was asked whose answer has yet to come, if there is one.
type Asked = Mutex<Option<Instant>>;

/// Asks until dropped.
pub(super) struct Pulse {
    asked: Arc<Asked>,
}

impl Pulse {
    /// Starts to ask. Where no thread can be had, no answer is ever overdue.
    pub(super) fn start(uri: &str) -> Pulse {
        let asked = Arc::new(Asked::default());
        let (uri, mark) = (uri.to_owned(), Arc::downgrade(&asked));
        let asking = std::thread::Builder::new().name("libvirt-pulse".into()).spawn(move || ask(&uri, &mark));
        if let Err(error) = asking {
            tracing::error!(%error, "nobody watches whether libvirt answers");
        }
        Pulse { asked }
    }

    /// Whether an answer should have come by now.
    pub(super) fn is_overdue(&self) -> bool {
        lock(&self.asked).is_some_and(|at| at.elapsed() > OVERDUE)
    }
}

fn lock(asked: &Asked) -> std::sync::MutexGuard<'_, Option<Instant>> {
    asked.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes a question; one that is still open stands. False when nobody wants to
/// know any more.
fn question(mark: &Weak<Asked>) -> bool {
    let Some(asked) = mark.upgrade() else { return false };
    lock(&asked).get_or_insert_with(Instant::now);
    true
}

fn answered(mark: &Weak<Asked>) {
    if let Some(asked) = mark.upgrade() {
        *lock(&asked) = None;
    }
}

fn ask(uri: &str, mark: &Weak<Asked>) {
    while question(mark) {
        match link::connect(uri) {
            Ok(connect) => ask_over(&connect, mark),
            // The link's own connection tells what that means.
            Err(error) => {
                tracing::debug!(%error, "libvirt's pulse cannot be felt");
                answered(mark);
            }
        }
        std::thread::sleep(EVERY);
    }
}

/// Asks until the connection breaks; its last question stays open.
fn ask_over(connect: &Connect, mark: &Weak<Asked>) {
    // A refusal is an answer too.
    while connect.lib_version().is_ok() || connect.is_alive().unwrap_or(false) {
        answered(mark);
        std::thread::sleep(EVERY);
        if !question(mark) {
            return;
        }
    }
}
