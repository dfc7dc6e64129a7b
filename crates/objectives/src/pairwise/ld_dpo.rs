//! LD-DPO: tokens beyond the length of the pair's shorter completion count for less.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::{Columns, LossTerms, PairLogps, PairTokens, TokenLogps};

use crate::method::sums_for_base;
use crate::options::{any, options, pair_method, share};
use crate::{Batch, Dpo, Objective, ObjectiveError};

/// Whose log-probabilities are tempered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tempered {
    /// The policy's and the reference's.
    #[default]
    Both,
    /// The policy's alone: an untrained policy then prefers the longer completion.
    Policy,
}

options! {
    /// Options of [`ld_dpo()`].
    LdDpo = "ld_dpo", "Length Desensitization in Direct Preference Optimization, arXiv 2409.06411" {
        /// Weight of the tokens beyond the shorter completion's length, `0 ≤ α ≤ 1`; 0.5 by default.
        alpha: f64 = 0.5, with_alpha, share;
        /// Tempers policy and reference (`"both"`, the default) or the `"policy"` alone.
        tempered: Tempered = Tempered::Both, with_tempered, any;
        /// The loss of the tempered sums, a method on pairs; DPO by default.
        base: Box<Objective> = Box::new(Dpo::default().into()), with_base, |m, k, b: &Objective| pair_method(m, k, b);
    }
}

sums_for_base!(LdDpo, on_tempered);

/// A loss of pairs whose log-probabilities are split at the length `k = min(n_w, n_l)` of the shorter completion.
///
/// ```text
/// lp̂ = Σ_{t ≤ k} lp_t + α Σ_{t > k} lp_t     for policy and reference, then the loss `base` of lp̂
/// ∂lp̂/∂lp_t = 1 up to the k-th completion token, α beyond
/// ```
///
/// Only the longer completion has tokens beyond `k`. At `α = 1`, or with equal lengths, it is `base`; at `α = 0` those
/// tokens have no part in the loss. Lengths stay whole, so a `base` that divides by them divides by all tokens.
///
/// Source: Liu et al. 2024, arXiv 2409.06411; TRL's `ld_alpha`. TRL's first version and LLaMA-Factory temper the policy
/// alone: then the loss does not start at `ln 2`. That is `tempered = "policy"`.
///
/// # Errors
/// [`ObjectiveError::Config`], [`ObjectiveError::Option`], and those of `base`.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{PairTokens, TokenLogps};
/// use tropism_objectives::{LdDpo, ld_dpo};
///
/// let dev = Cpu::default();
/// let chosen = |v: [f64; 4]| TokenLogps::new(dev.tensor([v]), &[true; 4]);
/// let rejected = |v: [f64; 2]| TokenLogps::new(dev.tensor([[v[0], v[1], 0.0, 0.0]]), &[true, true, false, false]);
/// let policy = PairTokens::new(chosen([-1.0, -0.5, -2.0, -0.7])?, rejected([-0.8, -1.5])?)?;
/// let reference = PairTokens::new(chosen([-1.2, -0.6, -1.8, -1.0])?, rejected([-0.9, -1.1])?)?;
/// let terms = ld_dpo(policy, reference, &LdDpo::default())?;
/// assert!((terms.values()[0] - 0.66117521).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn ld_dpo<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairTokens<P, C, E, D, T>,
    reference: impl Into<Option<PairTokens<P, C, E, D>>>,
    config: &LdDpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    on_tempered(policy, reference.into(), Columns::default(), config)
}

fn on_tempered<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairTokens<P, C, E, D, T>,
    reference: Option<PairTokens<P, C, E, D>>,
    columns: Columns,
    config: &LdDpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    let (policy, reference) = temper(policy, reference, config)?;
    config.base.loss(Batch::<P, C, E, D, T>::pairs(policy, reference).with_columns(columns))
}

/// Tempered sums of a policy and its reference.
type Sums<P, E, D, T> = (PairLogps<P, E, D, T>, Option<PairLogps<P, E, D>>);

fn temper<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairTokens<P, C, E, D, T>,
    reference: Option<PairTokens<P, C, E, D>>,
    config: &LdDpo,
) -> Result<Sums<P, E, D, T>, ObjectiveError> {
    let alpha = match config.tempered {
        Tempered::Both => config.alpha,
        Tempered::Policy => 1.0,
    };
    let reference = reference.map(|r| sums(r, alpha)).transpose()?;
    Ok((sums(policy, config.alpha)?, reference))
}

/// Both sides' sums, tokens beyond the shorter one's length times `alpha`.
fn sums<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tokens: PairTokens<P, C, E, D, T>,
    alpha: f64,
) -> Result<PairLogps<P, E, D, T>, ObjectiveError> {
    let shared: Vec<usize> = tokens.chosen.counts().iter().zip(tokens.rejected.counts()).map(|(&w, &l)| w.min(l)).collect();
    let (chosen, rejected) = (weights(&tokens.chosen, &shared, alpha), weights(&tokens.rejected, &shared, alpha));
    let chosen = tokens.chosen.weighted_sum(&chosen)?;
    Ok(PairLogps::from_sequences(chosen, tokens.rejected.weighted_sum(&rejected)?)?)
}

/// 1 on the first `shared` completion tokens of each row, `alpha` on the rest.
fn weights<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    side: &TokenLogps<P, C, E, D, T>,
    shared: &[usize],
    alpha: f64,
) -> Vec<f64> {
    let mut weights = Vec::with_capacity(side.mask().len());
    for (row, &shared) in side.mask().chunks(side.size().1).zip(shared) {
        let mut seen = 0;
        for &completion in row {
            seen += usize::from(completion);
            weights.push(if seen <= shared { 1.0 } else { alpha });
        }
    }
    weights
}
