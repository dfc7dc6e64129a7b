//! Flex-DPO: a β of its own for each side, and the diagnostics of the 3D properties.

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps};

use crate::ObjectiveError;
use crate::diagnostics::PairFigures;
use crate::link::logistic;
use crate::method::on_pairs;
use crate::options::{not_negative, options, positive};
use crate::pairwise::{Scored, Scoring};

options! {
    /// Options of [`flex_dpo()`].
    FlexDpo = "flex_dpo", "3D-Properties: Identifying Challenges in DPO and Charting a Path Forward, arXiv 2406.07327" {
        /// Scale of the chosen log-ratio, `β₊ > 0`; 0.1 by default.
        beta_chosen: f64 = 0.1, with_beta_chosen, positive;
        /// Scale of the rejected log-ratio, `β₋ ≥ 0`; 0.08 by default.
        beta_rejected: f64 = 0.08, with_beta_rejected, not_negative;
        /// Weight of the likelihood of the chosen completion, a mean over its tokens; 0.0 by default.
        nll_weight: f64 = 0.0, with_nll_weight, not_negative;
    }
}

on_pairs!(FlexDpo, flex_dpo, |_c| true);

/// The Flex-DPO loss of `P` pairs, with an optional likelihood term.
///
/// With log-ratios `h` in nats and `z = β₊ h_w − β₋ h_l`:
///
/// ```text
/// losses = −log σ(z) − λ lp_w / n_w      weights = 1, λ = nll_weight
/// ∂losses/∂lp_w = −β₊ σ(−z) − λ / n_w      ∂losses/∂lp_l = β₋ σ(−z)
/// ```
///
/// A smaller `β₋` pushes rejected completions less; `β₋ = β₊` and `λ = 0` is [`dpo()`](crate::dpo()). Beside the figures of
/// all pairwise losses it reports `displacement/rejected`, the rejected log-ratio (a drop much faster than the chosen one is
/// the first property); `gradients/log_ratio`, the log of the gradient in the probability of the rejected completion over
/// that of the chosen one, `log(β₋/β₊) + lp_w − lp_l` (the second; not for `β₋ = 0`); and `logps/seen`, the log of both
/// completions' probability together (the third: what it loses goes to unseen ones). Rewards are `β₊` times the log-ratios.
///
/// Source: Yan et al. 2024, arXiv 2406.07327. The form is known from public accounts of the paper, which leave the
/// likelihood's normalisation and `λ` open; here it is the mean over the completion's tokens.
///
/// # Errors
/// As [`dpo()`](crate::dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::PairLogps;
/// use tropism_objectives::{FlexDpo, flex_dpo};
///
/// let dev = Cpu::default();
/// let policy = PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[8])?;
/// let reference = PairLogps::new(dev.tensor([-11.0_f64]), dev.tensor([-11.5]), &[5], &[8])?;
/// let terms = flex_dpo(policy, reference, &FlexDpo::default().with_beta_rejected(0.1))?;
/// assert!((terms.values()[0] - 0.62095705).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn flex_dpo<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    reference: impl Into<Option<PairLogps<P, E, D>>>,
    config: &FlexDpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let figures = PairFigures::of(&policy);
    let (up, down, nll) = (config.beta_chosen, config.beta_rejected, config.nll_weight);
    let mut scored = Scored::new(FlexDpo::NAME, policy, reference.into(), &Scoring::RATIOS, up)?;
    let [lp_w, lp_l] = &figures.logps;
    let pairs = || lp_w.iter().zip(lp_l);
    scored.diagnostics.push("displacement/rejected", scored.ratios[1].clone())?;
    scored.diagnostics.push("logps/seen", pairs().map(|(&w, &l)| w.max(l) + (-(w - l).abs()).exp().ln_1p()).collect())?;
    if down > 0.0 {
        scored.diagnostics.push("gradients/log_ratio", pairs().map(|(w, l)| (down / up).ln() + w - l).collect())?;
    }
    scored.by_pair(|row, a, c| {
        let (value, slope) = logistic(up * a - down * c);
        let share = nll / figures.lengths[0][row].max(1.0);
        [value - share * figures.logps[0][row], up * slope - share, -down * slope]
    })
}
