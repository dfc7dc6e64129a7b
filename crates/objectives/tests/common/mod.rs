//! What the tests of the losses share.
#![allow(dead_code, clippy::unwrap_used, reason = "each test uses a part of it")]

pub(crate) mod agree;
pub(crate) mod given;
pub(crate) mod pairs;
pub(crate) mod plain;
pub(crate) mod prove;
pub(crate) mod rng;
pub(crate) mod solve;
