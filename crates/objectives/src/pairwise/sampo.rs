//! SamPO: both completions of a pair are compared on equally many sampled tokens.

use dfdx::prelude::*;
use tropism_core::{Columns, LossTerms, PairTokens};

use super::weighted::{check_weights, on_weighted, weighs_tokens};
use crate::options::{options, pair_method};
use crate::{Column, Domain, Dpo, Objective, ObjectiveError, Per};

options! {
    /// Options of [`sampo()`].
    Sampo = "sampo", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// The loss of the sampled sums, a method on pairs; DPO by default.
        base: Box<Objective> = Box::new(Dpo::default().into()), with_base, |m, k, b: &Objective| pair_method(m, k, b);
    }
}

/// 1 at the sampled tokens.
const CHOSEN: Column = Column { name: "sampled/chosen", per: Per::ChosenToken, domain: Domain::Flag };
const REJECTED: Column = Column { name: "sampled/rejected", per: Per::RejectedToken, domain: Domain::Flag };

weighs_tokens!(Sampo, [CHOSEN, REJECTED]);

/// A loss of pairs on sampled tokens, so that length alone makes no difference.
///
/// With `m_t` 1 at sampled tokens and 0 elsewhere (columns `sampled/chosen` and `sampled/rejected`, `[P, L]` row by row):
///
/// ```text
/// lp̂ = Σ_t m_t lp_t     for policy and reference, then the loss `base` of lp̂      ∂lp̂/∂lp_t = m_t
/// ```
///
/// The method samples `min(n_w, n_l)` tokens of each side without order, anew each time the pair is seen: all tokens of the
/// shorter completion, a random part of the longer one. With all tokens sampled it is `base`. What stands outside the
/// completion is ignored. Lengths stay whole, so a `base` that divides by them divides by all tokens.
///
/// Source: Lu et al. 2024, arXiv 2406.10957.
///
/// # Errors
/// [`ObjectiveError::Column`] for an entry that is neither 0 nor 1, [`ObjectiveError::Core`] unless there is one per token,
/// [`ObjectiveError::Option`], and those of `base`.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{PairTokens, TokenLogps};
/// use tropism_objectives::{Sampo, sampo};
///
/// let dev = Cpu::default();
/// let side = |v: [f64; 2], mask| TokenLogps::new(dev.tensor([v]), mask);
/// let policy = PairTokens::new(side([-1.0, -2.0], &[true, true])?, side([-3.0, 0.0], &[true, false])?)?;
/// let reference = PairTokens::new(side([-2.0, -4.0], &[true, true])?, side([-3.0, 0.0], &[true, false])?)?;
/// let terms = sampo(policy, reference, [&[0.0, 1.0], &[1.0, 0.0]], &Sampo::default())?;
/// assert!((terms.values()[0] - (1.0 + (-0.2_f64).exp()).ln()).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sampo<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairTokens<P, C, E, D, T>,
    reference: impl Into<Option<PairTokens<P, C, E, D>>>,
    sampled: [&[f64]; 2],
    config: &Sampo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    check_weights(Sampo::NAME, &policy, [CHOSEN, REJECTED], sampled)?;
    on_weighted(policy, reference.into(), sampled, Columns::default(), &config.base)
}
