//! What jobs do to machines, step by step, so that at each step a restart can
//! tell what is there:
//!
//! ```text
//! row `pending` + port + keys  →  folder with overlay and seed  →  domain  →  running  →  SSH answers
//!        destroy goes the same way back: domain and folder first, the row last
//! ```

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use super::jobs::JobCx;
use super::ready::wait_for_ssh;
use super::{Portal, keys};
use crate::crash;
use crate::driver::{DomainSpec, Seed};
use crate::error::{Code, Error, Result};
use crate::model::job::JobRequest;
use crate::model::{Image, Job, Plan, Size, Time, Vm, VmName, VmState};
use crate::store::{BootRecord, JobDraft, NewVm, Place};

/// The only host there is so far; every row names it.
pub const NODE: &str = "local";
/// How long a guest may take to shut down by itself.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(60);
/// Tries at a port that somebody else takes meanwhile.
const PORT_TRIES: usize = 5;

/// A machine as it was asked for, with everything looked up.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub owner_id: i64,
    pub name: VmName,
    pub image: Image,
    pub plan: String,
    pub size: Size,
    pub credits_per_hour: f64,
    pub user_data: Option<String>,
    pub tags: Vec<String>,
    /// The words of the order, for another try.
    pub request: JobRequest,
}

/// What is done to a machine that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Start,
    Stop { force: bool },
    Restart { force: bool },
    Pause,
    Resume,
    Destroy,
}

impl Change {
    fn action(self) -> &'static str {
        match self {
            Change::Start => "vm.start",
            Change::Stop { .. } => "vm.stop",
            Change::Restart { .. } => "vm.restart",
            Change::Pause => "vm.pause",
            Change::Resume => "vm.resume",
            Change::Destroy => "vm.destroy",
        }
    }

    fn request(self) -> JobRequest {
        match self {
            Change::Start => JobRequest::Start,
            Change::Stop { force } => JobRequest::Stop { force },
            Change::Restart { force } => JobRequest::Restart { force },
            Change::Pause => JobRequest::Pause,
            Change::Resume => JobRequest::Resume,
            Change::Destroy => JobRequest::Destroy,
        }
    }

    /// Whether a VM of that state can be changed so, and if not, what helps.
    pub(crate) fn admits(self, vm: &Vm) -> Result<()> {
        let hint = match (self, vm.state) {
            (Change::Destroy, _)
            | (Change::Start, VmState::Stopped | VmState::Error)
            | (Change::Stop { .. } | Change::Restart { .. }, VmState::Running | VmState::Paused)
            | (Change::Stop { force: true }, VmState::Error)
            | (Change::Pause, VmState::Running)
            | (Change::Resume, VmState::Paused) => return Ok(()),
            (_, VmState::Pending) => String::from("It is still being made: `job ls` shows how far it is."),
            (Change::Start | Change::Resume, VmState::Running) => format!("`vm ssh {}` enters it.", vm.name),
            (Change::Start, VmState::Paused) => format!("`vm resume {}` lets it go on.", vm.name),
            (
                Change::Stop { .. } | Change::Restart { .. } | Change::Pause | Change::Resume,
                VmState::Stopped,
            ) => {
                format!("`vm start {}` starts it.", vm.name)
            }
            (Change::Pause, VmState::Paused) => format!("`vm resume {}` lets it go on.", vm.name),
            (
                Change::Stop { .. } | Change::Restart { .. } | Change::Pause | Change::Resume,
                VmState::Error,
            ) => {
                format!("`vm show {}` tells why; `vm start {}` tries again.", vm.name, vm.name)
            }
        };
        Err(Error::new(Code::VmState, format!("“{}” is {}.", vm.name, vm.state)).hint(hint))
    }
}

