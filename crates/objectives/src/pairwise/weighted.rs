//! What the losses share that weight the rows or the tokens of another one.

use dfdx::prelude::*;
use tropism_core::{Columns, LossTerms, PairLogps, PairTokens};

use crate::{Batch, Objective, ObjectiveError};

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
