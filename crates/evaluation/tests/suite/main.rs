//! Tests of the crate, one binary.
#![allow(clippy::unwrap_used)]

mod alpaca_eval;
mod common;
mod diagnostics;
mod judged;
mod kl;
mod length_control;
mod logistic;
mod metrics;
mod ratings;
mod stats;
mod stats_coverage;
