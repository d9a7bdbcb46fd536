//! What stands between strangers and tiny_http: one thread, bounded in
//! connections, bytes and time. See the module's head for why.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Limits;
use super::answer::{self, Answer};
use super::backend::Door;
use super::head::{Head, Progress, Reader};
use super::seats::{Seat, Seats};
use crate::error::Result;

/// Requests inside tiny_http at once: as many as it keeps threads.
const INSIDE: usize = 4;
/// tiny_http answers from memory; it never needs this long.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);
/// An answer is far smaller.
const MAX_ANSWER: u64 = 4 * 1024 * 1024;
/// What we still read after an answer, at most.
const MAX_LINGER: usize = 2 * 1024 * 1024;

struct Gate {
    door: Arc<Door>,
    limits: Limits,
    inside: Semaphore,
}

/// Starts the thread that lets strangers in from `listener` (non-blocking) to
/// tiny_http behind `door`, until `stop`.
pub(super) fn spawn(
    listener: TcpListener,
    door: Arc<Door>,
    limits: Limits,
    stop: CancellationToken,
) -> Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let gate = Arc::new(Gate { door, limits, inside: Semaphore::new(INSIDE) });
    let run = move || {
        runtime.block_on(async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = accept(listener, &gate) => {}
            }
        });
        // Ends every connection.
        drop(runtime);
    };
    Ok(std::thread::Builder::new().name("http-gate".into()).spawn(run)?)
}

async fn accept(listener: TcpListener, gate: &Arc<Gate>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(e) => return tracing::error!(%e, "cannot listen for HTTP"),
    };
    let seats = Seats::new(gate.limits.connections, gate.limits.per_address);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                tokio::spawn(attend(gate.clone(), seats.take(peer.ip()), stream));
            }
            Err(e) => {
                // Out of descriptors, perhaps; it will pass, and spinning would not help.
                tracing::warn!(%e, "cannot accept an HTTP connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn attend(gate: Arc<Gate>, seat: Seat, stream: TcpStream) {
    tokio::select! {
        () = seat.lost() => {}
        () = gate.serve(stream) => {}
    }
}

impl Gate {
    /// One connection, one request, one answer.
    async fn serve(&self, mut stream: TcpStream) {
        let mut reader = Reader::default();
        let mut response = match timeout(self.limits.head_deadline, read_head(&mut stream, &mut reader)).await
        {
            Ok(Some(Ok(head))) => self.ask(&head).await,
            Ok(Some(Err(refusal))) => refusal.into_bytes(),
            Ok(None) => return,
            // Browsers open connections in advance; those end without a word.
            Err(_) if reader.is_empty() => return,
            Err(_) => Answer::sentence(408, "The request did not arrive in time.").into_bytes(),
        };
        answer::say_close(&mut response);
        let written = timeout(self.limits.write_deadline, async {
            stream.write_all(&response).await?;
            stream.shutdown().await
        });
        if let Ok(Ok(())) = written.await {
            drop(response);
            let _ = timeout(self.limits.linger, drain(&mut stream)).await;
        }
    }

    async fn enter(&self) -> std::io::Result<UnixStream> {
        let entered = UnixStream::connect(self.door.path()).await;
        // Anything else, such as a want of descriptors, is not the door's fault.
        if let Err(ErrorKind::ConnectionRefused | ErrorKind::NotFound) =
            entered.as_ref().map_err(|e| e.kind())
        {
            self.door.report_closed();
        }
        entered
    }

    /// tiny_http's answer, or our apology.
    async fn ask(&self, head: &Head) -> Vec<u8> {
        let asked = timeout(ANSWER_DEADLINE, async {
            let _inside = self.inside.acquire().await.map_err(std::io::Error::other)?;
            let mut backend = self.enter().await?;
            backend.write_all(head.to_request().as_bytes()).await?;
            let mut response = Vec::with_capacity(4096);
            backend.take(MAX_ANSWER).read_to_end(&mut response).await?;
            std::io::Result::Ok(response)
        });
        match asked.await {
            Ok(Ok(response)) if !response.is_empty() => return response,
            Ok(Ok(_)) => tracing::warn!("tiny_http gave no answer"),
            Ok(Err(e)) => tracing::warn!(%e, "cannot reach tiny_http"),
            Err(_) => tracing::warn!("tiny_http did not answer in time"),
        }
        Answer::sentence(503, "The portal is too busy to answer. Try again shortly.")
            .with("Retry-After", "1")
            .into_bytes()
    }
}

/// Nothing if the client hung up first.
async fn read_head(stream: &mut TcpStream, reader: &mut Reader) -> Option<Result<Head, Answer>> {
    let mut buffer = [0; 1024];
    loop {
        let n = stream.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        match reader.push(buffer.get(..n).unwrap_or_default()) {
            Progress::More => {}
            Progress::Done(head) => return Some(Ok(head)),
            Progress::Refused(refusal) => return Some(Err(refusal)),
        }
    }
}

/// Reads what the client still sends: closing on unread bytes would reset the
/// connection and could take the answer out of its hands.
async fn drain(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    let mut left = MAX_LINGER;
    while let Ok(n) = stream.read(&mut buffer).await
        && n > 0
        && left > n
    {
        left -= n;
    }
}
