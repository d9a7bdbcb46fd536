//! libvirt away, back, and hung: through a relay of our own before its socket,
//! so that the real one serves everybody else meanwhile.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use twarga::driver::libvirt::LibvirtDriver;
use twarga::driver::{DomainState, Driver, DriverEvent};
use twarga::error::Code;
use uuid::Uuid;

use super::bench::{Bench, SOON, config, micro, sees};

const LIBVIRT: &str = "/run/libvirt/libvirt-sock";

/// Long enough for the longest backoff.
const BACK: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn without_libvirt_everything_says_so_at_once() {
    let driver =
        LibvirtDriver::connect(config("qemu+unix:///system?socket=/nonexistent/libvirt-sock")).unwrap();
    let began = Instant::now();
    assert_eq!(driver.ping().await.unwrap_err().code, Code::BackendUnavailable);
    assert_eq!(driver.list("").await.unwrap_err().code, Code::BackendUnavailable);
    assert_eq!(driver.start(Uuid::new_v4()).await.unwrap_err().code, Code::BackendUnavailable);
    assert_eq!(driver.stats("").await.unwrap_err().code, Code::BackendUnavailable);
    assert!(began.elapsed() < SOON);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_cannot_be_one_is_a_mistake_in_the_configuration() {
    assert_eq!(LibvirtDriver::connect(config("")).err().map(|e| e.code), Some(Code::Config));
    assert_eq!(LibvirtDriver::connect(config("a\0b")).err().map(|e| e.code), Some(Code::Config));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_libvirt_is_found_again_with_its_events() {
    let relay = Relay::new();
    let driver = Arc::new(LibvirtDriver::connect(config(&relay.uri())).unwrap());
    let mut events = driver.events();
    driver.ping().await.unwrap_err();
    relay.serve();
    sees(&mut events, DriverEvent::Connected, BACK).await;
    for _ in 0..2 {
        relay.cut();
        sees(&mut events, DriverEvent::Disconnected, SOON).await;
        assert_eq!(driver.ping().await.unwrap_err().code, Code::BackendUnavailable);
        relay.serve();
        sees(&mut events, DriverEvent::Connected, BACK).await;
        driver.ping().await.unwrap();
    }
    // The new connection tells of domains too.
    let bench = Bench::new(driver, micro());
    let spec = bench.defined("after").await;
    sees(&mut events, DriverEvent::State(spec.uuid, DomainState::Stopped), SOON).await;
    bench.driver.start(spec.uuid).await.unwrap();
    sees(&mut events, DriverEvent::State(spec.uuid, DomainState::Running), SOON).await;
    // A console does not outlive its connection.
    let mut console = super::bench::Console(bench.driver.console(spec.uuid).await.unwrap());
    relay.cut();
    console.end(SOON * 2).await;
    relay.serve();
    sees(&mut events, DriverEvent::Connected, BACK).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_libvirt_costs_neither_threads_nor_patience() {
    let relay = Relay::new();
    relay.serve();
    let driver = Arc::new(LibvirtDriver::connect(config(&relay.uri())).unwrap());
    driver.ping().await.unwrap();
    let mut events = driver.events();
    relay.hang();
    let before = threads();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let driver = Arc::clone(&driver);
        calls.spawn(async move { driver.state(Uuid::new_v4()).await });
    }
    tokio::time::sleep(SOON).await;
    // The other tests' threads come and go.
    assert!(threads() < before + 40, "{} threads, {before} before", threads());
    let began = Instant::now();
    while let Some(answer) = calls.join_next().await {
        let code = answer.unwrap().unwrap_err().code;
        assert!(matches!(code, Code::TimedOut | Code::BackendUnavailable), "{code:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    assert_eq!(driver.ping().await.unwrap_err().code, Code::BackendUnavailable);
    // Unanswered keepalive questions break the connection in the end…
    sees(&mut events, DriverEvent::Disconnected, Duration::from_secs(40)).await;
    let began = Instant::now();
    assert_eq!(driver.ping().await.unwrap_err().code, Code::BackendUnavailable);
    assert!(began.elapsed() < SOON);
    // … and all is well when libvirt is.
    relay.cut();
    relay.serve();
    sees(&mut events, DriverEvent::Connected, BACK).await;
    driver.ping().await.unwrap();
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Serving,
    /// Takes connections and bytes, and carries nothing.
    Hung,
    Closed,
}

struct Relay {
    path: PathBuf,
    _dir: tempfile::TempDir,
    mood: watch::Sender<Mood>,
    listener: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Relay {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        Relay {
            path,
            _dir: dir,
            mood: watch::Sender::new(Mood::Closed),
            listener: std::sync::Mutex::default(),
        }
    }

    fn uri(&self) -> String {
        format!("qemu+unix:///system?socket={}", self.path.display())
    }

    fn serve(&self) {
        self.mood.send_replace(Mood::Serving);
        let listener = UnixListener::bind(&self.path).unwrap();
        let mood = self.mood.subscribe();
        let accept = async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, mood.clone()));
            }
        };
        *self.listener.lock().unwrap() = Some(tokio::spawn(accept));
    }

    fn hang(&self) {
        self.mood.send_replace(Mood::Hung);
    }

    /// Closes everything, and is not there any more.
    fn cut(&self) {
        if let Some(listener) = self.listener.lock().unwrap().take() {
            listener.abort();
        }
        std::fs::remove_file(&self.path).unwrap();
        self.mood.send_replace(Mood::Closed);
    }
}

async fn carry(client: UnixStream, mut mood: watch::Receiver<Mood>) {
    let server = UnixStream::connect(LIBVIRT).await.unwrap();
    let ((a_in, a_out), (b_in, b_out)) = (client.into_split(), server.into_split());
    tokio::select! {
        () = one_way(a_in, b_out, mood.clone()) => {}
        () = one_way(b_in, a_out, mood.clone()) => {}
        _ = async { mood.wait_for(|m| *m == Mood::Closed).await.map(|_| ()) } => {}
    }
}

async fn one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut mood: watch::Receiver<Mood>,
) {
    let mut chunk = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut chunk).await {
        let _ = mood.wait_for(|m| *m != Mood::Hung).await;
        if to.write_all(&chunk[..n]).await.is_err() {
            return;
        }
    }
}
