//! A domain's serial console as libvirt's stream. `virt` has streams too, but
//! hands libvirt a pointer into a value that may move.
#![allow(unsafe_code)]

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error as VirtError;
use virt::sys;

/// Bytes from the guest that wait for a slow reader. libvirt itself queues
/// without bound what nobody takes, so it is always taken, and beyond this the
/// oldest is forgotten, as on a serial line whose far end does not listen.
const WAITING: usize = 256 << 10;

/// Bytes taken from libvirt at once.
const CHUNK: usize = 16 << 10;

/// Stands where something was forgotten.
const SKIPPED: &[u8] = b"\r\n[... skipped: too fast for you ...]\r\n";

/// libvirt's answer of a stream that would have to wait.
const WOULD_BLOCK: c_int = -2;

#[derive(Default)]
struct Waiting {
    bytes: VecDeque<u8>,
    skipped: bool,
    ended: bool,
}

/// What the guest has written and nobody has read yet.
#[derive(Default)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

impl Inbox {
    fn push(&self, chunk: &[u8]) {
        let mut waiting = self.lock();
        waiting.bytes.extend(chunk);
        let over = waiting.bytes.len().saturating_sub(WAITING);
        if over > 0 {
            waiting.bytes.drain(..over);
            waiting.skipped = true;
        }
        drop(waiting);
        self.changed.notify_one();
    }

    fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_one();
    }

    /// Takes all that waits; none if nothing ever will again.
    pub(super) fn take(&self) -> Option<Vec<u8>> {
        let mut waiting = self.lock();
        if waiting.bytes.is_empty() {
            return if waiting.ended { None } else { Some(Vec::new()) };
        }
        let mut taken = Vec::with_capacity(waiting.bytes.len() + SKIPPED.len());
        if std::mem::take(&mut waiting.skipped) {
            taken.extend_from_slice(SKIPPED);
        }
        taken.extend(std::mem::take(&mut waiting.bytes));
        Some(taken)
    }

    /// Completes when something may have changed since the last call.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The inboxes of open consoles, by number. libvirt is given the number instead of
/// a pointer: it does not always tell when it is done with one (9.0.0 does not for
/// a callback that is removed from within itself).
static INBOXES: Mutex<BTreeMap<usize, Arc<Inbox>>> = Mutex::new(BTreeMap::new());

fn inboxes() -> std::sync::MutexGuard<'static, BTreeMap<usize, Arc<Inbox>>> {
    INBOXES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives the inbox a number.
fn register(inbox: &Arc<Inbox>) -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    inboxes().insert(number, Arc::clone(inbox));
    number
}

/// An open console. Dropping it closes it and its connection, which may block.
pub(super) struct ConsoleStream {
    stream: sys::virStreamPtr,
    /// Of its inbox.
    number: usize,
    /// Of its own: input that a guest does not take fills the connection's queue,
    /// which must not hold up anybody else.
    connect: Connect,
}

// SAFETY: libvirt's objects may be used from any thread; a stream has a lock of
// its own, and no method here hands out the pointer.
unsafe impl Send for ConsoleStream {}
// SAFETY: as above.
unsafe impl Sync for ConsoleStream {}

impl ConsoleStream {
    /// Opens the console of `domain`, which must be one of `connect`'s, taking it
    /// over from whoever has it. What the guest writes goes to `inbox`.
    pub(super) fn open(connect: Connect, domain: &Domain, inbox: &Arc<Inbox>) -> Result<Self, VirtError> {
        // SAFETY: the connection is open.
        let stream = unsafe { sys::virStreamNew(connect.as_ptr(), sys::VIR_STREAM_NONBLOCK) };
        if stream.is_null() {
            return Err(VirtError::last_error());
        }
        // From here on `Drop` frees the stream, whatever happens.
        let this = ConsoleStream { stream, number: register(inbox), connect };
        // SAFETY: both handles are valid; no name means the first console.
        let opened = unsafe {
            sys::virDomainOpenConsole(
                domain.as_ptr(),
                std::ptr::null(),
                this.stream,
                sys::VIR_DOMAIN_CONSOLE_FORCE,
            )
        };
        if opened != 0 {
            return Err(VirtError::last_error());
        }
        this.listen()?;
        Ok(this)
    }

