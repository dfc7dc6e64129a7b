//! D²PO: earlier tokens count for more.

use dfdx::prelude::*;
use tropism_core::{Columns, LossTerms, PairLogps, PairTokens, TokenLogps};

use crate::method::sums_for_base;
use crate::options::{options, pair_method, share};
use crate::{Batch, Dpo, Objective, ObjectiveError};

options! {
    /// Options of [`d2po()`].
    D2po = "d2po", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// Decay `0 ≤ γ ≤ 1` per token; 0.98 by default, 1 for none.
        decay: f64 = 0.98, with_decay, share;
        /// The loss of the decayed sums, a method on pairs; DPO by default.
        base: Box<Objective> = Box::new(Dpo::default().into()), with_base, |m, k, b: &Objective| pair_method(m, k, b);
    }
}

sums_for_base!(D2po, decayed);

/// A loss of pairs whose tokens count for less the later they come.
///
/// With `t` counting completion tokens from 0:
///
/// ```text
/// lp̂ = Σ_t γ^t lp_t     for policy and reference, then the loss `base` of lp̂      ∂lp̂/∂lp_t = γ^t
/// ```
///
/// Long completions gain no more than `1/(1 − γ)` tokens' worth. `γ = 1` is `base`; at `γ = 0` the first token alone counts.
/// Lengths stay whole, so a `base` that divides by them divides by all tokens.
///
/// Source: Shao et al. 2025, arXiv 2502.14340 (other methods bear a like name).
///
/// # Errors
/// [`ObjectiveError::Config`], [`ObjectiveError::Option`], and those of `base`.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{PairTokens, TokenLogps};
/// use tropism_objectives::{D2po, d2po};
///
/// let dev = Cpu::default();
/// let side = |v: [f64; 2]| TokenLogps::new(dev.tensor([v]), &[true; 2]);
/// let policy = PairTokens::new(side([-1.0, -2.0])?, side([-3.0, -1.0])?)?;
/// let reference = PairTokens::new(side([-2.0, -4.0])?, side([-3.0, -1.0])?)?;
/// let terms = d2po(policy, reference, &D2po::default().with_decay(0.5))?;
/// assert!((terms.values()[0] - (1.0 + (-0.2_f64).exp()).ln()).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn d2po<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairTokens<P, C, E, D, T>,
    reference: impl Into<Option<PairTokens<P, C, E, D>>>,
    config: &D2po,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    decayed(policy, reference.into(), Columns::default(), config)
}

fn decayed<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairTokens<P, C, E, D, T>,
    reference: Option<PairTokens<P, C, E, D>>,
    columns: Columns,
    config: &D2po,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    let reference = reference.map(|r| sums(r, config.decay)).transpose()?;
    config.base.loss(Batch::<P, C, E, D, T>::pairs(sums(policy, config.decay)?, reference).with_columns(columns))
}

fn sums<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tokens: PairTokens<P, C, E, D, T>,
    decay: f64,
) -> Result<PairLogps<P, E, D, T>, ObjectiveError> {
    let (chosen, rejected) = (weights(&tokens.chosen, decay), weights(&tokens.rejected, decay));
    let chosen = tokens.chosen.weighted_sum(&chosen)?;
    Ok(PairLogps::from_sequences(chosen, tokens.rejected.weighted_sum(&rejected)?)?)
}

/// `γ^t` at the `t`-th completion token of each row.
fn weights<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(side: &TokenLogps<P, C, E, D, T>, decay: f64) -> Vec<f64> {
    let mut weights = Vec::with_capacity(side.mask().len());
    for row in side.mask().chunks(side.size().1) {
        let mut weight = 1.0;
        for &completion in row {
            weights.push(weight);
            weight *= if completion { decay } else { 1.0 };
        }
    }
    weights
}
