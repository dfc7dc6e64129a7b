//! ASFT: the absolute likelihood of both completions, without a reference.

use dfdx::prelude::*;
use tropism_core::numerics::log1mexp_scalar;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::link::logistic;
use crate::method::free_pairs;
use crate::options::{not_negative, options, positive};
use crate::pairwise::{Scored, Scoring};

options! {
    /// Options of [`asft()`].
    Asft = "asft", "ASFT: Aligned Supervised Fine-Tuning through Absolute Likelihood, arXiv 2409.10571" {
        /// Weight `λ ≥ 0` of the two log-odds terms; 1.0 by default.
        lambda: f64 = 1.0, with_lambda, not_negative;
        /// Scale `β > 0` of the log-odds; 1.0, the default, is the original loss.
        beta: f64 = 1.0, with_beta, positive;
        /// Weight of the likelihood of the chosen completion; 1.0 by default, 0 for alignment after a stage of its own.
        nll_weight: f64 = 1.0, with_nll_weight, not_negative;
    }
}

free_pairs!(Asft, asft);

/// The ASFT loss of `P` pairs; reads the policy alone.
///
/// With `a = lp/n` in nats per token (a length of 0 counts as 1), `p = e^a`, and log-odds `o = a − log(1 − p)`:
///
/// ```text
/// losses = −w a_w − λ log σ(β o_w) − λ log σ(−β o_l)      weights = 1, w = nll_weight
///        = −(w + λ) a_w − λ log(1 − e^{a_l})              at β = 1
/// ∂losses/∂a_w = −w − λβ σ(−β o_w)/(1 − p_w)      ∂losses/∂a_l = λβ σ(β o_l)/(1 − p_l)      ∂a/∂lp = 1/n
/// ```
///
/// Each side has a term of its own: the push on the rejected completion fades as it becomes unlikely, and which rejected
/// completion stands beside which chosen one does not matter. Sums in place of means would make `p` vanish and leave plain
/// fine-tuning. In the log-odds `a` is cut at −10⁻⁷, above which they have no gradient. Rewards are `β a`.
///
/// Source: Wang et al. 2024, arXiv 2409.10571, in the form of Gorbatovski et al. 2025, arXiv 2502.01237, who also give the
/// loss with `β` and without the likelihood (`nll_weight = 0`). No code is public and the paper leaves the likelihood's
/// normalisation open; here it is the mean over the completion's tokens. Another one is a `"sum"` with `"chosen_nll"`.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::Core`] for a loss that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Asft, asft};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-3.0_f64]), dev.tensor([-5.0]), &[5], &[4])?;
/// let terms = asft(policy, &Asft::default())?;
/// assert!((terms.values()[0] - (1.53757957)).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn asft<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    config: &Asft,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let scored = Scored::new(Asft::NAME, policy, None, &Scoring::PER_TOKEN, config.beta)?;
    let (beta, lambda, nll) = (config.beta, config.lambda, config.nll_weight);
    scored.by_pair(|_, a, c| {
        let ((o_w, bend_w), (o_l, bend_l)) = (log_odds(a), log_odds(c));
        let (up, down) = (logistic(beta * o_w), logistic(-beta * o_l));
        let value = -nll * a + lambda * (up.0 + down.0);
        [value, -nll + lambda * beta * up.1 * bend_w, -lambda * beta * down.1 * bend_l]
    })
}

/// Above it a mean log-probability counts as certainty.
const CERTAIN: f64 = -1e-7;

/// Log-odds of `e^a` with their slope.
fn log_odds(a: f64) -> (f64, f64) {
    let cut = a.min(CERTAIN);
    let slope = if a > CERTAIN { 0.0 } else { -1.0 / a.exp_m1() };
    (cut - log1mexp_scalar(cut), slope)
}
