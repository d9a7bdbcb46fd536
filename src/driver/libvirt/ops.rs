//! What is asked of libvirt, one blocking function a request. All of them may be
//! repeated: what is done already is done.

use std::time::{Duration, Instant};

use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::Domain as VirtDomain;
use virt::error::Error as VirtError;
use virt::sys;

use super::fault;
use crate::driver::{Domain, DomainState};
use crate::error::{Code, Error, Result};

/// Forgets everything that libvirt keeps of a domain beside its definition.
const UNDEFINE: [u32; 3] = [
    sys::VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        | sys::VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        | sys::VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
        | sys::VIR_DOMAIN_UNDEFINE_NVRAM,
    // Drivers without NVRAM or checkpoints refuse their flags.
    sys::VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | sys::VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA,
    0,
];

/// What libvirt may take to bury an emulator: it asks nicely for 10 s, then kills.
const DEPARTURE: Duration = Duration::from_secs(20);

/// Version of libvirt at the other end and of its emulator, as libvirt packs
/// them: major × 1 000 000 + minor × 1 000 + release.
pub(super) fn versions(connect: &Connect) -> Result<(u32, u32)> {
    let told = || Ok((connect.lib_version()?, connect.hyp_version()?));
    told().map_err(|e: VirtError| fault::translate("tell its version", &e))
}

/// The domain's handle; none if libvirt does not know it.
pub(super) fn find(connect: &Connect, uuid: Uuid) -> Result<Option<VirtDomain>> {
    match connect.lookup_domain_by_uuid(uuid) {
        Ok(domain) => Ok(Some(domain)),
        Err(e) if fault::is_missing(&e) => Ok(None),
        Err(e) => Err(fault::translate("find the VM", &e)),
    }
}

/// The domain's handle.
///
/// # Errors
/// `vm.not_found` if libvirt does not know it.
pub(super) fn get(connect: &Connect, uuid: Uuid) -> Result<VirtDomain> {
    find(connect, uuid)?.ok_or_else(fault::gone)
}

/// Defines the domain, or changes its definition.
pub(super) fn define(connect: &Connect, uuid: Uuid, name: &str, xml: &str) -> Result<()> {
    if let Some(domain) = find(connect, uuid)? {
        rename(&domain, name)?;
    }
    match connect.define_domain_xml(xml) {
        Ok(_) => Ok(()),
        Err(e) => Err(fault::translate("define the VM", &e)),
    }
}

/// A definition cannot change a domain's name: that is a request of its own.
fn rename(domain: &VirtDomain, name: &str) -> Result<()> {
    let renamed = domain.name().and_then(|old| if old == name { Ok(()) } else { domain.rename(name, 0) });
    match renamed {
        Err(e) if fault::is_wrong_state(&e) => {
            Err(Error::new(Code::VmState, "A running VM cannot be renamed.").hint("Stop it first."))
        }
        other => other.map_err(|e| fault::translate("rename the VM", &e)),
    }
}

/// Starts it, unless it runs.
pub(super) fn start(connect: &Connect, uuid: Uuid) -> Result<()> {
    let domain = get(connect, uuid)?;
    await_departure(&domain);
    match state_of(&domain)? {
        Some(DomainState::Running) => Ok(()),
        Some(DomainState::Paused) => {
            Err(Error::new(Code::VmState, "The VM is paused.").hint("`vm resume NAME` lets it go on."))
        }
        Some(DomainState::Stopped | DomainState::Crashed) => match domain.create() {
            // Somebody else started it between our two calls.
            Err(e) if fault::is_wrong_state(&e) && is_active(&domain) => Ok(()),
            other => other.map_err(|e| fault::translate("start the VM", &e)),
        },
        None => Err(fault::gone()),
    }
}

