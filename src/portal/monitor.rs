//! One sampler for everybody: the host's figures, the parts' health and the
//! VMs' figures, taken every few seconds and published. No session and no HTTP
//! request asks the system itself.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sysinfo::{Disks, MemoryRefreshKind, ProcessRefreshKind, ProcessesToUpdate, System};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::Instant;
use uuid::Uuid;

use super::Portal;
use crate::driver::{DomainStats, DriverEvent};
use crate::error::{Code, Error};
use crate::memory;
use crate::model::health::Counters;
use crate::model::{Check, Gauges, Health, Published, Reach, Status, Time, VmState};

/// Samples that are kept for the charts.
const HISTORY: usize = 120;
/// How long a part may take to answer before it counts as down.
const PATIENCE: Duration = Duration::from_secs(4);

/// A VM's figures and what they grew by a second since the sample before.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct VmSample {
    /// As the driver counts.
    pub stats: DomainStats,
    /// Of its own processors, 0 to 100; none at its first sample.
    pub cpu_percent: Option<f64>,
    /// Bytes read a second.
    pub disk_read_bps: Option<u64>,
    /// Bytes written a second.
    pub disk_write_bps: Option<u64>,
}

/// The sampler's memory.
struct Sampler {
    system: System,
    disks: Disks,
    data_dir: PathBuf,
}

impl Sampler {
    fn new(data_dir: PathBuf) -> Result<Self, sysinfo::Error> {
        Ok(Sampler { system: System::new()?, disks: Disks::new_with_refreshed_list()?, data_dir })
    }

    fn gauges(&mut self) -> Gauges {
        self.system.refresh_cpu_usage();
        self.system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let me = sysinfo::get_current_pid().ok();
        if let Some(pid) = me {
            let what = ProcessRefreshKind::nothing().with_memory();
            self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, what);
        }
        self.disks.refresh(true);
        let (disk_total_bytes, disk_free_bytes) = self.disk();
        Gauges {
            cpu_percent: f64::from(self.system.global_cpu_usage()).clamp(0.0, 100.0),
            load1: System::load_average().map_or(0.0, |load| load.one),
            cpus: u32::try_from(self.system.cpus().len()).unwrap_or(u32::MAX),
            memory_total_bytes: self.system.total_memory(),
            memory_used_bytes: self.system.used_memory(),
            disk_total_bytes,
            disk_free_bytes,
            portal_rss_bytes: me.and_then(|p| self.system.process(p)).map_or(0, sysinfo::Process::memory),
            portal_open_fds: std::fs::read_dir("/proc/self/fd").map_or(0, |d| d.count() as u64),
            ..Gauges::default()
        }
    }

    /// The filesystem with the longest mount point that holds the data directory.
    fn disk(&self) -> (u64, u64) {
        let holding = self.disks.iter().filter(|d| self.data_dir.starts_with(d.mount_point()));
        let deepest = holding.max_by_key(|d| d.mount_point().as_os_str().len());
        deepest.map_or((0, 0), |d| (d.total_space(), d.available_space()))
    }
}

/// Rates need two samples.
fn rates(now: &DomainStats, before: Option<(&DomainStats, Duration)>, vcpus: u32) -> VmSample {
    let mut sample = VmSample { stats: *now, ..VmSample::default() };
    let Some((before, elapsed)) = before.filter(|(b, e)| !e.is_zero() && b.cpu_time_ns <= now.cpu_time_ns)
    else {
        return sample;
    };
    #[allow(clippy::cast_precision_loss)]
    let used = (now.cpu_time_ns - before.cpu_time_ns) as f64 / 1e9;
    let available = elapsed.as_secs_f64() * f64::from(vcpus.max(1));
    sample.cpu_percent = Some((used / available * 100.0).clamp(0.0, 100.0));
    let per_second = |a: u64, b: u64| {
        Some(
            u64::try_from(u128::from(a.saturating_sub(b)) * 1000 / elapsed.as_millis().max(1))
                .unwrap_or(u64::MAX),
        )
    };
    sample.disk_read_bps = per_second(now.disk_read_bytes, before.disk_read_bytes);
    sample.disk_write_bps = per_second(now.disk_write_bytes, before.disk_write_bytes);
    sample
}

