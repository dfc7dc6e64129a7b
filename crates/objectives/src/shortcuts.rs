//! Losses of the common inputs without a [`Batch`] in between, and what a trainer asks before a step.

use dfdx::prelude::*;
use tropism_core::{Columns, LossTerms, PairLogps, SequenceLogps};

use crate::{Batch, InputKind, Objective, ObjectiveError};

impl Objective {
    /// Whether the loss reads pairs.
    pub fn is_pairwise(&self) -> bool {
        self.input() == InputKind::Pairs
    }

    /// The loss of pairs, for a method that reads no further constants.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn pair_loss<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        policy: PairLogps<P, E, D, T>,
        reference: Option<PairLogps<P, E, D>>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        self.loss(Batch::<P, usize, E, D, T>::pairs(policy, reference))
    }

    /// The loss of single completions, for a method that reads neither reference nor constants.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn sequence_loss<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        policy: SequenceLogps<P, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        self.loss(Batch::<P, usize, E, D, T>::completions(policy, None))
    }

    /// What the weights of a step add up to, one figure per part of the loss, from a batch of its lengths, masks and constants;
    /// weights do not depend on log-probabilities, so any will do. A trainer that splits a step hands them to
    /// [`LossTerms::sum_over`].
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    ///
    /// ```
    /// use dfdx::prelude::*;
    /// use tropism_core::PairLogps;
    /// use tropism_objectives::{Batch, Cpo, Objective};
    ///
    /// let any = Cpu::default().tensor([-1.0_f64, -1.0]);
    /// let pairs = PairLogps::new(any.clone(), any, &[3, 5], &[4, 4])?;
    /// let cpo = Objective::from(Cpo::default());
    /// assert_eq!(cpo.denominators(Batch::<_, usize, _, _, _>::pairs(pairs, None))?, [2.0, 8.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn denominators<P: Dim, C: Dim, E: Dtype, D: Device<E>>(
        &self,
        batch: Batch<P, C, E, D>,
    ) -> Result<Vec<f64>, ObjectiveError> {
        Ok(self.loss(batch)?.denominators())
    }

    /// The constants that this method reads, out of those of a combination.
    pub(crate) fn keep(&self, columns: &Columns) -> Result<Columns, ObjectiveError> {
        let mut kept = Columns::default();
        for column in self.columns() {
            if let Some(values) = columns.get(column.name) {
                kept = kept.with(column.name, values.to_vec())?;
            }
        }
        Ok(kept)
    }
}
