//! Tests of the crate, one binary.
#![allow(clippy::unwrap_used)]

mod common;
mod diagnostics;
mod metrics;
mod stats;
mod stats_coverage;
