//! Clips of a moving dot.
use super::{Picture, World};
use crate::Stream;
use serde::{Deserialize, Serialize};

/// Clips of a round dot that moves to the right, around the edge and on, slow (no cells a frame) or fast (one cell a frame). In some
/// segments of two frames the dot loses its light: often in fast clips, seldom in slow ones. So preferring clips without flaws also
/// prefers slow ones, unless segments are compared.
///
/// ```
/// use tropism_diffusion::Stream;
/// use tropism_diffusion::worlds::{Clips, World};
///
/// let clips = Clips::default();
/// let clip = clips.draw(0, &mut Stream::new(0, 0));
/// assert_eq!((clip.len(), clips.qualities(&clip).len()), (8 * 8 * 8, 4));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clips {
    /// probability of a flaw in a segment of a slow clip
    pub slow_flaws: f64,
    /// probability of a flaw in a segment of a fast clip
    pub fast_flaws: f64,
}

impl Default for Clips {
    fn default() -> Self {
        Clips { slow_flaws: 0.1, fast_flaws: 0.5 }
    }
}

const FRAMES: usize = 8;
const SIDE: usize = 8;
const CELLS: usize = SIDE * SIDE;
/// Frames of a segment.
const SEGMENT: usize = 2;
/// Light that a flaw leaves.
const DIM: f64 = 0.4;
/// Width of the dot.
const WIDTH: f64 = 1.1;

impl Clips {
    /// Frames of a segment.
    pub const SEGMENT: usize = SEGMENT;

    /// A clip whose dot starts in a column and row, moves by `speed` columns a frame and shines at `light` by segment.
    pub fn clip((column, row): (f64, f64), speed: f64, light: &[f64; FRAMES / SEGMENT]) -> Vec<f64> {
        let mut clip = Vec::with_capacity(FRAMES * CELLS);
        for frame in 0..FRAMES {
            let at = column + speed * frame as f64;
            for cell in 0..CELLS {
                let (x, y) = ((cell % SIDE) as f64, (cell / SIDE) as f64);
                // around the edge: the shorter way
                let dx = (x - at).rem_euclid(SIDE as f64);
                let dx = dx.min(SIDE as f64 - dx);
                let square = (dx * dx + (y - row) * (y - row)) / (2.0 * WIDTH * WIDTH);
                clip.push(2.0 * light[frame / SEGMENT] * libm::exp(-square) - 1.0);
            }
        }
        clip
    }

    /// Quality of each segment: minus the mean difference of the frames' brightest cells from full light, so 0 is perfect.
    pub fn qualities(&self, clip: &[f64]) -> Vec<f64> {
        let most = |frame: &[f64]| frame.iter().copied().fold(-1.0, f64::max);
        let loss = |frame: &[f64]| (1.0 - (most(frame) + 1.0) / 2.0).abs();
        let segments = clip.chunks_exact(SEGMENT * CELLS);
        segments.map(|s| -s.chunks_exact(CELLS).map(loss).sum::<f64>() / SEGMENT as f64).collect()
    }

    /// Columns a frame that the dot moves: from the turn of the light around the edge, between each two frames.
    pub fn speed(&self, clip: &[f64]) -> f64 {
        let angle = |frame: &[f64]| {
            let turn = |i: usize| std::f64::consts::TAU * (i % SIDE) as f64 / SIDE as f64;
            let light = |v: f64| ((v + 1.0) / 2.0).clamp(0.0, 1.0);
            let sum = |f: fn(f64) -> f64| frame.iter().enumerate().map(|(i, v)| light(*v) * f(turn(i))).sum::<f64>();
            libm::atan2(sum(libm::sin), sum(libm::cos))
        };
        let angles: Vec<f64> = clip.chunks_exact(CELLS).map(angle).collect();
        let half = std::f64::consts::PI;
        let step = |w: &[f64]| (w[1] - w[0] + half).rem_euclid(2.0 * half) - half;
        let mean = angles.windows(2).map(step).sum::<f64>() / (angles.len() - 1) as f64;
        mean * SIDE as f64 / (2.0 * half)
    }
}

impl World for Clips {
    fn dim(&self) -> usize {
        FRAMES * CELLS
    }

    fn draw(&self, _: usize, stream: &mut Stream) -> Vec<f64> {
        let fast = stream.chance(0.5);
        let flaws = if fast { self.fast_flaws } else { self.slow_flaws };
        let light = std::array::from_fn(|_| if stream.chance(flaws) { DIM } else { 1.0 });
        let place = (stream.below(SIDE) as f64, 2.0 + stream.below(SIDE - 4) as f64);
        Self::clip(place, if fast { 1.0 } else { 0.0 }, &light)
    }

    /// Mean quality of the segments.
    fn reward(&self, sample: &[f64], _: usize) -> f64 {
        let qualities = self.qualities(sample);
        qualities.iter().sum::<f64>() / qualities.len() as f64
    }

    /// Root of the mean squared difference to the nearest clip that the world draws with the lights that this one shows.
    fn distance(&self, sample: &[f64], _: usize) -> f64 {
        let lights: Vec<f64> = self.qualities(sample).iter().map(|q| 1.0 + q).collect();
        let light = std::array::from_fn(|i| if lights[i] < (1.0 + DIM) / 2.0 { DIM } else { 1.0 });
        let mut nearest = f64::INFINITY;
        for speed in [0.0, 1.0] {
            for place in 0..SIDE * (SIDE - 4) {
                let drawn = Self::clip(((place % SIDE) as f64, 2.0 + (place / SIDE) as f64), speed, &light);
                let squares: f64 = drawn.iter().zip(sample).map(|(a, b)| (a - b) * (a - b)).sum();
                nearest = nearest.min(squares / drawn.len() as f64);
            }
        }
        nearest.sqrt()
    }

    fn picture(&self) -> Picture {
        Picture::Image { frames: FRAMES, height: SIDE, width: SIDE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_and_light_are_read_back() {
        let clips = Clips::default();
        for (speed, light) in [(0.0, [1.0, 1.0, DIM, 1.0]), (1.0, [DIM, 1.0, 1.0, 1.0])] {
            let clip = Clips::clip((5.0, 3.0), speed, &light);
            assert!((clips.speed(&clip) - speed).abs() < 1e-6);
            let expected: Vec<f64> = light.iter().map(|l| l - 1.0).collect();
            assert!(clips.qualities(&clip).iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12));
            assert!((clips.reward(&clip, 0) + 0.15).abs() < 1e-12);
            assert!(clips.distance(&clip, 0) < 1e-9);
        }
    }

    #[test]
    fn fast_clips_have_more_flaws() {
        let (clips, mut stream) = (Clips::default(), Stream::new(5, 0));
        let (mut fast, mut slow) = (vec![], vec![]);
        for _ in 0..400 {
            let clip = clips.draw(0, &mut stream);
            let to = if clips.speed(&clip) > 0.5 { &mut fast } else { &mut slow };
            to.push(clips.reward(&clip, 0));
        }
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        assert!((mean(&fast) + 0.3).abs() < 0.05 && (mean(&slow) + 0.06).abs() < 0.04);
    }
}
