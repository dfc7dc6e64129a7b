//! DRPO: DisCO with short right answers favoured among the right ones alone.

use dfdx::prelude::*;
use tropism_core::LossTerms;
use tropism_core::options::{any, not_negative, positive};

use super::contrast::{COUPLING, Contrast, Question, Score, reads};
use super::disco::robust;
use super::trust_region::TrustRegion;
use crate::options::options;
use crate::{Coupling, Estimator, Field, Method, Need, PolicyGradientError, Rollout};

options! {
    /// Options of [`drpo()`].
    Drpo = "drpo", "DRPO: Efficient Reasoning via Decoupled Reward Policy Optimization, arXiv 2510.04474" {
        /// Temperature of the length reward: a completion that is shorter by this share of the capacity counts `e` times as
        /// much; 0.1 by default. Large values give [`disco()`](crate::disco()).
        lambda: f64 = 0.1, with_lambda, positive;
        /// Longest completion allowed, in tokens; 8192 by default.
        capacity: f64 = 8192.0, with_capacity, positive;
        /// Temperature over wrong completions; 10 by default.
        tau: f64 = 10.0, with_tau, positive;
        /// Weight of the penalty outside the trust region; 1000 by default.
        beta: f64 = 1e3, with_beta, positive;
        /// Size of the trust region, nats per token; 1e-4 by default.
        delta: f64 = 1e-4, with_delta, not_negative;
        /// Estimate of the divergence from the policy that sampled; k1 by default.
        estimator: Estimator = Estimator::K1, with_estimator, any;
    }
}

impl Method for Drpo {
    fn reads(&self) -> Vec<(Field, Need)> {
        reads()
    }

    fn coupling(&self) -> Coupling {
        COUPLING
    }

    fn step_estimator(&self) -> Option<Estimator> {
        Some(self.estimator)
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        rollout: Rollout<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, PolicyGradientError> {
        drpo(rollout, self)
    }
}

/// Weights of a question's right completions by their lengths: the distribution that trades the length reward `1 − n /
/// capacity` against the divergence from the samples, in closed form.
///
/// ```text
/// w_i = exp(r_i / λ) / Σ_j exp(r_j / λ)        r_i = 1 − n_i / capacity
/// ```
///
/// All are positive and sum to 1, so that no right completion is ever pushed down; only differences of lengths matter.
///
/// ```
/// let weights = tropism_policy_gradient::length_weights(&[2, 4], 8.0, 0.5);
/// assert!((weights[0] - 0.62245933).abs() < 1e-8 && (weights[1] - 0.37754067).abs() < 1e-8);
/// ```
pub fn length_weights(lengths: &[usize], capacity: f64, lambda: f64) -> Vec<f64> {
    let shortest = lengths.iter().min().copied().unwrap_or(0);
    let powers: Vec<f64> = lengths.iter().map(|&n| (-((n - shortest) as f64) / capacity / lambda).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|p| p / sum).collect()
}

/// The DRPO loss of `P` completions of `M` questions, with rewards 1 (right) and 0 (wrong).
///
/// With mean log-probabilities `s` as scores and the [`length_weights`] `w` of the right completions:
///
/// ```text
/// J        = (1/M) Σ_q [ Σ_{P_q} w_i s_i − τ log mean_{N_q} e^{s/τ} ]      over questions with both
/// loss     = −J + (β/2) max(K − δ, 0)²                                     K as in disco
/// ∂loss/∂s = −w_i / M,  softmax_{N_q}(s/τ) / M
/// ```
///
/// The weights are constants. Parts, splits and reports as in [`disco()`](crate::disco()).
///
/// Source: 2025, arXiv 2510.04474, and its code, whose printed loss is another expression with the same gradient.
///
/// # Errors
/// As [`disco()`](crate::disco()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::TokenLogps;
/// use tropism_policy_gradient::{Drpo, Groups, Rollout, drpo};
///
/// let logps = Cpu::default().tensor([[-1.0_f64, 0.0], [-1.0, -1.0], [-0.5, 0.0]]);
/// let policy = TokenLogps::new(logps.leaky_trace(), &[true, false, true, true, true, false])?;
/// let old = policy.detach()?;
/// let rollout = Rollout::new(policy).with_old(old)?.with_rewards(&[1.0, 1.0, 0.0])?.with_groups(Groups::new(&[0; 3])?)?;
/// let loss = drpo(rollout, &Drpo::default().with_capacity(10.0))?.mean()?;
/// // The shorter right answer counts e times as much.
/// let grads = loss.backward().get(&logps).array();
/// assert!((grads[0][0] / (2.0 * grads[1][0]) - std::f64::consts::E).abs() < 1e-12);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn drpo<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    rollout: Rollout<P, C, E, D, T>,
    config: &Drpo,
) -> Result<LossTerms<P, E, D, T>, PolicyGradientError> {
    config.check()?;
    let region = TrustRegion { beta: config.beta, delta: config.delta, estimator: config.estimator };
    let question = |q: &Question<'_>| robust(q, &length_weights(q.lengths, config.capacity, config.lambda), config.tau);
    Contrast { score: Score::LogL, region, question }.loss(Drpo::NAME, rollout)
}
