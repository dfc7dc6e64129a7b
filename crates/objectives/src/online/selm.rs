//! Self-exploring language models: DPO that moves away from the reference's own responses.

use dfdx::prelude::*;
use tropism_core::numerics::{attach, to_f64};
use tropism_core::{CoreError, Diagnostics, LossTerms, SequenceLogps, TripleLogps};

use crate::diagnostics::check_lengths;
use crate::options::{not_negative, options, positive};
use crate::{Batch, Dpo, InputKind, Method, ObjectiveError, dpo};

options! {
    /// Options of [`selm()`].
    Selm = "selm", "Self-Exploring Language Models: Active Preference Elicitation for Online Alignment, arXiv 2405.19332" {
        /// Weight of the KL penalty, `β > 0`; 0.01 by default.
        beta: f64 = 0.01, with_beta, positive;
        /// Optimism, `α ≥ 0`; 0.001 by default. It is multiplied by `beta`.
        alpha: f64 = 0.001, with_alpha, not_negative;
    }
}

impl Method for Selm {
    const INPUT: InputKind = InputKind::Triples;

    fn needs_reference(&self) -> bool {
        true
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (policy, reference, _) = batch.into_triples(Self::NAME)?;
        selm(policy, crate::batch::need(Self::NAME, reference)?, self)
    }
}

/// The SELM loss of `P` pairs, each with a response `y'` that the reference wrote (the third completion).
///
/// With summed log-ratios `a`, `c` of the pair and `h'` of `y'`, in nats:
///
/// ```text
/// first part     losses = −log σ(β (a − c))     weights = 1
/// second part    losses = α β h'                weights = 1     ∂losses/∂lp' = +αβ
/// ```
///
/// The reference is the policy of the last iteration. `y'` is kept even where it is also the chosen or the rejected response;
/// gradients then add up on that text. The second part has no lower bound.
///
/// Reports DPO's figures, and `log_ratios/reference_samples`, `h'`.
///
/// Source: Zhang et al. 2024, arXiv 2405.19332, equation 4.2, and the authors' `optimistic_dpo_loss`. The paper's algorithm 1
/// writes the weight as `α`; equation and code use `α β`, as here. The code takes off the reference's log-probability, which the
/// paper leaves out; that moves the value and not the gradient.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::UnevenLengths`]; [`ObjectiveError::Core`] for numbers of rows that differ.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{PairLogps, SequenceLogps, TripleLogps};
/// use tropism_objectives::{Selm, selm};
///
/// let dev = Cpu::default();
/// let triple = |w: f64, l: f64, third: f64| {
///     let pair = PairLogps::new(dev.tensor([w]), dev.tensor([l]), &[5], &[8])?;
///     TripleLogps::new(pair, SequenceLogps::new(dev.tensor([third]), &[4])?)
/// };
/// let config = Selm::default().with_beta(0.1).with_alpha(0.5);
/// let loss = selm(triple(-10.0, -12.0, -6.0)?, triple(-11.0, -11.5, -8.0)?, &config)?.mean()?;
/// assert!((loss.array() - (0.62095705 + 0.1)).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn selm<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: TripleLogps<P, E, D, T>,
    reference: TripleLogps<P, E, D>,
    config: &Selm,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let optimism = optimism(policy.third, &reference.third, config.alpha * config.beta)?;
    let pairs = dpo(policy.pair, reference.pair, &Dpo::default().with_beta(config.beta))?;
    Ok(pairs.with(optimism)?)
}

/// `weight` times the log-ratio of the reference's responses.
fn optimism<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: SequenceLogps<P, E, D, T>,
    reference: &SequenceLogps<P, E, D>,
    weight: f64,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    CoreError::check_size("reference logps", policy.rows(), reference.rows())?;
    check_lengths("third", &to_f64(&policy.lengths), &to_f64(&reference.lengths))?;
    let (ours, theirs) = (to_f64(&policy.logps), to_f64(&reference.logps));
    let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(p, r)| p - r).collect();
    let values: Vec<f64> = ratios.iter().map(|h| weight * h).collect();
    let rows = values.len();
    let losses = attach(&values, [(policy.logps, vec![weight; rows])])?;
    let mut diagnostics = Diagnostics::default();
    diagnostics.push("log_ratios/reference_samples", ratios)?;
    Ok(LossTerms::new(losses, vec![1.0; rows], diagnostics)?)
}
