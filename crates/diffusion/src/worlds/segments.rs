//! Clips in numbers: motion and defect of each segment.
use super::{Picture, World};
use crate::Stream;
use serde::{Deserialize, Serialize};

/// "Video" of a few segments, each with a motion and a defect. The motion is that of the whole clip, low (0.2) or high (1.4), with small
/// noise; a defect of ±0.4 comes with a probability that depends on the motion, else there is noise around 0. Quality is `−|defect|`.
///
/// Source: a small-scale form of the trade between motion and flaws that DenseDPO (arXiv 2506.03517) describes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Segments {
    /// segments of a clip
    pub count: usize,
    /// probability of a defect in a segment of a clip with low motion
    pub low_defects: f64,
    /// probability of a defect in a segment of a clip with high motion
    pub high_defects: f64,
}

impl Default for Segments {
    fn default() -> Self {
        Segments { count: 4, low_defects: 0.02, high_defects: 0.7 }
    }
}

const LOW: f64 = 0.2;
const HIGH: f64 = 1.4;
const DEFECT: f64 = 0.4;
const NOISE: f64 = 0.05;

impl Segments {
    /// The same clips without defects.
    pub fn flawless(self) -> Self {
        Segments { low_defects: 0.0, high_defects: 0.0, ..self }
    }

    /// Quality of each segment.
    pub fn qualities(sample: &[f64]) -> Vec<f64> {
        sample.chunks_exact(2).map(|s| -s[1].abs()).collect()
    }

    /// Mean motion.
    pub fn motion(sample: &[f64]) -> f64 {
        let segments = sample.chunks_exact(2);
        let n = segments.len() as f64;
        segments.map(|s| s[0]).sum::<f64>() / n
    }

    /// Whether the mean motion is nearer to high than to low.
    pub fn is_high(sample: &[f64]) -> bool {
        Self::motion(sample) > (LOW + HIGH) / 2.0
    }

    /// Share of segments with a defect.
    pub fn defects(sample: &[f64]) -> f64 {
        let qualities = Self::qualities(sample);
        qualities.iter().filter(|q| **q < -DEFECT / 2.0).count() as f64 / qualities.len() as f64
    }
}

impl World for Segments {
    fn dim(&self) -> usize {
        2 * self.count
    }

    fn draw(&self, _: usize, stream: &mut Stream) -> Vec<f64> {
        let high = stream.chance(0.5);
        let (motion, defects) = if high { (HIGH, self.high_defects) } else { (LOW, self.low_defects) };
        let mut sample = vec![];
        for _ in 0..self.count {
            sample.push(motion + NOISE * stream.normal());
            let sign = if stream.chance(0.5) { 1.0 } else { -1.0 };
            let middle = if stream.chance(defects) { sign * DEFECT } else { 0.0 };
            sample.push(middle + NOISE * stream.normal());
        }
        sample
    }

    /// Sum of the segments' qualities.
    fn reward(&self, sample: &[f64], _: usize) -> f64 {
        Self::qualities(sample).iter().sum()
    }

    /// Distance to the nearest middle of what is drawn, per segment, root of the mean square.
    fn distance(&self, sample: &[f64], _: usize) -> f64 {
        let to = |motion: f64| {
            let off = |s: &[f64]| {
                let defect = s[1].abs().min((s[1].abs() - DEFECT).abs());
                (s[0] - motion).powi(2) + defect * defect
            };
            let all = sample.chunks_exact(2);
            let n = all.len() as f64;
            (all.map(off).sum::<f64>() / n).sqrt()
        };
        to(LOW).min(to(HIGH))
    }

    fn picture(&self) -> Picture {
        Picture::Point
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defects_follow_motion() {
        let (world, mut stream) = (Segments::default(), Stream::new(1, 0));
        let clips: Vec<Vec<f64>> = (0..4000).map(|_| world.draw(0, &mut stream)).collect();
        let share = |high: bool| {
            let of: Vec<f64> = clips.iter().filter(|c| Segments::is_high(c) == high).map(|c| Segments::defects(c)).collect();
            (of.len() as f64 / 4000.0, of.iter().sum::<f64>() / of.len() as f64)
        };
        let ((low, few), (high, many)) = (share(false), share(true));
        assert!((low - 0.5).abs() < 0.03 && (high - 0.5).abs() < 0.03);
        assert!((few - 0.02).abs() < 0.01 && (many - 0.7).abs() < 0.02, "{few}, {many}");
        let flawless = world.flawless();
        assert!((0..100).all(|_| Segments::defects(&flawless.draw(0, &mut stream)) == 0.0));
        assert_eq!(world.reward(&[0.2, 0.1, 0.2, -0.3], 0), -0.4);
        assert!(world.distance(&[1.4, 0.4, 1.4, 0.0], 0) < 1e-12);
    }
}
