//! Horizontal bars with intervals.

use super::Drawn;
use super::frame::{TEXT, canvas, clean, label};
use crate::ReportError;
use crate::chart::{Area, COLOURS, INK, Plotted, drawable};
use crate::evaluation::{Bar, Plot};
use crate::format::number;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

/// Height of a bar with its gap.
const ROW: u32 = 44;
/// Characters of a label.
const LABEL: usize = 30;

pub(super) fn draw(plot: &Plot, bars: &[Bar], mark: Option<f64>) -> Result<Drawn, ReportError> {
    let kept: Vec<&Bar> = bars.iter().filter(|b| drawable(b.value)).collect();
    let left_out = bars.len() - kept.len();
    if kept.is_empty() {
        return Ok(Drawn { svg: None, left_out });
    }
    let svg = canvas(plot, ROW * kept.len() as u32 + 112, |area| paint(area, plot, &kept, mark))?;
    Ok(Drawn { svg: Some(svg), left_out })
}

fn paint(area: &Area<'_>, plot: &Plot, bars: &[&Bar], mark: Option<f64>) -> Plotted {
    let ends = bars.iter().flat_map(|b| b.interval.map_or([b.value; 2], |(low, high)| [low, high]));
    let (low, high) = super::frame::span(ends.chain(bars.iter().map(|b| b.value)).chain([0.0]).chain(mark), 0.02);
    let longest = bars.iter().map(|b| clean(&b.label, LABEL).chars().count()).max().unwrap_or(0) as u32;
    let low = if low > -0.03 * (high - low) && bars.iter().all(|b| b.value >= 0.0) { 0.0 } else { low };
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .margin_right(110)
        .x_label_area_size(84)
        .y_label_area_size(24 + longest * TEXT * 11 / 20)
        .build_cartesian_2d(low..high, 0.0..bars.len() as f64)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.12))
        .axis_style(INK.mix(0.35))
        .x_labels(6)
        .x_label_formatter(&|v| number(*v))
        .label_style(("sans-serif", TEXT).into_font().color(&INK.mix(0.7)))
        .axis_desc_style(("sans-serif", TEXT).into_font().color(&INK.mix(0.85)))
        .x_desc(clean(&plot.x, 60))
        .draw()?;
    let colour = COLOURS[0].0;
    for (i, bar) in bars.iter().enumerate() {
        let y = (bars.len() - 1 - i) as f64;
        let from = 0.0f64.clamp(low, high);
        chart.draw_series([Rectangle::new([(from, y + 0.2), (bar.value, y + 0.8)], colour.mix(0.35).filled())])?;
        if let Some((a, b)) = bar.interval.filter(|(a, b)| drawable(*a) && drawable(*b)) {
            chart.draw_series([PathElement::new(vec![(a, y + 0.5), (b, y + 0.5)], colour.stroke_width(5))])?;
        }
        chart.draw_series([Circle::new((bar.value, y + 0.5), 6, colour.filled())])?;
        let (left, middle) = chart.backend_coord(&(low, y + 0.5));
        label(area, &clean(&bar.label, LABEL), (left - 12, middle), HPos::Right, 0.85)?;
        let end = bar.interval.map_or(bar.value, |(_, b)| b.max(bar.value));
        let (right, _) = chart.backend_coord(&(if drawable(end) { end } else { bar.value }, y));
        label(area, &number(bar.value), (right + 12, middle), HPos::Left, 0.7)?;
    }
    if let Some(at) = mark.filter(|m| (low..=high).contains(m)) {
        let line = vec![(at, 0.0), (at, bars.len() as f64)];
        chart.draw_series([PathElement::new(line, INK.mix(0.5).stroke_width(2))])?;
    }
    Ok(())
}
