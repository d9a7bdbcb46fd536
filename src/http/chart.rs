//! A line over time, as the points of an SVG polyline and a sentence.

use serde::Serialize;

use crate::model::time::span;

/// Samples across the whole width.
const ACROSS: usize = 120;
/// Units of the drawing; it is stretched to whatever room there is.
const WIDTH: f64 = 595.0;
const HEIGHT: f64 = 100.0;

/// One chart of a percentage; `now` is at the right edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Chart {
    pub title: &'static str,
    /// `x,y x,y …`; empty with less than two samples.
    pub line: String,
    /// The same, closed along the bottom.
    pub area: String,
    /// Where the time axis begins: `10m 0s ago`.
    pub from: String,
    /// `now 12 %, lowest 3 %, …`.
    pub summary: String,
}

impl Chart {
    /// Of samples taken every `sample_s` seconds, oldest first.
    pub fn new(title: &'static str, samples: &[f64], sample_s: u64) -> Chart {
        let skip = samples.len().saturating_sub(ACROSS);
        let samples: Vec<f64> = samples.iter().skip(skip).map(|v| percent(*v)).collect();
        let points = points(&samples);
        let line: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let area = match points.first() {
            Some((x, _)) => format!("{x:.1},{HEIGHT} {} {WIDTH},{HEIGHT}", line.join(" ")),
            None => String::new(),
        };
        let across = sample_s.saturating_mul(ACROSS as u64);
        let from = match (across / 60, across % 60) {
            (0, 0) => String::new(),
            (minutes @ 1.., 0) => format!("{minutes} min ago"),
            _ => format!("{} ago", span(across)),
        };
        Chart { title, line: line.join(" "), area, from, summary: summary(&samples) }
    }
}

fn points(samples: &[f64]) -> Vec<(f64, f64)> {
    if samples.len() < 2 {
        return Vec::new();
    }
    #[allow(clippy::cast_precision_loss)]
    let at = |i: usize| WIDTH - (samples.len() - 1 - i) as f64 * (WIDTH / (ACROSS - 1) as f64);
    samples.iter().enumerate().map(|(i, v)| (at(i), HEIGHT - v)).collect()
}

fn summary(samples: &[f64]) -> String {
    let Some(now) = samples.last() else { return String::from("Nothing has been measured yet.") };
    #[allow(clippy::cast_precision_loss)]
    let mean = samples.iter().sum::<f64>() / samples.len() as f64;
    let lowest = samples.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = samples.iter().copied().fold(0.0, f64::max);
    format!(
        "Now {now:.0}\u{a0}%, mean {mean:.0}\u{a0}%, lowest {lowest:.0}\u{a0}%, highest {highest:.0}\u{a0}%."
    )
}

/// Within 0 to 100, whatever was measured.
pub(super) fn percent(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, 100.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_sample_is_at_the_right_edge() {
        let chart = Chart::new("x", &[0.0, 100.0], 5);
        assert_eq!(chart.line, "590.0,100.0 595.0,0.0");
        assert_eq!(chart.area, "590.0,100 590.0,100.0 595.0,0.0 595,100");
        assert_eq!(chart.from, "10 min ago");
        assert_eq!(chart.summary.replace('\u{a0}', " "), "Now 100 %, mean 50 %, lowest 0 %, highest 100 %.");
    }

    #[test]
    fn odd_samples_draw_nothing_odd() {
        assert_eq!(Chart::new("x", &[], 5).line, "");
        assert_eq!(Chart::new("x", &[50.0], 5).area, "");
        let chart = Chart::new("x", &[f64::NAN, f64::INFINITY, -3.0, 1e300], 7);
        assert_eq!(chart.line, "580.0,100.0 585.0,0.0 590.0,100.0 595.0,0.0");
        assert_eq!(chart.from, "14 min ago");
        assert_eq!(Chart::new("x", &vec![1.0; 10_000], u64::MAX).line.split(' ').count(), ACROSS);
    }
}
