//! TDPO: DPO with the divergence of whole token distributions from the reference.

use dfdx::prelude::*;
use tropism_core::numerics::{attach, log_sigmoid_scalar, sigmoid_scalar, to_f64};
use tropism_core::options::{not_negative, positive};
use tropism_core::{CoreError, LossTerms, PairLogps, PairScores};

use crate::figures::PairSums;
use crate::method::options;
use crate::{CreditBatch, CreditError, CreditKind, CreditMethod};

options! {
    /// Options of [`tdpo1()`].
    Tdpo1 = "tdpo1", "Token-level Direct Preference Optimization, arXiv 2404.11999" {
        /// Inverse temperature, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
    }
}

options! {
    /// Options of [`tdpo2()`].
    Tdpo2 = "tdpo2", "Token-level Direct Preference Optimization, arXiv 2404.11999" {
        /// Inverse temperature, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Weight of the divergences, `α ≥ 0`; 0.5 by default, 0 is DPO.
        alpha: f64 = 0.5, with_alpha, not_negative;
    }
}

impl CreditMethod for Tdpo1 {
    const INPUT: CreditKind = CreditKind::PairDivergences;

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: CreditBatch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, CreditError> {
        let (policy, reference, divergences) = batch.into_pair_divergences(Self::NAME)?;
        tdpo1(policy, reference, divergences, self)
    }
}

impl CreditMethod for Tdpo2 {
    const INPUT: CreditKind = CreditKind::PairDivergences;

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: CreditBatch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, CreditError> {
        let (policy, reference, divergences) = batch.into_pair_divergences(Self::NAME)?;
        tdpo2(policy, reference, divergences, self)
    }
}

/// TDPO₁ of `P` pairs.
///
/// With log-ratios `h_w`, `h_l` of the completions and their divergences `K = Σ_t KL(reference(·|s_t) ‖ policy(·|s_t))` over
/// the whole vocabulary, summed over tokens ([`PositionKl`](crate::PositionKl) gives them with their gradient), in nats:
///
/// ```text
/// z = β (h_w − h_l − (K_l − K_w))     losses = log(1 + e^{−z})     weights = 1
/// ∂losses/∂lp_w = ∂losses/∂K_w = −β σ(−z)     ∂losses/∂lp_l = ∂losses/∂K_l = +β σ(−z)
/// ```
///
/// Reports `kl/chosen` and `kl/rejected`; rewards are `β` times log-ratios.
///
/// Source: Zeng et al. 2024, arXiv 2404.11999, and the authors' code.
///
/// # Errors
/// [`CreditError::Option`]; [`CreditError::UnevenLengths`] when policy and reference counted different tokens;
/// [`CreditError::Core`] for sizes that differ.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{PairLogps, PairScores};
/// use tropism_credit::{Tdpo1, tdpo1};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[8])?;
/// let reference = PairLogps::new(dev.tensor([-11.0]), dev.tensor([-11.5]), &[5], &[8])?;
/// let divergences = PairScores::new(dev.tensor([0.25]), dev.tensor([0.75]))?;
/// let terms = tdpo1(policy, reference, divergences, &Tdpo1::default())?;
/// assert!((terms.values()[0] - (1.0 + (-0.1_f64).exp()).ln()).abs() < 1e-15); // z = 0.1 (1.5 − 0.5)
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn tdpo1<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: PairLogps<P, E, D>,
    divergences: PairScores<P, E, D, T>,
    config: &Tdpo1,
) -> Result<LossTerms<P, E, D, T>, CreditError> {
    config.check()?;
    tdpo(policy, &reference, divergences, config.beta, [1.0, 1.0, 1.0])
}

/// TDPO₂ of `P` pairs: the chosen completion's divergence is a constant, so that it alone is not pushed up.
///
/// With the symbols of [`tdpo1()`]:
///
/// ```text
/// z = β (h_w − h_l − α (K_l − sg(K_w)))     losses = log(1 + e^{−z})     weights = 1
/// ∂losses/∂lp_w = −β σ(−z)     ∂losses/∂lp_l = +β σ(−z)     ∂losses/∂K_w = 0     ∂losses/∂K_l = +α β σ(−z)
/// ```
///
/// Source: Zeng et al. 2024, arXiv 2404.11999, and the authors' code.
///
/// # Errors
/// As [`tdpo1()`].
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{PairLogps, PairScores};
/// use tropism_credit::{Tdpo2, tdpo2};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[8])?;
/// let reference = PairLogps::new(dev.tensor([-11.0]), dev.tensor([-11.5]), &[5], &[8])?;
/// let divergences = PairScores::new(dev.tensor([0.25]), dev.tensor([1.25]))?;
/// let terms = tdpo2(policy, reference, divergences, &Tdpo2::default())?;
/// assert!((terms.values()[0] - (1.0 + (-0.1_f64).exp()).ln()).abs() < 1e-15); // z = 0.1 (1.5 − 0.5)
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn tdpo2<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: PairLogps<P, E, D>,
    divergences: PairScores<P, E, D, T>,
    config: &Tdpo2,
) -> Result<LossTerms<P, E, D, T>, CreditError> {
    config.check()?;
    tdpo(policy, &reference, divergences, config.beta, [config.alpha, 0.0, config.alpha])
}

/// Both forms; `[alpha, push_w, push_l]` are the divergences' weight and the weights of their gradients.
fn tdpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: &PairLogps<P, E, D>,
    divergences: PairScores<P, E, D, T>,
    beta: f64,
    [alpha, push_w, push_l]: [f64; 3],
) -> Result<LossTerms<P, E, D, T>, CreditError> {
    let sums = PairSums::of(&policy, reference)?;
    CoreError::check_size("divergences", policy.rows(), divergences.rows())?;
    let kl = [to_f64(&divergences.chosen), to_f64(&divergences.rejected)];
    let margin = |row: usize| {
        let ratios = sums.ratios[0][row] - sums.ratios[1][row];
        beta * (ratios - alpha * (kl[1][row] - kl[0][row]))
    };
    let margins: Vec<f64> = (0..policy.rows()).map(margin).collect();
    let losses: Vec<f64> = margins.iter().map(|&z| -log_sigmoid_scalar(z)).collect();
    let slopes = |by: f64| margins.iter().map(|&z| by * beta * sigmoid_scalar(-z)).collect::<Vec<f64>>();
    let mut diagnostics = sums.diagnostics(beta)?;
    let [chosen, rejected] = kl;
    diagnostics.push("kl/chosen", chosen)?;
    diagnostics.push("kl/rejected", rejected)?;
    let inputs = [
        (policy.chosen, slopes(-1.0)),
        (policy.rejected, slopes(1.0)),
        (divergences.chosen, slopes(-push_w)),
        (divergences.rejected, slopes(push_l)),
    ];
    let weights = vec![1.0; losses.len()];
    Ok(LossTerms::new(attach(&losses, inputs)?, weights, diagnostics)?)
}
