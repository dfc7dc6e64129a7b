//! All tests of the losses but those against reference figures; one program, so that the losses are compiled once.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod demonstrations;
mod family;
mod identities;
mod likelihoods;
mod lists;
mod losses;
mod players;
mod proof;
mod properties;
mod several;
mod spans;
mod survey;
mod survey_rest;
mod worked;
