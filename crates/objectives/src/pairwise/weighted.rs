//! What the losses share that weight the rows or the tokens of another one.

use dfdx::prelude::*;
use tropism_core::{Columns, CoreError, LossTerms, PairLogps, PairTokens};

use crate::{Batch, Column, Objective, ObjectiveError};

/// The loss `base` with each row times its weight, which it reports as `weights`.
pub(crate) fn weighted<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: Option<PairLogps<P, E, D>>,
    columns: &Columns,
    base: &Objective,
    weights: Vec<f64>,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    let pairs = Batch::<P, usize, E, D, T>::pairs(policy, reference).with_columns(base.keep(columns)?);
    let mut terms = base.loss(pairs)?.times_rows(&weights)?;
    terms.diagnostics.push("weights", weights)?;
    Ok(terms)
}

/// The loss `base` of sums over tokens that have weights, for policy and reference.
pub(crate) fn on_weighted<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairTokens<P, C, E, D, T>,
    reference: Option<PairTokens<P, C, E, D>>,
    weights: [&[f64]; 2],
    columns: Columns,
    base: &Objective,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    let reference = reference.map(|r| sums(r, weights)).transpose()?;
    base.loss(Batch::<P, C, E, D, T>::pairs(sums(policy, weights)?, reference).with_columns(columns))
}

fn sums<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tokens: PairTokens<P, C, E, D, T>,
    [chosen, rejected]: [&[f64]; 2],
) -> Result<PairLogps<P, E, D, T>, ObjectiveError> {
    let chosen = tokens.chosen.weighted_sum(chosen)?;
    Ok(PairLogps::from_sequences(chosen, tokens.rejected.weighted_sum(rejected)?)?)
}

/// [`Method`](crate::Method) for a loss of pairs that weights the rows of `base` by a function of one column.
macro_rules! weights_rows {
    ($config:ident, $column:expr) => {
        impl crate::Method for $config {
            const INPUT: crate::InputKind = crate::InputKind::Pairs;

            fn needs_reference(&self) -> bool {
                self.base.needs_reference()
            }

            fn columns(&self) -> Vec<crate::Column> {
                std::iter::once($column).chain(self.base.columns()).collect()
            }

            fn couples_rows(&self) -> bool {
                self.base.couples_rows()
            }

            fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
                &self,
                batch: crate::Batch<P, C, E, D, T>,
            ) -> Result<LossTerms<P, E, D, T>, crate::ObjectiveError> {
                let (policy, reference, columns) = batch.into_pairs(Self::NAME)?;
                let weights = self.weights(columns.get($column.name).unwrap_or_default());
                crate::pairwise::weighted::weighted(policy, reference, &columns, &self.base, weights)
            }
        }
    };
}
pub(crate) use weights_rows;

/// Fails unless there is one valid weight per token cell of both sides.
pub(crate) fn check_weights<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    method: &'static str,
    policy: &PairTokens<P, C, E, D, T>,
    columns: [Column; 2],
    weights: [&[f64]; 2],
) -> Result<(), ObjectiveError> {
    let cells = [policy.chosen.mask().len(), policy.rejected.mask().len()];
    for ((column, values), cells) in columns.iter().zip(weights).zip(cells) {
        CoreError::check_size(column.name, cells, values.len())?;
        column.check(method, values)?;
    }
    Ok(())
}

/// [`Method`](crate::Method) for the loss `base` of sums in which each token counts as the two columns say.
macro_rules! weighs_tokens {
    ($config:ident, $columns:expr) => {
        impl crate::Method for $config {
            const INPUT: crate::InputKind = crate::InputKind::PairTokens;

            fn needs_reference(&self) -> bool {
                self.base.needs_reference()
            }

            fn columns(&self) -> Vec<crate::Column> {
                $columns.into_iter().chain(self.base.columns()).collect()
            }

            fn couples_rows(&self) -> bool {
                self.base.couples_rows()
            }

            fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
                &self,
                batch: crate::Batch<P, C, E, D, T>,
            ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
                let (policy, reference, columns) = batch.into_pair_tokens(Self::NAME)?;
                let weights = $columns.map(|c| columns.get(c.name).unwrap_or_default());
                on_weighted(policy, reference, weights, self.base.keep(&columns)?, &self.base)
            }
        }
    };
}
pub(crate) use weighs_tokens;
