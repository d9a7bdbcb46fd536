//! `/`: the status page, from what was published to what a person reads.

use std::sync::{Arc, Mutex, PoisonError};

use minijinja::Environment;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::answer::Answer;
use super::chart::{Chart, percent};
use super::snapshot::Snapshot;
use crate::error::{Error, Result};
use crate::model::text::bytes;
use crate::model::time::span;
use crate::model::{Gauges, Published, Status, Time, VmState};

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");

/// The template, read once, and the last page that it made.
#[derive(Debug)]
pub(super) struct Page {
    templates: Environment<'static>,
    /// Nothing may be loaded or run; one style sheet, known by its digest, may be applied.
    policy: String,
    last: Mutex<Option<Made>>,
}

/// A page, and what it was made from.
#[derive(Debug)]
struct Made {
    published: Arc<Published>,
    parts: usize,
    html: String,
}

impl Page {
    /// Reads the template.
    pub fn new() -> Result<Page> {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        templates.add_template("page.html", TEMPLATE).map_err(Error::internal)?;
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{}'; img-src data:; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'",
            base64(&Sha256::digest(STYLE.as_bytes()))
        );
        Ok(Page { templates, policy, last: Mutex::new(None) })
    }

    /// The page of that snapshot.
    pub fn answer(&self, snapshot: &Snapshot) -> Answer {
        match self.html(snapshot) {
            Ok(html) => Answer::new(200, "text/html; charset=utf-8", html)
                .with("Content-Security-Policy", self.policy.clone()),
            Err(e) => Answer::sentence(500, &e.message),
        }
    }

    /// A snapshot is laid out once, however often it is asked for.
    fn html(&self, snapshot: &Snapshot) -> Result<String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let parts = snapshot.health.checks.len();
        if let Some(made) = last.as_ref()
            && Arc::ptr_eq(&made.published, &snapshot.published)
            && made.parts == parts
        {
            return Ok(made.html.clone());
        }
        let template = self.templates.get_template("page.html").map_err(Error::internal)?;
        let html = template.render(minijinja::value::Serde(View::new(snapshot))).map_err(Error::internal)?;
        *last = Some(Made { published: snapshot.published.clone(), parts, html: html.clone() });
        Ok(html)
    }
}

/// All that the template shows; every text ready to be read.
#[derive(Debug, Serialize)]
struct View {
    style: &'static str,
    state: State,
    headline: String,
    parts: Vec<Part>,
    gauges: Vec<Gauge>,
    charts: Vec<Chart>,
    vms: Vec<Count>,
    vms_total: u64,
    facts: Vec<Fact>,
    version: &'static str,
    measured_at: String,
}

/// A state that is told by a sign and a word; the class merely colours it.
#[derive(Debug, Clone, Copy, Serialize)]
struct State {
    class: &'static str,
    word: &'static str,
    sign: &'static str,
}

#[derive(Debug, Serialize)]
struct Part {
    name: String,
    state: State,
    message: String,
}

#[derive(Debug, Serialize)]
struct Gauge {
    name: &'static str,
    /// 0 to 100, of the bar.
    percent: f64,
    figure: String,
    detail: String,
    /// Nearly used up, in a word; empty if not.
    warning: &'static str,
}

#[derive(Debug, Serialize)]
struct Count {
    word: &'static str,
    sign: &'static str,
    count: u64,
}

#[derive(Debug, Serialize)]
struct Fact {
    name: &'static str,
    figure: String,
    detail: String,
}

impl View {
    fn new(snapshot: &Snapshot) -> View {
        let p = &snapshot.published;
        View {
            style: STYLE,
            state: state(snapshot.health.status()),
            headline: headline(snapshot),
            parts: parts(snapshot),
            gauges: gauges(&p.gauges),
            charts: vec![
                Chart::new("Processor", &p.cpu_history, p.sample_s),
                Chart::new("Memory", &p.memory_history, p.sample_s),
            ],
            vms: vms(&p.gauges),
            vms_total: p.gauges.vms.iter().fold(0, |sum, n| sum.saturating_add(*n)),
            facts: facts(p),
            version: p.version,
            measured_at: if snapshot.is_first() { "not yet".into() } else { plainly(p.at) },
        }
    }
}

