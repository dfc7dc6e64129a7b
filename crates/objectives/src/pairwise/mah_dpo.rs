//! Pairs of several objectives in one batch, each objective with its own mean.

use dfdx::prelude::*;
use tropism_core::{Columns, CoreError, LossTerms, PairLogps};

use crate::options::{options, pair_method};
use crate::{Batch, Column, Domain, Dpo, InputKind, Method, Objective, ObjectiveError};

options! {
    /// Options of [`mah_dpo()`].
    MahDpo = "mah_dpo", "Simultaneous Multi-objective Alignment Across Verifiable and Non-verifiable Rewards, arXiv 2510.01167" {
        /// Weight `α_i ≥ 0` of each objective's mean. Empty (the default): the mean over the objectives that a batch holds.
        weights: Vec<f64> = Vec::new(), with_weights, weights_hold;
        /// The loss of a pair, a method on pairs; DPO by default.
        base: Box<Objective> = Box::new(Dpo::default().into()), with_base, |m, k, b: &Objective| pair_method(m, k, b);
    }
}

/// Index of the objective that a pair is labelled for, from 0.
const OBJECTIVE: Column = Column::row("objective", Domain::Index);

fn weights_hold(method: &'static str, key: &'static str, weights: &[f64]) -> Result<(), ObjectiveError> {
    Ok(weights.iter().try_for_each(|w| crate::options::not_negative(method, key, w))?)
}

impl Method for MahDpo {
    const INPUT: InputKind = InputKind::Pairs;

    fn needs_reference(&self) -> bool {
        self.base.needs_reference()
    }

    fn columns(&self) -> Vec<Column> {
        std::iter::once(OBJECTIVE).chain(self.base.columns()).collect()
    }

    fn couples_rows(&self) -> bool {
        true
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (policy, reference, columns) = batch.into_pairs(Self::NAME)?;
        let objectives = columns.get(OBJECTIVE.name).unwrap_or_default();
        balanced(policy, reference, objectives, self.base.keep(&columns)?, self)
    }
}

/// The MAH-DPO loss of `P` pairs, each labelled for one objective.
///
/// With `ℓ` the loss of `base`, `B_i` the pairs of objective `i` and `H` the number of objectives that occur in the batch:
///
/// ```text
/// mean of losses = Σ_i α_i (1/|B_i|) Σ_{B_i} ℓ     α_i = 1/H without `weights`
/// losses_j = ℓ_j · P α_i / |B_i|                   weights = 1
/// ∂(mean)/∂ℓ_j = α_i / |B_i|
/// ```
///
/// A pair's log-probabilities are those of its objective's output head, for policy and reference, in nats; other heads get no
/// gradient from it. Doubling the pairs of one objective changes nothing. As counts are those of the batch, a step must not be
/// split.
///
/// The released code takes the mean over the objectives present, as the default does; the paper has weights `α_i`, equal in
/// its experiments.
///
/// Reports what `base` reports.
///
/// Source: Simultaneous Multi-objective Alignment, arXiv 2510.01167, and the authors' `mahdpo_trainers`.
///
/// # Errors
/// [`ObjectiveError::Config`], [`ObjectiveError::Option`]; [`ObjectiveError::Column`] for an objective without a weight;
/// [`ObjectiveError::Core`] for sizes that differ; those of `base`.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{MahDpo, mah_dpo};
///
/// let dev = Cpu::default();
/// let pairs = |w: [f64; 3]| PairLogps::new(dev.tensor(w), dev.tensor([-9.0; 3]), &[5; 3], &[5; 3]);
/// let terms = mah_dpo(pairs([-6.0, -10.0, -8.5])?, pairs([-9.0; 3])?, &[0, 0, 1], &MahDpo::default())?;
/// assert!((terms.mean()?.array() - 0.6589178001).abs() < 1e-10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn mah_dpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    objectives: &[usize],
    config: &MahDpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let objectives: Vec<f64> = objectives.iter().map(|&i| i as f64).collect();
    balanced(policy, reference.into(), &objectives, Columns::default(), config)
}

fn balanced<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: Option<PairLogps<P, E, D>>,
    objectives: &[f64],
    columns: Columns,
    config: &MahDpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    CoreError::check_size(OBJECTIVE.name, policy.rows(), objectives.len())?;
    let factors = factors(objectives, &config.weights)?;
    let pairs = Batch::<P, usize, E, D, T>::pairs(policy, reference).with_columns(columns);
    Ok(config.base.loss(pairs)?.times_rows(&factors)?)
}

/// What each row's loss is multiplied by, so that the mean over rows is the weighted sum of the objectives' means.
pub(super) fn factors(objectives: &[f64], weights: &[f64]) -> Result<Vec<f64>, ObjectiveError> {
    let rows = objectives.len() as f64;
    let count = |i: f64| objectives.iter().filter(|&&o| o == i).count() as f64;
    // Every objective adds up to 1.
    let present: f64 = objectives.iter().map(|&i| 1.0 / count(i)).sum::<f64>().round();
    let weight = |(entry, &value): (usize, &f64)| match weights.get(value as usize) {
        _ if weights.is_empty() => Ok(rows / (present * count(value))),
        Some(weight) => Ok(rows * weight / count(value)),
        None => {
            let (method, column, requirement) = (MahDpo::NAME, OBJECTIVE.name, "below the number of `weights`");
            Err(ObjectiveError::Column { method, column, entry, value, requirement })
        }
    };
    objectives.iter().enumerate().map(weight).collect()
}
