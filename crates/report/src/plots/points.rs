//! Points with labels, and a line through some of them.

use super::Drawn;
use super::frame::{HEIGHT, TEXT, axes, canvas, clean, label, span, whisker};
use crate::ReportError;
use crate::chart::{COLOURS, drawable};
use crate::evaluation::{Dot, Plot};
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

pub(super) fn draw(plot: &Plot, dots: &[Dot], line: &[(f64, f64)]) -> Result<Drawn, ReportError> {
    let kept: Vec<&Dot> = dots.iter().filter(|d| drawable(d.x) && drawable(d.y)).collect();
    let left_out = dots.len() - kept.len();
    if kept.is_empty() {
        return Ok(Drawn { svg: None, left_out });
    }
    let ends = |d: &&Dot| d.interval.map_or([d.y; 2], |(low, high)| [low.min(d.y), high.max(d.y)]);
    let (x, y) = (span(kept.iter().map(|d| d.x), 0.06), span(kept.iter().flat_map(ends), 0.06));
    let svg = canvas(plot, HEIGHT, |area| {
        let mut chart = axes(area, plot, x, y)?;
        let line: Vec<_> = line.iter().copied().filter(|p| drawable(p.0) && drawable(p.1)).collect();
        chart.draw_series([PathElement::new(line, COLOURS[1].0.stroke_width(3))])?;
        for dot in &kept {
            let colour = COLOURS[usize::from(dot.strong)].0;
            if let Some(interval) = dot.interval {
                whisker(&mut chart, dot.x, interval, colour.mix(0.35))?;
            }
            chart.draw_series([Circle::new((dot.x, dot.y), if dot.strong { 9 } else { 7 }, colour.filled())])?;
        }
        let places: Vec<(i32, i32)> = kept.iter().map(|d| chart.backend_coord(&(d.x, d.y))).collect();
        let (across, down) = chart.plotting_area().get_pixel_range();
        let labels: Vec<String> = kept.iter().map(|d| clean(&d.label, 32)).collect();
        // points that stand out get their label first
        let mut order: Vec<usize> = (0..kept.len()).collect();
        order.sort_by_key(|&i| !kept[i].strong);
        for (i, at, side) in arrange(&places, &labels, &order, (across.start, across.end, down.start, down.end)) {
            label(area, &labels[i], at, side, 0.75)?;
        }
        Ok(())
    })?;
    Ok(Drawn { svg: Some(svg), left_out })
}

/// A rectangle of pixels: left, right, top, bottom.
type Block = (i32, i32, i32, i32);

/// Places for the labels that fit beside, above or below their points without covering others; the rest have none.
fn arrange(
    places: &[(i32, i32)],
    labels: &[String],
    order: &[usize],
    (left, right, top, bottom): Block,
) -> Vec<(usize, (i32, i32), HPos)> {
    let mut taken: Vec<Block> = places.iter().map(|&(x, y)| (x - 9, x + 9, y - 9, y + 9)).collect();
    let mut out = vec![];
    let height = TEXT as i32 / 2;
    for &i in order.iter().filter(|i| !labels[**i].is_empty()) {
        let (x, y) = places[i];
        let width = labels[i].chars().count() as i32 * TEXT as i32 * 11 / 20;
        let tries = [
            ((x + 14, y), HPos::Left, x + 14),
            ((x - 14, y), HPos::Right, x - 14 - width),
            ((x, y - 28), HPos::Center, x - width / 2),
            ((x, y + 28), HPos::Center, x - width / 2),
        ];
        let block = |start: i32, y: i32| (start, start + width, y - height, y + height);
        let free = |b: Block| {
            let inside = b.0 >= left && b.1 <= right && b.2 >= top && b.3 <= bottom;
            inside && taken.iter().all(|t| b.1 < t.0 || t.1 < b.0 || b.3 < t.2 || t.3 < b.2)
        };
        if let Some((at, side, start)) = tries.into_iter().find(|(at, _, start)| free(block(*start, at.1))) {
            taken.push(block(start, at.1));
            out.push((i, at, side));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_do_not_cover_one_another() {
        let places = [(100, 100), (130, 100), (100, 104), (500, 300)];
        let labels = ["first", "second", "third", ""].map(str::to_owned);
        let found = arrange(&places, &labels, &[0, 1, 2, 3], (0, 960, 0, 600));
        assert!(found.iter().any(|(i, ..)| *i == 0) && found.iter().all(|(i, ..)| *i != 3));
        assert!(arrange(&places, &labels, &[0, 1, 2, 3], (90, 110, 90, 110)).is_empty());
    }
}