impl Portal {
    /// Samples until the portal is dropped.
    pub(super) async fn run_monitor(self) {
        let every = Duration::from_secs(self.config().sample_s);
        let data_dir = self.inner.data_dir.clone();
        let mut sampler = match tokio::task::spawn_blocking(move || Sampler::new(data_dir)).await {
            Ok(Ok(sampler)) => sampler,
            Ok(Err(e)) => return tracing::error!(error = %e, "the host cannot be looked at"),
            Err(e) => return tracing::error!(error = %e, "the host cannot be looked at"),
        };
        let mut cpu = VecDeque::new();
        let mut memory = VecDeque::new();
        let mut before: (HashMap<Uuid, DomainStats>, Instant) = (HashMap::new(), Instant::now());
        let mut ticker = tokio::time::interval(every);
        ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut seen = None;
        let mut quiet = 0_u32;
        let mut events = self.driver().events();
        loop {
            tokio::select! {
                _ = ticker.tick() => {}
                () = comes_or_goes(&mut events) => {}
            }
            let now = (
                self.inner.counters.connections.load(std::sync::atomic::Ordering::Relaxed),
                self.sessions().list().len(),
            );
            // Samples in a row at which nobody came or went.
            quiet = if seen.replace(now) == Some(now) { quiet.saturating_add(1) } else { 0 };
            if quiet == 1 {
                self.store().rest().await;
                memory::ask_threads();
            }
            let sampled = tokio::task::spawn_blocking(move || {
                if quiet <= 2 {
                    memory::give_back();
                }
                if quiet == 2 {
                    memory::let_go_of_code();
                }
                let gauges = sampler.gauges();
                (sampler, gauges)
            });
            let Ok((s, mut gauges)) = sampled.await else { return };
            sampler = s;
            self.add_portal_gauges(&mut gauges).await;
            push(&mut cpu, gauges.cpu_percent);
            push(&mut memory, gauges.memory_percent());
            self.sample_vms(&mut before).await;
            let health = self.look_at_parts(&gauges).await;
            self.publish(gauges, health, &cpu, &memory);
        }
    }

    async fn add_portal_gauges(&self, gauges: &mut Gauges) {
        gauges.active_sessions = self.sessions().list().len() as u64;
        gauges.startups = self.inner.startups.load(std::sync::atomic::Ordering::Relaxed);
        gauges.bans = self.ban_count();
        gauges.jobs_active = self.jobs_active();
        let vms = self.store().vms(Reach::All).await.unwrap_or_default();
        for (slot, state) in gauges.vms.iter_mut().zip(VmState::ALL) {
            *slot = vms.iter().filter(|vm| vm.state == state).count() as u64;
        }
        let live = vms.iter().filter(|vm| matches!(vm.state, VmState::Running | VmState::Paused));
        for vm in live {
            gauges.vms_ram_mb += u64::from(vm.ram_mb);
            gauges.vms_vcpus += u64::from(vm.vcpus);
        }
    }

    async fn sample_vms(&self, before: &mut (HashMap<Uuid, DomainStats>, Instant)) {
        let asked = tokio::time::timeout(PATIENCE, self.driver().stats(&self.domain_prefix())).await;
        let Ok(Ok(stats)) = asked else {
            // Old figures would pass for those of now.
            self.inner.vm_samples.send_if_modified(|s| !std::mem::take(s).is_empty());
            return;
        };
        let vcpus: HashMap<Uuid, u32> = self
            .store()
            .vms(Reach::All)
            .await
            .unwrap_or_default()
            .into_iter()
            .map(|vm| (vm.uuid, vm.vcpus))
            .collect();
        let (then, at) = (&before.0, before.1);
        let elapsed = at.elapsed();
        let samples = stats.iter().map(|(uuid, now)| {
            let cores = vcpus.get(uuid).copied().unwrap_or(1);
            (*uuid, rates(now, then.get(uuid).map(|b| (b, elapsed)), cores))
        });
        let samples: HashMap<_, _> = samples.collect();
        *before = (stats.into_iter().collect(), Instant::now());
        self.inner.vm_samples.send_replace(Arc::new(samples));
    }

    async fn look_at_parts(&self, gauges: &Gauges) -> Health {
        let database = tokio::time::timeout(PATIENCE, self.store().ping());
        let driver = tokio::time::timeout(PATIENCE, self.driver().ping());
        let (database, driver) = tokio::join!(database, driver);
        let listening = self.inner.listening.load(std::sync::atomic::Ordering::Relaxed);
        let ssh = if listening {
            Ok(String::from("Accepting connections."))
        } else {
            Err(String::from("Not listening yet."))
        };
        let database = match database {
            Ok(Ok(())) => Ok(String::from("Answers.")),
            Ok(Err(e)) => Err(e.to_string()),
            Err(_) => Err(String::from("Does not answer.")),
        };
        let driver = match driver {
            Ok(Ok(backend)) => Ok(format!("{}, {}.", backend.version, backend.accel)),
            Ok(Err(e)) => Err(e.message),
            Err(_) => Err(String::from("Does not answer.")),
        };
        let away = self.note_driver(driver.is_ok());
        let driver = driver.map_err(|why| match away {
            Some(since) => format!("{why} Away since {since}; the VMs run on."),
            None => why,
        });
        Health {
            checks: vec![
                check("ssh", true, ssh),
                check("database", true, database),
                check(self.driver().name(), true, driver),
                check("disk", false, disk_verdict(gauges)),
            ],
        }
    }

