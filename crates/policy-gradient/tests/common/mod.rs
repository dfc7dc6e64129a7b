//! What the tests of the losses share.
#![allow(dead_code, clippy::unwrap_used, reason = "each test uses a part of it")]

#[path = "../../../objectives/tests/common/agree.rs"]
pub(crate) mod agree;
pub(crate) mod plain;
pub(crate) mod prove;
#[path = "../../../objectives/tests/common/rng.rs"]
pub(crate) mod rng;
pub(crate) mod solve;

/// Compares to the digits that a sheet prints.
#[track_caller]
pub(crate) fn close(found: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(found.len(), want.len(), "{found:?} is not {want:?}");
    let within = |(a, b): (&f64, &f64)| (a - b).abs() <= tolerance * b.abs().max(1.0);
    assert!(found.iter().zip(want).all(within), "{found:?} is not {want:?}");
}
