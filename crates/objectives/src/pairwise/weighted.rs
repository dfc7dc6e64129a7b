//! What the losses share that weight the rows of another one.

use dfdx::prelude::*;
use tropism_core::{Columns, LossTerms, PairLogps};

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