impl Portal {
    /// Writes the machine and the job of making it down, and sets the job going.
    ///
    /// # Errors
    /// `backend.unavailable` if nothing could be made now: then nothing is written
    /// down that would have to be undone later.
    pub(crate) async fn order_vm(&self, order: Order) -> Result<(Vm, Job)> {
        self.takes_jobs()?;
        self.driver().ping().await?;
        let (private, public) = tokio::task::spawn_blocking(keys::new_pair).await??;
        let uuid = uuid::Uuid::new_v4();
        let new = NewVm {
            uuid,
            owner_id: order.owner_id,
            name: order.name.to_string(),
            image: order.image.name.clone(),
            image_digest: order.image.digest.clone(),
            plan: order.plan,
            size: order.size,
            driver: self.driver().name(),
            node: NODE,
            ssh_port: 0,
            ssh_user: order.image.ssh_user.clone(),
            host_key: public,
            host_key_private: self.inner.ring.seal(&Place::vm_host_key(uuid), private.as_bytes())?,
            user_data: order.user_data,
            tags: order.tags,
            credits_per_hour: order.credits_per_hour,
        };
        let (vm, job) = self.insert_with_port(new, order.request).await?;
        let made = vm.clone();
        self.set_going(&job, move |cx| async move { make(&cx, &made).await });
        self.changed();
        Ok((vm, job))
    }

    async fn insert_with_port(&self, mut new: NewVm, request: JobRequest) -> Result<(Vm, Job)> {
        let most = self.config().max_vms_per_user;
        let mut tried = Vec::new();
        loop {
            new.ssh_port = self.free_port(&tried).await?;
            match self.store().vm_insert(new.clone(), "vm.new", request.clone(), most).await {
                Err(e) if e.code == Code::VmBusy && tried.len() < PORT_TRIES => tried.push(new.ssh_port),
                other => return other,
            }
        }
    }

    /// Gives a machine another port, for somebody has taken its own.
    async fn change_port(&self, vm: &Vm) -> Result<u16> {
        let mut tried = Vec::new();
        loop {
            let port = self.free_port(&tried).await?;
            match self.store().vm_set_port(vm.id, port).await {
                Ok(()) => return Ok(port),
                // Another VM has got it in this moment.
                Err(e) if e.code == Code::VmBusy && tried.len() < PORT_TRIES => tried.push(port),
                Err(e) => return Err(e),
            }
        }
    }

    /// A port of the range that no VM has, that nobody listens on, and that was
    /// not tried already.
    async fn free_port(&self, tried: &[u16]) -> Result<u16> {
        let taken = self.store().vm_ports(NODE).await?;
        let (first, last) = self.config().driver.libvirt.ports;
        let span = u32::from(last.saturating_sub(first)) + 1;
        let offset = rand::random::<u32>() % span;
        let free = (0..span)
            .filter_map(|i| u16::try_from(u32::from(first) + (offset + i) % span).ok())
            .filter(|port| !taken.contains(port) && !tried.contains(port))
            .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
        free.ok_or_else(|| {
            Error::new(Code::Quota, "No port is left for another VM.")
                .hint("An administrator can widen `driver.libvirt.first_port` to `last_port`.")
        })
    }

    /// Writes a job down that changes the machine, and sets it going.
    pub(crate) async fn change_vm(&self, vm: &Vm, change: Change) -> Result<Job> {
        change.admits(vm)?;
        let draft = JobDraft {
            action: change.action(),
            target: vm.full_name(),
            owner_id: vm.owner_id,
            vm_id: Some(vm.id),
            request: change.request(),
        };
        let id = vm.id;
        self.start_job(draft, move |cx| async move {
            // As it is now: the job may have waited.
            let record = cx.portal.boot_record(id).await?;
            change.admits(&record.vm)?;
            carry_out(&cx, &record, change).await
        })
        .await
    }

    async fn boot_record(&self, id: i64) -> Result<BootRecord> {
        let record = self.store().vm_boot_record(id).await?;
        record.ok_or_else(|| Error::new(Code::VmNotFound, "That VM is gone."))
    }

    pub(super) async fn set_vm_state(&self, vm: &Vm, state: VmState, fault: Option<String>) -> Result<()> {
        self.store().vm_set_state(vm.id, state, fault).await?;
        self.changed();
        Ok(())
    }

    /// Removes what the driver has of a machine, then its row.
    pub(super) async fn erase_vm(&self, vm: &Vm) -> Result<()> {
        self.driver().undefine(vm.uuid, &self.vm_dir(vm)).await?;
        crash::point("undefined");
        self.store().vm_delete(vm.uuid).await?;
        crash::point("forgotten");
        self.changed();
        Ok(())
    }

