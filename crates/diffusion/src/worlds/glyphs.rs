//! Drawn signs of 16 × 16 cells, and tastes for them.
use super::{Picture, World};
use crate::Stream;
use serde::{Deserialize, Serialize};

/// Rows and columns of a glyph.
pub const GLYPH_SIDE: usize = 16;
const CELLS: usize = GLYPH_SIDE * GLYPH_SIDE;

/// Signs: a stem with bars across it, each symmetrical around the stem. The number is the label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glyph {
    /// a stem alone
    Bar,
    /// a bar on top
    Tee,
    /// a bar in the middle
    Plus,
    /// bars on top and at the foot
    Serif,
}

impl Glyph {
    /// All signs, in the order of their labels.
    pub const ALL: [Self; 4] = [Self::Bar, Self::Tee, Self::Plus, Self::Serif];

    /// Heights of the bars, −1 (top) to 1 (foot).
    fn bars(self) -> &'static [f64] {
        match self {
            Glyph::Bar => &[],
            Glyph::Tee => &[-1.0],
            Glyph::Plus => &[0.0],
            Glyph::Serif => &[-1.0, 1.0],
        }
    }
}

/// What can be varied in a glyph.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attributes {
    /// width of the strokes, in cells: 1 to 2.4
    pub stroke: f64,
    /// columns to the right per row up: −0.35 to 0.35
    pub slant: f64,
    /// rows from the top of the stem to its foot: 8 to 13
    pub size: f64,
}

const RANGES: [(f64, f64); 3] = [(1.0, 2.4), (-0.35, 0.35), (8.0, 13.0)];

/// Weights of the three attributes, each scaled from −1 to 1 over its range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Taste {
    /// for bold (positive) or fine strokes
    pub stroke: f64,
    /// for leaning right (positive) or left
    pub slant: f64,
    /// for large (positive) or small
    pub size: f64,
}

impl Attributes {
    fn draw(stream: &mut Stream) -> Self {
        let [stroke, slant, size] = RANGES.map(|(low, high)| low + (high - low) * stream.uniform());
        Attributes { stroke, slant, size }
    }

    /// The glyph's cells, row by row: 1 where there is ink, −1 where there is none, between at the edges.
    pub fn image(&self, glyph: Glyph) -> Vec<f64> {
        let middle = (GLYPH_SIDE as f64 - 1.0) / 2.0;
        // the round ends of the stem add half a stroke on either side
        let half = (self.size - self.stroke).max(0.0) / 2.0;
        let at = |height: f64| (middle - self.slant * height * half, middle + height * half);
        let mut strokes = vec![(at(-1.0), at(1.0))];
        for &height in glyph.bars() {
            let ((x, y), arm) = (at(height), 0.3 * self.size);
            strokes.push(((x - arm, y), (x + arm, y)));
        }
        let cell = |i: usize| {
            let p = ((i % GLYPH_SIDE) as f64, (i / GLYPH_SIDE) as f64);
            let near = strokes.iter().map(|&(a, b)| to_segment(p, a, b)).fold(f64::INFINITY, f64::min);
            2.0 * (self.stroke / 2.0 - near + 0.5).clamp(0.0, 1.0) - 1.0
        };
        (0..CELLS).map(cell).collect()
    }

    /// The attributes of any image of 16 × 16 cells, measured: the size as the ink's rows, the slant by second moments, the stroke as the
    /// width of the rows that have no bar. Exact to about half a cell for drawn glyphs.
    pub fn measure(image: &[f64]) -> Self {
        let ink: Vec<f64> = image.iter().map(|v| ((v + 1.0) / 2.0).clamp(0.0, 1.0)).collect();
        let rows: Vec<&[f64]> = ink.chunks_exact(GLYPH_SIDE).collect();
        let most = |row: &[f64]| row.iter().copied().fold(0.0, f64::max);
        // a fine stroke between two columns leaves half of the ink in each
        let size = rows.iter().map(|r| (2.0 * most(r)).min(1.0)).sum();
        let slant = slant(&ink);
        let mut widths: Vec<f64> = rows.iter().filter(|r| most(r) > 0.5).map(|r| r.iter().sum()).collect();
        widths.sort_by(f64::total_cmp);
        let stem = widths.get(widths.len() / 4).copied().unwrap_or(0.0);
        Attributes { stroke: stem / (1.0 + slant * slant).sqrt(), slant, size }
    }

    /// Each attribute from −1 to 1 over the range that is drawn; beyond for others.
    fn scaled(&self) -> [f64; 3] {
        let values = [self.stroke, self.slant, self.size];
        std::array::from_fn(|k| (2.0 * values[k] - RANGES[k].0 - RANGES[k].1) / (RANGES[k].1 - RANGES[k].0))
    }
}

/// Columns to the right per row up, by the moments of the ink around its middle.
fn slant(ink: &[f64]) -> f64 {
    let place = |i: usize| ((i % GLYPH_SIDE) as f64, (i / GLYPH_SIDE) as f64);
    let sum = |f: &dyn Fn((f64, f64)) -> f64| ink.iter().enumerate().map(|(i, w)| w * f(place(i))).sum::<f64>();
    let all = sum(&|_| 1.0);
    if all < 1e-9 {
        return 0.0;
    }
    let (mx, my) = (sum(&|p| p.0) / all, sum(&|p| p.1) / all);
    let (across, down) = (sum(&|p| (p.0 - mx) * (p.1 - my)), sum(&|p| (p.1 - my) * (p.1 - my)));
    if down < 1e-9 { 0.0 } else { (-across / down).clamp(-2.0, 2.0) }
}

