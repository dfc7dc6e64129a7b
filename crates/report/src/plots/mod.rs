//! Plots of an evaluation as inline SVG.
mod bars;
mod frame;
mod histogram;
mod points;
mod reliability;

use crate::ReportError;
use crate::evaluation::{Plot, PlotKind};

/// A drawing, and how much of the data is not in it.
pub(crate) struct Drawn {
    /// The drawing; nothing when there is nothing to draw.
    pub(crate) svg: Option<String>,
    /// Values that cannot be placed on an axis.
    pub(crate) left_out: usize,
}

/// Draws a plot.
pub(crate) fn draw(plot: &Plot) -> Result<Drawn, ReportError> {
    match &plot.kind {
        PlotKind::Bars(bars, mark) => bars::draw(plot, bars, *mark),
        PlotKind::Histogram(samples) => histogram::draw(plot, samples),
        PlotKind::Reliability(bins) => reliability::draw(plot, bins),
        PlotKind::Points(dots, line) => points::draw(plot, dots, line),
    }
}
