//! tiny_http on its thread, behind a unix socket that only we may enter.

use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tiny_http::{Request, Server};

use super::site::Site;
use crate::error::{Error, Result};

/// How long the thread may overlook that it should end.
const POLL: Duration = Duration::from_millis(200);

/// The answering thread; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Backend {
    door: Arc<Door>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Where tiny_http is to be found.
#[derive(Debug)]
pub(super) struct Door {
    directory: Directory,
    closed: AtomicBool,
}

impl Door {
    /// The socket that it answers on.
    pub fn path(&self) -> PathBuf {
        self.directory.0.join("s")
    }

    /// Tells that nobody listens there; that is mended within a second.
    pub fn report_closed(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

impl Backend {
    /// Starts tiny_http, which answers with `site`.
    pub fn start(site: Site) -> Result<Backend> {
        let (door, server) = open()?;
        let (door, stop) = (Arc::new(door), Arc::new(AtomicBool::new(false)));
        let (inside, stopped) = (door.clone(), stop.clone());
        let thread = std::thread::Builder::new()
            .name("http".into())
            .spawn(move || answer_until(&stopped, server, &inside, &site))?;
        Ok(Backend { door, stop, thread: Some(thread) })
    }

    /// For whoever wants to ask it.
    pub fn door(&self) -> Arc<Door> {
        self.door.clone()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the HTTP thread had died");
        }
    }
}

/// A fresh directory of mode 0700, removed with all it holds.
#[derive(Debug)]
struct Directory(PathBuf);

impl Directory {
    fn new(parent: &Path) -> std::io::Result<Directory> {
        let path = parent.join(format!("twarga-http-{}", uuid::Uuid::new_v4().simple()));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Directory(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(e) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %e, "cannot remove the HTTP socket's directory");
        }
    }
}

/// `TMPDIR` may be missing, full, or too deep for a socket's name (108 bytes).
fn open() -> Result<(Door, Server)> {
    let mut why = String::from("no directory");
    for parent in [std::env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/dev/shm")] {
        let door =
            Directory::new(&parent).map(|directory| Door { directory, closed: AtomicBool::new(false) });
        match door.and_then(|door| listen(&door.path()).map(|server| (door, server))) {
            Ok(made) => return Ok(made),
            Err(e) => why = format!("{}: {e}", parent.display()),
        }
    }
    Err(Error::internal(format!("no place for the HTTP thread's socket: {why}")))
}

fn listen(path: &Path) -> std::io::Result<Server> {
    Server::from_listener(UnixListener::bind(path)?, None).map_err(std::io::Error::other)
}

/// tiny_http gives up for good when one `accept` fails, and dies without a word
/// when it cannot get another descriptor or thread for a connection that it
/// has accepted. Then it is started anew.
fn answer_until(stop: &AtomicBool, server: Server, door: &Door, site: &Site) {
    let mut server = Some(server);
    while !stop.load(Ordering::Relaxed) {
        let Some(running) = server.as_ref() else {
            std::thread::sleep(POLL);
            server = listen(&door.path()).ok();
            door.closed.store(server.is_none(), Ordering::Relaxed);
            continue;
        };
        match running.recv_timeout(POLL) {
            Ok(Some(request)) => respond(request, site),
            Ok(None) if !door.closed.load(Ordering::Relaxed) => {}
            Ok(None) | Err(_) => {
                tracing::warn!("tiny_http has stopped listening; starting it again");
                // Dropping it takes its socket's file away: before the next one is made.
                server = None;
                let _ = std::fs::remove_file(door.path());
            }
        }
    }
}

fn respond(request: Request, site: &Site) {
    let authorization = request
        .headers()
        .iter()
        .find(|h| h.field.equiv("Authorization"))
        .map(|h| h.value.as_str().to_owned());
    let answer = site.answer(request.method().as_str(), request.url(), authorization.as_deref());
    if let Err(e) = request.respond(answer.into_response()) {
        tracing::debug!(%e, "an HTTP answer was not taken");
    }
}
