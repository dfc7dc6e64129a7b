//! Samples as pictures: points in the plane, grey images and clips, stacks of boxes.
use crate::html::Html;
use crate::{PictureForm, PictureSet, Pictures};
use std::fmt::Write;

/// Shades between paper and ink.
const SHADES: usize = 6;
/// Images side by side.
const ACROSS: usize = 8;
/// Cells between images.
const GAP: f64 = 2.0;

/// Writes the sets of pictures, one figure each, drawn at one scale.
pub(crate) fn pictures(html: &mut Html, rows: &[Pictures]) {
    for row in rows {
        html.markup("<section>");
        html.element("<h2>", &row.title, "</h2>\n");
        if !row.note.is_empty() {
            html.element("<p class=\"quiet\">", &row.note, "</p>\n");
        }
        html.markup("<div class=\"charts\">\n");
        for set in &row.sets {
            html.element("<figure><figcaption>", &set.stage, "</figcaption>\n");
            html.drawing(&draw(row, set));
            if !set.note.is_empty() {
                html.element("<p class=\"quiet\">", &set.note, "</p>");
            }
            html.markup("</figure>\n");
        }
        html.markup("</div></section>\n");
    }
}

fn draw(row: &Pictures, set: &PictureSet) -> String {
    let finite = |x: &&Vec<f64>| x.iter().all(|v| v.is_finite());
    let samples: Vec<&Vec<f64>> = set.samples.iter().filter(finite).collect();
    match row.form {
        PictureForm::Points => points(&samples, reach(row), &set.stage),
        PictureForm::Images { frames, height, width } => images(&samples, (frames, height, width), &set.stage),
        PictureForm::Boxes => boxes(&samples, &set.stage),
    }
}

/// The largest coordinate of any set, for one scale; strays beyond 3 are left outside.
fn reach(row: &Pictures) -> f64 {
    let all = row.sets.iter().flat_map(|s| &s.samples).flat_map(|x| x.iter().take(2));
    all.copied().filter(|v| v.is_finite()).fold(1.0, |m: f64, v| m.max(v.abs())).min(3.0) * 1.05
}

fn frame(stage: &str, left: f64, top: f64, width: f64, height: f64) -> String {
    let label = crate::html::escape(stage);
    format!("<svg viewBox=\"{left:.2} {top:.2} {width:.2} {height:.2}\" role=\"img\" aria-label=\"samples of {label}\">")
}

fn points(samples: &[&Vec<f64>], reach: f64, stage: &str) -> String {
    let mut out = frame(stage, -100.0, -100.0, 200.0, 200.0);
    out += "<path d=\"M-100 0H100M0 -100V100\" stroke=\"currentColor\" stroke-opacity=\"0.2\" fill=\"none\" stroke-width=\"0.5\"/>";
    out +=
        "<path fill=\"none\" stroke=\"#2f81f7\" stroke-opacity=\"0.5\" stroke-width=\"2.4\" stroke-linecap=\"round\" d=\"";
    let scale = 100.0 / reach;
    for x in samples.iter().filter(|x| x.len() >= 2 && x[0].abs() < reach && x[1].abs() < reach) {
        // writing into a String cannot fail
        let _ = write!(out, "M{:.1} {:.1}h0", x[0] * scale, -x[1] * scale);
    }
    out + "\"/></svg>"
}

/// Grey cells as runs of one shade per row, a path for each shade.
fn images(samples: &[&Vec<f64>], (frames, height, width): (usize, usize, usize), stage: &str) -> String {
    let (high, wide) = (height as f64 + GAP, (frames * width + frames.saturating_sub(1)) as f64 + GAP);
    let across = if frames > 1 { 1 } else { ACROSS };
    let lines = samples.len().div_ceil(across).max(1);
    let mut out = frame(stage, -1.0, -1.0, across as f64 * wide, lines as f64 * high);
    let mut paths = vec![String::new(); SHADES + 1];
    for (i, sample) in samples.iter().enumerate() {
        let (left, top) = ((i % across) as f64 * wide, (i / across) as f64 * high);
        for (f, cells) in sample.chunks_exact((height * width).max(1)).enumerate() {
            let left = left + f as f64 * (width + 1) as f64;
            let _ = write!(
                out,
                "<path d=\"M{left} {top}h{width}v{height}h-{width}z\" fill=\"currentColor\" fill-opacity=\"0.06\"/>"
            );
            for (r, row) in cells.chunks_exact(width.max(1)).enumerate() {
                runs(row, |from, length, shade| {
                    let _ = write!(paths[shade], "M{} {}h{length}v1h-{length}z", left + from as f64, top + r as f64);
                });
            }
        }
    }
    for (shade, path) in paths.iter().enumerate().filter(|(shade, path)| *shade > 0 && !path.is_empty()) {
        let opacity = shade as f64 / SHADES as f64;
        let _ = write!(out, "<path d=\"{path}\" fill=\"currentColor\" fill-opacity=\"{opacity:.2}\"/>");
    }
    out + "</svg>"
}

/// Runs of equal shade: first cell, length, shade.
fn runs(row: &[f64], mut f: impl FnMut(usize, usize, usize)) {
    let shade = |v: f64| ((v + 1.0) / 2.0 * SHADES as f64).round().clamp(0.0, SHADES as f64) as usize;
    let mut from = 0;
    for i in 1..=row.len() {
        if i == row.len() || shade(row[i]) != shade(row[from]) {
            f(from, i - from, shade(row[from]));
            from = i;
        }
    }
}

fn boxes(samples: &[&Vec<f64>], stage: &str) -> String {
    let levels = samples.iter().map(|x| x.len() / 2).max().unwrap_or(1).max(1) as f64;
    let lines = samples.len().div_ceil(ACROSS).max(1);
    let (wide, high) = (4.0, levels + 1.0);
    let mut out = frame(stage, 0.0, 0.0, ACROSS as f64 * wide, lines as f64 * high);
    for (i, sample) in samples.iter().enumerate() {
        let (middle, ground) = (((i % ACROSS) as f64 + 0.5) * wide, ((i / ACROSS) as f64 + 1.0) * high - 0.5);
        for (k, block) in sample.chunks_exact(2).enumerate() {
            let (x, w) = (block[0].clamp(-1.9, 1.9), block[1].clamp(0.05, 3.0));
            let _ = write!(
                out,
                "<rect x=\"{:.2}\" y=\"{:.2}\" width=\"{w:.2}\" height=\"1\" fill=\"#2f81f7\" fill-opacity=\"0.5\" stroke=\"currentColor\" stroke-width=\"0.05\"/>",
                middle + x - w / 2.0,
                ground - (k + 1) as f64
            );
        }
    }
    out + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_cover_a_row_once() {
        let mut found = vec![];
        runs(&[-1.0, -1.0, 1.0, 0.0, 0.01], |from, length, shade| found.push((from, length, shade)));
        assert_eq!(found, [(0, 2, 0), (2, 1, SHADES), (3, 2, SHADES / 2)]);
    }
}
