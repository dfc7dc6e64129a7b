//! HyPO: DPO on given pairs, and a KL penalty on what the policy writes itself.

use dfdx::prelude::*;
use tropism_core::numerics::{attach, to_f64};
use tropism_core::{CoreError, Diagnostics, LossTerms, SequenceLogps, TripleLogps};

use crate::diagnostics::check_lengths;
use crate::options::{not_negative, options, positive};
use crate::{Batch, Dpo, InputKind, Method, ObjectiveError, dpo};

options! {
    /// Options of [`hypo()`].
    Hypo = "hypo", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// Weight of the implicit KL penalty of DPO, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Weight `λ ≥ 0` of the KL penalty on the policy's own samples; 0.05 by default.
        kl_weight: f64 = 0.05, with_kl_weight, not_negative;
    }
}

impl Method for Hypo {
    const INPUT: InputKind = InputKind::Triples;

    fn needs_reference(&self) -> bool {
        true
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (policy, reference, _) = batch.into_triples(Self::NAME)?;
        hypo(policy, crate::batch::need(Self::NAME, reference)?, self)
    }
}

/// The HyPO loss of `P` pairs, each with a response `y'` that the **current** policy wrote (the third completion).
///
/// With summed log-ratios `a`, `c` of the pair and `h'` of `y'`, in nats:
///
/// ```text
/// first part     losses = −log σ(β (a − c))     weights = 1
/// second part    losses = (λ/2) h'²             weights = 1     ∂losses/∂lp' = λ h'
/// ```
///
/// The expectation of `h'` times the gradient of `lp'` over the policy's samples is the gradient of the KL divergence from the
/// reference, so the second part pulls by `λ KL`; its value is not `λ KL`, which `kl` reports (the mean of `h'`). With samples
/// of an older policy the gradient is biased. `λ = 0` is [`dpo()`](crate::dpo()).
///
/// Reports DPO's figures, and `kl`, `h'`.
///
/// Source: class "online" of A Survey of Direct Preference Optimization, arXiv 2503.11701, which names the method (offline DPO and
/// online KL); the estimator and the default of `λ` are ours.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::UnevenLengths`]; [`ObjectiveError::Core`] for numbers of rows that differ.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{PairLogps, SequenceLogps, TripleLogps};
/// use tropism_objectives::{Hypo, hypo};
///
/// let dev = Cpu::default();
/// let triple = |w: f64, l: f64, third: f64| {
///     let pair = PairLogps::new(dev.tensor([w]), dev.tensor([l]), &[5], &[8])?;
///     TripleLogps::new(pair, SequenceLogps::new(dev.tensor([third]), &[4])?)
/// };
/// let loss = hypo(triple(-10.0, -12.0, -6.0)?, triple(-11.0, -11.5, -8.0)?, &Hypo::default())?.mean()?;
/// assert!((loss.array() - (0.62095705 + 0.1)).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn hypo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: TripleLogps<P, E, D, T>,
    reference: TripleLogps<P, E, D>,
    config: &Hypo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let penalty = penalty(policy.third, &reference.third, config.kl_weight)?;
    let pairs = dpo(policy.pair, reference.pair, &Dpo::default().with_beta(config.beta))?;
    Ok(pairs.with(penalty)?)
}

/// Half the weighted square of the log-ratio of the policy's samples.
fn penalty<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: SequenceLogps<P, E, D, T>,
    reference: &SequenceLogps<P, E, D>,
    weight: f64,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    CoreError::check_size("reference logps", policy.rows(), reference.rows())?;
    check_lengths("third", &to_f64(&policy.lengths), &to_f64(&reference.lengths))?;
    let (ours, theirs) = (to_f64(&policy.logps), to_f64(&reference.logps));
    let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(p, r)| p - r).collect();
    let values: Vec<f64> = ratios.iter().map(|h| 0.5 * weight * h * h).collect();
    let slopes = ratios.iter().map(|h| weight * h).collect();
    let losses = attach(&values, [(policy.logps, slopes)])?;
    let mut diagnostics = Diagnostics::default();
    diagnostics.push("kl", ratios)?;
    Ok(LossTerms::new(losses, vec![1.0; values.len()], diagnostics)?)
}
