//! Time zones: moments as the person's own clock shows them.

use std::fmt;

use jiff::tz::{self, TimeZone};
use serde::{Serialize, Serializer};

use super::{Time, text};
use crate::error::{Error, Result};

/// The longest name that is looked at.
const LONGEST: usize = 64;
/// One of so many letters may be wrong in a name that another is offered for.
const RIGHT: usize = 3;

/// A zone of the system's database; UTC by default. Clones share it.
#[derive(Debug, Clone)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

impl Default for Zone {
    fn default() -> Self {
        Zone { name: String::from("UTC"), zone: TimeZone::UTC }
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Zone {
    /// The zone of that name, such as `Europe/Berlin`, whatever the case of its
    /// letters. Reads files: not for an async worker.
    ///
    /// # Errors
    /// `usage` if there is none, with the nearest name as the hint.
    pub fn parse(name: &str) -> Result<Zone> {
        if name.eq_ignore_ascii_case("UTC") {
            return Ok(Zone::default());
        }
        let found = if name.len() <= LONGEST { tz::db().get(name).ok() } else { None };
        let known = found.and_then(|zone| Some(Zone { name: zone.iana_name()?.to_owned(), zone }));
        known.ok_or_else(|| {
            let e = Error::usage(format!("There is no time zone “{}”.", text::short(name, 40)));
            match nearest(name) {
                Some(near) => e.hint(format!("Did you mean `{near}`?")),
                None => e.hint("Write one as Europe/Berlin, or UTC."),
            }
        })
    }

    /// Its name, such as `Europe/Berlin`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Day and time of day: `2026-07-14 05:33:20`.
    pub fn date_time(&self, time: Time) -> String {
        self.show(time, "%F %T")
    }

    /// The same without the year: `07-14 05:33:20`.
    pub fn short(&self, time: Time) -> String {
        self.show(time, "%m-%d %T")
    }

    /// The time of day: `05:33:20`.
    pub fn clock(&self, time: Time) -> String {
        self.show(time, "%T")
    }

    /// The day: `2026-07-14`.
    pub fn date(&self, time: Time) -> String {
        self.show(time, "%F")
    }

    /// What the zone is called at that moment: `UTC`, `CEST`, `-03`.
    pub fn abbreviation(&self, time: Time) -> String {
        self.show(time, "%Z")
    }

    fn show(&self, time: Time, format: &str) -> String {
        match jiff::Timestamp::from_millisecond(time.millis()) {
            Ok(t) => t.to_zoned(self.zone.clone()).strftime(format).to_string(),
            Err(_) => String::from("-"),
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.name)
    }
}

/// The zone that was meant: the whole name may be mistyped, or the city stand alone.
fn nearest(name: &str) -> Option<String> {
    let wrong = text::short(name, LONGEST).to_lowercase().replace(' ', "_");
    let city = wrong.rsplit('/').next().unwrap_or(&wrong);
    let far = |known: &str| {
        let known = known.to_lowercase();
        let of_city = known.rsplit('/').next().map_or(usize::MAX, |c| strsim::damerau_levenshtein(c, city));
        // The whole name decides between cities that are as near.
        (
            of_city.min(strsim::damerau_levenshtein(&known, &wrong)),
            strsim::damerau_levenshtein(&known, &wrong),
        )
    };
    let known = tz::db().available().map(|n| n.as_str().to_owned());
    let measured = known.map(|n| (far(&n), n)).min()?;
    (measured.0.0 <= city.chars().count() / RIGHT && !city.is_empty()).then_some(measured.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-07-14T03:33:20Z, in summer.
    const SUMMER: Time = Time::from_millis(1_784_000_000_123);

    #[test]
    fn shows_the_clock_on_the_wall() {
        let berlin = Zone::parse("europe/berlin").unwrap();
        assert_eq!(berlin.name(), "Europe/Berlin");
        assert_eq!(berlin.date_time(SUMMER), "2026-07-14 05:33:20");
        assert_eq!(berlin.short(SUMMER), "07-14 05:33:20");
        assert_eq!((berlin.clock(SUMMER).as_str(), berlin.date(SUMMER).as_str()), ("05:33:20", "2026-07-14"));
        assert_eq!(berlin.abbreviation(SUMMER), "CEST");
        let winter = Time::from_millis(1_768_000_000_000);
        assert_eq!(berlin.abbreviation(winter), "CET");
        assert_eq!(Zone::default().date_time(SUMMER), "2026-07-14 03:33:20");
        assert_eq!(Zone::default().abbreviation(SUMMER), "UTC");
    }

    #[test]
    fn what_was_meant_is_offered() {
        for (wrong, right) in
            [("Europe/Berln", "Europe/Berlin"), ("berlin", "Europe/Berlin"), ("New York", "America/New_York")]
        {
            let e = Zone::parse(wrong).unwrap_err();
            assert!(e.hint.contains(right), "{wrong}: {e}");
        }
        for nonsense in ["", "x", "../../etc/passwd", "\u{1b}[31m", &"é".repeat(100)] {
            let e = Zone::parse(nonsense).unwrap_err();
            assert!(e.hint.contains("Europe/Berlin") && !e.to_string().contains('\u{1b}'), "{e}");
        }
    }
}
