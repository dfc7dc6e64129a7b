//! Construction, curriculum and output, in one test binary.
#![allow(clippy::unwrap_used)]

mod controls;
mod counts;
#[cfg(feature = "files")]
mod output;
mod records;
mod support;
