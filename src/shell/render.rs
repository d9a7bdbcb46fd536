//! What actions give, as people read it: tables and paragraphs of plain text.

mod accounts;

use std::fmt::Write;

use crate::action::enter::SshConfigParts;
use crate::action::vm::Stats;
use crate::model::job::JobStep;
use crate::model::plan::Limits;
use crate::model::text::{bytes, clean, columns, short};
use crate::model::time::span;
use crate::model::{Event, Image, Job, Plan, Preferences, Published, Setting, Time, Vm, VmState};

/// Something that people can read.
pub trait Render {
    /// Its text, ending in a line end; empty for nothing to say.
    fn text(&self) -> String;
}

/// A table with aligned columns; no line ends in blanks.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let cells: Vec<Vec<String>> = std::iter::once(head.iter().map(|h| (*h).to_owned()).collect())
        .chain(rows.iter().map(|r| r.iter().map(|c| clean(c)).collect()))
        .collect();
    let width = |i: usize| cells.iter().filter_map(|r| r.get(i)).map(|c| columns(c)).max().unwrap_or(0);
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    let mut out = String::new();
    for row in &cells {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(columns(cell)) + 2));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Names and values, one a line.
pub(super) fn sheet(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| columns(name)).max().unwrap_or(0);
    let mut out = String::new();
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(out, "{name:width$}  {}", clean(value));
    }
    out
}

pub(super) fn ago(t: Time) -> String {
    format!("{} ago", span(Time::now().seconds_since(t)))
}

fn state(vm: &Vm) -> String {
    format!("{} {}", vm.state.sign(), vm.state)
}

fn uptime(vm: &Vm) -> String {
    vm.uptime_s.map(span).unwrap_or_else(|| String::from("-"))
}

impl Render for Vec<Vm> {
    fn text(&self) -> String {
        if self.is_empty() {
            return String::from("No VMs yet. `vm new web1` makes one.\n");
        }
        let several = self.iter().any(|vm| Some(&vm.owner) != self.first().map(|f| &f.owner));
        let row = |vm: &Vm| {
            vec![
                if several { vm.full_name() } else { vm.name.clone() },
                state(vm),
                vm.image.clone(),
                vm.plan.clone(),
                format!("{} vCPU, {} MB, {} GB", vm.vcpus, vm.ram_mb, vm.disk_gb),
                uptime(vm),
                vm.tags.join(","),
            ]
        };
        table(
            &["NAME", "STATE", "IMAGE", "PLAN", "SIZE", "UP", "TAGS"],
            &self.iter().map(row).collect::<Vec<_>>(),
        )
    }
}

impl Render for Vm {
    fn text(&self) -> String {
        let mut out = sheet(&[
            ("name", self.full_name()),
            ("state", state(self)),
            ("fault", self.fault.clone().unwrap_or_default()),
            ("image", self.image.clone()),
            ("plan", format!("{} ({} credits an hour)", self.plan, self.credits_per_hour)),
            (
                "size",
                format!("{} vCPU, {} MB of memory, {} GB of disk", self.vcpus, self.ram_mb, self.disk_gb),
            ),
            ("up", self.uptime_s.map(span).unwrap_or_default()),
            ("made", format!("{} ({})", self.created_at, ago(self.created_at))),
            ("tags", self.tags.join(", ")),
            ("signs in as", self.ssh_user.clone()),
            ("host key", self.host_key.clone()),
            ("runs on", format!("{} ({})", self.node, self.driver)),
        ]);
        if self.state == VmState::Running {
            let _ = writeln!(
                out,
                "\nEnter it: ssh {}+{}@PORTAL, or `vm ssh {}`.",
                self.owner, self.name, self.name
            );
        }
        out
    }
}

impl Render for Vec<Plan> {
    fn text(&self) -> String {
        let row = |p: &Plan| {
            vec![
                p.name.clone(),
                p.size.vcpus.to_string(),
                p.size.ram_mb.to_string(),
                p.size.disk_gb.to_string(),
                p.credits_per_hour.to_string(),
            ]
        };
        table(&["PLAN", "VCPUS", "RAM MB", "DISK GB", "CREDITS/H"], &self.iter().map(row).collect::<Vec<_>>())
    }
}

