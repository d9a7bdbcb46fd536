//! Which path says what. Pure: a request and a snapshot in, an answer out.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::answer::Answer;
use super::metrics;
use super::page::Page;
use super::snapshot::Snapshot;
use crate::error::Result;
use crate::model::{Health, Published, Status, Time};

/// All that is needed to answer.
#[derive(Debug)]
pub(super) struct Site {
    published: watch::Receiver<Arc<Published>>,
    token: Option<[u8; 32]>,
    page: Page,
}

impl Site {
    /// Answers from `published`; `/metrics` wants `token`, if there is one.
    pub fn new(token: Option<&str>, published: watch::Receiver<Arc<Published>>) -> Result<Site> {
        // The digest of nothing at all is no digest of any token: locked for good.
        let token = token.map(|t| if t.is_empty() { [0; 32] } else { digest(t) });
        Ok(Site { published, token, page: Page::new()? })
    }

    /// The answer to a request; for `HEAD`, tiny_http leaves the body out.
    pub fn answer(&self, method: &str, target: &str, authorization: Option<&str>) -> Answer {
        if !matches!(method, "GET" | "HEAD") {
            return Answer::sentence(405, "Only GET and HEAD are answered here.").with("Allow", "GET, HEAD");
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let snapshot = || Snapshot::judge(self.published.borrow().clone(), Time::now());
        match decode(path).as_deref() {
            Some("/") => self.page.answer(&snapshot()),
            Some("/livez") => Answer::sentence(200, "alive"),
            Some("/readyz") => readyz(&snapshot().health, has(query, "verbose")),
            Some("/healthz") => healthz(&snapshot()),
            Some("/metrics") if !self.may_see_metrics(authorization) => Answer::sentence(
                401,
                "The metrics want a bearer token: `metrics_token` in the portal's configuration.",
            )
            .with("WWW-Authenticate", "Bearer realm=\"twarga metrics\""),
            Some("/metrics") => metrics::answer(&snapshot()),
            _ => {
                Answer::sentence(404, "There is nothing here. Try /, /livez, /readyz, /healthz or /metrics.")
            }
        }
    }

    fn may_see_metrics(&self, authorization: Option<&str>) -> bool {
        let Some(wanted) = self.token else { return true };
        let given = authorization.and_then(|a| a.split_once(' '));
        let Some((scheme, token)) = given else { return false };
        // Digests have one length and are compared whole, so that the time taken tells nothing.
        let difference = digest(token.trim()).iter().zip(wanted).fold(0, |all, (a, b)| all | (a ^ b));
        scheme.eq_ignore_ascii_case("bearer") && std::hint::black_box(difference) == 0
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The path with its `%XX` resolved; nothing if they are malformed.
fn decode(path: &str) -> Option<String> {
    let mut bytes = path.bytes();
    let mut out = Vec::with_capacity(path.len());
    while let Some(b) = bytes.next() {
        out.push(match b {
            b'%' => {
                let (high, low) = (char::from(bytes.next()?), char::from(bytes.next()?));
                u8::try_from(high.to_digit(16)? * 16 + low.to_digit(16)?).ok()?
            }
            b => b,
        });
    }
    String::from_utf8(out).ok()
}

fn has(query: &str, key: &str) -> bool {
    query.split('&').any(|pair| pair.split('=').next() == Some(key))
}

fn readyz(health: &Health, verbose: bool) -> Answer {
    let ready = health.is_ready();
    let mut text = String::new();
    if verbose {
        for c in &health.checks {
            let sign = match c.status {
                Status::Healthy => '+',
                Status::Degraded => '~',
                Status::Unhealthy => '-',
            };
            text.push_str(&format!("[{sign}] {}: {}: {}\n", c.name, c.status.as_str(), c.message));
        }
    }
    text.push_str(if ready { "ready" } else { "not ready" });
    if !ready && !verbose {
        let down = health.checks.iter().filter(|c| c.needed && c.status == Status::Unhealthy);
        text.push_str(&format!(": {}", down.map(|c| c.name).collect::<Vec<_>>().join(", ")));
    }
    Answer::sentence(if ready { 200 } else { 503 }, &text)
}

fn healthz(snapshot: &Snapshot) -> Answer {
    let Snapshot { published, health } = snapshot;
    let services: Map<String, Value> =
        health.checks.iter().map(|c| (c.name.to_owned(), c.status.as_str().into())).collect();
    let body = json!({
        "status": health.status().as_str(),
        "services": services,
        "performance": {
            "cpu_percent": tenths(published.gauges.cpu_percent),
            "memory_percent": tenths(published.gauges.memory_percent()),
            "active_sessions": published.gauges.active_sessions,
        },
        "checks": health.checks,
        "version": published.version,
        "at": published.at,
        "uptime_s": published.at.seconds_since(published.started_at),
    });
    let status = if health.status() == Status::Unhealthy { 503 } else { 200 };
    Answer::new(status, "application/json", format!("{body}\n"))
}

/// To one decimal; JSON knows no infinity.
fn tenths(value: f64) -> f64 {
    if value.is_finite() { (value * 10.0).round() / 10.0 } else { 0.0 }
}

#[cfg(test)]
#[path = "site_tests.rs"]
mod tests;
