//! Line charts as inline SVG.

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use crate::ReportError;
use crate::format::number;

/// Size of the drawing; it is scaled to the width of the page, and twice the usual size keeps whole pixels fine.
const SIZE: (u32, u32) = (960, 540);
/// Stands for the page's text colour until the drawing is done, and is used for nothing else.
pub(crate) const INK: RGBColor = RGBColor(1, 2, 3);
/// Above this many points a curve is drawn pale, with a smoothed one on top.
const SMOOTH_ABOVE: usize = 60;
/// Values beyond this cannot be placed on an axis.
const DRAWABLE: f64 = 1e30;

pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(crate) type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
pub(crate) type Plotted = Result<(), Box<dyn std::error::Error>>;

/// Colours of the curves, readable on light and on dark ground.
pub(crate) const COLOURS: [(RGBColor, &str); 6] = [
    (RGBColor(47, 129, 247), "#2f81f7"),
    (RGBColor(229, 83, 75), "#e5534b"),
    (RGBColor(45, 164, 78), "#2da44e"),
    (RGBColor(191, 135, 0), "#bf8700"),
    (RGBColor(137, 87, 229), "#8957e5"),
    (RGBColor(27, 158, 158), "#1b9e9e"),
];

/// Whether a value can be placed on an axis.
pub(crate) fn drawable(value: f64) -> bool {
    value.is_finite() && value.abs() <= DRAWABLE
}

/// A curve with the points that can be drawn.
pub(crate) struct Line {
    /// Points in the order given.
    pub(crate) points: Vec<(f64, f64)>,
    /// How many points were left out.
    pub(crate) skipped: usize,
}

impl Line {
    /// Keeps the points that can be drawn.
    pub(crate) fn of(points: &[(f64, f64)]) -> Self {
        let kept: Vec<(f64, f64)> = points.iter().copied().filter(|p| drawable(p.0) && drawable(p.1)).collect();
        Self { skipped: points.len() - kept.len(), points: kept }
    }

    /// Whether a smoothed curve is drawn on top.
    pub(crate) fn is_smoothed(&self) -> bool {
        self.points.len() > SMOOTH_ABOVE
    }
}

/// Draws the lines into one chart; `None` when none has a point.
pub(crate) fn draw(names: &[&str], lines: &[Line]) -> Result<Option<String>, ReportError> {
    let all = || lines.iter().flat_map(|line| &line.points);
    if all().next().is_none() {
        return Ok(None);
    }
    let (x, y) = (range(all().map(|p| p.0), 0.0), range(all().map(|p| p.1), 0.06));
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    let drawn = plot(&area, (x, y), lines).and_then(|()| Ok(area.present()?));
    drop(area);
    drawn.map_err(|e| ReportError::Chart { curves: names.join(", "), reason: e.to_string() })?;
    Ok(Some(inline(&svg, SIZE, &names.join(", "))))
}

/// Ends of an axis: the values' ends, moved apart by a share of their distance, and never together.
pub(crate) fn range(values: impl Iterator<Item = f64>, pad: f64) -> (f64, f64) {
    let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
    let span = high - low;
    let least = low.abs().max(high.abs()).max(1e-9) * 1e-6;
    if span < least {
        // One value: centre it.
        let half = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
        return (low - half, high + half);
    }
    (low - pad * span, high + pad * span)
}

fn plot(area: &Area<'_>, (x, y): ((f64, f64), (f64, f64)), lines: &[Line]) -> Plotted {
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .margin_right(40)
        .x_label_area_size(56)
        .y_label_area_size(124)
        .build_cartesian_2d(x.0..x.1, y.0..y.1)?;
    let label = ("sans-serif", 42).into_font().color(&INK.mix(0.7));
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.14))
        .axis_style(INK.mix(0.35))
        .x_labels(5)
        .y_labels(5)
        .x_label_formatter(&|v| number(*v))
        .y_label_formatter(&|v| number(*v))
        .label_style(label)
        .draw()?;
    lines.iter().zip(COLOURS.iter().cycle()).try_for_each(|(line, (colour, _))| curve(&mut chart, line, *colour))
}

/// One curve: a dot, a line, or a pale line under a smoothed one.
fn curve(chart: &mut Chart<'_, '_>, line: &Line, colour: RGBColor) -> Plotted {
    let points = &line.points;
    if let [only] = points[..] {
        chart.draw_series([Circle::new(only, 7, colour.filled())])?;
    } else if line.is_smoothed() {
        chart.draw_series(LineSeries::new(points.clone(), colour.mix(0.3).stroke_width(2)))?;
        chart.draw_series(LineSeries::new(smooth(points), colour.stroke_width(4)))?;
    } else {
        chart.draw_series(LineSeries::new(points.clone(), colour.stroke_width(4)))?;
    }
    Ok(())
}

/// Centred moving mean over about a twentieth of the points; the window shrinks at the ends.
fn smooth(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let reach = (points.len() / 40).max(2);
    (0..points.len())
        .map(|i| {
            let reach = reach.min(i).min(points.len() - 1 - i);
            let window = &points[i - reach..=i + reach];
            let mean = window.iter().map(|p| p.1).sum::<f64>() / window.len() as f64;
            (points[i].0, mean)
        })
        .collect()
}

/// Fits the drawing into the page: its own size and namespace go, the ink becomes the page's colour.
pub(crate) fn inline(svg: &str, (width, height): (u32, u32), label: &str) -> String {
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    let body = body.replace("\"#010203\"", "\"currentColor\"");
    let label = crate::html::escape(label);
    format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{label}\">{body}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_never_collapse() {
        assert_eq!(range([0.0].into_iter(), 0.1), (-1.0, 1.0));
        assert_eq!(range([2.0, 2.0].into_iter(), 0.1), (1.8, 2.2));
        let (low, high) = range([1.0, 1.0 + 1e-15].into_iter(), 0.0);
        assert!(high - low > 0.1);
        assert_eq!(range([0.0, 10.0].into_iter(), 0.1), (-1.0, 11.0));
    }

    #[test]
    fn smoothing_keeps_lines_and_ends() {
        let line: Vec<(f64, f64)> = (0..200).map(|i| (f64::from(i), f64::from(2 * i))).collect();
        let smoothed = smooth(&line);
        assert!(line.iter().zip(&smoothed).all(|(a, b)| (a.1 - b.1).abs() < 1e-9));
        let zigzag: Vec<(f64, f64)> = (0..200).map(|i| (f64::from(i), f64::from(i % 2))).collect();
        let inner = &smooth(&zigzag)[20..180];
        assert!(inner.iter().all(|p| (p.1 - 0.5).abs() < 0.06));
    }

    #[test]
    fn points_that_cannot_be_drawn_are_counted() {
        let line = Line::of(&[(0.0, f64::NAN), (1.0, 2.0), (2.0, f64::INFINITY), (3.0, 1e40)]);
        assert_eq!((line.points, line.skipped), (vec![(1.0, 2.0)], 3));
    }
}