    /// The machine's own folder.
    pub(super) fn vm_dir(&self, vm: &Vm) -> std::path::PathBuf {
        self.inner.data_dir.join("vms").join(vm.uuid.to_string())
    }

    /// What all domains of this portal are called first.
    pub(super) fn domain_prefix(&self) -> String {
        format!("twarga-{}-", self.inner.id)
    }

    /// The machine as the driver should have it.
    async fn spec(&self, record: &BootRecord) -> Result<DomainSpec> {
        let vm = &record.vm;
        let (images, name, digest) = (self.images().clone(), vm.image.clone(), record.image_digest.clone());
        let (manifest, boot) = tokio::task::spawn_blocking(move || images.verified(&name, &digest)).await??;
        let mut authorized_keys = vec![format!("{} twarga-portal", self.keys().client_line())];
        let keys = self.store().keys(vm.owner_id).await?;
        // Inside, nobody asks what a key is limited to.
        for key in keys.into_iter().filter(|key| key.limits.may_enter(vm, Time::now())) {
            authorized_keys.push(format!("{} {}", key.line, key.note));
        }
        let ssh_port = vm.ssh_port.ok_or_else(|| Error::internal("a VM without a port"))?;
        let host_key = self.inner.ring.unseal_text(&Place::vm_host_key(vm.uuid), &record.host_key_private)?;
        Ok(DomainSpec {
            uuid: vm.uuid,
            name: format!("{}{}-{}", self.domain_prefix(), vm.id, vm.name),
            title: format!("{} of {}", vm.name, vm.owner),
            vcpus: vm.vcpus,
            ram_mb: vm.ram_mb,
            disk_gb: vm.disk_gb,
            boot,
            dir: self.vm_dir(vm),
            seed: Seed {
                instance_id: vm.uuid.to_string(),
                hostname: vm.name.clone(),
                user: vm.ssh_user.clone(),
                authorized_keys,
                host_key,
                host_key_public: vm.host_key.clone(),
                user_data: record.user_data.clone(),
            },
            ssh_port,
            guest_agent: manifest.guest_agent,
        })
    }
}

/// Makes a machine that is written down; what was made is undone if that fails
/// before it ran, or if somebody cancels.
async fn make(cx: &Arc<JobCx>, vm: &Vm) -> Result<()> {
    match bring_up(cx, vm).await {
        Ok(()) => {}
        Err(e) => {
            // What cannot be removed now is removed later; why it failed is the news.
            cx.portal.erase_or_complain(vm).await;
            return Err(e);
        }
    }
    match wait_for_ssh(cx, vm, 60).await {
        Err(e) if e.code == Code::Cancelled => {
            // Marked, so that a restart goes on with it.
            cx.portal.store().vm_set_doomed(vm.id, true).await?;
            cx.tell(90, "undoing").await?;
            cx.portal.erase_or_complain(vm).await;
            Err(e)
        }
        other => other,
    }
}

async fn bring_up(cx: &Arc<JobCx>, vm: &Vm) -> Result<()> {
    cx.step(2, "checking the image").await?;
    let record = cx.portal.boot_record(vm.id).await?;
    power_on(cx, &record).await
}

/// From a row to a running domain; the same way for a new machine and for one
/// that was off. A port that somebody took meanwhile is changed for another.
async fn power_on(cx: &Arc<JobCx>, record: &BootRecord) -> Result<()> {
    let portal = &cx.portal;
    let mut spec = portal.spec(record).await?;
    cx.step(10, "preparing the disk").await?;
    portal.driver().prepare(&spec).await?;
    crash::point("prepared");
    for attempt in 1..=PORT_TRIES {
        cx.step(30, "defining the machine").await?;
        portal.driver().define(&spec).await?;
        crash::point("defined");
        cx.step(45, "starting").await?;
        match portal.driver().start(spec.uuid).await {
            Ok(()) => break,
            Err(e) if e.code == Code::Exists && attempt < PORT_TRIES => {
                spec.ssh_port = portal.change_port(&record.vm).await?;
            }
            Err(e) => return Err(e),
        }
    }
    crash::point("started");
    portal.set_vm_state(&record.vm, VmState::Running, None).await
}

