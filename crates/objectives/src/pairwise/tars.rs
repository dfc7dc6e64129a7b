//! TARS: DPO under perturbed prompts, with a part on the spectra of hidden states.

use dfdx::prelude::*;
use tropism_core::numerics::{attach, to_f64};
use tropism_core::{CoreError, Diagnostics, LossTerms, PairScores, ScoredPairs};

use crate::link::logistic;
use crate::options::{not_negative, options, positive};
use crate::{Batch, Dpo, InputKind, Method, ObjectiveError, dpo};

options! {
    /// Options of [`tars()`].
    Tars = "tars", "TARS: MinMax Token-Adaptive Preference Strategy for Hallucination Reduction in MLLMs, arXiv 2507.21584" {
        /// Inverse temperature of the DPO part, the paper's `α > 0`; 1 by default.
        beta: f64 = 1.0, with_beta, positive;
        /// Inverse temperature of the spectral part, the paper's `β > 0`; 1 by default.
        spectral_beta: f64 = 1.0, with_spectral_beta, positive;
        /// Weight `λ ≥ 0` of the spectral part; 0.1 by default.
        spectral_weight: f64 = 0.1, with_spectral_weight, not_negative;
    }
}

impl Method for Tars {
    const INPUT: InputKind = InputKind::ScoredPairs;

    fn needs_reference(&self) -> bool {
        true
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (policy, reference, _) = batch.into_scored_pairs(Self::NAME)?;
        tars(policy, crate::batch::need(Self::NAME, reference)?, self)
    }
}

/// The TARS loss of `P` pairs whose prompts were perturbed where they matter least for the image.
///
/// With summed log-ratios `a`, `c` under the perturbed prompt (policy and reference), in nats, and log-energies
/// `e = log F(h)` of the last hidden states ([`log_spectral_energy()`](crate::log_spectral_energy())) as scores, of the policy
/// under the perturbed prompt and of the reference, `e°`, under the clean one:
///
/// ```text
/// first part     losses = −log σ(β (a − c))                        weights = 1
/// second part    losses = −λ log σ(u),  u = β_s [(e_w − e°_w) − (e_l − e°_l)]     weights = 1
/// ∂second/∂e_w = −λ β_s σ(−u) = −∂second/∂e_l
/// ```
///
/// A gradient flows through the energies into the policy's hidden states: the chosen spectrum's energy rises against the
/// rejected one's. A common factor of both sides' states has no effect. [`perturbed_tokens()`](crate::perturbed_tokens()) says
/// where a prompt is perturbed; masking or replacing is the caller's. Without perturbation and at `λ = 0` it is
/// [`dpo()`](crate::dpo()).
///
/// Reports DPO's figures, and `margins/spectral`, `u / β_s`.
///
/// Source: TARS: MinMax Token-Adaptive Preference Strategy for Hallucination Reduction in MLLMs, arXiv 2507.21584, equations 5 and
/// 10 to 12. That energies are summed over bins and features is a reading of its scalar summary. The authors' code computes
/// another loss, not offered here: a margin of magnitudes of embeddings, of the first example of a batch alone, beside a pair of
/// clean and noised images.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::UnevenLengths`]; [`ObjectiveError::Core`] for numbers of rows that differ, or a
/// loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{PairLogps, PairScores, ScoredPairs};
/// use tropism_objectives::{Tars, tars};
///
/// let dev = Cpu::default();
/// let scored = |w: f64, energies: [f64; 2]| {
///     let pairs = PairLogps::new(dev.tensor([w]), dev.tensor([-9.0]), &[5], &[5])?;
///     let [e, f] = energies.map(|f| dev.tensor([f.ln()]));
///     ScoredPairs::new(pairs, PairScores::new(e, f)?)
/// };
/// let terms = tars(scored(-8.2, [4.875, 6.375])?, scored(-9.0, [4.215, 6.405])?, &Tars::default())?;
/// assert!((terms.mean()?.array() - 0.4331887221).abs() < 1e-10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn tars<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: ScoredPairs<P, E, D, T>,
    reference: ScoredPairs<P, E, D>,
    config: &Tars,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let spectral = spectral(policy.scores, &reference.scores, config)?;
    let pairs = dpo(policy.pairs, reference.pairs, &Dpo::default().with_beta(config.beta))?;
    Ok(pairs.with(spectral)?)
}

/// The spectral part.
fn spectral<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairScores<P, E, D, T>,
    reference: &PairScores<P, E, D>,
    config: &Tars,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    CoreError::check_size("energies of the reference", policy.rows(), reference.rows())?;
    let [ours, theirs] = [margins(&policy), margins(reference)];
    let margins: Vec<f64> = ours.iter().zip(&theirs).map(|(p, r)| p - r).collect();
    let (beta, weight) = (config.spectral_beta, config.spectral_weight);
    let found: Vec<(f64, f64)> = margins.iter().map(|m| logistic(beta * m)).collect();
    let values: Vec<f64> = found.iter().map(|f| weight * f.0).collect();
    let slopes = |sign: f64| found.iter().map(|f| sign * weight * beta * f.1).collect();
    CoreError::check_finite("spectral loss", &values)?;
    let losses = attach(&values, [(policy.chosen, slopes(1.0)), (policy.rejected, slopes(-1.0))])?;
    let mut diagnostics = Diagnostics::default();
    diagnostics.push("margins/spectral", margins)?;
    Ok(LossTerms::new(losses, vec![1.0; values.len()], diagnostics)?)
}

/// Chosen less rejected score.
fn margins<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(scores: &PairScores<P, E, D, T>) -> Vec<f64> {
    to_f64(&scores.chosen).iter().zip(to_f64(&scores.rejected)).map(|(w, l)| w - l).collect()
}
