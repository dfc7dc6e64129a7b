//! All tests of this crate in one program, so that there is one to link.
#![allow(clippy::unwrap_used)]

mod awm;
mod common;
mod d3po;
mod densedpo;
mod diffusion_dpo;
mod diffusion_dro;
mod dso;
mod family;
mod golden;
mod inversion;
mod inversion_dpo;
mod ppd;
mod prediction;
mod proof;
mod rankdpo;
mod sampling;
mod schedule;
mod smpo;
