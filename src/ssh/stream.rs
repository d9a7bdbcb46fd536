//! A connection's socket, with what russh has no hand for: it can be cut from
//! outside (a client may neither read nor write), it is read from only while
//! there is room for what comes, what comes first is acknowledged at once, and
//! small packets do not cost two system calls each.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::flow::Flow;

/// Reads after which a login is over and packets flow both ways.
const LOGIN_READS: u32 = 64;

/// russh asks for a packet's length and then for the packet: so much is read at
/// once for either.
const AHEAD: usize = 4 * 1024;

/// See the module's notes. Fails once its token is cancelled.
pub(super) struct Wire {
    stream: TcpStream,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    flow: Arc<Flow>,
    pause: Option<Pin<Box<Sleep>>>,
    reads: u32,
    /// What was read and is not asked for yet.
    ahead: BytesMut,
}

impl Wire {
    pub fn new(stream: TcpStream, cut: CancellationToken, flow: Arc<Flow>) -> Self {
        let cut = Box::pin(cut.cancelled_owned());
        Wire { stream, cut, flow, pause: None, reads: 0, ahead: BytesMut::new() }
    }

    /// An error once the stream is cut; until then the task is woken by it.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
            Poll::Pending => Ok(()),
        }
    }

    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.pause.is_none() {
            self.pause = self.flow.pause().map(|pause| Box::pin(tokio::time::sleep(pause)));
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        Poll::Ready(())
    }

    /// Reads what is there, up to [`AHEAD`] bytes; none at the stream's end.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ahead.reserve(AHEAD);
        let mut read = Pin::new(&mut self.stream);
        ready!(tokio_util::io::poll_read_buf(read.as_mut(), cx, &mut self.ahead))?;
        self.has_read();
        Poll::Ready(Ok(()))
    }

    fn has_read(&mut self) {
        if self.reads < LOGIN_READS {
            self.reads += 1;
            // During a login each side waits for the other. A client whose system
            // holds back its small packets until the last one is acknowledged
            // (Nagle, RFC 896) would meet ours holding back acknowledgements
            // (RFC 1122 §4.2.3.2): 40 ms a login. The option does not last.
            let _ = rustix::net::sockopt::set_tcp_quickack(&self.stream, true);
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        ready!(self.flow.poll_room(cx));
        ready!(self.poll_pause(cx));
        if self.ahead.is_empty() && buf.remaining() < AHEAD {
            ready!(self.poll_ahead(cx))?;
        }
        if self.ahead.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            self.has_read();
            return Poll::Ready(Ok(()));
        }
        let some = buf.remaining().min(self.ahead.len());
        buf.put_slice(&self.ahead.split_to(some));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
