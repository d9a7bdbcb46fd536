//! The VMs as the screen knows them: one list, kept up to date, for all pages.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::error::Error;
use crate::model::{Vm, VmState};
use crate::portal::VmSample;

/// Samples of a VM's processor that are kept for its chart.
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

/// The VMs.
#[derive(Debug)]
pub struct Roster {
    /// Everybody's, not just one's own.
    pub all: bool,
    /// How the list is had.
    pub source: Source,
    rows: Vec<Arc<Row>>,
    cpu: HashMap<i64, VecDeque<u64>>,
}

impl Roster {
    /// Nothing heard yet.
    pub fn new(all: bool) -> Roster {
        Roster { all, source: Source::Waiting, rows: Vec::new(), cpu: HashMap::new() }
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

    /// The processor's last samples of a VM, in percent.
    pub fn cpu_history(&self, vm: &Vm) -> Vec<u64> {
        self.cpu.get(&vm.id).map(|h| h.iter().copied().collect()).unwrap_or_default()
    }

    /// Takes a new list.
    pub fn take(&mut self, list: Vec<(Vm, Option<VmSample>)>) {
        self.keep_samples(&list);
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
    }

    /// The list comes again for other changes too: only new figures are kept.
    fn keep_samples(&mut self, list: &[(Vm, Option<VmSample>)]) {
        for (vm, sample) in list {
            let Some(percent) = sample.and_then(|s| s.cpu_percent) else { continue };
            if self.find(vm.id).is_some_and(|row| row.sample == *sample) {
                continue;
            }
            let history = self.cpu.entry(vm.id).or_default();
            if history.len() == HISTORY {
                history.pop_front();
            }
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            history.push_back(percent.round().clamp(0.0, 100.0) as u64);
        }
        self.cpu.retain(|id, _| list.iter().any(|(vm, _)| vm.id == *id));
    }

    /// The list is not up to date any more.
    pub fn lost(&mut self, e: &Error) {
        self.source = Source::Lost(e.message.clone());
    }
}
