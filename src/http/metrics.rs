//! `/metrics`: the Prometheus text format 0.0.4.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use super::answer::Answer;
use super::snapshot::Snapshot;
use crate::model::{Gauges, Published, Status, Time, VmState};

/// All figures of the snapshot.
pub(super) fn answer(snapshot: &Snapshot) -> Answer {
    let mut text = Text::default();
    let published = &snapshot.published;
    process(&mut text, published);
    parts(&mut text, snapshot);
    ssh(&mut text, published);
    work(&mut text, published);
    host(&mut text, &published.gauges);
    Answer::new(200, "text/plain; version=0.0.4; charset=utf-8", text.0)
}

fn process(text: &mut Text, p: &Published) {
    text.family("build_info", "gauge", "Always 1; the labels tell what runs.");
    text.sample("build_info", &[("version", p.version)], 1);
    text.gauge(
        "process_start_time_seconds",
        "When the portal started, since the Unix epoch.",
        seconds(p.started_at),
    );
    text.gauge(
        "snapshot_timestamp_seconds",
        "When these figures were taken, since the Unix epoch.",
        seconds(p.at),
    );
    text.gauge("process_resident_memory_bytes", "Resident memory of the portal.", p.gauges.portal_rss_bytes);
    text.gauge("process_open_fds", "Open file descriptors of the portal.", p.gauges.portal_open_fds);
}

fn parts(text: &mut Text, snapshot: &Snapshot) {
    let checks = &snapshot.health.checks;
    text.gauge(
        "ready",
        "1 while every part that the portal needs can serve, as on /readyz.",
        u8::from(snapshot.health.is_ready()),
    );
    text.family(
        "part_up",
        "gauge",
        "1 while the part serves, even if something is missing; 0 while it does not.",
    );
    // A series may stand once only; the worst word counts.
    let up: BTreeMap<&str, bool> = checks.iter().fold(BTreeMap::new(), |mut up, c| {
        *up.entry(c.name).or_insert(true) &= c.status != Status::Unhealthy;
        up
    });
    for (part, up) in up {
        text.sample("part_up", &[("part", part)], u8::from(up));
    }
}

fn ssh(text: &mut Text, p: &Published) {
    let c = &p.counters;
    text.gauge("sessions", "SSH connections that are signed in.", p.gauges.active_sessions);
    text.gauge("startups", "SSH connections that have not signed in yet.", p.gauges.startups);
    text.counter("connections_total", "TCP connections accepted by the SSH server.", c.connections);
    text.counter("connections_refused_total", "Of them, turned away by a limit.", c.connections_refused);
    text.family("logins_total", "counter", "Attempts to sign in, by outcome.");
    text.sample("logins_total", &[("outcome", "success")], c.logins_succeeded);
    text.sample("logins_total", &[("outcome", "failure")], c.logins_failed);
    text.counter("logins_held_off_total", "Failed logins that the guard did not look at.", c.logins_held_off);
    text.gauge("bans", "Addresses or networks that are banned.", p.gauges.bans);
    text.family("relayed_bytes_total", "counter", "Bytes relayed: out to clients, in to VMs.");
    text.sample("relayed_bytes_total", &[("direction", "out")], c.relayed_out_bytes);
    text.sample("relayed_bytes_total", &[("direction", "in")], c.relayed_in_bytes);
}

fn work(text: &mut Text, p: &Published) {
    text.family("actions_total", "counter", "Actions performed, by name and outcome.");
    let mut actions: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (action, outcome, count) in &p.counters.actions {
        *actions.entry((action, outcome)).or_default() += count;
    }
    for ((action, outcome), count) in actions {
        text.sample("actions_total", &[("action", action), ("outcome", outcome)], count);
    }
    text.family("vms", "gauge", "VMs by state.");
    for (state, count) in VmState::ALL.iter().zip(p.gauges.vms) {
        text.sample("vms", &[("state", state.as_str())], count);
    }
    let promised = p.gauges.vms_ram_mb.saturating_mul(1024 * 1024);
    text.gauge("vms_memory_bytes", "Memory promised to running VMs.", promised);
    text.gauge("vms_vcpus", "Virtual processors promised to running VMs.", p.gauges.vms_vcpus);
    text.gauge("jobs_active", "Jobs at work or waiting.", p.gauges.jobs_active);
}

fn host(text: &mut Text, g: &Gauges) {
    text.gauge("host_cpus", "Processors of the host.", g.cpus);
    text.gauge(
        "host_cpu_ratio",
        "Use of all the host's processors together, 0 to 1.",
        Float(g.cpu_percent / 100.0),
    );
    text.gauge("host_load1", "Load average of the host over one minute.", Float(g.load1));
    text.gauge("host_memory_size_bytes", "Memory of the host.", g.memory_total_bytes);
    text.gauge("host_memory_used_bytes", "Memory of the host in use.", g.memory_used_bytes);
    text.gauge("host_disk_size_bytes", "Size of the data directory's filesystem.", g.disk_total_bytes);
    text.gauge("host_disk_free_bytes", "Room for the portal on that filesystem.", g.disk_free_bytes);
}

fn seconds(t: Time) -> Float {
    #[allow(clippy::cast_precision_loss)]
    Float(t.millis() as f64 / 1000.0)
}

/// As the format spells numbers: `+Inf`, `-Inf`, `NaN`.
struct Float(f64);

impl Display for Float {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            v if v == f64::INFINITY => f.write_str("+Inf"),
            v if v == f64::NEG_INFINITY => f.write_str("-Inf"),
            v => write!(f, "{v}"),
        }
    }
}

/// The document as it grows. Writing to a `String` cannot fail.
#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP twarga_{name} {help}\n# TYPE twarga_{name} {kind}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(k, v)| format!("{k}=\"{}\"", escape(v))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "twarga_{name}{labels} {value}");
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_numbers_spelt() {
        let mut text = Text::default();
        text.sample("x", &[("a", "q\"\\\n")], Float(f64::INFINITY));
        assert_eq!(text.0, "twarga_x{a=\"q\\\"\\\\\\n\"} +Inf\n");
    }
}
