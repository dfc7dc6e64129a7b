//! Counts over common bins.

use super::Drawn;
use super::frame::{HEIGHT, axes, canvas, span};
use crate::ReportError;
use crate::chart::{COLOURS, INK, drawable};
use crate::evaluation::{Plot, Sample};
use plotters::prelude::*;

/// Bins from the smallest value to the largest.
const BINS: usize = 30;

pub(super) fn draw(plot: &Plot, samples: &[Sample]) -> Result<Drawn, ReportError> {
    let all = || samples.iter().flat_map(|s| s.values.iter().copied());
    let left_out = all().filter(|v| !drawable(*v)).count();
    if all().all(|v| !drawable(v)) {
        return Ok(Drawn { svg: None, left_out });
    }
    let x = span(all(), 0.0);
    let counts: Vec<[usize; BINS]> = samples.iter().map(|s| count(&s.values, x)).collect();
    let most = counts.iter().flatten().copied().max().unwrap_or(1) as f64;
    let svg = canvas(plot, HEIGHT, |area| {
        let mut chart = axes(area, plot, x, (0.0, most * 1.06))?;
        let width = (x.1 - x.0) / BINS as f64;
        for (counts, (colour, _)) in counts.iter().zip(COLOURS.iter().cycle()) {
            let bars = counts.iter().enumerate().filter(|(_, n)| **n > 0).map(|(i, n)| {
                let left = x.0 + width * i as f64;
                Rectangle::new([(left, 0.0), (left + width, *n as f64)], colour.mix(0.35).filled())
            });
            chart.draw_series(bars)?;
            chart.draw_series([PathElement::new(outline(counts, x.0, width), colour.stroke_width(3))])?;
        }
        if x.0 < 0.0 && x.1 > 0.0 {
            chart.draw_series([PathElement::new(vec![(0.0, 0.0), (0.0, most * 1.06)], INK.mix(0.5).stroke_width(2))])?;
        }
        Ok(())
    })?;
    Ok(Drawn { svg: Some(svg), left_out })
}

/// How many values fall into each bin; the last bin holds its upper end.
fn count(values: &[f64], (low, high): (f64, f64)) -> [usize; BINS] {
    let mut counts = [0; BINS];
    for v in values.iter().filter(|v| drawable(**v)) {
        let at = (v - low) / (high - low) * BINS as f64;
        counts[(at.max(0.0) as usize).min(BINS - 1)] += 1;
    }
    counts
}

/// The steps along the tops of the bars.
fn outline(counts: &[usize; BINS], low: f64, width: f64) -> Vec<(f64, f64)> {
    let edge = |i: usize| low + width * i as f64;
    let tops = counts.iter().enumerate().flat_map(|(i, n)| [(edge(i), *n as f64), (edge(i + 1), *n as f64)]);
    std::iter::once((low, 0.0)).chain(tops).chain([(edge(BINS), 0.0)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_falls_into_a_bin() {
        let values: Vec<f64> = (0..=60).map(f64::from).collect();
        let counts = count(&values, (0.0, 60.0));
        assert_eq!((counts.iter().sum::<usize>(), counts[0], counts[BINS - 1]), (61, 2, 3));
        assert_eq!(count(&[f64::NAN, 1.0], (0.9, 1.1)).iter().sum::<usize>(), 1);
    }
}
