//! TIS-DPO: tokens count by how much they matter to the reward.

use dfdx::prelude::*;
use tropism_core::{Columns, LossTerms, PairTokens};

use super::weighted::{check_weights, on_weighted, weighs_tokens};
use crate::options::{options, pair_method};
use crate::{Column, Domain, Dpo, Objective, ObjectiveError, Per};

options! {
    /// Options of [`tis_dpo()`].
    TisDpo = "tis_dpo", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// The loss of the weighted sums, a method on pairs; DPO by default.
        base: Box<Objective> = Box::new(Dpo::default().into()), with_base, |m, k, b: &Objective| pair_method(m, k, b);
    }
}

/// How much each token counts.
const CHOSEN: Column = Column { name: "token_weights/chosen", per: Per::ChosenToken, domain: Domain::NotNegative };
const REJECTED: Column = Column { name: "token_weights/rejected", per: Per::RejectedToken, domain: Domain::NotNegative };

weighs_tokens!(TisDpo, [CHOSEN, REJECTED]);

/// A loss of pairs on sums over tokens with an importance each.
///
/// With the weights `w_t ≥ 0` of the completion tokens (columns `token_weights/chosen` and `token_weights/rejected`, `[P, L]` row
/// by row, constants):
///
/// ```text
/// lp̂ = Σ_t w_t lp_t     for policy and reference, then the loss `base` of lp̂      ∂lp̂/∂lp_t = w_t
/// ```
///
/// Weights of 1 leave `base`; weights from anywhere can be given, so the method serves every scheme that says how much a token
/// matters. What stands outside the completion is ignored. Lengths stay whole, so a `base` that divides by them divides by all
/// tokens.
///
/// Source: class "token" of A Survey of Direct Preference Optimization, arXiv 2503.11701, which names the method (token importance
/// weights). The estimate of the weights from a pair of contrasted models, and its offset for the divergence of the sequences, are
/// not part of the loss here.
///
/// # Errors
/// [`ObjectiveError::Column`] for a negative weight, [`ObjectiveError::Core`] unless there is one per token,
/// [`ObjectiveError::Option`], and those of `base`.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{PairTokens, TokenLogps};
/// use tropism_objectives::{TisDpo, tis_dpo};
///
/// let dev = Cpu::default();
/// let side = |v: [f64; 2]| TokenLogps::new(dev.tensor([v]), &[true, true]);
/// let policy = PairTokens::new(side([-1.0, -2.0])?, side([-3.0, -3.0])?)?;
/// let reference = PairTokens::new(side([-2.0, -4.0])?, side([-3.0, -3.0])?)?;
/// let terms = tis_dpo(policy, reference, [&[0.5, 2.0], &[1.0, 1.0]], &TisDpo::default())?;
/// assert!((terms.values()[0] - (1.0 + (-0.45_f64).exp()).ln()).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn tis_dpo<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairTokens<P, C, E, D, T>,
    reference: impl Into<Option<PairTokens<P, C, E, D>>>,
    weights: [&[f64]; 2],
    config: &TisDpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    check_weights(TisDpo::NAME, &policy, [CHOSEN, REJECTED], weights)?;
    on_weighted(policy, reference.into(), weights, Columns::default(), &config.base)
}
