//! What was published, judged at the moment of a request.

use std::sync::Arc;

use crate::model::health::Check;
use crate::model::text::clean;
use crate::model::{Health, Published, Status, Time};

/// Figures older than this many sampling intervals say nothing about now.
const STALE_SAMPLES: u64 = 6;
/// And at least so many seconds.
const STALE_S: u64 = 30;

/// A snapshot, judged at the moment of a request.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub published: Arc<Published>,
    /// The published parts, and the measuring itself.
    pub health: Health,
}

impl Snapshot {
    /// What `published` is worth at `now`.
    pub fn judge(published: Arc<Published>, now: Time) -> Snapshot {
        let mut health = published.health.clone();
        for check in &mut health.checks {
            check.message = clean(&check.message);
        }
        health.checks.extend(freshness(&published, now));
        Snapshot { published, health }
    }

    /// Nothing was measured yet.
    pub fn is_first(&self) -> bool {
        self.published.at == Time::default()
    }
}

/// A portal whose figures stand still cannot vouch for itself.
fn freshness(published: &Published, now: Time) -> Option<Check> {
    let fault = |message: String| Check { name: "monitor", status: Status::Unhealthy, message, needed: true };
    if published.at == Time::default() {
        return Some(fault("The portal is starting: nothing has been looked at yet.".into()));
    }
    let allowed = published.sample_s.saturating_mul(STALE_SAMPLES).max(STALE_S);
    // A clock that is set makes nothing old, or young.
    let age = published.measured.map_or(now.seconds_since(published.at), |m| m.elapsed().as_secs());
    (age > allowed)
        .then(|| fault(format!("Nothing has been measured since {}; these figures are old.", published.at)))
}
