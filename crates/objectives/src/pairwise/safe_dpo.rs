//! SafeDPO: pairs are turned so that the safe completion wins, by a margin.

use dfdx::prelude::*;
use tropism_core::{CoreError, LossTerms, PairLogps};

use super::{Scored, Scoring};
use crate::link::logistic;
use crate::options::{not_negative, options, positive};
use crate::{Batch, Column, Domain, InputKind, Method, ObjectiveError};

options! {
    /// Options of [`safe_dpo()`].
    SafeDpo = "safe_dpo", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Margin `Δ ≥ 0` by which a safe completion has to win over an unsafe one, in units of reward; 1 by default.
        margin: f64 = 1.0, with_margin, not_negative;
    }
}

/// 1 for an unsafe completion.
const CHOSEN: Column = Column::row("unsafe/chosen", Domain::Flag);
const REJECTED: Column = Column::row("unsafe/rejected", Domain::Flag);

impl Method for SafeDpo {
    const INPUT: InputKind = InputKind::Pairs;

    fn needs_reference(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        vec![CHOSEN, REJECTED]
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (policy, reference, columns) = batch.into_pairs(Self::NAME)?;
        let unsafe_flags = [CHOSEN, REJECTED].map(|c| columns.get(c.name).unwrap_or_default());
        safe_dpo(policy, reference, unsafe_flags, self)
    }
}

/// The SafeDPO loss of `P` pairs with a flag for each unsafe completion.
///
/// With log-ratios `h` in nats and `z = β (h_w − h_l)`:
///
/// ```text
/// both safe                losses = −log σ(z)          weights = 1
/// only rejected unsafe     losses = −log σ(z − Δ)      weights = 1
/// only chosen unsafe       losses = −log σ(−z − Δ)     weights = 1     the pair is turned round
/// both unsafe              losses = 0                  weights = 0     the pair is dropped
/// ```
///
/// Without unsafe completions it is [`dpo()`](crate::dpo()). The reported figures are those of the pair as it was given, before it
/// is turned.
///
/// Source: class "safety" of A Survey of Direct Preference Optimization, arXiv 2503.11701, which names the method (reorder by
/// safety, and a margin); that pairs of two unsafe completions are dropped is how we know it, the default of `Δ` is ours.
///
/// # Errors
/// As [`dpo()`](crate::dpo()). [`ObjectiveError::Column`] for an entry that is neither 0 nor 1, [`ObjectiveError::Core`] unless
/// there is one per pair.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{SafeDpo, safe_dpo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-40.0_f64]), dev.tensor([-55.0]), &[20], &[25])?;
/// let reference = PairLogps::new(dev.tensor([-42.0_f64]), dev.tensor([-50.0]), &[20], &[25])?;
/// let terms = safe_dpo(policy, reference, [&[1.0], &[0.0]], &SafeDpo::default())?;
/// assert!((terms.values()[0] - (1.0 + 1.7_f64.exp()).ln()).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn safe_dpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    unsafe_flags: [&[f64]; 2],
    config: &SafeDpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    for (column, values) in [CHOSEN, REJECTED].iter().zip(unsafe_flags) {
        CoreError::check_size(column.name, policy.rows(), values.len())?;
        column.check(SafeDpo::NAME, values)?;
    }
    // Turn and margin of each pair; none where both are unsafe.
    let flags = unsafe_flags[0].iter().zip(unsafe_flags[1]).map(|(&w, &l)| (w == 1.0, l == 1.0));
    let turns: Vec<Option<(f64, f64)>> = flags
        .map(|flags| match flags {
            (false, false) => Some((1.0, 0.0)),
            (false, true) => Some((1.0, config.margin)),
            (true, false) => Some((-1.0, config.margin)),
            (true, true) => None,
        })
        .collect();
    let scored = Scored::new(SafeDpo::NAME, policy, reference.into(), &Scoring::RATIOS, config.beta)?;
    let mut terms = scored.by_pair(|row, a, c| {
        let Some((turn, margin)) = turns[row] else { return [0.0; 3] };
        let (value, slope) = logistic(turn * config.beta * (a - c) - margin);
        [value, turn * config.beta * slope, -turn * config.beta * slope]
    })?;
    terms.weights = turns.iter().map(|t| f64::from(u8::from(t.is_some()))).collect();
    Ok(terms)
}