impl Render for Limits {
    fn text(&self) -> String {
        let from_to = |least: u32, most: u32, unit: &str| format!("{least} to {most}{unit}");
        sheet(&[
            ("processors", from_to(self.least.vcpus, self.most.vcpus, "")),
            ("memory", from_to(self.least.ram_mb, self.most.ram_mb, " MB")),
            ("disk", from_to(self.least.disk_gb, self.most.disk_gb, " GB")),
            ("VMs", format!("at most {} of an account", self.vms_per_user)),
            ("tags", format!("at most {} of {} characters", self.tags, self.tag_characters)),
            ("user data", format!("at most {}", bytes(self.user_data_bytes as u64))),
        ])
    }
}

impl Render for Vec<Image> {
    fn text(&self) -> String {
        if self.is_empty() {
            return String::from("No images yet. On the host: `twarga image build micro`.\n");
        }
        let row = |i: &Image| {
            vec![
                i.name.clone(),
                i.ssh_user.clone(),
                format!("{} MB", i.min_ram_mb),
                format!("{} GB", i.min_disk_gb),
                bytes(i.size_bytes),
                ago(i.built_at),
                short(&i.description, 60),
            ]
        };
        let head = ["IMAGE", "USER", "LEAST RAM", "LEAST DISK", "SIZE", "BUILT", "WHAT"];
        table(&head, &self.iter().map(row).collect::<Vec<_>>())
    }
}

impl Render for Vec<Job> {
    fn text(&self) -> String {
        if self.is_empty() {
            return String::from("No jobs yet.\n");
        }
        let row = |j: &Job| {
            let end = j.finished_at.unwrap_or_else(Time::now);
            vec![
                j.id.to_string(),
                j.action.clone(),
                j.target.clone(),
                j.state.to_string(),
                format!("{}%", j.percent),
                span(end.seconds_since(j.created_at)),
                j.error.as_ref().map_or_else(|| j.step.clone(), |e| short(&e.message, 60)),
            ]
        };
        let head = ["ID", "ACTION", "TARGET", "STATE", "DONE", "TOOK", "STEP"];
        table(&head, &self.iter().map(row).collect::<Vec<_>>())
    }
}

impl Render for Job {
    fn text(&self) -> String {
        sheet(&[
            ("job", self.id.to_string()),
            ("action", self.action.clone()),
            ("target", self.target.clone()),
            ("state", self.state.to_string()),
            ("step", format!("{} ({}%)", self.step, self.percent)),
            ("error", self.error.as_ref().map(|e| format!("{} {}", e.message, e.hint)).unwrap_or_default()),
            ("asked for", format!("{} ({})", self.created_at, ago(self.created_at))),
            ("ended", self.finished_at.map(|t| t.to_string()).unwrap_or_default()),
        ]) + &steps(self)
    }
}

/// The steps that a job went through, each with how long it took.
fn steps(job: &Job) -> String {
    if job.steps.is_empty() {
        return String::new();
    }
    let ends = job.steps.iter().skip(1).map(|s| s.time).chain([job.finished_at.unwrap_or_else(Time::now)]);
    let row = |(step, end): (&JobStep, Time)| {
        vec![
            step.time.to_string(),
            span(end.seconds_since(step.time)),
            format!("{}%", step.percent),
            step.step.clone(),
        ]
    };
    let rows: Vec<_> = job.steps.iter().zip(ends).map(row).collect();
    format!("\n{}", table(&["TIME", "TOOK", "DONE", "STEP"], &rows))
}

impl Render for Preferences {
    fn text(&self) -> String {
        let row = |s: &Setting| vec![s.to_string(), self.value(*s), s.about().to_owned()];
        table(&["KEY", "VALUE", "WHAT"], &Setting::ALL.iter().map(row).collect::<Vec<_>>())
    }
}

impl Render for Vec<Event> {
    fn text(&self) -> String {
        if self.is_empty() {
            return String::from("Nothing happened.\n");
        }
        let row = |e: &Event| {
            vec![
                e.id.to_string(),
                e.time.to_string(),
                e.severity.to_string(),
                e.outcome.to_string(),
                short(&e.actor, 20),
                e.source_ip.clone().unwrap_or_else(|| String::from("-")),
                e.action.clone(),
                short(e.target.as_deref().unwrap_or("-"), 30),
                short(&e.message, 60),
            ]
        };
        let head = ["ID", "TIME", "SEVERITY", "OUTCOME", "ACTOR", "FROM", "ACTION", "TARGET", "MESSAGE"];
        table(&head, &self.iter().map(row).collect::<Vec<_>>())
    }
}

