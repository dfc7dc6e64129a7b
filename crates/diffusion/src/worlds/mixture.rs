//! Gaussians around centres.
use super::{Picture, World};
use crate::Stream;
use crate::figures::entropy;

/// Gaussians of one width around equally likely centres, rewarded along a direction: `r(x) = direction · x`.
///
/// ```
/// use tropism_diffusion::Stream;
/// use tropism_diffusion::worlds::{Mixture, World};
///
/// let ring = Mixture::ring(8, 1.0, 0.08); // RING-8: reward x[0]
/// let x = ring.draw(0, &mut Stream::new(0, 0));
/// assert_eq!(ring.reward(&x, 0), x[0]);
/// assert!(ring.nearest(&x).1 < 0.5);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    centres: Vec<Vec<f64>>,
    sd: f64,
    direction: Vec<f64>,
}

/// What a set of samples looks like against a [`Mixture`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ideal {
    /// mean distance to the nearest centre
    pub mode_distance: f64,
    /// entropy of which centre is nearest, in nats
    pub entropy: f64,
}

impl Mixture {
    /// Any centres, of one dimension each; `direction` is that of the reward. `None` when the sizes disagree or there is no centre.
    pub fn new(centres: Vec<Vec<f64>>, sd: f64, direction: Vec<f64>) -> Option<Self> {
        let fits = !centres.is_empty() && !direction.is_empty() && centres.iter().all(|c| c.len() == direction.len());
        (fits && sd >= 0.0 && sd.is_finite()).then_some(Mixture { centres, sd, direction })
    }

    /// `n` centres on a circle, the first at angle 0, rewarded by the first coordinate.
    pub fn ring(n: usize, radius: f64, sd: f64) -> Self {
        let centre = |k: usize| {
            let angle = std::f64::consts::TAU * k as f64 / n as f64;
            vec![radius * libm::cos(angle), radius * libm::sin(angle)]
        };
        Mixture { centres: (0..n.max(1)).map(centre).collect(), sd, direction: vec![1.0, 0.0] }
    }

    /// The same density with another direction of reward, for instance of another user; `None` for one of another dimension.
    pub fn towards(&self, direction: Vec<f64>) -> Option<Self> {
        Mixture::new(self.centres.clone(), self.sd, direction)
    }

    /// The centres.
    pub fn centres(&self) -> &[Vec<f64>] {
        &self.centres
    }

    /// Index of the nearest centre, and the distance to it.
    pub fn nearest(&self, x: &[f64]) -> (usize, f64) {
        let square = |c: &[f64]| c.iter().zip(x).map(|(c, x)| (c - x) * (c - x)).sum::<f64>();
        let all = self.centres.iter().map(|c| square(c)).enumerate();
        let (i, d) = all.fold((0, f64::INFINITY), |best, this| if this.1 < best.1 { this } else { best });
        (i, d.sqrt())
    }

    /// Distances to centres and spread over them, of samples as flat rows.
    pub fn compare(&self, samples: &[f64]) -> Ideal {
        let mut counts = vec![0; self.centres.len()];
        let mut sum = 0.0;
        for x in samples.chunks_exact(self.dim()) {
            let (i, d) = self.nearest(x);
            counts[i] += 1;
            sum += d;
        }
        Ideal { mode_distance: sum / counts.iter().sum::<usize>() as f64, entropy: entropy(&counts) }
    }

    /// `log p(x)`, in nats.
    pub fn log_density(&self, x: &[f64]) -> f64 {
        let (v, d) = (self.sd * self.sd, self.dim() as f64);
        let term = |c: &Vec<f64>| -c.iter().zip(x).map(|(c, x)| (c - x) * (c - x)).sum::<f64>() / (2.0 * v);
        let terms: Vec<f64> = self.centres.iter().map(term).collect();
        let most = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = terms.iter().map(|t| libm::exp(t - most)).sum();
        most + libm::log(sum / terms.len() as f64) - 0.5 * d * libm::log(std::f64::consts::TAU * v)
    }
}

impl World for Mixture {
    fn dim(&self) -> usize {
        self.direction.len()
    }

    fn draw(&self, _: usize, stream: &mut Stream) -> Vec<f64> {
        let centre = &self.centres[stream.below(self.centres.len())];
        centre.iter().map(|c| c + self.sd * stream.normal()).collect()
    }

    fn reward(&self, sample: &[f64], _: usize) -> f64 {
        sample.iter().zip(&self.direction).map(|(x, d)| x * d).sum()
    }

    fn distance(&self, sample: &[f64], _: usize) -> f64 {
        self.nearest(sample).1
    }

    fn picture(&self) -> Picture {
        Picture::Point
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::worlds::draw_many;

    #[test]
    fn the_ring_is_as_its_sheet_says() {
        let ring = Mixture::ring(8, 1.0, 0.08);
        let (samples, labels) = draw_many(&ring, 20_000, &mut Stream::new(1, 0));
        assert_eq!((samples.len(), labels.len()), (40_000, 20_000));
        let ideal = ring.compare(&samples);
        // mean of a Rayleigh distance: σ √(π/2)
        assert!((ideal.mode_distance - 0.08 * (std::f64::consts::PI / 2.0).sqrt()).abs() < 2e-3);
        assert!((ideal.entropy - 8f64.ln()).abs() < 2e-3);
        let mean = samples.chunks_exact(2).map(|x| ring.reward(x, 0)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.02);
    }

    #[test]
    fn densities_integrate_to_one() {
        let ring = Mixture::ring(3, 1.0, 0.2);
        let (step, side) = (0.02, 200);
        let mut sum = 0.0;
        for i in -side..side {
            for j in -side..side {
                sum += ring.log_density(&[f64::from(i) * step, f64::from(j) * step]).exp() * step * step;
            }
        }
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
    }

    #[test]
    fn sizes_have_to_agree() {
        assert!(Mixture::new(vec![vec![0.0, 1.0]], 0.1, vec![1.0]).is_none());
        assert!(Mixture::new(vec![], 0.1, vec![1.0]).is_none());
        let turned = Mixture::ring(8, 1.0, 0.08).towards(vec![0.0, 1.0]).unwrap();
        assert_eq!(turned.reward(&[3.0, 4.0], 0), 4.0);
    }
}
