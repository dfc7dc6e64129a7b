//! Weighted preference optimisation: pairs count by how likely the policy is to write them.

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairTokens, TokenLogps};

use crate::options::{any, options, pair_method};
use crate::{Batch, Column, Domain, Dpo, InputKind, Method, Objective, ObjectiveError, Per};

options! {
    /// Options of [`wpo()`].
    Wpo = "wpo", "WPO, arXiv 2406.11827" {
        /// Whether the product of a pair's weights is cut at 1 (`true`), as the paper says, or not (`false`, the default), as
        /// TRL computes it.
        clip: bool = false, with_clip, any;
        /// The loss that is weighted, a method on pairs; DPO by default.
        base: Box<Objective> = Box::new(Dpo::default().into()), with_base, |m, k, b: &Objective| pair_method(m, k, b);
    }
}

const CHOSEN: Column = Column { name: "log_sum_sq_probs/chosen", per: Per::ChosenToken, domain: Domain::Any };
const REJECTED: Column = Column { name: "log_sum_sq_probs/rejected", per: Per::RejectedToken, domain: Domain::Any };

impl Method for Wpo {
    const INPUT: InputKind = InputKind::PairTokens;

    fn needs_reference(&self) -> bool {
        self.base.needs_reference()
    }

    fn columns(&self) -> Vec<Column> {
        [CHOSEN, REJECTED].into_iter().chain(self.base.columns()).collect()
    }

    fn couples_rows(&self) -> bool {
        self.base.couples_rows()
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (policy, reference, columns) = batch.into_pair_tokens(Self::NAME)?;
        let normalisers = [&CHOSEN, &REJECTED].map(|c| columns.get(c.name).unwrap_or_default().to_vec());
        let base = self.base.keep(&columns)?;
        weighted(policy, reference, normalisers, base, self)
    }
}

/// A loss of pairs times the likelihood of both completions under the policy, relative to what it expects of itself.
///
/// With `q_t = log Σ_v p(v)²` over the vocabulary at each token (`log_sum_sq_probs`, `[P, L]` row by row):
///
/// ```text
/// w = exp(mean over completion tokens of (lp_t − q_t))     no gradient
/// losses = w_w w_l · base
/// ```
///
/// The weight makes off-policy pairs count as if the policy had written them: completions that it would not write count for
/// little. Reports `weights/chosen` and `weights/rejected`.
///
/// Source: Zhou et al. 2024, arXiv 2406.11827; TRL's `use_weighting`, without the paper's cut at 1 (option `clip`).
///
/// # Errors
/// Those of `base`; [`ObjectiveError::Core`] when `log_sum_sq_probs` has the wrong size.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{PairTokens, TokenLogps};
/// use tropism_objectives::{Wpo, wpo};
///
/// let dev = Cpu::default();
/// let side = |v: [f64; 2]| TokenLogps::new(dev.tensor([v]), &[true, true]);
/// let policy = PairTokens::new(side([-1.0, -1.0])?, side([-2.0, -2.0])?)?;
/// let terms = wpo(policy.clone(), policy, [&[-1.0, -1.0], &[-1.0, -1.0]], &Wpo::default())?;
/// assert!((terms.values()[0] - (-1.0_f64).exp() * 2.0_f64.ln()).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn wpo<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairTokens<P, C, E, D, T>,
    reference: impl Into<Option<PairTokens<P, C, E, D>>>,
    log_sum_sq_probs: [&[f64]; 2],
    config: &Wpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let normalisers = log_sum_sq_probs.map(<[f64]>::to_vec);
    weighted(policy, reference.into(), normalisers, tropism_core::Columns::default(), config)
}

fn weighted<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairTokens<P, C, E, D, T>,
    reference: Option<PairTokens<P, C, E, D>>,
    [chosen, rejected]: [Vec<f64>; 2],
    columns: tropism_core::Columns,
    config: &Wpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    let chosen = weights(&policy.chosen, &chosen)?;
    let rejected = weights(&policy.rejected, &rejected)?;
    let cut = |w: f64| if config.clip { w.min(1.0) } else { w };
    let both: Vec<f64> = chosen.iter().zip(&rejected).map(|(w, l)| cut(w * l)).collect();
    let reference = reference.map(PairTokens::sum).transpose()?;
    let pairs = Batch::<P, C, E, D, T>::pairs(policy.sum()?, reference).with_columns(columns);
    let mut terms = config.base.loss(pairs)?.times_rows(&both)?;
    terms.diagnostics.push("weights/chosen", chosen)?;
    terms.diagnostics.push("weights/rejected", rejected)?;
    Ok(terms)
}

/// `exp(mean(lp_t − q_t))` of each row; 1 for an empty one.
fn weights<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    side: &TokenLogps<P, C, E, D, T>,
    normalisers: &[f64],
) -> Result<Vec<f64>, ObjectiveError> {
    tropism_core::CoreError::check_size("log_sum_sq_probs", side.mask().len(), normalisers.len())?;
    let values = side.values();
    let cells = values.iter().zip(normalisers).zip(side.mask());
    let gaps: Vec<f64> = cells.map(|((lp, q), &m)| if m { lp - q } else { 0.0 }).collect();
    let rows = gaps.chunks(side.size().1).zip(side.counts());
    Ok(rows.map(|(row, &n)| (row.iter().sum::<f64>() / n.max(1) as f64).exp()).collect())
}
