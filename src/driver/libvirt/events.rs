//! Lifecycle events of domains, which `virt` does not wrap.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::sync::Once;
use std::time::Duration;

use tokio::sync::broadcast;
use uuid::Uuid;
use virt::connect::Connect;
use virt::error::Error as VirtError;
use virt::sys;

use crate::driver::{DomainState, DriverEvent};

/// Starts libvirt's event loop, once per process, on a thread of its own. Must
/// be called before the first connection is opened; more calls do nothing.
pub(super) fn start_loop() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // libvirt would print its errors over whatever is on the terminal.
        virt::error::clear_error_callback();
        if let Err(error) = virt::event::event_register_default_impl() {
            tracing::error!(%error, "libvirt has no event loop: changes of VMs will be seen late");
            return;
        }
        let run = || {
            loop {
                if let Err(error) = virt::event::event_run_default_impl() {
                    tracing::warn!(%error, "libvirt's event loop stumbled");
                    // Never spin on an error that stays.
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name("libvirt-events".into()).spawn(run) {
            tracing::error!(%error, "libvirt's event loop has no thread");
        }
    });
}

/// What a callback is given.
struct Listener {
    events: broadcast::Sender<DriverEvent>,
}

/// Lifecycle events of one connection, until dropped.
pub(super) struct Subscription {
    connect: Connect,
    id: c_int,
}

impl Subscription {
    /// Sends what happens to the connection's domains to `events`.
    pub(super) fn new(connect: Connect, events: broadcast::Sender<DriverEvent>) -> Result<Self, VirtError> {
        let opaque = Box::into_raw(Box::new(Listener { events })).cast::<c_void>();
        // SAFETY: libvirt declares lifecycle callbacks under the generic type and
        // calls them with the arguments of `virConnectDomainEventCallback` for
        // VIR_DOMAIN_EVENT_ID_LIFECYCLE; both are pointers to `extern "C"` functions.
        let callback = unsafe {
            std::mem::transmute::<sys::virConnectDomainEventCallback, sys::virConnectDomainEventGenericCallback>(
                Some(on_lifecycle),
            )
        };
        // SAFETY: the connection is open; `opaque` stays valid until libvirt calls
        // `forget`, which it does exactly once if the registration succeeded.
        let id = unsafe {
            sys::virConnectDomainEventRegisterAny(
                connect.as_ptr(),
                std::ptr::null_mut(),
                sys::VIR_DOMAIN_EVENT_ID_LIFECYCLE.cast_signed(),
                callback,
                opaque,
                Some(forget),
            )
        };
        if id < 0 {
            let error = VirtError::last_error();
            // SAFETY: a refused registration has not taken `opaque`.
            unsafe { forget(opaque) };
            return Err(error);
        }
        Ok(Subscription { connect, id })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // A registration holds a reference to the connection: without this a lost
        // connection would never be closed.
        // SAFETY: the connection is referenced by `self`, and the id is its own.
        unsafe { sys::virConnectDomainEventDeregisterAny(self.connect.as_ptr(), self.id) };
    }
}

/// Called by libvirt when it needs a listener no longer.
unsafe extern "C" fn forget(opaque: *mut c_void) {
    // SAFETY: `opaque` came from `Box::into_raw` of a `Listener`, and libvirt
    // gives it back once.
    drop(unsafe { Box::from_raw(opaque.cast::<Listener>()) });
}

/// Called by libvirt on the event loop's thread.
unsafe extern "C" fn on_lifecycle(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    event: c_int,
    detail: c_int,
    opaque: *mut c_void,
) -> c_int {
    let mut bytes = [0_u8; sys::VIR_UUID_BUFLEN as usize];
    // SAFETY: libvirt lends `domain` for the time of the call; the buffer has the
    // documented size. No request is sent: the handle carries the UUID.
    if unsafe { sys::virDomainGetUUID(domain, bytes.as_mut_ptr()) } != 0 {
        return 0;
    }
    // SAFETY: `opaque` is the `Listener` given at the registration, which lives
    // until `forget`; it is only read.
    let listener = unsafe { &*opaque.cast::<Listener>() };
    if let Some(event) = meaning(Uuid::from_bytes(bytes), event.cast_unsigned(), detail.cast_unsigned()) {
        // Nobody listening is no fault.
        let _ = listener.events.send(event);
    }
    0
}

/// What libvirt's event means to us; none if nothing.
fn meaning(uuid: Uuid, event: u32, detail: u32) -> Option<DriverEvent> {
    let state = match (event, detail) {
        (sys::VIR_DOMAIN_EVENT_UNDEFINED, sys::VIR_DOMAIN_EVENT_UNDEFINED_REMOVED) => {
            return Some(DriverEvent::Undefined(uuid));
        }
        // A changed definition says nothing of the state: the domain may run.
        (sys::VIR_DOMAIN_EVENT_DEFINED, sys::VIR_DOMAIN_EVENT_DEFINED_ADDED) => DomainState::Stopped,
        (sys::VIR_DOMAIN_EVENT_STARTED | sys::VIR_DOMAIN_EVENT_RESUMED, _) => DomainState::Running,
        (sys::VIR_DOMAIN_EVENT_SUSPENDED | sys::VIR_DOMAIN_EVENT_PMSUSPENDED, _) => DomainState::Paused,
        (
            sys::VIR_DOMAIN_EVENT_STOPPED,
            sys::VIR_DOMAIN_EVENT_STOPPED_CRASHED | sys::VIR_DOMAIN_EVENT_STOPPED_FAILED,
        )
        | (sys::VIR_DOMAIN_EVENT_CRASHED, _) => DomainState::Crashed,
        (sys::VIR_DOMAIN_EVENT_STOPPED, _) => DomainState::Stopped,
        // SHUTDOWN: the guest is done but its emulator is not; STOPPED follows.
        _ => return None,
    };
    Some(DriverEvent::State(uuid, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_meanings() {
        let uuid = Uuid::new_v4();
        let state = |event, detail| meaning(uuid, event, detail);
        assert_eq!(
            state(sys::VIR_DOMAIN_EVENT_STOPPED, sys::VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN),
            Some(DriverEvent::State(uuid, DomainState::Stopped))
        );
        assert_eq!(
            state(sys::VIR_DOMAIN_EVENT_STOPPED, sys::VIR_DOMAIN_EVENT_STOPPED_FAILED),
            Some(DriverEvent::State(uuid, DomainState::Crashed))
        );
        assert_eq!(state(sys::VIR_DOMAIN_EVENT_SHUTDOWN, sys::VIR_DOMAIN_EVENT_SHUTDOWN_GUEST), None);
        assert_eq!(state(sys::VIR_DOMAIN_EVENT_DEFINED, sys::VIR_DOMAIN_EVENT_DEFINED_UPDATED), None);
        assert_eq!(state(99, 0), None);
    }
}
