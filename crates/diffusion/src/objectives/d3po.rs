//! D3PO: DPO for every denoising step by itself.

use dfdx::prelude::*;
use tropism_core::numerics::{attach, to_f64};
use tropism_core::options::{optional, positive};
use tropism_core::{Column, CoreError, Diagnostics, Domain, LossTerms, OptionError};

use super::StepPairs;
use super::method::{method, options};
use super::shared::{check_values, logistic};
use crate::DiffusionError;

options! {
    /// Options of [`d3po()`].
    D3po = "d3po", "Using Human Feedback to Fine-tune Diffusion Models without Any Reward Model, arXiv 2311.13231" {
        /// Inverse temperature `β > 0`, on log-densities averaged over dimensions; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Bound `c` of the ratio of densities, to `1 ± c`; 0.1 by default (an early release had 0.2), none for no bound.
        clip: Option<f64> = Some(0.1), with_clip, optional(below_one);
    }
}

/// A bound within which a ratio stays positive.
pub(crate) fn below_one(method: &'static str, key: &'static str, value: &f64) -> Result<(), OptionError> {
    OptionError::check(*value > 0.0 && *value < 1.0, (method, key, *value), "above 0 and below 1")
}

method!(D3po, StepPairs(policy, reference), [Column::row("preference", Domain::Any)], |this, read| {
    d3po(policy, reference, &read("preference"), this)
});

/// The D3PO loss of `P` denoising steps of pairs; `preferences` are 1 where the first member's final sample is preferred, −1 where the
/// second's is, 0 for ties.
///
/// With `ℓ = log π_θ − log π_ref` of the kept step, averaged over dimensions, and `a = clamp(ℓ, log(1−c), log(1+c))`:
///
/// ```text
/// z = β h (a_0 − a_1)     losses = −log σ(z)     weights = 1
/// ∂losses/∂ℓ_0 = −β h σ(−z)      ∂losses/∂ℓ_1 = β h σ(−z)      within the bounds, 0 outside
/// ```
///
/// Every step of a trajectory is a row with the preference of the final samples. Both members must start from the same noise. The bound
/// also stops the gradient of a step that has drifted the wrong way. With `β = 0.1` and `c = 0.1` the loss stays within 0.6832 and
/// 0.7032 whatever is learnt: watch rewards, or `logratios/agree`.
///
/// The loss clamps `ℓ` itself where the authors clamp its exponential, which overflows.
///
/// Source: arXiv 2311.13231, equation 14, in the form of the authors' `train_d3po.py`: log-densities are means over dimensions there, so
/// that `β` is larger by a factor `D` than in the text. Their code has a further baseline, DPOK, whose divergence is of another kind;
/// it is not reproduced.
///
/// # Errors
/// [`DiffusionError::Option`]; [`DiffusionError::Value`] for a preference that is none of −1, 0 and 1; [`DiffusionError::Core`]. A sampler
/// without noise has no log-densities: [`step_logps`](crate::sample::step_logps) refuses it.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_diffusion::objectives::{D3po, StepPairs, d3po};
///
/// let dev = Cpu::default();
/// let policy = StepPairs::new(dev.tensor([0.52_f64]), dev.tensor([0.25]))?;
/// let reference = StepPairs::new(dev.tensor([0.50]), dev.tensor([0.30]))?;
/// let terms = d3po(policy, reference, &[1.0], &D3po::default())?;
/// assert!((terms.values()[0] - 0.6896533055).abs() < 1e-9);
/// # Ok::<(), tropism_diffusion::DiffusionError>(())
/// ```
pub fn d3po<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: StepPairs<P, E, D, T>,
    reference: StepPairs<P, E, D>,
    preferences: &[f64],
    config: &D3po,
) -> Result<LossTerms<P, E, D, T>, DiffusionError> {
    config.check()?;
    let rows = policy.rows();
    CoreError::check_size("reference logps", rows, reference.rows())?;
    check_values("preference", preferences, rows, (|h| [-1.0, 0.0, 1.0].contains(&h), "-1, 0 or 1"))?;
    let ratios = |ours: Vec<f64>, theirs: Vec<f64>| ours.iter().zip(theirs).map(|(p, r)| p - r).collect::<Vec<_>>();
    let first = ratios(to_f64(&policy.first), to_f64(&reference.first));
    let second = ratios(to_f64(&policy.second), to_f64(&reference.second));
    let (mut losses, mut slopes) = (Vec::with_capacity(rows), [Vec::with_capacity(rows), Vec::with_capacity(rows)]);
    for row in 0..rows {
        let ((a, da), (b, db)) = (clamped(first[row], config.clip), clamped(second[row], config.clip));
        let pull = config.beta * preferences[row];
        let (value, slope) = logistic(pull * (a - b));
        losses.push(value);
        slopes[0].push(slope * pull * da);
        slopes[1].push(-slope * pull * db);
    }
    let figures = figures(&first, &second, preferences, config)?;
    CoreError::check_finite("loss", &losses)?;
    let [one, other] = slopes;
    let losses = attach(&losses, [(policy.first, one), (policy.second, other)])?;
    Ok(LossTerms::new(losses, vec![1.0; rows], figures)?)
}

/// A log-ratio within the bounds, and its slope.
fn clamped(ratio: f64, clip: Option<f64>) -> (f64, f64) {
    let Some(c) = clip else { return (ratio, 1.0) };
    let (low, high) = (libm::log1p(-c), libm::log1p(c));
    (ratio.clamp(low, high), f64::from(u8::from(ratio > low && ratio < high)))
}

/// Log-ratios, how many are beyond the bounds, and whether their order is the preferred one.
fn figures(first: &[f64], second: &[f64], preferences: &[f64], config: &D3po) -> Result<Diagnostics, DiffusionError> {
    let clipped = |i: usize| (2.0 - clamped(first[i], config.clip).1 - clamped(second[i], config.clip).1) / 2.0;
    let agree = |i: usize| f64::from(u8::from(preferences[i] * (first[i] - second[i]) > 0.0));
    let mut found = Diagnostics::default();
    found.push("logratios/first", first.to_vec())?;
    found.push("logratios/second", second.to_vec())?;
    found.push("logratios/agree", (0..first.len()).map(agree).collect())?;
    found.push("logratios/clipped", (0..first.len()).map(clipped).collect())?;
    Ok(found)
}
