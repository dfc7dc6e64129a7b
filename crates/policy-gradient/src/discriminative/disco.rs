//! DisCO: discriminative constrained optimisation.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::LossTerms;
use tropism_core::numerics::{log_sigmoid_scalar, sigmoid_scalar};
use tropism_core::options::{any, not_negative, positive};

use super::contrast::{COUPLING, Contrast, Question, Score, Sides, reads, soft_maximum};
use super::trust_region::TrustRegion;
use crate::options::options;
use crate::{Coupling, Estimator, Field, Method, Need, PolicyGradientError, Rollout};

/// How the wrong completions of a question are put against the right ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Negatives {
    /// By the mean of their scores (DisCO-b).
    Basic,
    /// By `τ log mean exp(s/τ)`, which leans to the highest scores (DisCO): distributionally robust.
    #[default]
    Robust,
    /// Each against each right one, by `−log σ(s_right − s_wrong)`.
    Logistic,
}

options! {
    /// Options of [`disco()`].
    Disco = "disco", "DisCO: Discriminative Constrained Optimization, arXiv 2505.12366" {
        /// How completions are scored; `log_l` by default.
        score: Score = Score::LogL, with_score, any;
        /// How wrong completions are put against right ones; `robust` by default.
        negatives: Negatives = Negatives::Robust, with_negatives, any;
        /// Temperature of the robust form, in units of the score; 10 by default, which fits `log_l`; 1 fits `l_ratio`.
        tau: f64 = 10.0, with_tau, positive;
        /// Weight of the penalty outside the trust region; 1000 by default.
        beta: f64 = 1e3, with_beta, positive;
        /// Size of the trust region, nats per token; 1e-4 by default.
        delta: f64 = 1e-4, with_delta, not_negative;
        /// Estimate of the divergence from the policy that sampled; k1 by default, as in the released code (`kl`;
        /// `low_var_kl` is k3).
        estimator: Estimator = Estimator::K1, with_estimator, any;
    }
}

impl Method for Disco {
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
        disco(rollout, self)
    }
}

/// The DisCO loss of `P` completions of `M` questions, with rewards 1 (right) and 0 (wrong).
///
/// With the score `s` of a completion, its mean log-probability or importance ratio, and the right and wrong completions
/// `P_q`, `N_q` of a question:
///
/// ```text
/// J    = (1/M) Σ_q [ mean_{P_q} s − τ log mean_{N_q} e^{s/τ} ]     over questions with both; `basic`: mean_{N_q} s
/// K    = mean over tokens of (logp_old − logp)                     k3: of e^d − 1 − d, d = logp − logp_old
/// loss = −J + (β/2) max(K − δ, 0)²
/// ∂loss/∂s = −1/(M |P_q|),  softmax_{N_q}(s/τ) / M                 ∂K-part/∂logp = −β max(K − δ, 0) / tokens  (k1)
/// ```
///
/// All questions count in `M`, all tokens in `K`, also those of questions that are only right or only wrong. Other rewards
/// than 0 and 1, and completions without a token, are on neither side. A question weighs the same however hard it is.
///
/// Two parts: questions (a row's share is 1 over its question's rows) and tokens. Whole questions must stay together; a
/// split of a step also needs the step's divergence: [`old_policy_kl`](crate::old_policy_kl).
///
/// The paper writes the penalty with `β` for `β/2`; this is the released code's, whose printed loss is another expression
/// with the same gradient. Reports `scores`, `rewards`, `valid` (1 in questions with both sides), `lengths`,
/// `old_policy_kl`.
///
/// Source: Li et al. 2025, arXiv 2505.12366, and its code.
///
/// # Errors
/// [`PolicyGradientError::Option`]; [`PolicyGradientError::Missing`] and [`PolicyGradientError::Unused`] when the rollout
/// has not what it reads; [`PolicyGradientError::Core`] for a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::TokenLogps;
/// use tropism_policy_gradient::{Disco, Groups, Negatives, Rollout, disco};
///
/// let logps = Cpu::default().tensor([[-1.0_f64, -2.0], [-0.5, 0.0]]);
/// let policy = TokenLogps::new(logps.leaky_trace(), &[true, true, true, false])?;
/// let old = policy.detach()?;
/// let rollout = Rollout::new(policy).with_old(old)?.with_rewards(&[1.0, 0.0])?.with_groups(Groups::new(&[0, 0])?)?;
/// let loss = disco(rollout, &Disco::default().with_negatives(Negatives::Basic))?.mean()?;
/// assert_eq!(loss.array(), 1.5 - 0.5);
/// assert_eq!(loss.backward().get(&logps).array(), [[-0.5, -0.5], [1.0, 0.0]]);
/// # Ok::<(), tropism_policy_gradient::PolicyGradientError>(())
/// ```
pub fn disco<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    rollout: Rollout<P, C, E, D, T>,
    config: &Disco,
) -> Result<LossTerms<P, E, D, T>, PolicyGradientError> {
    config.check()?;
    let region = TrustRegion { beta: config.beta, delta: config.delta, estimator: config.estimator };
    let question = |q: &Question<'_>| match config.negatives {
        Negatives::Basic => apart(q, vec![1.0 / q.wrong.len() as f64; q.wrong.len()]),
        Negatives::Robust => robust(q, &vec![1.0 / q.right.len() as f64; q.right.len()], config.tau),
        Negatives::Logistic => logistic(q),
    };
    Contrast { score: config.score, region, question }.loss(Disco::NAME, rollout)
}

/// Means against means.
fn apart(q: &Question<'_>, weights: Vec<f64>) -> Sides {
    let share = 1.0 / q.right.len() as f64;
    [q.right.iter().map(|s| (-share * s, -share)).collect(), q.wrong.iter().zip(weights).map(|(s, w)| (w * s, w)).collect()]
}

/// A weighted mean against a soft maximum, whose value is split evenly over the wrong completions.
pub(super) fn robust(q: &Question<'_>, weights: &[f64], tau: f64) -> Sides {
    let (value, slopes) = soft_maximum(q.wrong, tau);
    let each = value / q.wrong.len() as f64;
    [
        q.right.iter().zip(weights).map(|(s, w)| (-w * s, -w)).collect(),
        slopes.into_iter().map(|slope| (each, slope)).collect(),
    ]
}

/// All pairs, whose losses stand with the right completion.
fn logistic(q: &Question<'_>) -> Sides {
    let share = 1.0 / (q.right.len() * q.wrong.len()) as f64;
    let mut right = vec![(0.0, 0.0); q.right.len()];
    let mut wrong = vec![(0.0, 0.0); q.wrong.len()];
    for (a, &s) in right.iter_mut().zip(q.right) {
        for (b, &o) in wrong.iter_mut().zip(q.wrong) {
            let slope = share * sigmoid_scalar(o - s);
            a.0 -= share * log_sigmoid_scalar(s - o);
            a.1 -= slope;
            b.1 += slope;
        }
    }
    [right, wrong]
}
