//! The bytes between a domain's console and whoever looks at it.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use uuid::Uuid;

use super::link::{self, Link};
use super::stream::{ConsoleStream, Inbox};
use super::{QUERY, fault, ops};
use crate::error::Result;

/// Bytes on their way to the reader.
const BUFFER: usize = 64 << 10;

/// How often a silent console is asked whether both its ends are still there.
const TICK: Duration = Duration::from_millis(500);

/// Pause before input is offered again to a guest that takes none.
const RETRY: Duration = Duration::from_millis(20);

/// Opens the console of `uuid` over a connection of its own.
pub(super) async fn open(link: &Link, uri: &str, uuid: Uuid) -> Result<DuplexStream> {
    let inbox = Arc::new(Inbox::default());
    let (uri, sink) = (uri.to_owned(), Arc::clone(&inbox));
    let stream = link.call("open the console", QUERY, move |_| {
        const WHAT: &str = "open the console";
        let connect = link::connect(&uri).map_err(|e| fault::translate(WHAT, &e))?;
        let domain = ops::active(&connect, uuid)?;
        ConsoleStream::open(connect, &domain, &sink).map_err(|e| fault::translate(WHAT, &e))
    });
    let stream = Arc::new(stream.await?);
    let (ours, theirs) = duplex(BUFFER);
    tokio::spawn(pump(stream, inbox, ours));
    Ok(theirs)
}

/// Carries bytes until the domain ends, another takes the console over, or the
/// reader goes away.
async fn pump(stream: Arc<ConsoleStream>, inbox: Arc<Inbox>, ours: DuplexStream) {
    let (from_reader, mut to_reader) = split(ours);
    tokio::select! {
        () = output(&stream, &inbox, &mut to_reader) => {}
        () = input(&stream, from_reader) => {}
    }
    let _ = to_reader.shutdown().await;
    // Closing talks to libvirtd.
    tokio::task::spawn_blocking(move || drop(stream));
}

/// From the guest to the reader.
async fn output(stream: &ConsoleStream, inbox: &Inbox, reader: &mut WriteHalf<DuplexStream>) {
    while let Some(bytes) = inbox.take() {
        if !bytes.is_empty() {
            if reader.write_all(&bytes).await.is_err() {
                return;
            }
            continue;
        }
        if tokio::time::timeout(TICK, inbox.changed()).await.is_err() {
            // Writing nothing tells whether the reader is there: its silence does
            // not, for it may have closed its own direction only.
            if reader.write(&[]).await.is_err() || !stream.is_alive() {
                return;
            }
        }
    }
}

/// From the reader to the guest. Ends when the guest can take no more, ever.
async fn input(stream: &Arc<ConsoleStream>, mut reader: ReadHalf<DuplexStream>) {
    let mut buffer = [0; 1024];
    while let Ok(n @ 1..) = reader.read(&mut buffer).await {
        let mut rest = buffer.get(..n).unwrap_or_default().to_vec();
        while !rest.is_empty() {
            let (stream, chunk) = (Arc::clone(stream), rest.clone());
            match tokio::task::spawn_blocking(move || stream.send(&chunk)).await {
                Ok(Ok(Some(sent))) => drop(rest.drain(..sent.min(rest.len()))),
                Ok(Ok(None)) => tokio::time::sleep(RETRY).await,
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }
    // The reader types no more, but may still be reading.
    std::future::pending().await
}
