//! The driver's truth and the table's, brought together: at the start, when the
//! backend comes back, whenever something happens to a domain, and now and then.

use std::path::Path;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use uuid::Uuid;

use super::Portal;
use crate::crash;
use crate::driver::{Domain, DomainState, DriverEvent};
use crate::error::{Code, Error, Result};
use crate::model::{Category, Reach, Severity, Vm, VmState};

/// A look at everything, should an event have been lost.
const EVERY: Duration = Duration::from_secs(60);
/// The same after what was seen could not be written down.
const SOON: Duration = Duration::from_secs(2);

fn vm_state(state: DomainState) -> (VmState, Option<String>) {
    match state {
        DomainState::Running => (VmState::Running, None),
        DomainState::Paused => (VmState::Paused, None),
        DomainState::Stopped => (VmState::Stopped, None),
        DomainState::Crashed => (VmState::Error, Some(String::from("Its guest or its emulator crashed."))),
    }
}

/// When to look again after that error: a backend says itself when it is back.
fn next_look(e: &Error) -> Duration {
    if e.code == Code::DatabaseUnavailable { SOON } else { EVERY }
}

impl Portal {
    /// What a start owes to a stop in the middle: jobs are marked, and machines
    /// that are half made or half removed finished or undone.
    pub(super) async fn recover(&self) -> Result<()> {
        self.mark_interrupted().await?;
        crash::point("marked");
        self.mend_unfinished().await
    }

    /// Machines that no job is at work on and that are not whole: those that run
    /// are taken on, the rest removed. What the backend cannot say now waits.
    async fn mend_unfinished(&self) -> Result<()> {
        if self.jobs_are_ending() {
            return Ok(());
        }
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

    pub(super) async fn erase_or_complain(&self, vm: &Vm) {
        match self.erase_vm(vm).await {
            Ok(()) => tracing::info!(vm = vm.full_name(), "an unfinished VM is removed"),
            Err(e) => tracing::warn!(vm = vm.full_name(), error = %e, "a VM could not be removed yet"),
        }
    }

    /// Follows the driver until the portal is dropped.
    pub(super) async fn follow_driver(self) {
        let mut events = self.driver().events();
        let mut wait = EVERY;
        let mut away = false;
        loop {
            let everything = match tokio::time::timeout(wait, events.recv()).await {
                Ok(Ok(DriverEvent::State(uuid, _))) => {
                    if let Err(e) = self.look_at(uuid).await {
                        tracing::warn!(error = %e, "a domain's state is not known");
                        wait = next_look(&e);
                    }
                    false
                }
                Ok(Ok(DriverEvent::Connected)) => {
                    if std::mem::take(&mut away) {
                        let message = String::from("The driver's backend is back.");
                        self.record_own(Category::Host, "driver.connected", Severity::Info, None, message)
                            .await;
                    }
                    true
                }
                Ok(Ok(DriverEvent::Undefined(_))) | Ok(Err(RecvError::Lagged(_))) | Err(_) => true,
                Ok(Ok(DriverEvent::Disconnected)) => {
                    away = true;
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
            if everything {
                wait = EVERY;
                if let Err(e) = self.look_at_everything().await {
                    tracing::warn!(error = %e, "domains and rows are not compared");
                    wait = next_look(&e);
                }
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
        let by_itself = vm.state != VmState::Pending && !self.store().vm_is_busy(vm.id).await?;
        self.set_vm_state(vm, state, fault.clone()).await?;
        if by_itself {
            self.record_change(vm, state, fault).await;
        }
        Ok(())
    }

    /// A VM changed, and no job of the portal's did it.
    async fn record_change(&self, vm: &Vm, state: VmState, fault: Option<String>) {
        let (severity, why) = match (state, fault) {
            (VmState::Error, Some(fault)) => (Severity::Medium, fault),
            // QEMU holds a guest whose writes the host's disk does not take any more.
            (VmState::Paused, _) => (Severity::Medium, String::from("Is the host's disk full?")),
            (VmState::Error, None) => (Severity::Medium, String::new()),
            (VmState::Running | VmState::Stopped | VmState::Pending, _) => (Severity::Info, String::new()),
        };
        let name = vm.full_name();
        let message = format!("“{name}” went from {} to {state} by itself. {why}", vm.state);
        self.record_own(Category::Host, "vm.state", severity, Some(name), message.trim_end().to_owned())
            .await;
    }

    /// Compares every row with every domain of this portal's.
    pub(super) async fn reconcile(&self) -> Result<()> {
        let domains = self.driver().list(&self.domain_prefix()).await?;
        let vms = self.store().vms(Reach::All).await?;
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
        self.set_lost_folders_aside().await
    }

    /// Folders of machines that neither a row nor a domain tells of: their rows
    /// were lost, with the backup that was brought back or in a power cut.
    async fn set_lost_folders_aside(&self) -> Result<()> {
        let dir = self.inner.data_dir.join("vms");
        let listed = tokio::task::spawn_blocking(move || folders(&dir)).await??;
        for uuid in listed {
            // A row is there before its folder and goes after it.
            if self.store().vm_by_uuid(uuid).await?.is_some() || self.driver().state(uuid).await?.is_some() {
                continue;
            }
            if let Err(e) = self.set_aside(uuid).await {
                tracing::warn!(folder = %uuid, error = %e, "a folder that belongs to no VM stays where it is");
                continue;
            }
            let message = format!("The folder {uuid} belonged to no VM. It was set aside in orphans/{uuid}.");
            self.record_own(
                Category::Host,
                "folder.orphan",
                Severity::Medium,
                Some(uuid.to_string()),
                message,
            )
            .await;
        }
        Ok(())
    }

    /// Moves the folder of a machine that is not known to where it does no harm.
    async fn set_aside(&self, uuid: Uuid) -> Result<()> {
        let name = uuid.to_string();
        let (from, aside) =
            (self.inner.data_dir.join("vms").join(&name), self.inner.data_dir.join("orphans"));
        tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&aside)?;
            Ok(std::fs::rename(from, aside.join(name))?)
        })
        .await?
    }

    /// A domain that no row tells of: made after the backup that was brought back,
    /// or its row was lost to a power cut. It goes; its disk is set aside, for a
    /// missing row is no reason to lose what somebody wrote.
    async fn remove_orphan(&self, domain: &Domain) {
        let uuid = domain.uuid.to_string();
        let dir = self.inner.data_dir.join("vms").join(&uuid);
        let kept = dir.exists() && self.set_aside(domain.uuid).await.is_ok();
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

/// The folders there that are named like a machine's.
fn folders(dir: &Path) -> Result<Vec<Uuid>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        if let Some(uuid) = entry?.file_name().to_str().and_then(|name| Uuid::parse_str(name).ok()) {
            found.push(uuid);
        }
    }
    Ok(found)
}