/// A guest that has powered itself off counts as running until its emulator is
/// gone; a start in between would be lost.
fn await_departure(domain: &VirtDomain) {
    let began = Instant::now();
    let leaving = || domain.state().is_ok_and(|(state, _)| state.to_raw() == sys::VIR_DOMAIN_SHUTDOWN);
    while leaving() && began.elapsed() < DEPARTURE {
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Switches it off, unless it is off.
pub(super) fn power_off(connect: &Connect, uuid: Uuid) -> Result<()> {
    destroy(&get(connect, uuid)?)
}

fn destroy(domain: &VirtDomain) -> Result<()> {
    if !is_active(domain) {
        return Ok(());
    }
    match domain.destroy() {
        Err(e) if (fault::is_wrong_state(&e) || fault::is_missing(&e)) && !is_active(domain) => Ok(()),
        other => other.map_err(|e| fault::translate("switch the VM off", &e)),
    }
}

/// Presses the power button, or asks the guest's agent where there is one.
/// False if it is off already.
pub(super) fn ask_to_shut_down(connect: &Connect, uuid: Uuid) -> Result<bool> {
    let domain = get(connect, uuid)?;
    match state_of(&domain)? {
        Some(DomainState::Stopped | DomainState::Crashed) | None => return Ok(false),
        // Held processors would not hear the request.
        Some(DomainState::Paused) => drop(domain.resume()),
        Some(DomainState::Running) => {}
    }
    // Without flags libvirt asks the agent if it answers, else presses the button.
    match domain.shutdown() {
        Err(e) if fault::is_wrong_state(&e) && !is_active(&domain) => Ok(false),
        other => other.map(|()| true).map_err(|e| fault::translate("shut the VM down", &e)),
    }
}

/// Asks the guest to start again, or resets it. A paused one is let go first: it
/// would not hear the request, and a restarted VM is expected to run.
pub(super) fn reboot(connect: &Connect, uuid: Uuid, force: bool) -> Result<()> {
    let domain = active(connect, uuid)?;
    if state_of(&domain)? == Some(DomainState::Paused) {
        domain.resume().map_err(|e| fault::translate("resume the VM", &e))?;
    }
    let done = if force { domain.reset() } else { domain.reboot(0) };
    match done {
        // Drivers without a reset, such as test:///.
        Err(e) if force && fault::is_unsupported(&e) => {
            domain.reboot(0).map_err(|e| fault::translate("restart the VM", &e))
        }
        other => other.map_err(|e| fault::translate("restart the VM", &e)),
    }
}

/// Holds its processors, unless they are held.
pub(super) fn suspend(connect: &Connect, uuid: Uuid) -> Result<()> {
    let domain = active(connect, uuid)?;
    if state_of(&domain)? == Some(DomainState::Paused) {
        return Ok(());
    }
    domain.suspend().map_err(|e| fault::translate("pause the VM", &e))
}

/// Lets its processors go on, unless they do.
pub(super) fn resume(connect: &Connect, uuid: Uuid) -> Result<()> {
    let domain = active(connect, uuid)?;
    if state_of(&domain)? == Some(DomainState::Running) {
        return Ok(());
    }
    domain.resume().map_err(|e| fault::translate("resume the VM", &e))
}

/// Switches it off and forgets it, if libvirt knows it.
pub(super) fn undefine(connect: &Connect, uuid: Uuid) -> Result<()> {
    let Some(domain) = find(connect, uuid)? else { return Ok(()) };
    destroy(&domain)?;
    let mut done = Ok(());
    for flags in UNDEFINE {
        done = domain.undefine_flags(flags);
        match &done {
            Err(e) if fault::is_unsupported(e) => {}
            Ok(()) | Err(_) => break,
        }
    }
    match done {
        Err(e) if fault::is_missing(&e) => Ok(()),
        other => other.map_err(|e| fault::translate("forget the VM", &e)),
    }
}

/// What it is doing; none if libvirt does not know it.
pub(super) fn state(connect: &Connect, uuid: Uuid) -> Result<Option<DomainState>> {
    match find(connect, uuid)? {
        Some(domain) => state_of(&domain),
        None => Ok(None),
    }
}

/// Every domain whose name starts with `prefix`.
pub(super) fn list(connect: &Connect, prefix: &str) -> Result<Vec<Domain>> {
    let all = connect.list_all_domains(0).map_err(|e| fault::translate("list the VMs", &e))?;
    let mut found = Vec::new();
    for domain in all {
        let named = || Ok((domain.name()?, domain.uuid()?));
        let (name, uuid) = named().map_err(|e: VirtError| fault::translate("list the VMs", &e))?;
        if !name.starts_with(prefix) {
            continue;
        }
        // One that went away meanwhile is simply not listed.
        if let Some(state) = state_of(&domain)? {
            found.push(Domain { uuid, name, state });
        }
    }
    Ok(found)
}

/// The domain, which must not be off.
pub(super) fn active(connect: &Connect, uuid: Uuid) -> Result<VirtDomain> {
    let domain = get(connect, uuid)?;
    match state_of(&domain)? {
        Some(DomainState::Running | DomainState::Paused) => Ok(domain),
        Some(DomainState::Stopped | DomainState::Crashed) => Err(fault::not_running()),
        None => Err(fault::gone()),
    }
}

fn is_active(domain: &VirtDomain) -> bool {
    domain.is_active().unwrap_or(false)
}

/// Its state; none if it has gone meanwhile.
fn state_of(domain: &VirtDomain) -> Result<Option<DomainState>> {
    let (state, reason) = domain.state().map_err(|e| fault::translate("tell the VM's state", &e))?;
    let state = match state.to_raw() {
        sys::VIR_DOMAIN_NOSTATE
        | sys::VIR_DOMAIN_RUNNING
        | sys::VIR_DOMAIN_BLOCKED
        // The guest is done, its emulator not yet: off follows at once.
        | sys::VIR_DOMAIN_SHUTDOWN => DomainState::Running,
        sys::VIR_DOMAIN_PAUSED | sys::VIR_DOMAIN_PMSUSPENDED => DomainState::Paused,
        sys::VIR_DOMAIN_CRASHED => DomainState::Crashed,
        sys::VIR_DOMAIN_SHUTOFF if is_crash(&reason) => DomainState::Crashed,
        sys::VIR_DOMAIN_SHUTOFF => DomainState::Stopped,
        // `virt` hands a failed request out as an unknown state.
        _ => {
            let error = VirtError::last_error();
            if fault::is_missing(&error) {
                return Ok(None);
            }
            return Err(fault::translate("tell the VM's state", &error));
        }
    };
    Ok(Some(state))
}

fn is_crash(reason: &virt::domain::DomainStateReasonEnum) -> bool {
    use virt::domain::{DomainShutoffReason, DomainStateReason};
    use virt::enumutil::Enum;
    matches!(reason, Enum::Known(DomainStateReason::Shutoff(r)) if r.is(DomainShutoffReason::Crashed))
}
