//! Moments: kept as milliseconds since the epoch, shown as RFC 3339 in UTC.

use std::fmt;

use serde::{Serialize, Serializer};

/// A moment, to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(i64);

impl Time {
    /// The present moment by the host's clock.
    pub fn now() -> Self {
        Time(jiff::Timestamp::now().as_millisecond())
    }

    /// From milliseconds since 1970-01-01T00:00:00Z.
    pub const fn from_millis(ms: i64) -> Self {
        Time(ms)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds from `earlier` to this moment; 0 if the clock went back.
    pub fn seconds_since(self, earlier: Time) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0) / 1000).unwrap_or(0)
    }

    /// The moment `seconds` after this one.
    #[must_use]
    pub fn plus_seconds(self, seconds: u64) -> Self {
        let ms = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000);
        Time(self.0.saturating_add(ms))
    }

    /// The moment `seconds` before this one.
    #[must_use]
    pub fn minus_seconds(self, seconds: u64) -> Self {
        let ms = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000);
        Time(self.0.saturating_sub(ms))
    }
}

/// RFC 3339, in UTC, to the second.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0.div_euclid(1000)) {
            Ok(t) => write!(f, "{t}"),
            Err(_) => f.write_str("-"),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// A span for people, with its two largest units: `3d 4h`, `12m 5s`, `8s`.
pub fn span(seconds: u64) -> String {
    let (d, h, m, s) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match (d, h, m) {
        (0, 0, 0) => format!("{s}s"),
        (0, 0, _) => format!("{m}m {s}s"),
        (0, _, _) => format!("{h}h {m}m"),
        (_, _, _) => format!("{d}d {h}h"),
    }
}

/// Reads a span such as `90s`, `15m`, `1h`, `7d`; seconds.
pub fn parse_span(text: &str) -> Option<u64> {
    let unit = text.chars().last()?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let digits = text.get(..text.len() - unit.len_utf8())?;
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_rfc_3339() {
        assert_eq!(Time::from_millis(1_784_000_000_123).to_string(), "2026-07-14T03:33:20Z");
    }

    #[test]
    fn spans() {
        assert_eq!(span(8), "8s");
        assert_eq!(span(725), "12m 5s");
        assert_eq!(span(90_061), "1d 1h");
        assert_eq!(parse_span("7d"), Some(604_800));
        assert_eq!(parse_span("h"), None);
        assert_eq!(parse_span("99999999999999999999d"), None);
        assert_eq!(parse_span("5é"), None);
    }
}
