//! Nash mirror descent: policy gradient on the probability of winning, held to the reference.

use dfdx::prelude::*;
use tropism_core::{CoreError, Diagnostics, LossTerms, TokenLogps};

use crate::diagnostics::check_lengths;
use crate::options::{not_negative, options};
use crate::{Batch, Column, Domain, InputKind, Method, ObjectiveError};

options! {
    /// Options of [`nash_md()`].
    NashMd = "nash_md", "TRL's Nash-MD trainer" {
        /// Weight of the KL penalty, `β ≥ 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, not_negative;
    }
}

/// Probability that the policy's sample beats the mixture's.
const PREFERENCE: Column = Column::row("preference_probability", Domain::Share);

impl Method for NashMd {
    const INPUT: InputKind = InputKind::CompletionTokens;

    fn needs_reference(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        vec![PREFERENCE]
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (policy, reference, columns) = batch.into_completion_tokens(Self::NAME)?;
        let reference = crate::batch::need(Self::NAME, reference)?;
        nash_md(policy, reference, columns.get(PREFERENCE.name).unwrap_or_default(), self)
    }
}

/// The Nash-MD loss of `P` samples of the policy, by token.
///
/// With `h_t = lp_t − rf_t` (no gradient) and the probability `p` that the sample beats one of the mixture of policy and
/// reference:
///
/// ```text
/// losses = β Σ_t h_t lp_t − (p − ½) Σ_t lp_t     weights = 1
/// ∂losses/∂lp_t = β h_t − (p − ½)
/// ```
///
/// Its value means nothing, its gradient is the policy gradient of `p` (with ½ as baseline) minus `β` KL. Reports `score`
/// (`(p − ½) Σ lp`) and `kl` (`Σ h`).
///
/// Source: Munos et al. 2023, arXiv 2312.00886; TRL's Nash-MD trainer.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::Column`] for a probability outside 0 to 1; [`ObjectiveError::UnevenLengths`];
/// [`ObjectiveError::Core`] for sizes that differ.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::TokenLogps;
/// use tropism_objectives::{NashMd, nash_md};
///
/// let logps = Cpu::default().tensor([[-1.0_f64, -2.0]]);
/// let policy = TokenLogps::new(logps.leaky_trace(), &[true, true])?;
/// let reference = policy.detach()?;
/// let terms = nash_md(policy, reference, &[0.75], &NashMd::default())?;
/// assert_eq!(terms.values(), [0.75]);
/// assert_eq!(terms.mean()?.backward().get(&logps).array(), [[-0.25, -0.25]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn nash_md<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: TokenLogps<P, C, E, D, T>,
    reference: TokenLogps<P, C, E, D>,
    preference: &[f64],
    config: &NashMd,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let (rows, columns) = policy.size();
    CoreError::check_size(PREFERENCE.name, rows, preference.len())?;
    PREFERENCE.check(NashMd::NAME, preference)?;
    CoreError::check_size("reference token logps", rows * columns, reference.mask().len())?;
    let counts = |t: &[usize]| t.iter().map(|&n| n as f64).collect::<Vec<f64>>();
    check_lengths("the", &counts(policy.counts()), &counts(reference.counts()))?;
    let (logps, theirs, mask) = (policy.values(), reference.values(), policy.mask().to_vec());
    let (mut values, mut slopes) = (Vec::new(), Vec::new());
    let (mut scores, mut kls, mut sums) = (Vec::new(), Vec::new(), Vec::new());
    for (row, p) in preference.iter().enumerate() {
        let cells = (row * columns..(row + 1) * columns).map(|i| (logps[i], logps[i] - theirs[i], mask[i]));
        let (mut penalty, mut kl, mut sum) = (0.0, 0.0, 0.0);
        for (lp, h, counted) in cells {
            let m = crate::diagnostics::flag(counted);
            (penalty, kl, sum) = (penalty + m * h * lp, kl + m * h, sum + m * lp);
            slopes.push(m * (config.beta * h - (p - 0.5)));
        }
        values.push(config.beta * penalty - (p - 0.5) * sum);
        scores.push((p - 0.5) * sum);
        kls.push(kl);
        sums.push(sum);
    }
    let mut diagnostics = Diagnostics::default();
    for (name, column) in [("score", scores), ("kl", kls), ("logps", sums), ("preference", preference.to_vec())] {
        diagnostics.push(name, column)?;
    }
    Ok(LossTerms::new(policy.attach(&values, &slopes)?, vec![1.0; rows], diagnostics)?)
}
