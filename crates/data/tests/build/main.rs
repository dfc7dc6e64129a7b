//! Construction, curriculum and output, in one test binary.
#![allow(clippy::unwrap_used)]

mod controls;
mod counts;
#[cfg(feature = "files")]
mod output;
#[cfg(feature = "files")]
mod real_data;
mod records;
mod support;
