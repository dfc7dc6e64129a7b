//! Checks that cross the crates of the workspace; they stand in `tests/`, the figures they share in `golden/`.

use std::path::PathBuf;

/// The folder of real data sets: `TROPISM_DATA`, or `shared/data` beside the repository.
pub fn data_folder() -> PathBuf {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
    std::env::var_os("TROPISM_DATA").map_or_else(|| beside.into(), PathBuf::from)
}

/// The Rust example of the README, as a doctest.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
