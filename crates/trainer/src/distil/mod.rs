//! Stages that distil a teacher made of two earlier models.
mod checkpoint;
mod options;
mod pass;
mod run;

pub use options::DistilOptions;
pub use run::{DistilRun, DistilSource};