/// Distance from a point to a segment.
fn to_segment(p: (f64, f64), a: (f64, f64), b: (f64, f64)) -> f64 {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let length = dx * dx + dy * dy;
    let along = ((p.0 - a.0) * dx + (p.1 - a.1) * dy) / length.max(1e-12);
    let along = along.clamp(0.0, 1.0);
    let (x, y) = (a.0 + along * dx - p.0, a.1 + along * dy - p.1);
    (x * x + y * y).sqrt()
}

/// Four signs with strokes, slants and sizes drawn evenly from their ranges, rewarded by a user's [`Taste`] for the measured attributes,
/// each limited to −1.5 … 1.5 of its scaled range.
///
/// ```
/// use tropism_diffusion::Stream;
/// use tropism_diffusion::worlds::{Glyphs, Taste, World};
///
/// let bold = Glyphs { taste: Taste { stroke: 1.0, ..Taste::default() } };
/// let glyph = bold.draw(1, &mut Stream::new(0, 0));
/// assert_eq!(glyph.len(), 256);
/// assert!(bold.distance(&glyph, 1) < bold.distance(&glyph, 3));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Glyphs {
    /// what the user likes
    pub taste: Taste,
}

impl World for Glyphs {
    fn dim(&self) -> usize {
        CELLS
    }

    fn labels(&self) -> usize {
        Glyph::ALL.len()
    }

    fn draw(&self, label: usize, stream: &mut Stream) -> Vec<f64> {
        Attributes::draw(stream).image(Glyph::ALL[label % Glyph::ALL.len()])
    }

    fn reward(&self, sample: &[f64], _: usize) -> f64 {
        let Taste { stroke, slant, size } = self.taste;
        let scaled = Attributes::measure(sample).scaled().map(|v| v.clamp(-1.5, 1.5));
        stroke * scaled[0] + slant * scaled[1] + size * scaled[2]
    }

    /// Root of the mean squared difference to the sign that was asked for, drawn with the measured attributes.
    fn distance(&self, sample: &[f64], label: usize) -> f64 {
        let drawn = Attributes::measure(sample).image(Glyph::ALL[label % Glyph::ALL.len()]);
        let squares: f64 = drawn.iter().zip(sample).map(|(a, b)| (a - b) * (a - b)).sum();
        (squares / CELLS as f64).sqrt()
    }

    fn picture(&self) -> Picture {
        Picture::Image { frames: 1, height: GLYPH_SIDE, width: GLYPH_SIDE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_measured_back() {
        let mut stream = Stream::new(4, 0);
        let (mut stroke, mut slant, mut size) = (0.0f64, 0.0f64, 0.0f64);
        for i in 0..400 {
            let a = Attributes::draw(&mut stream);
            let m = Attributes::measure(&a.image(Glyph::ALL[i % 4]));
            stroke = stroke.max((a.stroke - m.stroke).abs());
            slant = slant.max((a.slant - m.slant).abs());
            size = size.max((a.size - m.size).abs());
        }
        assert!(stroke < 0.8 && slant < 0.12 && size < 1.2, "{stroke}, {slant}, {size}");
    }

    #[test]
    fn tastes_order_glyphs() {
        let image = |stroke, slant, size| Attributes { stroke, slant, size }.image(Glyph::Tee);
        let likes = |taste, better: &[f64], worse: &[f64]| {
            let world = Glyphs { taste };
            world.reward(better, 1) > world.reward(worse, 1)
        };
        let none = Taste::default();
        assert!(likes(Taste { stroke: 1.0, ..none }, &image(2.3, 0.0, 9.0), &image(1.5, 0.0, 9.0)));
        assert!(likes(Taste { slant: 1.0, ..none }, &image(2.0, 0.3, 9.0), &image(2.0, -0.3, 9.0)));
        assert!(likes(Taste { size: -1.0, ..none }, &image(2.0, 0.0, 8.5), &image(2.0, 0.0, 11.0)));
        // a sign leaning right has its top further right than its foot
        let leaning = image(1.5, 0.35, 12.0);
        let middle = |row: usize| {
            let ink = |c: usize| (leaning[row * GLYPH_SIDE + c] + 1.0) / 2.0;
            (0..GLYPH_SIDE).map(|c| c as f64 * ink(c)).sum::<f64>() / (0..GLYPH_SIDE).map(ink).sum::<f64>()
        };
        assert!(middle(5) > middle(11) + 1.0);
    }

    #[test]
    fn other_images_have_finite_rewards() {
        let world = Glyphs { taste: Taste { stroke: 1.0, slant: 1.0, size: 1.0 } };
        for image in [vec![-1.0; CELLS], vec![1.0; CELLS], vec![30.0; CELLS]] {
            assert!(world.reward(&image, 0).abs() <= 4.5 && world.distance(&image, 0).is_finite());
        }
        let drawn = world.draw(2, &mut Stream::new(1, 0));
        assert!(world.distance(&drawn, 2) < 0.25, "{}", world.distance(&drawn, 2));
    }
}
