//! All tests of the losses but those against reference figures; one program, so that the losses are compiled once.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod deep_research;
mod disco;
mod family;
mod grpo;
mod grpo_invariants;
mod mo_grpo;
mod ppo;
mod proof;
