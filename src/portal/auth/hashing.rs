//! Threads of their own for password hashes: each hash takes a core and 32 MiB, and
//! however many people sign in at once, those who are here do not feel it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, Result};

/// How much the threads give way to all others of the portal: with 10, to whom wants
/// the core as well they leave nine tenths of it.
const NICE: i32 = 10;
/// The system's last priority.
const LEAST: i32 = 19;
/// Hashes that may wait; whoever comes then waits for a place.
const QUEUE: usize = 256;

type Hash = Box<dyn FnOnce() + Send>;

/// As many threads as there are cores.
#[derive(Debug)]
pub(in crate::portal) struct Hashing {
    queue: mpsc::Sender<Hash>,
}

impl Hashing {
    /// # Errors
    /// If there can be no threads.
    pub fn start() -> Result<Hashing> {
        let (queue, waiting) = mpsc::channel::<Hash>(QUEUE);
        let waiting = Arc::new(Mutex::new(waiting));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        for _ in 0..cores {
            let waiting = Arc::clone(&waiting);
            std::thread::Builder::new().name("hashing".into()).spawn(move || work(&waiting))?;
        }
        Ok(Hashing { queue })
    }

    /// Runs `f` on one of the threads, when its turn has come.
    pub async fn run<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (tx, rx) = oneshot::channel();
        let hash: Hash = Box::new(move || {
            // Whoever has hung up meanwhile needs no answer.
            if !tx.is_closed() {
                let _ = tx.send(f());
            }
        });
        self.queue.send(hash).await.map_err(Error::internal)?;
        rx.await.map_err(Error::internal)
    }
}

fn work(waiting: &Mutex<mpsc::Receiver<Hash>>) {
    // On Linux this is about the one thread.
    let given = rustix::process::getpriority_process(None)
        .and_then(|nice| rustix::process::setpriority_process(None, (nice + NICE).min(LEAST)));
    if let Err(e) = given {
        tracing::debug!(error = %e, "hashes do not give way");
    }
    loop {
        // The lock is held only until there is something to do.
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(hash) = next else { return };
        // A hash that breaks is an error of whoever waits for it, and of nobody else.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(hash));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hashes_run_beside_and_survive_one_that_breaks() {
        let hashing = Arc::new(Hashing::start().unwrap());
        assert!(hashing.run(|| panic!("on purpose")).await.is_err());
        let many = (0..64).map(|i| {
            let hashing = Arc::clone(&hashing);
            tokio::spawn(async move { hashing.run(move || i).await.unwrap() })
        });
        for (i, one) in many.collect::<Vec<_>>().into_iter().enumerate() {
            assert_eq!(one.await.unwrap(), i);
        }
        let nice = hashing.run(|| rustix::process::getpriority_process(None)).await.unwrap();
        let here = rustix::process::getpriority_process(None).unwrap();
        assert_eq!(nice.unwrap(), (here + NICE).min(LEAST));
    }
}
