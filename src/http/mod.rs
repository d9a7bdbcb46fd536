//! The HTTP face: a status page, probes and metrics, answered from the
//! published snapshot. No request touches the database, libvirt or a guest.
//!
//! ```text
//! stranger ── TCP ──▶ gate ── private unix socket ──▶ tiny_http ──▶ site
//!             [gate.rs, seats.rs, head.rs]           [mod.rs]      [site.rs …]
//! ```
//!
//! `tiny_http` 0.12 parses and answers the requests, but it was not made for
//! strangers: it gives every connection a thread, for as long as the client
//! likes, reads heads of any length, and believes any `Content-Length`. So it
//! listens on a unix socket in a directory that only we may enter, and the
//! *gate* stands before it: one thread that holds a bounded number of
//! connections, waits a bounded time for a bounded head, checks it, and only
//! then hands on a clean copy of what matters. What reaches `tiny_http` is
//! whole, small, well formed and the last request of its connection, so none
//! of its threads ever waits for anybody.

mod answer;
mod backend;
mod chart;
mod gate;
mod head;
mod metrics;
mod page;
mod seats;
mod site;
mod snapshot;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::error::{Code, Error, Result};
use crate::model::Published;
use backend::Backend;
use site::Site;

/// What strangers may take of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once. One more ends the oldest of whoever holds the most.
    pub connections: usize,
    /// Of them, from one address (IPv6: from one /64). One more ends its oldest.
    pub per_address: usize,
    /// Time for a whole request head, however it trickles in.
    pub head_deadline: Duration,
    /// Time to take a whole answer.
    pub write_deadline: Duration,
    /// Time after the answer in which we still listen, so that what the client
    /// was saying meanwhile does not cost it the answer (RFC 9112 §9.6).
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 256,
            per_address: 64,
            head_deadline: Duration::from_secs(10),
            write_deadline: Duration::from_secs(10),
            linger: Duration::from_secs(2),
        }
    }
}

/// The running server. It stops when it is dropped.
#[derive(Debug)]
pub struct HttpServer {
    addr: SocketAddr,
    stop: CancellationToken,
    gate: Option<JoinHandle<()>>,
    backend: Option<Backend>,
}

impl HttpServer {
    /// Listens on `addr` and answers from whatever `published` holds.
    ///
    /// `token`, if there is one, is what `/metrics` wants as a bearer token; an
    /// empty one locks `/metrics` for good.
    ///
    /// # Errors
    /// If the address cannot be listened on, or there is no room for the
    /// private socket in the directory for temporary files.
    pub fn start(
        addr: SocketAddr,
        token: Option<String>,
        published: watch::Receiver<Arc<Published>>,
    ) -> Result<HttpServer> {
        HttpServer::start_with(addr, token, published, Limits::default())
    }

    /// The same with other limits.
    ///
    /// # Errors
    /// As [`HttpServer::start`].
    pub fn start_with(
        addr: SocketAddr,
        token: Option<String>,
        published: watch::Receiver<Arc<Published>>,
        limits: Limits,
    ) -> Result<HttpServer> {
        let listener = TcpListener::bind(addr).map_err(|e| cannot_listen(addr, &e))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let stop = CancellationToken::new();
        let backend = Backend::start(Site::new(token.as_deref(), published)?)?;
        let gate = gate::spawn(listener, backend.door(), limits, stop.clone())?;
        Ok(HttpServer { addr, stop, gate: Some(gate), backend: Some(backend) })
    }

    /// Where it listens; the port is a real one even if 0 was asked for.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Closes the port, ends every connection and waits for its threads; a
    /// fraction of a second.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.cancel();
        if let Some(gate) = self.gate.take()
            && gate.join().is_err()
        {
            tracing::error!("the HTTP gate had died");
        }
        // After the gate, so that nobody is left without an answer.
        drop(self.backend.take());
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.end();
    }
}

fn cannot_listen(addr: SocketAddr, e: &std::io::Error) -> Error {
    Error::new(Code::Config, format!("Cannot listen for HTTP on {addr}: {e}."))
        .hint("Choose another `listen` under `[http]`, or stop what listens there.")
}
