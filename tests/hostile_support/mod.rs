//! A portal under attack: the built binary, whose memory and descriptors the
//! system knows, and a witness who works in it all the time.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::place::{Place, Serving};
use crate::wire::{Key, Wire};

/// The longest that the witness may wait for an answer, on a busy machine too.
pub const SOON: Duration = Duration::from_secs(8);
/// The longest that anything else may take.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// What the portal may grow by under any attack, MiB.
pub const GROWTH_MIB: u64 = 100;

/// What is measured is the machine's: one attack at a time.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A portal that serves, with an administrator `admin` who has a key.
pub struct Site {
    pub address: SocketAddr,
    pub key: Arc<Key>,
    serving: Serving,
    place: Place,
    _alone: tokio::sync::MutexGuard<'static, ()>,
}

/// What an attack did to the portal.
#[derive(Debug)]
pub struct Borne {
    pub took: Duration,
    /// Commands of the witness, and the slowest of them.
    pub answers: u64,
    pub slowest: Duration,
    /// Resident memory, MiB: before, and at most.
    pub before: u64,
    pub most: u64,
}

impl Site {
    pub async fn start(config: &str) -> Site {
        let alone = ALONE.lock().await;
        let place = Place::new();
        let usual = std::fs::read_to_string(place.path("twarga.toml")).unwrap();
        place.write("twarga.toml", usual.replace("[ssh]\n", &format!("[ssh]\n{config}\n")));
        let key = Arc::new(Key::read(&place.init_with_key()));
        let serving = place.serve();
        let address = SocketAddr::from(([127, 0, 0, 1], serving.port));
        let site = Site { address, key, serving, place, _alone: alone };
        // Warm: what the first login allocates once is not the attack's.
        let mut first = site.sign_in(250).await;
        assert_eq!(first.exec(0, "whoami").await.unwrap(), b"admin\n");
        site
    }

    /// A connection that is signed in, from `127.0.0.from`.
    pub async fn sign_in(&self, from: u8) -> Wire {
        sign_in(self.address, from, &self.key).await
    }

    /// The administrator's key.
    pub fn key_path(&self) -> std::path::PathBuf {
        self.place.path("id")
    }

    /// Resident memory, MiB.
    pub fn resident(&self) -> u64 {
        resident(self.serving.pid())
    }

    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.serving.pid())).unwrap().count()
    }

    /// Lets an attack run while the witness works. Whatever it is: the witness
    /// is answered in time, memory is bounded, and nothing is left of it after.
    pub async fn bears<F: Future>(&self, what: &str, attack: F) -> (Borne, F::Output) {
        let descriptors = self.descriptors();
        let witness = Witness::start(self.address, Arc::clone(&self.key), self.serving.pid()).await;
        let before = self.resident();
        let started = Instant::now();
        let came_of_it = attack.await;
        let took = started.elapsed();
        let (answers, slowest, most) = witness.end().await;
        let borne = Borne { took, answers, slowest, before, most };
        println!("{what}: {borne:?}");
        assert!(answers >= 1 && slowest < SOON, "{what}: {borne:?}");
        assert!(most < before + GROWTH_MIB, "{what}: {borne:?}");
        self.nothing_is_left(what, descriptors).await;
        (borne, came_of_it)
    }

    /// The connections of an attack are closed on both sides.
    pub async fn nothing_is_left(&self, what: &str, descriptors: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.descriptors() > descriptors {
            let now = self.descriptors();
            assert!(Instant::now() < deadline, "{what}: {now} descriptors, {descriptors} before");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut newcomer = self.sign_in(251).await;
        assert_eq!(newcomer.exec(0, "whoami").await.unwrap(), b"admin\n", "{what}");
    }
}

async fn sign_in(address: SocketAddr, from: u8, key: &Key) -> Wire {
    let signing_in = async {
        let mut wire = Wire::connect(address, from).await?;
        wire.sign_in("admin", key).await?;
        Ok::<_, std::io::Error>(wire)
    };
    tokio::time::timeout(PATIENCE, signing_in).await.expect("the login hangs").unwrap()
}

/// Resident memory of a process, MiB.
pub fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// An honest session that asks again and again.
struct Witness {
    stop: Arc<AtomicBool>,
    most: Arc<AtomicU64>,
    work: tokio::task::JoinHandle<(u64, Duration)>,
}

impl Witness {
    async fn start(address: SocketAddr, key: Arc<Key>, pid: u32) -> Witness {
        let (stop, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut wire = sign_in(address, 252, &key).await;
        let (ending, peak) = (Arc::clone(&stop), Arc::clone(&most));
        let work = tokio::spawn(async move {
            let (mut answers, mut slowest) = (0, Duration::ZERO);
            // Once more after the end: an attack may be over before the first answer.
            loop {
                let last = ending.load(Relaxed);
                let asked = Instant::now();
                let answer = tokio::time::timeout(PATIENCE, wire.exec(answers, "whoami")).await;
                assert_eq!(answer.expect("the witness is not answered").unwrap(), b"admin\n");
                slowest = slowest.max(asked.elapsed());
                answers += 1;
                if last {
                    return (u64::from(answers), slowest);
                }
                peak.fetch_max(resident(pid), Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Witness { stop, most, work }
    }

    async fn end(self) -> (u64, Duration, u64) {
        self.stop.store(true, Relaxed);
        let (answers, slowest) = self.work.await.unwrap();
        (answers, slowest, self.most.load(Relaxed))
    }
}

/// Reads until the portal closes the connection; panics if it does not in time.
pub async fn is_closed(what: &str, wire: &mut Wire) {
    let reading = async {
        let mut buffer = vec![0; 64 * 1024];
        while wire.reader.raw(&mut buffer).await > 0 {}
    };
    tokio::time::timeout(PATIENCE, reading)
        .await
        .unwrap_or_else(|_| panic!("{what}: the connection is left open"));
}
