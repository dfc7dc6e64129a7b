//! Numbers as text.

/// A number as reports show it: four significant digits at most, in scientific form where it is very small or large.
///
/// ```
/// assert_eq!(tropism_report::number(-0.61234), "−0.6123");
/// ```
pub fn number(value: f64) -> String {
    if value.is_nan() {
        return "–".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "∞" } else { "−∞" }.into();
    }
    if value == 0.0 {
        return "0".into();
    }
    let magnitude = value.abs();
    if !(1e-3..1e6).contains(&magnitude) {
        return minus(&format!("{value:.2e}").replace(".00e", "e"));
    }
    let decimals = (3 - magnitude.log10().floor() as i32).clamp(0, 5) as usize;
    minus(trim(&format!("{value:.decimals$}")))
}

/// Drops zeros at the end of a fraction, and the point when nothing follows it.
fn trim(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// A typographic minus sign in front.
fn minus(text: &str) -> String {
    match text.strip_prefix('-') {
        Some(rest) => format!("−{rest}"),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn keeps_four_digits() {
        for (value, text) in [
            (0.0, "0"),
            (0.61234, "0.6123"),
            (0.5, "0.5"),
            (-1.25, "−1.25"),
            (12.3456, "12.35"),
            (1234.0, "1234"),
            (123456.7, "123457"),
            (0.0012, "0.0012"),
            (5e-7, "5e-7"),
            (-1.234e-5, "−1.23e-5"),
            (3e9, "3e9"),
            (f64::NAN, "–"),
            (f64::NEG_INFINITY, "−∞"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
