//! The driver's truth and the table's, brought together: at the start, when the
//! backend comes back, whenever something happens to a domain, and now and then.

use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use uuid::Uuid;

use super::Portal;
use crate::driver::{Domain, DomainState, DriverEvent};
use crate::error::Result;
use crate::model::{Category, Severity, Vm, VmState};

/// A look at everything, should an event have been lost.
const EVERY: Duration = Duration::from_secs(60);

fn vm_state(state: DomainState) -> (VmState, Option<String>) {
    match state {
        DomainState::Running => (VmState::Running, None),
        DomainState::Paused => (VmState::Paused, None),
        DomainState::Stopped => (VmState::Stopped, None),
        DomainState::Crashed => (VmState::Error, Some(String::from("Its guest or its emulator crashed."))),
    }
}

impl Portal {
    /// What a start owes to a stop in the middle: jobs are marked, and machines
    /// that are half made or half removed finished or undone.
    pub(super) async fn recover(&self) -> Result<()> {
        for job in self.store().jobs_interrupt().await? {
            let (id, action, target) = (job.id, job.action, job.target);
            let message = format!("Job {id} ({action} of {target}) was interrupted by a stop of the portal.");
            self.record_own(Category::Host, "job.interrupted", Severity::Medium, Some(target), message).await;
        }
        self.mend_unfinished().await
    }

    /// Machines that no job is at work on and that are not whole: those that run
    /// are taken on, the rest removed. What the backend cannot say now waits.
    async fn mend_unfinished(&self) -> Result<()> {
        for (vm, doomed) in self.store().vms_unfinished().await? {
            match self.driver().state(vm.uuid).await {
                Ok(Some(DomainState::Running)) if !doomed => {
                    self.set_vm_state(&vm, VmState::Running, None).await?
                }
                Ok(_) => self.erase_or_complain(&vm).await,
                Err(e) => tracing::warn!(vm = vm.full_name(), error = %e, "an unfinished VM has to wait"),
            }
        }
        Ok(())
    }

    async fn erase_or_complain(&self, vm: &Vm) {
        match self.erase_vm(vm).await {
            Ok(()) => tracing::info!(vm = vm.full_name(), "an unfinished VM is removed"),
            Err(e) => tracing::warn!(vm = vm.full_name(), error = %e, "a VM could not be removed yet"),
        }
    }

    /// Follows the driver until the portal is dropped.
    pub(super) async fn follow_driver(self) {
        let mut events = self.driver().events();
        loop {
            let everything = match tokio::time::timeout(EVERY, events.recv()).await {
                Ok(Ok(DriverEvent::State(uuid, _))) => {
                    if let Err(e) = self.look_at(uuid).await {
                        tracing::warn!(error = %e, "a domain's state is not known");
                    }
                    false
                }
                Ok(Ok(DriverEvent::Undefined(_) | DriverEvent::Connected))
                | Ok(Err(RecvError::Lagged(_)))
                | Err(_) => true,
                Ok(Ok(DriverEvent::Disconnected)) => {
                    self.record_own(
                        Category::Host,
                        "driver.disconnected",
                        Severity::High,
                        None,
                        String::from("The driver's backend went away."),
                    )
                    .await;
                    false
                }
                Ok(Err(RecvError::Closed)) => return,
            };
            if everything && let Err(e) = self.look_at_everything().await {
                tracing::warn!(error = %e, "the driver cannot be asked about its domains");
            }
        }
    }

    pub(super) async fn look_at_everything(&self) -> Result<()> {
        self.mend_unfinished().await?;
        self.reconcile().await
    }

    /// Takes over what a domain is doing *now*: the event that tells of it may be
    /// older than what a job has written since.
    async fn look_at(&self, uuid: Uuid) -> Result<()> {
        // None: another portal's, or nobody's.
        let Some(vm) = self.store().vm_by_uuid(uuid).await? else { return Ok(()) };
        let state = self.driver().state(uuid).await?;
        if state.is_none() && self.store().vm_is_busy(vm.id).await? {
            return Ok(());
        }
        self.take_state(&vm, state).await
    }

    async fn take_state(&self, vm: &Vm, state: Option<DomainState>) -> Result<()> {
        if vm.state == VmState::Stopped && state == Some(DomainState::Crashed) {
            // It crashed first and was switched off then: off both ways.
            return Ok(());
        }
        let (state, fault) = match state {
            Some(state) => vm_state(state),
            None => (
                VmState::Error,
                Some(String::from(
                    "Its domain is gone from the host. `vm start` makes it again from its disk.",
                )),
            ),
        };
        // While it is being made, only a running domain says anything new.
        if vm.state == state || (vm.state == VmState::Pending && state != VmState::Running) {
            return Ok(());
        }
        tracing::info!(vm = vm.full_name(), from = %vm.state, to = %state, "a VM changed");
        self.set_vm_state(vm, state, fault).await
    }

    /// Compares every row with every domain of this portal's.
    pub(super) async fn reconcile(&self) -> Result<()> {
        let domains = self.driver().list(&self.domain_prefix()).await?;
        let vms = self.store().vms(None).await?;
        for vm in &vms {
            let listed = domains.iter().find(|d| d.uuid == vm.uuid);
            if listed.is_none_or(|d| vm_state(d.state).0 != vm.state) {
                self.look_at(vm.uuid).await?;
            }
        }
        for domain in &domains {
            // Asked again: it may have been written down, or removed, since.
            let known = self.store().vm_by_uuid(domain.uuid).await?.is_some();
            if !known && self.driver().state(domain.uuid).await?.is_some() {
                self.remove_orphan(domain).await;
            }
        }
        Ok(())
    }

    /// A domain that no row tells of: made after the backup that was brought back,
    /// or its row was lost to a power cut. It goes; its disk is set aside, for a
    /// missing row is no reason to lose what somebody wrote.
    async fn remove_orphan(&self, domain: &Domain) {
        let uuid = domain.uuid.to_string();
        let dir = self.inner.data_dir.join("vms").join(&uuid);
        let aside = self.inner.data_dir.join("orphans");
        let kept = dir.exists()
            && std::fs::create_dir_all(&aside)
                .and_then(|()| std::fs::rename(&dir, aside.join(&uuid)))
                .is_ok();
        let message = if dir.exists() {
            format!("The domain {} belongs to no VM, and its disk could not be set aside.", domain.name)
        } else {
            match self.driver().undefine(domain.uuid, &dir).await {
                Ok(()) if kept => format!(
                    "The domain {} belonged to no VM. It was removed, and its disk set aside in orphans/{uuid}.",
                    domain.name
                ),
                Ok(()) => format!("The domain {} belonged to no VM and was removed.", domain.name),
                Err(e) => format!(
                    "The domain {} belongs to no VM and could not be removed: {}",
                    domain.name, e.message
                ),
            }
        };
        self.record_own(
            Category::Host,
            "domain.orphan",
            Severity::Medium,
            Some(domain.name.clone()),
            message,
        )
        .await;
    }
}