    fn listen(&self) -> Result<(), VirtError> {
        let events =
            sys::VIR_STREAM_EVENT_READABLE | sys::VIR_STREAM_EVENT_ERROR | sys::VIR_STREAM_EVENT_HANGUP;
        let opaque = std::ptr::without_provenance_mut::<c_void>(self.number);
        // SAFETY: the stream is valid; `opaque` is a number and never dereferenced,
        // so there is nothing to free.
        let added = unsafe {
            sys::virStreamEventAddCallback(self.stream, events.cast_signed(), Some(on_event), opaque, None)
        };
        if added == 0 { Ok(()) } else { Err(VirtError::last_error()) }
    }

    /// Sends the beginning of `bytes` to the guest and tells how much of it; none
    /// if the guest takes nothing just now. May block on a hung libvirtd.
    pub(super) fn send(&self, bytes: &[u8]) -> Result<Option<usize>, VirtError> {
        // SAFETY: the stream is valid, and the bytes are read during the call only.
        let sent = unsafe { sys::virStreamSend(self.stream, bytes.as_ptr().cast(), bytes.len()) };
        match usize::try_from(sent) {
            Ok(n) => Ok(Some(n)),
            Err(_) if sent == WOULD_BLOCK => Ok(None),
            Err(_) => Err(VirtError::last_error()),
        }
    }

    /// False once the connection to libvirt is lost: the stream says nothing of that.
    pub(super) fn is_alive(&self) -> bool {
        self.connect.is_alive().unwrap_or(false)
    }
}

impl Drop for ConsoleStream {
    fn drop(&mut self) {
        // SAFETY: the stream is valid and freed once, here. libvirt holds a reference
        // of its own for a callback under way on the event loop's thread.
        // Errors (never opened, ended already) leave nothing to do.
        unsafe {
            sys::virStreamEventRemoveCallback(self.stream);
            sys::virStreamAbort(self.stream);
            sys::virStreamFree(self.stream);
        }
        // Last: a callback that finds no inbox takes nothing, and is called again.
        inboxes().remove(&self.number);
    }
}

/// Called by libvirt on the event loop's thread when there is something to read
/// or the stream is over. Must not wait for anything.
unsafe extern "C" fn on_event(stream: sys::virStreamPtr, events: c_int, opaque: *mut c_void) {
    let inbox = inboxes().get(&opaque.addr()).map(Arc::clone);
    let Some(inbox) = inbox else {
        // The console has just been closed on another thread. What nobody takes
        // would be announced again and again.
        // SAFETY: libvirt lends the stream for the time of the call; removing a
        // callback from within itself is allowed.
        unsafe { sys::virStreamEventRemoveCallback(stream) };
        return;
    };
    let over = sys::VIR_STREAM_EVENT_ERROR | sys::VIR_STREAM_EVENT_HANGUP;
    // What came before the end is still to be read, whichever is announced.
    // SAFETY: libvirt lends the stream for the time of the call.
    let ended = unsafe { drain(stream, &inbox) } || events.cast_unsigned() & over != 0;
    if ended {
        // A stream that is over would be announced again and again.
        // SAFETY: as above; removing a callback from within itself is allowed.
        unsafe { sys::virStreamEventRemoveCallback(stream) };
        inbox.end();
    }
}

/// Takes what is there; true at the end of the stream.
unsafe fn drain(stream: sys::virStreamPtr, inbox: &Inbox) -> bool {
    let mut chunk = [0_u8; CHUNK];
    // A guest that writes without pause must not keep the event loop from others.
    for _ in 0..8 {
        // SAFETY: the caller vouches for the stream; the buffer has that size.
        let got = unsafe { sys::virStreamRecv(stream, chunk.as_mut_ptr().cast(), chunk.len()) };
        match usize::try_from(got) {
            Ok(0) => return true,
            Ok(n) => inbox.push(chunk.get(..n).unwrap_or_default()),
            Err(_) => return got != WOULD_BLOCK,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reader_costs_bounded_memory_and_is_told() {
        let inbox = Inbox::default();
        for i in 0..64 {
            inbox.push(&[i; CHUNK]);
        }
        let taken = inbox.take().unwrap();
        assert_eq!(taken.len(), WAITING + SKIPPED.len());
        assert!(taken.starts_with(SKIPPED) && taken.ends_with(&[63; CHUNK]));
        assert_eq!(inbox.take(), Some(Vec::new()));
        inbox.push(b"last");
        inbox.end();
        assert_eq!(inbox.take().as_deref(), Some(&b"last"[..]));
        assert_eq!(inbox.take(), None);
    }
}