    /// Keeps since when the backend is away, and returns it.
    fn note_driver(&self, answers: bool) -> Option<Time> {
        let mut away = self.inner.driver_away.lock().ok()?;
        *away = if answers { None } else { Some(away.unwrap_or_else(Time::now)) };
        *away
    }

    /// What keeps everybody out, if anything does: the database cannot be used.
    pub fn trouble(&self) -> Option<Error> {
        self.store().fault()
    }

    /// While the driver's backend is away: what that means for what is known.
    pub(crate) fn driver_away(&self) -> Option<Error> {
        let since = (*self.inner.driver_away.lock().ok()?)?;
        let message = format!("{} is away since {since}: states are those of then.", self.driver().name());
        Some(Error::new(Code::BackendUnavailable, message))
    }

    fn publish(&self, gauges: Gauges, health: Health, cpu: &VecDeque<f64>, memory: &VecDeque<f64>) {
        let at = Time::now();
        let snapshot = Published {
            at,
            measured: Some(std::time::Instant::now()),
            // By the clock of now, which may have been set since.
            started_at: at.minus_seconds(self.inner.started.elapsed().as_secs()),
            version: env!("CARGO_PKG_VERSION"),
            health,
            gauges,
            counters: self.counters(),
            cpu_history: cpu.iter().copied().collect(),
            memory_history: memory.iter().copied().collect(),
            sample_s: self.config().sample_s,
        };
        self.inner.published.send_replace(Arc::new(snapshot));
    }

    fn counters(&self) -> Counters {
        use std::sync::atomic::Ordering::Relaxed;
        let c = &self.inner.counters;
        let (relayed_in_bytes, relayed_out_bytes) = self.sessions().totals();
        let actions =
            c.actions.lock().map(|a| a.iter().map(|((n, o), k)| (*n, *o, *k)).collect()).unwrap_or_default();
        Counters {
            connections: c.connections.load(Relaxed),
            connections_refused: c.connections_refused.load(Relaxed),
            logins_succeeded: c.logins_succeeded.load(Relaxed),
            logins_failed: c.logins_failed.load(Relaxed),
            logins_held_off: c.logins_held_off.load(Relaxed),
            actions,
            relayed_out_bytes,
            relayed_in_bytes,
        }
    }
}

/// Ends when the backend has come or gone, or that may have been missed.
async fn comes_or_goes(events: &mut broadcast::Receiver<DriverEvent>) {
    loop {
        match events.recv().await {
            Ok(DriverEvent::Connected | DriverEvent::Disconnected) | Err(RecvError::Lagged(_)) => return,
            Ok(DriverEvent::State(..) | DriverEvent::Undefined(_)) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

fn check(name: &'static str, needed: bool, verdict: Result<String, String>) -> Check {
    match verdict {
        Ok(message) => Check { name, status: Status::Healthy, message, needed },
        Err(message) => Check { name, status: Status::Unhealthy, message, needed },
    }
}

fn disk_verdict(gauges: &Gauges) -> Result<String, String> {
    let free = crate::model::text::bytes(gauges.disk_free_bytes);
    if gauges.disk_total_bytes > 0 && gauges.disk_free_bytes < gauges.disk_total_bytes / 20 {
        Err(format!("Only {free} are free where the VMs are kept."))
    } else {
        Ok(format!("{free} are free where the VMs are kept."))
    }
}

fn push(history: &mut VecDeque<f64>, value: f64) {
    if history.len() == HISTORY {
        history.pop_front();
    }
    history.push_back(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_from_two_samples() {
        let before =
            DomainStats { cpu_time_ns: 1_000_000_000, disk_read_bytes: 1000, ..DomainStats::default() };
        let now = DomainStats { cpu_time_ns: 3_000_000_000, disk_read_bytes: 5000, ..DomainStats::default() };
        let sample = rates(&now, Some((&before, Duration::from_secs(4))), 1);
        assert_eq!(sample.cpu_percent, Some(50.0));
        assert_eq!(sample.disk_read_bps, Some(1000));
        // A restarted domain counts from zero again.
        assert_eq!(rates(&before, Some((&now, Duration::from_secs(4))), 1).cpu_percent, None);
    }
}
