//! Moments: kept as milliseconds since the epoch, shown as RFC 3339 in UTC.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

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

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse::<jiff::Timestamp>().map(|t| Time(t.as_millisecond())).map_err(de::Error::custom)
    }
}

/// Reads when something ends: a span from `now` on (`30d`), a day or a moment
/// (`2031-05-01`, RFC 3339), or what sshd takes as `expiry-time`:
/// `YYYYMMDD[HHMM[SS]][Z]`. Days begin and clocks go as in the host's zone, but
/// with a `Z` as in UTC. Reads files: not for an async worker that is in a hurry.
///
/// # Errors
/// A few words on what is wrong, for the end of a sentence.
pub fn parse_end(text: &str, now: Time) -> Result<Time, String> {
    let exact = match parse_span(text) {
        Some(seconds) => i64::try_from(seconds).ok().and_then(|s| now.0.checked_add(s.checked_mul(1000)?)),
        None => moment(text),
    };
    // To the second, as it is shown and kept.
    match exact.map(|ms| ms - ms.rem_euclid(1000)) {
        Some(end) if end <= now.0 => Err(String::from("that is over already")),
        Some(end) if end < LATEST => Ok(Time(end)),
        _ => Err(String::from("an end is written like 30d, 2031-05-01 or 203105011200Z")),
    }
}

/// 9999-01-01T00:00:00Z: what comes later is a slip of the pen.
const LATEST: i64 = 253_370_764_800_000;

fn moment(text: &str) -> Option<i64> {
    if let Ok(exact) = text.parse::<jiff::Timestamp>() {
        return Some(exact.as_millisecond());
    }
    let (digits, utc) = match text.strip_suffix('Z') {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    let written = if digits.bytes().all(|b| b.is_ascii_digit()) {
        let format = match digits.len() {
            8 => return at(jiff::civil::Date::strptime("%Y%m%d", digits).ok()?.to_datetime(MIDNIGHT), utc),
            12 => "%Y%m%d%H%M",
            14 => "%Y%m%d%H%M%S",
            _ => return None,
        };
        jiff::civil::DateTime::strptime(format, digits).ok()?
    } else {
        digits.parse::<jiff::civil::Date>().ok().filter(|_| digits.len() == 10)?.to_datetime(MIDNIGHT)
    };
    at(written, utc)
}

const MIDNIGHT: jiff::civil::Time = jiff::civil::Time::midnight();

fn at(written: jiff::civil::DateTime, utc: bool) -> Option<i64> {
    let zone = if utc { jiff::tz::TimeZone::UTC } else { jiff::tz::TimeZone::system() };
    Some(written.to_zoned(zone).ok()?.timestamp().as_millisecond())
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
    fn ends() {
        let now = Time::from_millis(1_784_000_000_000);
        let end = |text: &str| parse_end(text, now).map(|t| t.to_string());
        assert_eq!(end("30d").unwrap(), "2026-08-13T03:33:20Z");
        for same in
            ["20310501Z", "203105010000Z", "20310501000000Z", "2031-05-01Z", "2031-05-01T02:00:00+02:00"]
        {
            assert_eq!(end(same).unwrap(), "2031-05-01T00:00:00Z", "{same}");
        }
        assert!(end("20310501").unwrap() == end("2031-05-01").unwrap() && end("203105011200").is_ok());
        for over in ["0s", "20200101Z", "2020-01-01"] {
            assert!(end(over).unwrap_err().contains("over"), "{over}");
        }
        for bad in [
            "",
            "Z",
            "soon",
            "2031",
            "20311301",
            "20310532",
            "203105012460",
            "2031-5-1",
            "99999999999999999999d",
            "9223372036854775807s",
            "20310501ZZ",
            "２０３１０５０１",
        ] {
            assert!(end(bad).is_err(), "{bad}");
        }
        let time: Time = serde_json::from_str("\"2026-07-14T03:33:20Z\"").unwrap();
        assert_eq!(time, now);
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
