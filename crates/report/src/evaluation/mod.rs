//! The page of an evaluation: figures with intervals, tables and plots.
mod model;
mod page;
mod tables;

pub use model::{Bar, Bin, Cell, Dot, Evaluation, Plot, PlotKind, Sample, Table};
pub use page::render_evaluation;
