//! libvirt's errors in our words. People never see libvirt's own sentences,
//! which name paths and accounts of the host; the log does.

use virt::error::Error as VirtError;
use virt::sys;

use crate::error::{Code, Error};

/// What helps where only the backend is away.
const AWAY: &str = "The VMs run on. Try again shortly; `twarga doctor` on the host tells what is wrong.";

/// Nobody is at the other end.
pub(super) fn unreachable() -> Error {
    Error::new(Code::BackendUnavailable, "libvirt cannot be reached.").hint(AWAY)
}

/// Somebody is at the other end, and says nothing.
pub(super) fn silent() -> Error {
    Error::new(Code::BackendUnavailable, "libvirt does not answer.").hint(AWAY)
}

/// True if libvirt says that it has no such domain.
pub(super) fn is_missing(e: &VirtError) -> bool {
    e.code().to_raw() == sys::VIR_ERR_NO_DOMAIN
}

/// True if libvirt says that the domain is not in the state for this.
pub(super) fn is_wrong_state(e: &VirtError) -> bool {
    e.code().to_raw() == sys::VIR_ERR_OPERATION_INVALID
}

/// True if the backend does not know the call or one of its flags.
pub(super) fn is_unsupported(e: &VirtError) -> bool {
    matches!(
        e.code().to_raw(),
        sys::VIR_ERR_NO_SUPPORT
            | sys::VIR_ERR_OPERATION_UNSUPPORTED
            | sys::VIR_ERR_ARGUMENT_UNSUPPORTED
            | sys::VIR_ERR_CONFIG_UNSUPPORTED
            | sys::VIR_ERR_INVALID_ARG
    )
}

/// True if the connection, not the request, is at fault.
fn is_connection(e: &VirtError) -> bool {
    let domain = e.domain().to_raw();
    let code = e.code().to_raw();
    domain == sys::VIR_FROM_RPC
        || domain == sys::VIR_FROM_REMOTE && code != sys::VIR_ERR_NO_SUPPORT
        || matches!(code, sys::VIR_ERR_NO_CONNECT | sys::VIR_ERR_INVALID_CONN | sys::VIR_ERR_AUTH_FAILED)
}

/// The error that people get when `what` (such as `start the VM`) failed.
pub(super) fn translate(what: &str, e: &VirtError) -> Error {
    if is_missing(e) {
        return gone();
    }
    tracing::warn!(what, error = %e, "libvirt refused");
    if is_connection(e) {
        return unreachable();
    }
    known(e.message()).unwrap_or_else(|| other(what, e))
}

/// The VM is not known to libvirt.
pub(super) fn gone() -> Error {
    Error::new(Code::VmNotFound, "The host's libvirt knows no such VM.")
}

/// The VM would have to run for this.
pub(super) fn not_running() -> Error {
    Error::new(Code::VmNotRunning, "The VM is not running.").hint("Start it first: `vm start NAME`.")
}

/// QEMU's words (`hw/i386/x86-common.c`) about a kernel or an initrd that is none.
const BAD_KERNEL: [&str; 6] = [
    "could not load kernel",
    "invalid kernel header",
    "could not open kernel file",
    "error reading initrd",
    "too old to load a ram disk",
    "without PVH ELF Note",
];

/// Faults that are told by libvirt's (or QEMU's) words alone.
fn known(message: &str) -> Option<Error> {
    let has = |words: &str| message.contains(words);
    if has("Could not set up host forwarding rule") {
        Some(
            Error::new(Code::Exists, "The port that leads to the VM is taken on the host.")
                .hint("Try again: another port will be chosen."),
        )
    } else if has("already exists with uuid") || has("is already defined with uuid") {
        Some(Error::new(Code::Exists, "The host has another VM of that name."))
    } else if has("No space left on device") {
        Some(
            Error::new(Code::BackendUnavailable, "The host's disk is full.")
                .hint("An administrator must free some space."),
        )
    } else if has("Cannot allocate memory") || has("cannot set up guest memory") {
        Some(
            Error::new(Code::BackendUnavailable, "The host has no memory left for this VM.")
                .hint("Stop another VM first, or choose a smaller plan."),
        )
    } else if BAD_KERNEL.iter().any(|words| has(words)) {
        Some(Error::new(Code::ImageInvalid, "QEMU cannot load the image's kernel."))
    } else if has("Permission denied") {
        Some(
            Error::new(Code::BackendUnavailable, "The host's QEMU may not read the VM's files.")
                .hint("`twarga doctor` on the host names the directory to mend."),
        )
    } else {
        None
    }
}

fn other(what: &str, e: &VirtError) -> Error {
    match e.code().to_raw() {
        sys::VIR_ERR_OPERATION_TIMEOUT | sys::VIR_ERR_AGENT_UNRESPONSIVE => {
            Error::new(Code::TimedOut, format!("libvirt took too long to {what}."))
        }
        sys::VIR_ERR_OPERATION_INVALID => {
            Error::new(Code::VmState, format!("libvirt cannot {what} in the VM's present state."))
                .hint("`vm show NAME` tells its state.")
        }
        sys::VIR_ERR_NO_SUPPORT
        | sys::VIR_ERR_OPERATION_UNSUPPORTED
        | sys::VIR_ERR_ARGUMENT_UNSUPPORTED
        | sys::VIR_ERR_CONFIG_UNSUPPORTED => {
            Error::new(Code::BackendUnavailable, format!("This host's libvirt cannot {what}."))
                .hint("The portal's log says why.")
        }
        _ => Error::new(Code::BackendUnavailable, format!("libvirt could not {what}."))
            .hint("The portal's log says why; `twarga doctor` on the host looks for the usual causes."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_a_conflict() {
        let said = "internal error: process exited while connecting to monitor: qemu-system-x86_64: -netdev \
                    user: Could not set up host forwarding rule 'tcp:127.0.0.1:2022-:22'";
        assert_eq!(known(said).map(|e| e.code), Some(Code::Exists));
    }

    #[test]
    fn other_words_are_not_guessed_at() {
        assert_eq!(known("internal error: whatever"), None);
    }
}
