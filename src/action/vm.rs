//! `vm`: machines.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Args;
use serde::{Serialize, Serializer};

use super::catalogue::limits;
use crate::error::{Code, Error, Result};
use crate::model::job::JobRequest;
use crate::model::name::{VmRef, check_tags};
use crate::model::plan::LEAST;
use crate::model::{Category, Job, Permission, Reach, Size, Vm, VmName, VmState, text};
use crate::portal::machine::{Change, Order, size_and_price};
use crate::portal::{Action, Cx, Licence, Portal, Principal, Target, VmSample};

/// The longest user data that is taken, bytes: the seed's volume holds 1 MiB.
pub const LONGEST_USER_DATA: usize = 256 * 1024;

/// Make a VM and start it
///
///   vm new web1
///   vm new web1 --image debian-12 --plan medium --tag lab
///   vm new web1 --ram 1024 --cpu 2 --disk 20
#[derive(Debug, Args, Serialize)]
pub struct VmNew {
    /// Its name: a letter, then letters, digits or `-`, at most 32
    pub name: VmName,
    /// What it is made from; `image ls` shows the choice
    #[arg(long)]
    pub image: Option<String>,
    /// Its size; `plan ls` shows the choice
    #[arg(long, conflicts_with_all = ["ram", "cpu", "disk"])]
    pub plan: Option<String>,
    /// Memory
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u32).range(i64::from(LEAST.ram_mb)..=1_048_576))]
    pub ram: Option<u32>,
    /// Virtual processors
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(i64::from(LEAST.vcpus)..=64))]
    pub cpu: Option<u32>,
    /// Disk
    #[arg(long, value_name = "GB", value_parser = clap::value_parser!(u32).range(i64::from(LEAST.disk_gb)..=16_384))]
    pub disk: Option<u32>,
    /// A cloud-config or script for cloud-init, or `-` to read it from standard input
    #[arg(long, value_name = "TEXT|-")]
    #[serde(serialize_with = "length_only")]
    pub user_data: Option<String>,
    /// A word to find it by; may be given several times
    #[arg(long = "tag", value_name = "T")]
    pub tags: Vec<String>,
    /// Do not wait until it is ready
    #[arg(long)]
    #[serde(skip)]
    pub no_wait: bool,
}

/// For the audit: user data may hold secrets.
fn length_only<S: Serializer>(value: &Option<String>, s: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(text) => s.serialize_str(&format!("{} bytes", text.len())),
        None => s.serialize_none(),
    }
}

impl VmNew {
    /// The custom size, if one is asked for; the rest as in the first plan.
    fn custom_size(&self, base: Option<Size>) -> Option<Size> {
        if self.ram.is_none() && self.cpu.is_none() && self.disk.is_none() {
            return None;
        }
        let base = base.unwrap_or(Size { vcpus: 1, ram_mb: 512, disk_gb: 10 });
        Some(Size {
            vcpus: self.cpu.unwrap_or(base.vcpus),
            ram_mb: self.ram.unwrap_or(base.ram_mb),
            disk_gb: self.disk.unwrap_or(base.disk_gb),
        })
    }

    /// The words of the order, for another try; user data stays out.
    fn request(&self) -> JobRequest {
        JobRequest::New {
            name: self.name.to_string(),
            image: self.image.clone(),
            plan: self.plan.clone(),
            ram_mb: self.ram,
            vcpus: self.cpu,
            disk_gb: self.disk,
            tags: self.tags.clone(),
            user_data: self.user_data.is_some(),
        }
    }

    fn check(&self) -> Result<()> {
        if self.user_data.as_ref().is_some_and(|d| d.len() > LONGEST_USER_DATA) {
            return Err(Error::usage(format!(
                "User data has at most {}.",
                text::bytes(LONGEST_USER_DATA as u64)
            )));
        }
        check_tags(&self.tags)
    }
}

/// The image of those who name none: the one that is ready soonest.
async fn choose_image(cx: &Cx, name: Option<String>) -> Result<crate::model::Image> {
    let images = cx.portal.images().clone();
    tokio::task::spawn_blocking(move || match name {
        Some(name) => images.get(&name),
        None => {
            images.list()?.into_iter().min_by_key(|i| (i.name != "micro", i.size_bytes)).ok_or_else(|| {
                Error::new(Code::ImageNotFound, "There is no image yet.")
                    .hint("An administrator makes one on the host: `twarga image build micro`.")
            })
        }
    })
    .await?
}

