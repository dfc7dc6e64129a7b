//! Accuracy against confidence.

use super::Drawn;
use super::frame::{HEIGHT, axes, canvas, whisker};
use crate::ReportError;
use crate::chart::{COLOURS, INK, drawable};
use crate::evaluation::{Bin, Plot};
use plotters::prelude::*;

pub(super) fn draw(plot: &Plot, bins: &[Bin]) -> Result<Drawn, ReportError> {
    let there = bins.iter().filter(|b| b.count > 0);
    let kept: Vec<&Bin> = there.clone().filter(|b| drawable(b.confidence) && drawable(b.accuracy)).collect();
    let left_out = there.count() - kept.len();
    if kept.is_empty() {
        return Ok(Drawn { svg: None, left_out });
    }
    // confidences that are folded to the likelier side begin at one half
    let from = if kept.iter().all(|b| b.confidence >= 0.5) { 0.5 } else { 0.0 };
    let most = kept.iter().map(|b| b.count).max().unwrap_or(1) as f64;
    let svg = canvas(plot, HEIGHT, |area| {
        let mut chart = axes(area, plot, (from, 1.0), (0.0, 1.02))?;
        chart.draw_series([PathElement::new(vec![(from, from), (1.0, 1.0)], INK.mix(0.5).stroke_width(2))])?;
        let colour = COLOURS[0].0;
        let line = kept.iter().map(|b| (b.confidence, b.accuracy)).collect::<Vec<_>>();
        chart.draw_series([PathElement::new(line, colour.stroke_width(3))])?;
        for bin in &kept {
            if let Some(interval) = bin.interval {
                whisker(&mut chart, bin.confidence, interval, colour.mix(0.6))?;
            }
            // the area says how many
            let size = 6.0 + 16.0 * (bin.count as f64 / most).sqrt();
            let place = (bin.confidence, bin.accuracy);
            chart.draw_series([Circle::new(place, size as i32, colour.mix(0.35).filled())])?;
            chart.draw_series([Circle::new(place, 5, colour.filled())])?;
        }
        Ok(())
    })?;
    Ok(Drawn { svg: Some(svg), left_out })
}
