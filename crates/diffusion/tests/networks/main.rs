//! Denoisers, their training and their files.
#![allow(clippy::unwrap_used)]
mod common;
mod files;
mod gradients;
mod ring;
mod training;
mod users;
