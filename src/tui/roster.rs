//! The VMs as the screen knows them: one list, kept up to date, for all pages.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::error::Error;
use crate::model::{Vm, VmState};
use crate::portal::VmSample;

/// Samples that are kept for charts.
const HISTORY: usize = 120;

/// A VM and what was last seen of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// It.
    pub vm: Vm,
    /// Its figures, if it runs.
    pub sample: Option<VmSample>,
}

/// How the list is had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Not a word yet.
    Waiting,
    /// It is kept up to date.
    Live,
    /// It cannot be had; why.
    Lost(String),
}

/// The last samples of something, in percent, the oldest first.
type History = VecDeque<u64>;

/// What all running VMs use together, of what they were given.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// Processors at work.
    pub cpus_used: f64,
    /// Processors.
    pub cpus: u32,
    /// Memory in use on the host, bytes.
    pub memory_used: u64,
    /// Memory, bytes.
    pub memory: u64,
}

impl Load {
    /// Of the processors, how much is used: 0 to 1.
    pub fn cpu_ratio(&self) -> f64 {
        self.cpus_used / f64::from(self.cpus.max(1))
    }
}

/// The VMs.
#[derive(Debug)]
pub struct Roster {
    /// Everybody's, not just one's own.
    pub all: bool,
    /// How the list is had.
    pub source: Source,
    rows: Vec<Arc<Row>>,
    /// Of each VM's processors, and of its memory.
    of_vms: HashMap<i64, (History, History)>,
    /// Of all processors together, and of whose.
    of_all: (bool, History),
}

impl Roster {
    /// Nothing heard yet.
    pub fn new(all: bool) -> Roster {
        Roster {
            all,
            source: Source::Waiting,
            rows: Vec::new(),
            of_vms: HashMap::new(),
            of_all: (all, History::new()),
        }
    }

    /// Every VM of the list.
    pub fn rows(&self) -> &[Arc<Row>] {
        &self.rows
    }

    /// The VM of that number.
    pub fn find(&self, id: i64) -> Option<&Arc<Row>> {
        self.rows.iter().find(|row| row.vm.id == id)
    }

    /// How many are in that state.
    pub fn count(&self, state: VmState) -> usize {
        self.rows.iter().filter(|row| row.vm.state == state).count()
    }

    /// The processors' last samples of a VM, in percent.
    pub fn cpu_history(&self, vm: &Vm) -> Vec<u64> {
        self.of_vms.get(&vm.id).map(|(cpu, _)| cpu.iter().copied().collect()).unwrap_or_default()
    }

    /// The last samples of a VM's memory on the host, in percent of what it was given.
    pub fn memory_history(&self, vm: &Vm) -> Vec<u64> {
        self.of_vms.get(&vm.id).map(|(_, memory)| memory.iter().copied().collect()).unwrap_or_default()
    }

    /// The last samples of all processors of running VMs together, in percent.
    pub fn load_history(&self) -> Vec<u64> {
        self.of_all.1.iter().copied().collect()
    }

    /// What all running VMs use now.
    pub fn load(&self) -> Load {
        let mut load = Load::default();
        for row in self.rows.iter().filter(|row| row.vm.state == VmState::Running) {
            load.cpus += row.vm.vcpus;
            load.memory += u64::from(row.vm.ram_mb) << 20;
            if let Some(sample) = row.sample {
                load.cpus_used += sample.cpu_percent.unwrap_or(0.0) / 100.0 * f64::from(row.vm.vcpus);
                load.memory_used += sample.stats.rss_bytes;
            }
        }
        load
    }

    /// Takes a new list.
    pub fn take(&mut self, list: Vec<(Vm, Option<VmSample>)>) {
        let sampled = self.keep_samples(&list);
        let mut old: HashMap<i64, Arc<Row>> = self.rows.drain(..).map(|row| (row.vm.id, row)).collect();
        self.rows = list
            .into_iter()
            .map(|(vm, sample)| {
                let was = old.remove(&vm.id);
                let row = Row { vm, sample };
                // What is as it was stays where it was.
                was.filter(|was| **was == row).unwrap_or_else(|| Arc::new(row))
            })
            .collect();
        self.source = Source::Live;
        if self.of_all.0 != self.all {
            self.of_all = (self.all, History::new());
        }
        if sampled {
            let ratio = self.load().cpu_ratio();
            keep(&mut self.of_all.1, percent(ratio * 100.0));
        }
    }

    /// The list comes again for other changes too: only new figures are kept. True
    /// if there were any.
    fn keep_samples(&mut self, list: &[(Vm, Option<VmSample>)]) -> bool {
        let mut any = false;
        for (vm, sample) in list {
            let Some(sample) = sample else { continue };
            if self.find(vm.id).is_some_and(|row| row.sample == Some(*sample)) {
                continue;
            }
            any = true;
            let (cpu, memory) = self.of_vms.entry(vm.id).or_default();
            if let Some(used) = sample.cpu_percent {
                keep(cpu, percent(used));
            }
            #[allow(clippy::cast_precision_loss)]
            let ratio = sample.stats.rss_bytes as f64 / (u64::from(vm.ram_mb.max(1)) << 20) as f64;
            keep(memory, percent(ratio * 100.0));
        }
        self.of_vms.retain(|id, _| list.iter().any(|(vm, _)| vm.id == *id));
        any
    }

    /// The list is not up to date any more.
    pub fn lost(&mut self, e: &Error) {
        self.source = Source::Lost(e.message.clone());
    }
}

fn keep(history: &mut History, value: u64) {
    if history.len() == HISTORY {
        history.pop_front();
    }
    history.push_back(value);
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn percent(value: f64) -> u64 {
    value.round().clamp(0.0, 100.0) as u64
}
