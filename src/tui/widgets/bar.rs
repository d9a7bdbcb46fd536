//! Parts of a whole.

/// A bar of that many columns, as full as `ratio` (0 to 1) says.
pub fn bar(ratio: f64, columns: u16) -> String {
    let whole = usize::from(columns);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let full = ((ratio.clamp(0.0, 1.0) * whole as f64).round() as usize).min(whole);
    format!("{}{}", "█".repeat(full), "░".repeat(whole - full))
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn is_as_long_as_it_says() {
        assert_eq!(bar(0.5, 4), "██░░");
        assert_eq!(bar(7.0, 3), "███");
        assert_eq!(bar(f64::NAN, 2), "░░");
    }
}
