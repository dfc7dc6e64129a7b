//! SFT under other divergences: logits as action values, the implicit reward of each step.

use dfdx::prelude::*;
use tropism_core::numerics::attach;
use tropism_core::{LossTerms, TokenLogps, ValuedTokens};

use super::f_sft_tokens::{Tally, same_tokens};
use super::{Outside, SftDivergence};
use crate::options::{any, options};
use crate::{Batch, InputKind, Method, ObjectiveError};

options! {
    /// Options of [`f_sft_values()`].
    FSftValues = "f_sft_values", "Implicit Reward as the Bridge: A Unified View of SFT and DPO Connections, arXiv 2507.00018" {
        /// The divergence from the demonstrations; Pearson's `χ²` by default.
        divergence: SftDivergence = SftDivergence::ChiSquared, with_divergence, any;
        /// What happens beyond the bounds of the divergence; along the tangent by default.
        outside: Outside = Outside::Tangent, with_outside, any;
    }
}

impl Method for FSftValues {
    const INPUT: InputKind = InputKind::ValuedTokens;

    fn needs_reference(&self) -> bool {
        true
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (policy, reference, _) = batch.into_valued_tokens(Self::NAME)?;
        f_sft_values(policy, crate::batch::need(Self::NAME, reference)?, self)
    }
}

/// The f-divergence SFT loss of `P` demonstrations with the logits as action values, at `β = 1`.
///
/// With the log-ratio `ℓ_t` of each completion token in nats, the value `V_t = log Σ_v e^{logit_t(v)}` of the state in which it
/// was chosen, `V = 0` after the end of text, and `φ` of the divergence ([`SftDivergence`]):
///
/// ```text
/// u_t = ℓ_t + V_t − V_{t+1}     losses = V_0 − Σ_t φ(u_t)     weights = 1
/// ∂losses/∂lp_t = −φ'(u_t)      ∂losses/∂V_t = −φ'(u_t) + φ'(u_{t−1})     ∂losses/∂V_0 = 1 − φ'(u_0)
/// ```
///
/// A gradient flows through log-probabilities and values; in the logits together it is `−φ'(u_t)` at the token and
/// `+φ'(u_{t−1}) p_t` (at the first token `+p_0`) everywhere. With total variation the values cancel and it is SFT. A row that was
/// cut before its end keeps the value of the cell after its last token: let the mask of the values count it
/// ([`ValuedTokens`]). Logits can be moved by a constant per state that the policy does not see; this loss trains it as well.
///
/// Reports `rewards` (`Σ u_t`), `force` (the mean of `φ'(u_t)`), `logps`, `lengths`.
///
/// Source: Implicit Reward as the Bridge: A Unified View of SFT and DPO Connections, arXiv 2507.00018; see
/// [`f_sft()`](crate::f_sft()).
///
/// # Errors
/// [`ObjectiveError::Option`] for a reward outside the domain with `outside = "raw"`; [`ObjectiveError::OtherTokens`];
/// [`ObjectiveError::Core`] for sizes that differ, or a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{ScoreTable, TokenLogps, ValuedTokens};
/// use tropism_objectives::{FSftValues, SftDivergence, f_sft_values};
///
/// let dev = Cpu::default();
/// let rows = |lp: [f64; 2]| TokenLogps::new(dev.tensor([lp]), &[true, true]);
/// let values = ScoreTable::new(dev.tensor([[1.5, 1.25]]), &[true, true])?;
/// let policy = ValuedTokens::new(rows([-1.0, -2.0])?, values)?;
/// let config = FSftValues::default().with_divergence(SftDivergence::TotalVariation);
/// assert!((f_sft_values(policy, rows([-1.5, -1.0])?, &config)?.values()[0] - 0.5).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn f_sft_values<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: ValuedTokens<P, C, E, D, T>,
    reference: TokenLogps<P, C, E, D>,
    config: &FSftValues,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    same_tokens(FSftValues::NAME, &policy.tokens, &reference)?;
    let (rows, columns) = policy.size();
    let (ours, theirs, values) = (policy.tokens.values(), reference.values(), policy.values.values());
    let (mut tally, mut slopes) = (Tally::default(), [vec![0.0; ours.len()], vec![0.0; ours.len()]]);
    let mut starts = Vec::with_capacity(rows);
    for row in 0..rows {
        tally.start();
        let steps = steps(&policy, row * columns..(row + 1) * columns);
        starts.push(steps.first().map_or(0.0, |&(i, _)| values[i]));
        if let Some(&(first, _)) = steps.first() {
            slopes[1][first] = 1.0;
        }
        for (i, next) in steps {
            let u = ours[i] - theirs[i] + values[i] - next.map_or(0.0, |j| values[j]);
            let (value, slope) = config.divergence.reward(u, config.outside, (FSftValues::NAME, row))?;
            tally.add(-value, u, slope, ours[i]);
            slopes[0][i] = -slope;
            slopes[1][i] -= slope;
            next.into_iter().for_each(|j| slopes[1][j] += slope);
        }
    }
    let (losses, diagnostics) = tally.finish()?;
    let by_token = policy.tokens.attach(&losses, &slopes[0])?;
    let by_value = policy.values.attach(&starts, &slopes[1])?;
    let total: Vec<f64> = losses.iter().zip(&starts).map(|(l, v)| l + v).collect();
    let losses = attach(&total, [(by_token, vec![1.0; rows]), (by_value, vec![1.0; rows])])?;
    Ok(LossTerms::new(losses, vec![1.0; rows], diagnostics)?)
}

/// Cells of a row's completion tokens, each with the cell of the state after it, if that has a value.
fn steps<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: &ValuedTokens<P, C, E, D, T>,
    row: std::ops::Range<usize>,
) -> Vec<(usize, Option<usize>)> {
    let cells: Vec<usize> = row.clone().filter(|&i| policy.tokens.mask()[i]).collect();
    let after = cells.last().map(|i| i + 1).filter(|&i| row.contains(&i) && policy.values.mask()[i]);
    let next = cells.iter().skip(1).map(|&i| Some(i)).chain(std::iter::once(after));
    cells.iter().copied().zip(next).collect()
}
