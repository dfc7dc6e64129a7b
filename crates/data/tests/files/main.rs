//! Files to records: containers, formats, hygiene, and what is wrong with a file.
#![cfg(feature = "files")]
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod broken;
mod containers;
mod errors;
mod formats;
mod hygiene;
mod lists;
mod public;
mod reading;
mod support;
mod trl;
