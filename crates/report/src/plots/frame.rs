//! What all plots share: the canvas, axes, texts, whiskers.

use crate::ReportError;
use crate::chart::{Area, Chart, INK, Plotted, drawable, inline};
use crate::evaluation::Plot;
use crate::format::number;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Width of a drawing; it is scaled to the width of the page.
pub(super) const WIDTH: u32 = 960;
/// Its height where the data does not ask for another.
pub(super) const HEIGHT: u32 = 620;
/// Size of texts.
pub(super) const TEXT: u32 = 28;

/// Draws on a canvas of this height.
pub(super) fn canvas(plot: &Plot, height: u32, f: impl FnOnce(&Area<'_>) -> Plotted) -> Result<String, ReportError> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
    let drawn = f(&area).and_then(|()| Ok(area.present()?));
    drop(area);
    drawn.map_err(|e| ReportError::Chart { curves: plot.title.clone(), reason: e.to_string() })?;
    Ok(inline(&svg, (WIDTH, height), &plot.title))
}

/// Axes with lines and numbers.
pub(super) fn axes<'a, 'b>(
    area: &'b Area<'a>,
    plot: &Plot,
    x: (f64, f64),
    y: (f64, f64),
) -> Result<Chart<'b, 'a>, Box<dyn std::error::Error>> {
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .margin_right(36)
        .x_label_area_size(if plot.x.is_empty() { 44 } else { 84 })
        .y_label_area_size(if plot.y.is_empty() { 92 } else { 128 })
        .build_cartesian_2d(x.0..x.1, y.0..y.1)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.12))
        .axis_style(INK.mix(0.35))
        .x_labels(6)
        .y_labels(6)
        .x_label_formatter(&|v| number(*v))
        .y_label_formatter(&|v| number(*v))
        .label_style(("sans-serif", TEXT).into_font().color(&INK.mix(0.7)))
        .axis_desc_style(("sans-serif", TEXT).into_font().color(&INK.mix(0.85)))
        .x_desc(clean(&plot.x, 60))
        .y_desc(clean(&plot.y, 40))
        .draw()?;
    Ok(chart)
}

/// A text of the drawing's own size at a pixel.
pub(super) fn label(area: &Area<'_>, text: &str, at: (i32, i32), side: HPos, strength: f64) -> Plotted {
    let style = ("sans-serif", TEXT).into_font().color(&INK.mix(strength)).pos(Pos::new(side, VPos::Center));
    Ok(area.draw(&Text::new(text.to_owned(), at, style))?)
}

/// A vertical line with ends between two heights.
pub(super) fn whisker(chart: &mut Chart<'_, '_>, x: f64, (low, high): (f64, f64), colour: RGBAColor) -> Plotted {
    if drawable(low) && drawable(high) {
        chart.draw_series([PathElement::new(vec![(x, low), (x, high)], colour.stroke_width(3))])?;
    }
    Ok(())
}

/// A text on one line without control characters, cut at so many characters.
pub(super) fn clean(text: &str, most: usize) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= most { line } else { line.chars().take(most - 1).chain(['…']).collect() }
}

/// Ends of an axis around values, moved apart by a share of their distance.
pub(super) fn span(values: impl Iterator<Item = f64>, pad: f64) -> (f64, f64) {
    crate::chart::range(values.filter(|v| drawable(*v)), pad)
}
