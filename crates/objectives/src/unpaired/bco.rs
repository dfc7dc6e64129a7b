//! Binary classifier optimisation on single completions.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::{CoreError, LossTerms, SequenceLogps};

use crate::link::logistic;
use crate::options::{options, positive};
use crate::unpaired::{Unpaired, on_unpaired};
use crate::{Column, Domain, ObjectiveError};

/// Weights of undesirable completions by how likely their prompt is among the desirable ones.
///
/// With the probability `p` of being desirable that a classifier of prompts gives: `clamp(p / (1 − p + 1e-8), min, max)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DensityRatio {
    /// Smallest weight; TRL has 0.5.
    pub min: f64,
    /// Largest weight; TRL has 10.
    pub max: f64,
}

options! {
    /// Options of [`bco()`].
    Bco = "bco", "BCO, arXiv 2404.04656" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Weights of undesirable completions, none by default; in a file `{ min = 0.5, max = 10 }`. With it the loss reads the
        /// column `desirable_probability`.
        density_ratio: Option<DensityRatio> = None, with_density_ratio, check_ratio;
    }
}

/// Fails unless `0 ≤ min ≤ max`, both finite.
fn check_ratio(method: &'static str, key: &'static str, value: &Option<DensityRatio>) -> Result<(), ObjectiveError> {
    match value {
        Some(r) if !(0.0 <= r.min && r.min <= r.max && r.max.is_finite()) => {
            let problem = format!("is {} to {}; take bounds with 0 ≤ min ≤ max", r.min, r.max);
            Err(ObjectiveError::Option { method, key, problem })
        }
        _ => Ok(()),
    }
}

/// The running mean of the rewards, the same in every row of a step.
const SHIFT: Column = Column::row("reward_shift", Domain::Any);
const PROBABILITY: Column = Column::row("desirable_probability", Domain::Share);

on_unpaired!(
    Bco,
    |config| [Some(SHIFT), config.density_ratio.map(|_| PROBABILITY)],
    |policy, reference, desirable, columns| {
        let shift = columns.get(SHIFT.name).unwrap_or_default();
        bco(policy, reference, desirable, shift, columns.get(PROBABILITY.name), config)
    }
);

/// The BCO loss of `P` completions with a verdict each.
///
/// With log-ratios `h = lp − rf` of summed log-probabilities, rewards `r = β h`, and the shift `δ`, a running mean of the
/// rewards ([`RunningMoments`]) that is a constant of the step given for every row:
///
/// ```text
/// desirable      losses = −log σ(r − δ)         ∂losses/∂lp = −β σ(δ − r)
/// undesirable    losses = −ω log σ(−(r − δ))    ∂losses/∂lp = +ω β σ(r − δ)
/// weights = 1
/// ```
///
/// `ω` is 1, or the [`DensityRatio`] of `desirable_probability`, which is read for undesirable rows alone.
///
/// Source: Jung et al. 2024, arXiv 2404.04656; TRL's BCO trainer, which updates the running mean by the step's rewards before it
/// is used.
///
/// # Errors
/// [`ObjectiveError::Config`], [`ObjectiveError::Option`]; [`ObjectiveError::MissingColumn`] and
/// [`ObjectiveError::UnusedColumn`] when probabilities and `density_ratio` do not go together;
/// [`ObjectiveError::UnevenLengths`]; [`ObjectiveError::Core`] for numbers of rows that differ.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::SequenceLogps;
/// use tropism_objectives::{Bco, bco};
///
/// let dev = Cpu::default();
/// let policy = SequenceLogps::new(dev.tensor([-10.0_f64, -12.0]), &[5, 8])?;
/// let reference = SequenceLogps::new(dev.tensor([-11.0_f64, -11.5]), &[5, 8])?;
/// let terms = bco(policy, reference, &[true, false], &[0.03, 0.03], None, &Bco::default())?;
/// assert!((terms.values()[0] - 0.65875956).abs() < 1e-8);
/// assert!((terms.values()[1] - 0.65394697).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn bco<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: SequenceLogps<P, E, D, T>,
    reference: SequenceLogps<P, E, D>,
    desirable: &[bool],
    shift: &[f64],
    probability: Option<&[f64]>,
    config: &Bco,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    CoreError::check_size(SHIFT.name, policy.rows(), shift.len())?;
    SHIFT.check(Bco::NAME, shift)?;
    let weights = undesirable_weights(policy.rows(), probability, config)?;
    let mut terms = Unpaired::new(policy, &reference, desirable)?.terms(config.beta, |row, h, good| {
        let (sign, weight) = if good { (1.0, 1.0) } else { (-1.0, weights[row]) };
        let (value, slope) = logistic(sign * (config.beta * h - shift[row]));
        (weight * value, weight * sign * config.beta * slope)
    })?;
    terms.diagnostics.push("delta", shift.to_vec())?;
    Ok(terms)
}

/// The weight that each row has if it is undesirable.
fn undesirable_weights(rows: usize, probability: Option<&[f64]>, config: &Bco) -> Result<Vec<f64>, ObjectiveError> {
    let (method, column) = (Bco::NAME, PROBABILITY.name);
    match (config.density_ratio, probability) {
        (None, None) => Ok(vec![1.0; rows]),
        (None, Some(_)) => Err(ObjectiveError::UnusedColumn { method, column }),
        (Some(_), None) => Err(ObjectiveError::MissingColumn { method, column }),
        (Some(ratio), Some(probability)) => {
            CoreError::check_size(column, rows, probability.len())?;
            PROBABILITY.check(method, probability)?;
            Ok(probability.iter().map(|p| (p / (1.0 - p + 1e-8)).clamp(ratio.min, ratio.max)).collect())
        }
    }
}

/// Running mean and variance of the rewards of a run, of which [`bco()`] reads the mean as its shift.
///
/// ```
/// use tropism_objectives::RunningMoments;
///
/// let mut moments = RunningMoments::default();
/// moments.update(&[1.0, 3.0]);
/// moments.update(&[5.0]);
/// assert!((moments.mean - 3.0).abs() < 1e-12 && (moments.variance - 8.0 / 3.0).abs() < 1e-12);
/// assert!((moments.deviation() - 2.0).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunningMoments {
    /// Mean of all rewards so far.
    pub mean: f64,
    /// Their variance, divided by the count.
    pub variance: f64,
    /// How many there were.
    pub count: f64,
}

impl Default for RunningMoments {
    fn default() -> Self {
        // TRL's start: a count that the first step outweighs.
        Self { mean: 0.0, variance: 1.0, count: 1e-24 }
    }
}

impl RunningMoments {
    /// Takes in the rewards of a step, of both verdicts.
    pub fn update(&mut self, rewards: &[f64]) {
        if rewards.is_empty() {
            return;
        }
        let n = rewards.len() as f64;
        let mean = rewards.iter().sum::<f64>() / n;
        let spread = rewards.iter().map(|r| (r - mean) * (r - mean)).sum::<f64>();
        let (delta, total) = (mean - self.mean, self.count + n);
        let second = spread + self.variance * self.count + delta * delta * self.count * n / total;
        *self = Self { mean: self.mean + delta * n / total, variance: second / total, count: total };
    }

    /// Standard deviation, divided by the count less one; infinite or not a number for less than two rewards.
    pub fn deviation(&self) -> f64 {
        (self.variance * self.count / (self.count - 1.0)).sqrt()
    }
}
