//! Supervised fine-tuning: the negative log-likelihood of completions.

use dfdx::prelude::*;
use tropism_core::numerics::to_f64;
use tropism_core::{CoreError, Diagnostics, LossTerms, SequenceLogps};

use crate::options::options;
use crate::{Batch, InputKind, Method, ObjectiveError};

options! {
    /// Options of [`sft()`]: none.
    Sft = "sft", "Direct Preference Optimization and its standard loss variants, arXiv 2305.18290 (the likelihood term)" {}
}

impl Method for Sft {
    const INPUT: InputKind = InputKind::Completions;

    fn needs_reference(&self) -> bool {
        false
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (policy, ..) = batch.into_completions(Self::NAME)?;
        sft(policy, self)
    }
}

/// Negative log-likelihood of completions, averaged over all tokens of the step.
///
/// With the summed log-probability `lp` (nats) and length `n` (tokens) of each of `P` rows:
///
/// ```text
/// losses = −lp        weights = n        loss of the step = Σ losses / Σ weights
/// ```
///
/// This is the mean over **all** counted tokens of the step, not a mean of means per sequence: a long completion counts
/// for more, and a split into micro-batches changes nothing. The gradient of the step's loss in each token's
/// log-probability is `−1 / Σ n`. An empty completion adds nothing to either sum.
///
/// Diagnostics: `logps`, `lengths`.
///
/// Same as the `sft` loss type of TRL's DPO trainer on the chosen completions, where one scalar is repeated per row.
///
/// # Errors
/// [`ObjectiveError::Core`] when a loss is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::SequenceLogps;
/// use tropism_objectives::{Sft, sft};
///
/// let logps = Cpu::default().tensor([-3.0_f64, -5.0]);
/// let terms = sft(SequenceLogps::new(logps.leaky_trace(), &[2, 6])?, &Sft::default())?;
/// let loss = terms.mean()?;
/// assert_eq!(loss.array(), 1.0);
/// assert_eq!(loss.backward().get(&logps).array(), [-0.125, -0.125]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sft<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: SequenceLogps<P, E, D, T>,
    config: &Sft,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let lengths = to_f64(&policy.lengths);
    let mut diagnostics = Diagnostics::default();
    diagnostics.push("logps", to_f64(&policy.logps))?;
    diagnostics.push("lengths", lengths.clone())?;
    let losses = policy.logps.try_negate().map_err(CoreError::device)?;
    Ok(LossTerms::new(losses, lengths, diagnostics)?)
}
