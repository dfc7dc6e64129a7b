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

    /// What the weights of a step of pairs add up to, one figure per part of the loss, known from the lengths alone.
    ///
    /// A trainer that splits a step hands them to [`LossTerms::sum_over`].
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    ///
    /// ```
    /// use tropism_objectives::{Cpo, Objective};
    ///
    /// let cpo = Objective::from(Cpo::default());
    /// assert_eq!(cpo.pair_denominators(&[3, 5], &[4, 4])?, [2.0, 8.0]);
    /// # Ok::<(), tropism_objectives::ObjectiveError>(())
    /// ```
    pub fn pair_denominators(&self, chosen: &[usize], rejected: &[usize]) -> Result<Vec<f64>, ObjectiveError> {
        // Weights do not depend on log-probabilities, so any will do.
        let dev = Cpu::default();
        let logps = |lengths: &[usize]| {
            let values: Vec<f64> = lengths.iter().map(|&n| -(n as f64)).collect();
            tropism_core::numerics::from_f64::<(usize,), f64, Cpu>(&dev, &values, (lengths.len(),))
        };
        let policy = PairLogps::new(logps(chosen)?, logps(rejected)?, chosen, rejected)?;
        let reference = if self.needs_reference() { Some(policy.detach()?) } else { None };
        Ok(self.pair_loss(policy, reference)?.denominators())
    }

    /// What the weights of a step add up to, one figure per part of the loss, from a batch of its lengths, masks and constants;
    /// weights do not depend on log-probabilities, so any will do.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn denominators<P: Dim, C: Dim, E: Dtype, D: Device<E>>(
        &self,
        batch: Batch<P, C, E, D>,
    ) -> Result<Vec<f64>, ObjectiveError> {
        Ok(self.loss(batch)?.denominators())
    }

    /// What the weights of a step of single completions add up to; as [`pair_denominators`](Self::pair_denominators).
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn sequence_denominators(&self, lengths: &[usize]) -> Result<Vec<f64>, ObjectiveError> {
        let values: Vec<f64> = lengths.iter().map(|&n| -(n as f64)).collect();
        let logps = tropism_core::numerics::from_f64::<(usize,), f64, Cpu>(&Cpu::default(), &values, (lengths.len(),))?;
        Ok(self.sequence_loss(SequenceLogps::new(logps, lengths)?)?.denominators())
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