fn state(status: Status) -> State {
    match status {
        Status::Healthy => State { class: "good", word: "healthy", sign: "✓" },
        Status::Degraded => State { class: "fair", word: "degraded", sign: "!" },
        Status::Unhealthy => State { class: "bad", word: "unhealthy", sign: "✕" },
    }
}

fn headline(snapshot: &Snapshot) -> String {
    if snapshot.is_first() {
        return String::from("The portal is starting.");
    }
    let status = snapshot.health.status();
    let ailing = snapshot.health.checks.iter().filter(|c| match status {
        Status::Healthy => false,
        Status::Degraded => c.status != Status::Healthy,
        Status::Unhealthy => c.needed && c.status == Status::Unhealthy,
    });
    let names = ailing.map(|c| title(c.name)).collect::<Vec<_>>().join(", ");
    match status {
        Status::Healthy => String::from("Everything works."),
        Status::Degraded => format!("The portal serves, with something missing: {names}."),
        Status::Unhealthy => format!("The portal cannot do its work for want of: {names}."),
    }
}

/// A part's name for people.
fn title(name: &str) -> String {
    match name {
        "ssh" | "http" | "dns" => name.to_uppercase(),
        "libvirt" => name.to_owned(),
        _ => {
            let mut chars = name.chars();
            chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
        }
    }
}

fn parts(snapshot: &Snapshot) -> Vec<Part> {
    let part = |c: &crate::model::Check| Part {
        name: title(c.name),
        state: state(c.status),
        message: c.message.clone(),
    };
    snapshot.health.checks.iter().map(part).collect()
}

fn gauges(g: &Gauges) -> Vec<Gauge> {
    let gauge = |name, value: f64, detail, warning| {
        let percent = percent(value).round();
        let warning = if percent >= 90.0 { warning } else { "" };
        Gauge { name, percent, figure: format!("{percent}\u{a0}%"), detail, warning }
    };
    let disk_used = g.disk_total_bytes.saturating_sub(g.disk_free_bytes);
    #[allow(clippy::cast_precision_loss)]
    let disk = disk_used as f64 / g.disk_total_bytes.max(1) as f64 * 100.0;
    let processors = format!("{}, load {:.2}", several(u64::from(g.cpus), "processor"), g.load1);
    let of = |used, total| format!("{} of {} in use", bytes(used), bytes(total));
    let memory = of(g.memory_used_bytes, g.memory_total_bytes);
    vec![
        gauge("Processor", g.cpu_percent, processors, "busy"),
        gauge("Memory", g.memory_percent(), memory, "nearly full"),
        gauge("Disk", disk, of(disk_used, g.disk_total_bytes), "nearly full"),
    ]
}

fn vms(g: &Gauges) -> Vec<Count> {
    let count = |(state, count): (&VmState, u64)| Count { word: state.as_str(), sign: state.sign(), count };
    VmState::ALL.iter().zip(g.vms).map(count).collect()
}

fn facts(p: &Published) -> Vec<Fact> {
    let (g, c) = (&p.gauges, &p.counters);
    let ram = bytes(g.vms_ram_mb.saturating_mul(1024 * 1024));
    let fact = |name, figure: String, detail: String| Fact { name, figure, detail };
    let uptime = match p.started_at {
        unknown if unknown == Time::default() => fact("Uptime", "–".into(), "not known yet".into()),
        start => fact("Uptime", span(p.at.seconds_since(start)), format!("since {}", plainly(start))),
    };
    vec![
        fact("Sessions", g.active_sessions.to_string(), format!("{} signing in", g.startups)),
        fact("Jobs", g.jobs_active.to_string(), "at work or waiting".into()),
        fact("Promised to VMs", ram, several(g.vms_vcpus, "virtual processor")),
        fact("Logins", c.logins_succeeded.to_string(), format!("{} refused", c.logins_failed)),
        uptime,
    ]
}

/// `2026-07-14 03:33:20 UTC`.
fn plainly(t: Time) -> String {
    t.to_string().replace('T', " ").replace('Z', " UTC")
}

fn several(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// RFC 4648 §4, for one digest.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().chain([&0; 2]).take(3).fold(0usize, |w, b| w << 8 | usize::from(*b));
        for i in 0..4 {
            let letter = LETTERS.get(word >> (18 - 6 * i) & 63).copied().map_or('=', char::from);
            out.push(if i > chunk.len() { '=' } else { letter });
        }
    }
    out
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