impl Action for VmNew {
    const NAME: &'static str = "vm.new";
    const PERMISSION: Permission = Permission::VmWrite;
    const CATEGORY: Category = Category::Configuration;
    type Output = Job;

    async fn run(self, cx: &Cx) -> Result<Job> {
        self.check()?;
        let request = self.request();
        let owner_id = cx.who.user_id();
        let plans = &cx.portal.config().plans;
        let custom = self.custom_size(plans.first().map(|p| p.size));
        custom.map_or(Ok(()), |size| limits(&cx.portal).admit(size))?;
        let image = choose_image(cx, self.image).await?;
        let (plan, size, credits_per_hour) = size_and_price(plans, self.plan.as_deref(), custom, &image)?;
        let order = Order {
            owner_id,
            name: self.name,
            image,
            plan,
            size,
            credits_per_hour,
            user_data: self.user_data,
            tags: self.tags,
            request,
        };
        Ok(cx.portal.order_vm(order).await?.1)
    }
}

/// Your VMs
#[derive(Debug, Args, Serialize)]
pub struct VmLs {
    /// Everybody's, if you may see them
    #[arg(long)]
    pub all: bool,
    /// Only those with this tag
    #[arg(long, value_name = "T")]
    pub tag: Option<String>,
    /// Only those that are: pending, running, paused, stopped, error
    #[arg(long, value_name = "S", value_parser = state)]
    pub state: Option<String>,
}

fn state(s: &str) -> Result<String, String> {
    let words: Vec<_> = VmState::ALL.iter().map(|s| s.as_str()).collect();
    VmState::parse(s).map(|v| v.to_string()).ok_or_else(|| format!("a state is one of {}", words.join(", ")))
}

impl Action for VmLs {
    const NAME: &'static str = "vm.ls";
    const PERMISSION: Permission = Permission::VmRead;
    const CATEGORY: Category = Category::Configuration;
    const MINDS_LIMITS: bool = true;
    type Output = Vec<Vm>;

    async fn run(self, cx: &Cx) -> Result<Vec<Vm>> {
        let reach = cx.reach(self.all);
        let mut vms = cx.portal.store().vms(reach).await?;
        vms.retain(|vm| cx.may_see(vm));
        vms.retain(|vm| {
            self.tag.as_ref().is_none_or(|t| vm.tags.contains(t))
                && self.state.as_ref().is_none_or(|s| vm.state.as_str() == s)
        });
        Ok(vms)
    }
}

/// The same list, again whenever it changes: one audited act for a whole screen
#[derive(Debug, Serialize)]
pub struct VmFollow {
    /// Everybody's, if they may be seen.
    pub all: bool,
}

/// A list of VMs that keeps itself up to date.
#[derive(Debug)]
pub struct VmFeed {
    portal: Portal,
    who: Principal,
    reach: Reach,
    licence: Licence,
    changes: tokio::sync::watch::Receiver<u64>,
    samples: tokio::sync::watch::Receiver<Arc<std::collections::HashMap<uuid::Uuid, VmSample>>>,
    fresh: bool,
}

impl VmFeed {
    /// The list: at once the first time, then when something has changed. An
    /// error means that the portal is shutting down, its database is gone, or these
    /// may not be followed any more.
    pub async fn next(&mut self) -> Result<Vec<(Vm, Option<VmSample>)>> {
        if !self.fresh {
            let gone = |_| Error::new(Code::BackendUnavailable, "The portal is shutting down.");
            tokio::select! {
                changed = self.changes.changed() => changed.map_err(gone)?,
                changed = self.samples.changed() => changed.map_err(gone)?,
                renewed = self.licence.renewed() => renewed?,
            }
            // Nothing is lost if this is dropped before it ends.
            self.fresh = true;
        }
        self.licence.check().await?;
        self.changes.mark_unchanged();
        let samples = Arc::clone(&self.samples.borrow_and_update());
        let vms = self.portal.store().vms(self.reach).await?;
        self.fresh = false;
        let seen = vms.into_iter().filter(|vm| self.who.limits().sees(vm));
        Ok(seen
            .map(|vm| {
                let s = samples.get(&vm.uuid).copied();
                (vm, s)
            })
            .collect())
    }
}

