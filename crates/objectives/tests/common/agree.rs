//! Comparisons inside property tests of several crates.

use proptest::test_runner::TestCaseError;

pub(crate) type Outcome = Result<(), TestCaseError>;

/// Equality within `tolerance` of the largest element, or of 1.
pub(crate) fn near(found: &[f64], want: &[f64], tolerance: f64, what: &str) -> Outcome {
    check(found.len() == want.len(), &format!("{what}: {} entries, not {}", found.len(), want.len()))?;
    let scale = want.iter().fold(1.0, |m: f64, x| m.max(x.abs()));
    let within = |(a, b): (&f64, &f64)| (a - b).abs() <= tolerance * scale;
    check(found.iter().zip(want).all(within), &format!("{what}: {found:?}, not {want:?}"))
}

/// Fails with `what` unless `ok`.
pub(crate) fn check(ok: bool, what: &str) -> Outcome {
    if ok { Ok(()) } else { Err(TestCaseError::fail(what.to_owned())) }
}
