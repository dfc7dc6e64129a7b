//! The usual sequences of noise variances.

use serde::{Deserialize, Serialize};

/// The largest variance of a step.
const LARGEST: f64 = 0.999;

/// A sequence of variances `β_0 … β_{T−1}`.
///
/// The linear ones are stated for `T = 1000`; for another `T` both ends are multiplied by `1000/T`, and no `β` exceeds 0.999.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// Evenly spaced from 1e-4 to 0.02: DDPM, arXiv 2006.11239.
    #[default]
    Linear,
    /// Squares of evenly spaced roots from √0.00085 to √0.012: Stable Diffusion.
    ScaledLinear,
    /// `1 − f((t+1)/T)/f(t/T)` with `f(u) = cos²(((u + 0.008)/1.008)·π/2)`: arXiv 2102.09672.
    Cosine,
}

impl BetaSchedule {
    /// The variances of `steps` steps.
    pub fn betas(self, steps: usize) -> Vec<f64> {
        let scale = 1000.0 / steps as f64;
        let beta = |t: usize| match self {
            Self::Linear => between(1e-4 * scale, 0.02 * scale, t, steps),
            Self::ScaledLinear => {
                let root = between(libm::sqrt(0.00085 * scale), libm::sqrt(0.012 * scale), t, steps);
                root * root
            }
            Self::Cosine => 1.0 - squared_cosine(t + 1, steps) / squared_cosine(t, steps),
        };
        (0..steps).map(|t| beta(t).min(LARGEST)).collect()
    }
}

/// Point `t` of `steps` evenly spaced ones.
fn between(start: f64, end: f64, t: usize, steps: usize) -> f64 {
    if steps < 2 { start } else { start + (end - start) * t as f64 / (steps - 1) as f64 }
}

fn squared_cosine(t: usize, steps: usize) -> f64 {
    let u = t as f64 / steps as f64;
    let cosine = libm::cos((u + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2);
    cosine * cosine
}