impl Action for VmFollow {
    const NAME: &'static str = "vm.follow";
    const PERMISSION: Permission = Permission::VmRead;
    const CATEGORY: Category = Category::Configuration;
    const MINDS_LIMITS: bool = true;
    type Output = VmFeed;

    async fn run(self, cx: &Cx) -> Result<VmFeed> {
        let reach = cx.reach(self.all);
        Ok(VmFeed {
            portal: cx.portal.clone(),
            who: cx.who.clone(),
            reach,
            licence: cx.licence::<Self>(),
            changes: cx.portal.changes(),
            samples: cx.portal.vm_samples(),
            fresh: true,
        })
    }
}

macro_rules! on_one_vm {
    ($(#[$doc:meta])* $verb:ident) => {
        $(#[$doc])*
        #[derive(Debug, Args, Serialize)]
        pub struct $verb {
            /// Its name; another's as NAME.OWNER
            pub name: VmRef,
        }
    };
}

on_one_vm! {
    /// One VM
    VmShow
}

impl Action for VmShow {
    const NAME: &'static str = "vm.show";
    const PERMISSION: Permission = Permission::VmRead;
    const CATEGORY: Category = Category::Configuration;
    type Output = Vm;

    fn target(&self) -> Target {
        Target::Vms(vec![self.name.clone()])
    }

    async fn run(self, cx: &Cx) -> Result<Vm> {
        Ok(cx.vm()?.clone())
    }
}

/// Shared by the verbs that change VMs: all of them are found and may be
/// changed so, or none is touched.
async fn change_all(cx: &Cx, change: Change) -> Result<Vec<Job>> {
    // Named twice is meant once.
    let vms: BTreeMap<i64, &Vm> = cx.vms().iter().map(|vm| (vm.id, vm)).collect();
    for vm in vms.values() {
        change.admits(vm)?;
    }
    let mut jobs = Vec::with_capacity(vms.len());
    for vm in vms.values() {
        jobs.push(cx.portal.change_vm(vm, change).await?);
    }
    Ok(jobs)
}

/// A verb that changes VMs, each by a job.
pub trait ChangesVms: Action<Output = Vec<Job>> {
    /// Which.
    fn names(&self) -> &[VmRef];
    /// Whether nobody waits for the end.
    fn no_wait(&self) -> bool;
}

macro_rules! changes_vms {
    ($(#[$doc:meta])* $verb:ident, $name:literal, $permission:ident, |$action:ident| $change:expr
        $(, $(#[$field_doc:meta])* $field:ident)*) => {
        $(#[$doc])*
        #[derive(Debug, Args, Serialize)]
        pub struct $verb {
            /// Their names; another's as NAME.OWNER
            #[arg(required = true, num_args = 1..=64, value_name = "NAME")]
            pub names: Vec<VmRef>,
            $($(#[$field_doc])* #[arg(long)] pub $field: bool,)*
            /// Do not wait until it is done
            #[arg(long)]
            #[serde(skip)]
            pub no_wait: bool,
        }

        impl Action for $verb {
            const NAME: &'static str = $name;
            const PERMISSION: Permission = Permission::$permission;
            const CATEGORY: Category = Category::Configuration;
            type Output = Vec<Job>;

            fn target(&self) -> Target {
                Target::Vms(self.names.clone())
            }

            async fn run(self, cx: &Cx) -> Result<Vec<Job>> {
                let $action = self;
                change_all(cx, $change).await
            }
        }

        impl ChangesVms for $verb {
            fn names(&self) -> &[VmRef] {
                &self.names
            }

            fn no_wait(&self) -> bool {
                self.no_wait
            }
        }
    };
}

changes_vms! {
    /// Start VMs
    VmStart, "vm.start", VmOperate, |_a| Change::Start
}

changes_vms! {
    /// Shut VMs down
    ///
    /// The guest is asked to shut down, and switched off if it has not after a minute.
    VmStop, "vm.stop", VmOperate, |a| Change::Stop { force: a.force },
    /// Switch them off at once
    force
}

changes_vms! {
    /// Shut VMs down and start them again
    VmRestart, "vm.restart", VmOperate, |a| Change::Restart { force: a.force },
    /// Reset them at once
    force
}

changes_vms! {
    /// Hold VMs where they are, in memory
    VmPause, "vm.pause", VmOperate, |_a| Change::Pause
}

changes_vms! {
    /// Let paused VMs go on
    VmResume, "vm.resume", VmOperate, |_a| Change::Resume
}

changes_vms! {
    /// Destroy VMs with their disks, for good
    VmDestroy, "vm.destroy", VmWrite, |_a| Change::Destroy,
    /// Do not ask
    yes
}

on_one_vm! {
    /// What a VM uses now
    VmStats
}

/// A VM's figures.
#[derive(Debug, Serialize)]
pub struct Stats {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: VmState,
    /// Of its own processors, 0 to 100.
    pub cpu_percent: Option<f64>,
    /// Processor time since its start, seconds.
    pub cpu_time_s: f64,
    /// Memory given to it.
    pub ram_mb: u32,
    /// Memory that it takes on the host.
    pub rss_bytes: u64,
    /// Its disk as the guest sees it.
    pub disk_gb: u32,
    /// What it takes on the host.
    pub disk_used_bytes: u64,
    /// Read since its start.
    pub disk_read_bytes: u64,
    /// Written since its start.
    pub disk_write_bytes: u64,
    /// Received since its start; none where nobody counts.
    pub net_rx_bytes: Option<u64>,
    /// Sent since its start.
    pub net_tx_bytes: Option<u64>,
    /// Seconds since its start.
    pub uptime_s: Option<u64>,
}

impl Action for VmStats {
    const NAME: &'static str = "vm.stats";
    const PERMISSION: Permission = Permission::VmRead;
    const CATEGORY: Category = Category::Configuration;
    type Output = Stats;

    fn target(&self) -> Target {
        Target::Vms(vec![self.name.clone()])
    }

    async fn run(self, cx: &Cx) -> Result<Stats> {
        let vm = cx.vm()?;
        if !matches!(vm.state, VmState::Running | VmState::Paused) {
            return Err(Error::new(Code::VmNotRunning, format!("“{}” is {}.", vm.name, vm.state))
                .hint(format!("`vm start {}` starts it.", vm.name)));
        }
        if let Some(away) = cx.portal.driver_away() {
            return Err(away);
        }
        let uuid = vm.uuid;
        let mut samples = cx.portal.vm_samples();
        let sampled = samples.wait_for(|s| s.contains_key(&uuid));
        let patience = std::time::Duration::from_secs(cx.portal.config().sample_s * 2 + 1);
        let sample = match tokio::time::timeout(patience, sampled).await {
            Ok(Ok(samples)) => samples.get(&uuid).copied().unwrap_or_default(),
            _ => {
                return Err(
                    Error::new(Code::TimedOut, "It has not been looked at yet.").hint("Try again shortly.")
                );
            }
        };
        let stats = sample.stats;
        #[allow(clippy::cast_precision_loss)]
        let cpu_time_s = stats.cpu_time_ns as f64 / 1e9;
        Ok(Stats {
            name: vm.name.clone(),
            state: vm.state,
            cpu_percent: sample.cpu_percent,
            cpu_time_s,
            ram_mb: vm.ram_mb,
            rss_bytes: stats.rss_bytes,
            disk_gb: vm.disk_gb,
            disk_used_bytes: stats.disk_used_bytes,
            disk_read_bytes: stats.disk_read_bytes,
            disk_write_bytes: stats.disk_write_bytes,
            net_rx_bytes: stats.net_rx_bytes,
            net_tx_bytes: stats.net_tx_bytes,
            uptime_s: vm.uptime_s,
        })
    }
}

/// For a face that holds a name and wants one action or another of it.
pub async fn show(portal: &Portal, who: &Principal, name: VmRef) -> Result<Vm> {
    portal.perform(who, VmShow { name }).await
}