impl Render for Event {
    fn text(&self) -> String {
        sheet(&[
            ("event", self.id.to_string()),
            ("time", self.time.to_string()),
            ("category", self.category.to_string()),
            ("action", self.action.clone()),
            ("outcome", self.outcome.to_string()),
            ("severity", self.severity.to_string()),
            ("actor", self.actor.clone()),
            ("from", self.source_ip.clone().unwrap_or_default()),
            ("target", self.target.clone().unwrap_or_default()),
            ("session", self.session.clone().unwrap_or_default()),
            ("message", self.message.clone()),
            ("details", self.details.to_string()),
        ])
    }
}

impl Render for Stats {
    fn text(&self) -> String {
        let optional = |n: Option<u64>| n.map_or_else(|| String::from("not counted"), bytes);
        sheet(&[
            ("name", self.name.clone()),
            ("state", self.state.to_string()),
            ("cpu", self.cpu_percent.map_or_else(|| String::from("-"), |p| format!("{p:.1} %"))),
            ("cpu time", format!("{:.1} s", self.cpu_time_s)),
            ("memory", format!("{} MB given, {} on the host", self.ram_mb, bytes(self.rss_bytes))),
            ("disk", format!("{} GB given, {} on the host", self.disk_gb, bytes(self.disk_used_bytes))),
            ("read", bytes(self.disk_read_bytes)),
            ("written", bytes(self.disk_write_bytes)),
            ("received", optional(self.net_rx_bytes)),
            ("sent", optional(self.net_tx_bytes)),
            ("up", self.uptime_s.map(span).unwrap_or_default()),
        ])
    }
}

impl Render for Published {
    fn text(&self) -> String {
        let g = &self.gauges;
        let mut out = sheet(&[
            ("twarga", format!("{}, up {}", self.version, span(self.at.seconds_since(self.started_at)))),
            ("state", self.health.status().as_str().to_owned()),
            ("cpu", format!("{:.1} % of {} processors, load {:.2}", g.cpu_percent, g.cpus, g.load1)),
            ("memory", format!("{} of {}", bytes(g.memory_used_bytes), bytes(g.memory_total_bytes))),
            ("disk", format!("{} free of {}", bytes(g.disk_free_bytes), bytes(g.disk_total_bytes))),
            ("sessions", g.active_sessions.to_string()),
            ("jobs", g.jobs_active.to_string()),
            ("promised", format!("{} vCPU, {} MB to running VMs", g.vms_vcpus, g.vms_ram_mb)),
            ("portal", format!("{} of memory, {} descriptors", bytes(g.portal_rss_bytes), g.portal_open_fds)),
        ]);
        let parts: Vec<_> = self
            .health
            .checks
            .iter()
            .map(|c| vec![c.name.to_owned(), c.status.as_str().to_owned(), c.message.clone()])
            .collect();
        out.push('\n');
        out.push_str(&table(&["PART", "STATE", "WHAT"], &parts));
        out
    }
}

/// A section of ssh_config(5) and a known_hosts(5) line for each VM. A VM is
/// reached by a jump through the portal, so the key checked is the VM's own.
impl Render for SshConfigParts {
    fn text(&self) -> String {
        let jump = format!("{}@{}:{}", self.user, self.portal_host, self.portal_port);
        let mut out = String::from(
            "# Written by `ssh-config`. Each VM's host key is the one that the portal gave it:\n# nothing is trusted on first use.\n",
        );
        for vm in &self.vms {
            let _ = write!(
                out,
                "\nHost {name}\n    HostName {name}\n    User {user}\n    ProxyJump {jump}\n    HostKeyAlias {full}\n    \
                 KnownHostsCommand /bin/echo {full} {key}\n    UserKnownHostsFile /dev/null\n    StrictHostKeyChecking yes\n",
                name = vm.name,
                user = vm.ssh_user,
                full = vm.full_name(),
                key = vm.host_key,
            );
        }
        out.push_str("\n# known_hosts lines: the portal, and each VM by its alias.\n");
        let host = match self.portal_port {
            22 => self.portal_host.clone(),
            port => format!("[{}]:{port}", self.portal_host),
        };
        for key in &self.portal_keys {
            let _ = writeln!(out, "# {host} {key}");
        }
        for vm in &self.vms {
            let _ = writeln!(out, "# {} {}", vm.full_name(), vm.host_key);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_with_wide_characters() {
        let t = table(&["A", "B"], &[vec!["日本".into(), "x".into()], vec!["a\u{1b}".into(), "y".into()]]);
        assert_eq!(t, "A     B\n日本  x\na?    y\n");
    }

    #[test]
    fn times_of_nothing() {
        assert_eq!(Vec::<Vm>::new().text(), "No VMs yet. `vm new web1` makes one.\n");
    }
}
