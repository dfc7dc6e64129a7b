//! What every method says about itself.

use dfdx::prelude::*;
use tropism_core::LossTerms;

use crate::{Coupling, Estimator, Field, Need, PolicyGradientError, Rollout};

/// A method with its options: what it reads, and its loss.
///
/// The functions of the methods can be called without it; [`PolicyGradient`](crate::PolicyGradient) is built on it.
pub trait Method {
    /// What the loss reads from a rollout beside the policy's log-probabilities. Anything else there is an error.
    fn reads(&self) -> Vec<(Field, Need)>;

    /// How the rows of a step hang together.
    fn coupling(&self) -> Coupling;

    /// The share of the step's tokens, those of highest entropy, that the loss keeps: what
    /// [`entropy_threshold`](crate::entropy_threshold) is to be asked for when a step is split.
    fn top_entropy_quantile(&self) -> Option<f64> {
        None
    }

    /// The estimate of the step's divergence that the loss reads: what [`old_policy_kl`](crate::old_policy_kl) is to be
    /// asked for when a step is split.
    fn step_estimator(&self) -> Option<Estimator> {
        None
    }

    /// The loss of a rollout.
    ///
    /// # Errors
    /// Those of the method's function.
    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        rollout: Rollout<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, PolicyGradientError>;
}
