//! RPO: DPO with the likelihood of the chosen completions as a guard against overoptimisation.

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::diagnostics::PairFigures;
use crate::link::logistic;
use crate::method::on_pairs;
use crate::options::{any, not_negative, options, positive};
use crate::pairwise::{Averaging, ChosenNll, Dpo, Scored, Scoring, chosen_nll, dpo};

options! {
    /// Options of [`rpo()`].
    Rpo = "rpo", "Provably Mitigating Overoptimization in RLHF: Your SFT Loss is Implicitly an Adversarial Regularizer, arXiv 2405.16436" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.01 by default.
        beta: f64 = 0.01, with_beta, positive;
        /// Weight `η ≥ 0` of the likelihood; 0.005 by default.
        eta: f64 = 0.005, with_eta, not_negative;
        /// The likelihood's form: `"sums"` (the default), `"sequences"` or `"tokens"`; the weight of the first is `ηβ`.
        averaging: Averaging = Averaging::Sums, with_averaging, any;
    }
}

on_pairs!(Rpo, rpo, |_c| true);

/// The RPO loss of `P` pairs (regularised preference optimisation).
///
/// With log-ratios `h` in nats and `z = β (h_w − h_l)`:
///
/// ```text
/// "sums"        losses = −log σ(z) − ηβ lp_w         weights = 1     the paper's main form
/// "sequences"   losses = −log σ(z) − η lp_w / n_w    weights = 1     its average form, without β
/// "tokens"      losses = −log σ(z) and −η lp_w       weights = 1 and n_w: two parts, as TRL adds `sft`
/// ∂losses/∂lp_w = −β σ(−z) − ηβ, − η/n_w or − η      ∂losses/∂lp_l = β σ(−z)
/// ```
///
/// The likelihood's gradient does not vanish with the margin, so the chosen completions cannot drift down for free. One `η`
/// does not carry over from one form to another: at 0.005 and `β` = 0.01 the first and the last are alike at 100 tokens. Not
/// to be confused with iterative reasoning preference optimisation, to which TRL's former `rpo_alpha` refers.
///
/// Source: Liu et al. 2024, arXiv 2405.16436, and the authors' code (defaults of its 7B recipes; weights below 10⁻⁶ count as
/// 0 there, not here).
///
/// # Errors
/// As [`dpo()`](crate::dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{Rpo, rpo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[8])?;
/// let reference = PairLogps::new(dev.tensor([-11.0_f64]), dev.tensor([-11.5]), &[5], &[8])?;
/// let terms = rpo(policy, reference, &Rpo::default().with_beta(0.1))?;
/// assert!((terms.values()[0] - 0.62595705).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn rpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    config: &Rpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let (beta, eta, figures) = (config.beta, config.eta, PairFigures::of(&policy));
    if config.averaging == Averaging::Tokens {
        let nll = chosen_nll(policy.fork(), &ChosenNll::default())?.times(eta)?;
        return Ok(dpo(policy, reference, &Dpo::default().with_beta(beta))?.with(nll)?);
    }
    let scored = Scored::new(Rpo::NAME, policy, reference.into(), &Scoring::RATIOS, beta)?;
    scored.by_pair(|row, a, c| {
        let (value, slope) = logistic(beta * (a - c));
        let share = match config.averaging {
            Averaging::Sequences => eta / figures.lengths[0][row].max(1.0),
            _ => eta * beta,
        };
        [value - share * figures.logps[0][row], beta * slope - share, -beta * slope]
    })
}
