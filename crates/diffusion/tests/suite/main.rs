//! All tests of this crate in one program, so that there is one to link.
#![allow(clippy::unwrap_used)]

mod common;
mod golden;
mod inversion;
mod prediction;
mod sampling;
mod schedule;