async fn carry_out(cx: &Arc<JobCx>, record: &BootRecord, change: Change) -> Result<()> {
    let (portal, vm) = (&cx.portal, &record.vm);
    match change {
        Change::Start => start(cx, record).await,
        Change::Stop { force } => stop(cx, vm, force).await,
        Change::Restart { force: true } => {
            cx.step(30, "resetting").await?;
            portal.driver().reboot(vm.uuid, true).await?;
            if vm.state == VmState::Paused {
                // A reset leaves a held machine held.
                portal.driver().resume(vm.uuid).await?;
                portal.set_vm_state(vm, VmState::Running, None).await?;
            }
            wait_for_ssh(cx, vm, 60).await
        }
        Change::Restart { force: false } => {
            stop(cx, vm, false).await?;
            start(cx, record).await
        }
        Change::Pause => {
            cx.step(50, "pausing").await?;
            portal.driver().suspend(vm.uuid).await?;
            portal.set_vm_state(vm, VmState::Paused, None).await
        }
        Change::Resume => {
            cx.step(50, "resuming").await?;
            portal.driver().resume(vm.uuid).await?;
            portal.set_vm_state(vm, VmState::Running, None).await
        }
        Change::Destroy => {
            cx.step(20, "removing").await?;
            destroy(portal, vm).await
        }
    }
}

/// A stop in the middle is gone on with at the next start; a failure leaves the
/// machine as it was.
async fn destroy(portal: &Portal, vm: &Vm) -> Result<()> {
    portal.store().vm_set_doomed(vm.id, true).await?;
    crash::point("doomed");
    portal.changed();
    let erased = portal.erase_vm(vm).await;
    if erased.is_err() {
        portal.store().vm_set_doomed(vm.id, false).await?;
        portal.set_vm_state(vm, vm.state, vm.fault.clone()).await?;
    }
    erased
}

async fn start(cx: &Arc<JobCx>, record: &BootRecord) -> Result<()> {
    cx.step(2, "checking the image").await?;
    if cx.portal.driver().capabilities().boots && !cx.portal.vm_dir(&record.vm).exists() {
        // A fresh disk in place of the one that is gone would be a lie.
        let message = format!("The disk of “{}” is gone from the host.", record.vm.name);
        return Err(
            Error::new(Code::VmState, message).hint("An administrator may find it; else `vm destroy` it.")
        );
    }
    power_on(cx, record).await?;
    wait_for_ssh(cx, &record.vm, 60).await
}

async fn stop(cx: &Arc<JobCx>, vm: &Vm, force: bool) -> Result<()> {
    let portal = &cx.portal;
    if force {
        cx.step(30, "switching off").await?;
        portal.driver().power_off(vm.uuid).await?;
    } else {
        cx.step(20, "shutting down").await?;
        if vm.state == VmState::Paused {
            // A held guest cannot hear that it should go.
            portal.driver().resume(vm.uuid).await?;
        }
        cx.rest();
        let by_itself = portal.driver().shutdown(vm.uuid, SHUTDOWN_PATIENCE).await?;
        if !by_itself {
            cx.tell(90, "switched off: the guest did not shut down in time").await?;
        }
    }
    portal.set_vm_state(vm, VmState::Stopped, None).await
}

/// The size and price of an order: a plan's, or a custom size's.
pub(crate) fn size_and_price(
    plans: &[Plan],
    plan: Option<&str>,
    custom: Option<Size>,
    image: &Image,
) -> Result<(String, Size, f64)> {
    let (name, size, price) = match (plan, custom) {
        (_, Some(size)) => (String::from("custom"), size, crate::model::plan::custom_price(size)),
        (Some(name), None) => {
            let plan = plans.iter().find(|p| p.name == name);
            let plan = plan.ok_or_else(|| {
                let name = crate::model::text::short(name, 40);
                Error::new(Code::PlanNotFound, format!("There is no plan called “{name}”."))
            })?;
            (plan.name.clone(), plan.size, plan.credits_per_hour)
        }
        (None, None) => {
            let first = plans.first().ok_or_else(|| Error::new(Code::PlanNotFound, "There are no plans."))?;
            (first.name.clone(), first.size, first.credits_per_hour)
        }
    };
    image.admit(size)?;
    Ok((name, size, price))
}
