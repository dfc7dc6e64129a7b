//! Construction, curriculum and output, in one test binary.
#![allow(clippy::unwrap_used)]

mod controls;
mod counts;
mod records;
mod support;
