//! What every method says about itself.

use dfdx::prelude::*;
use tropism_core::LossTerms;

use crate::{Coupling, Field, Need, PolicyGradientError, Rollout};

/// A method with its options: what it reads, and its loss.
///
/// The functions of the methods can be called without it; [`PolicyGradient`](crate::PolicyGradient) is built on it.
pub trait Method {
    /// What the loss reads from a rollout beside the policy's log-probabilities. Anything else there is an error.
    fn reads(&self) -> Vec<(Field, Need)>;

    /// How the rows of a step hang together.
    fn coupling(&self) -> Coupling;

    /// The loss of a rollout.
    ///
    /// # Errors
    /// Those of the method's function.
    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        rollout: Rollout<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, PolicyGradientError>;
}
