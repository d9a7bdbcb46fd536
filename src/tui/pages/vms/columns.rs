//! The columns of the VMs' table.

use std::cmp::Ordering;
use std::sync::Arc;

use ratatui::style::Style;

use crate::model::{Job, Vm, VmState, text, time};
use crate::tui::page::Shared;
use crate::tui::roster::Row;
use crate::tui::theme::Theme;
use crate::tui::widgets::spark;
use crate::tui::widgets::table::{Column, Item, Width, plain};

type R = Arc<Row>;

impl Item for R {
    fn key(&self) -> String {
        self.vm.full_name()
    }

    fn words(&self, shared: &Shared) -> String {
        let vm = &self.vm;
        let name = if shared.vms.all { vm.full_name() } else { vm.name.clone() };
        let ip = vm.ip.as_deref().unwrap_or_default();
        format!("{name} {} {} {} {ip} {}", vm.image, vm.plan, vm.state, vm.tags.join(" "))
    }
}

fn by_name(a: &R, b: &R) -> Ordering {
    a.vm.full_name().cmp(&b.vm.full_name())
}

/// The larger first: whoever sorts by a figure looks for the largest.
fn most(a: Option<f64>, b: Option<f64>) -> Ordering {
    b.unwrap_or(-1.0).total_cmp(&a.unwrap_or(-1.0))
}

fn cpu_of(row: &R) -> Option<f64> {
    row.sample.and_then(|s| s.cpu_percent)
}

#[allow(clippy::cast_precision_loss)]
fn memory_of(row: &R) -> Option<f64> {
    row.sample.map(|s| s.stats.rss_bytes as f64)
}

#[allow(clippy::cast_precision_loss)]
fn uptime_of(row: &R) -> Option<f64> {
    row.vm.uptime_s.map(|s| s as f64)
}

/// The columns. State and name are always there.
#[rustfmt::skip]
pub static COLUMNS: &[Column<R>] = &[
    Column { title: "STATE", rank: 0, width: Width::Words(9, 9), cell: |r, s| state(&r.vm, s.job_of(&r.vm)),
        style: |r, s| state_style(r.vm.state, s.job_of(&r.vm).is_some(), &s.theme),
        order: |a, b| a.vm.state.as_str().cmp(b.vm.state.as_str()) },
    Column { title: "NAME", rank: 1, width: Width::Words(16, 16), cell: |r, s| s.short_name(&r.vm.full_name()).to_owned(), style: plain, order: by_name },
    Column { title: "IMAGE", rank: 5, width: Width::Words(6, 9), cell: |r, _| text::clean(&r.vm.image), style: plain, order: |a, b| a.vm.image.cmp(&b.vm.image) },
    Column { title: "PLAN", rank: 6, width: Width::Words(5, 6), cell: |r, _| text::clean(&r.vm.plan), style: plain, order: |a, b| a.vm.plan.cmp(&b.vm.plan) },
    Column { title: "CPU", rank: 2, width: Width::Figures(4), cell: |r, _| cpu(r), style: |r, s| load_style(cpu_of(r).unwrap_or(0.0), &s.theme), order: |a, b| most(cpu_of(a), cpu_of(b)) },
    Column { title: "", rank: 9, width: Width::Words(8, 8), cell: spark, style: |_, s| s.theme.accent, order: |a, b| most(cpu_of(a), cpu_of(b)) },
    Column { title: "MEMORY", rank: 3, width: Width::Figures(8), cell: |r, _| memory(r), style: plain, order: |a, b| most(memory_of(a), memory_of(b)) },
    Column { title: "UPTIME", rank: 4, width: Width::Figures(7), cell: |r, _| uptime(r), style: plain, order: |a, b| most(uptime_of(a), uptime_of(b)) },
    Column { title: "SSH", rank: 7, width: Width::Words(12, 16), cell: |r, _| ssh(&r.vm), style: plain, order: |a, b| a.vm.ip.cmp(&b.vm.ip) },
    Column { title: "TAGS", rank: 8, width: Width::Words(10, 12), cell: |r, _| text::clean(&r.vm.tags.join(",")), style: |_, s| s.theme.muted, order: |a, b| a.vm.tags.cmp(&b.vm.tags) },
];

/// A VM's state in a word with its sign, or how far the job is that changes it.
pub fn state(vm: &Vm, job: Option<&Job>) -> String {
    match job {
        Some(job) => format!("… {}%", job.percent),
        None => format!("{} {}", vm.state.sign(), vm.state),
    }
}

/// The style of a state.
pub fn state_style(state: VmState, job: bool, theme: &Theme) -> Style {
    match state {
        _ if job => theme.accent,
        VmState::Running => theme.good,
        VmState::Paused => theme.warn,
        VmState::Pending => theme.accent,
        VmState::Stopped => theme.muted,
        VmState::Error => theme.bad,
    }
}

/// From so many percent on, a processor is busy.
const BUSY: f64 = 90.0;

/// The style of a load, in percent.
pub fn load_style(percent: f64, theme: &Theme) -> Style {
    if percent >= BUSY { theme.warn } else { Style::new() }
}

fn cpu(row: &R) -> String {
    cpu_of(row).map_or_else(|| String::from("–"), |p| format!("{p:.0}%"))
}

/// The processor's last samples, a column each, the newest at the right.
fn spark(row: &R, shared: &Shared) -> String {
    if row.sample.is_none() {
        return String::new();
    }
    spark::line(&shared.vms.cpu_history(&row.vm), 8)
}

/// What it takes on the host of what it was given: `231/512M`, `1.2/4.0G`.
fn memory(row: &R) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    let given = f64::from(row.vm.ram_mb);
    let used = memory_of(row).map(|bytes| bytes / MIB);
    let large = given >= 1024.0;
    let number = |mb: f64| if large { format!("{:.1}", mb / 1024.0) } else { format!("{mb:.0}") };
    let unit = if large { "G" } else { "M" };
    match used {
        Some(used) => format!("{}/{}{unit}", number(used), number(given)),
        None => format!("{}{unit}", number(given)),
    }
}

fn uptime(row: &R) -> String {
    row.vm.uptime_s.map_or_else(|| String::from("–"), time::span)
}

fn ssh(vm: &Vm) -> String {
    let user = text::clean(&vm.ssh_user);
    vm.ip.as_deref().map_or(user.clone(), |ip| format!("{user}@{}", text::clean(ip)))
}
