//! Odds-ratio preference optimisation: likelihood of the chosen row and the odds of both completions.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::numerics::{attach, log1mexp_scalar};
use tropism_core::{Diagnostics, LossTerms, PairLogps, PairTokens, TokenLogps};

use crate::diagnostics::PairFigures;
use crate::link::logistic;
use crate::options::{any, not_negative, options};
use crate::{Batch, InputKind, Method, ObjectiveError};

/// Which tokens a likelihood term covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Likelihood {
    /// Prompt and completion.
    #[default]
    PromptAndCompletion,
    /// The completion alone.
    Completion,
}

options! {
    /// Options of [`orpo()`].
    Orpo = "orpo", "ORPO, arXiv 2403.07691" {
        /// Weight `λ ≥ 0` of the odds ratio; 0.1 by default. TRL calls it `beta`.
        lambda: f64 = 0.1, with_lambda, not_negative;
        /// Tokens of the likelihood term: `"prompt_and_completion"` (the default) or `"completion"`.
        likelihood: Likelihood = Likelihood::PromptAndCompletion, with_likelihood, any;
    }
}

impl Method for Orpo {
    const INPUT: InputKind = InputKind::PairTokens;

    fn needs_reference(&self) -> bool {
        false
    }

    fn reads_prompt(&self) -> bool {
        self.likelihood == Likelihood::PromptAndCompletion
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (policy, ..) = batch.into_pair_tokens(Self::NAME)?;
        orpo(policy, self)
    }
}

/// The ORPO loss of `P` pairs; reads the policy alone.
///
/// With `a = lp/n` over the completion's tokens and log-odds `o = a − log(1 − e^a)`:
///
/// ```text
/// first part     losses = −λ log σ(o_w − o_l)                       weights = 1
/// second part    losses = −Σ log-probabilities of the chosen row    weights = its tokens
/// s = σ(o_l − o_w)
/// ∂first/∂lp_w = −λ s / ((1 − e^{a_w}) n_w)      ∂first/∂lp_l = +λ s / ((1 − e^{a_l}) n_l)
/// ```
///
/// The likelihood term covers the prompt as well, as in the authors' code and TRL, so the chosen side needs its prompt
/// ([`TokenLogps::with_prompt`]); with `likelihood = "completion"` it does not. Rewards are `λ a`. Beside the figures of
/// pairs it reports `log_odds_ratio` (`log σ(o_w − o_l)`) and `log_odds_chosen` (`o_w − o_l`).
///
/// Source: Hong et al. 2024, arXiv 2403.07691; TRL's ORPO trainer, whose `per_example_loss` has the opposite sign.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::MissingPrompt`]; [`ObjectiveError::Core`] for a loss that is not finite, as
/// the odds of an empty completion or of one with probability 1.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{PairTokens, TokenLogps};
/// use tropism_objectives::{Likelihood, Orpo, orpo};
///
/// let dev = Cpu::default();
/// let side = |logp| TokenLogps::new(dev.tensor([[logp]]), &[true]);
/// let policy = PairTokens::new(side(-2.0_f64)?, side(-1.5)?)?;
/// let terms = orpo(policy, &Orpo::default().with_likelihood(Likelihood::Completion))?;
/// assert!((terms.mean()?.array() - 2.10420578).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn orpo<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairTokens<P, C, E, D, T>,
    config: &Orpo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let nll = row_nll(policy.chosen.fork(), config.likelihood)?;
    let odds = odds(policy.sum()?, config.lambda)?;
    Ok(odds.with(nll)?)
}

/// The odds-ratio part.
fn odds<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairLogps<P, E, D, T>,
    lambda: f64,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    let figures = PairFigures::of(&policy);
    // Mean log-probability, log-odds and their slope in the sum, per row.
    let side = |k: usize| {
        let rows = figures.logps[k].iter().zip(&figures.lengths[k]);
        rows.map(|(lp, n)| {
            let (a, n) = (lp / n.max(1.0), n.max(1.0));
            (a, a - log1mexp_scalar(a), -1.0 / (a.exp_m1() * n))
        })
        .collect::<Vec<_>>()
    };
    let (chosen, rejected) = (side(0), side(1));
    let gaps: Vec<f64> = chosen.iter().zip(&rejected).map(|(w, l)| w.1 - l.1).collect();
    let found: Vec<(f64, f64)> = gaps.iter().map(|&gap| logistic(gap)).collect();
    let rewards = [&chosen, &rejected].map(|side| side.iter().map(|s| lambda * s.0).collect());
    let mut diagnostics = figures.diagnostics(Some(rewards), None, true)?;
    diagnostics.push("log_odds_ratio", found.iter().map(|f| -f.0).collect())?;
    diagnostics.push("log_odds_chosen", gaps)?;
    let values: Vec<f64> = found.iter().map(|f| lambda * f.0).collect();
    let slopes = |side: &[(f64, f64, f64)], sign: f64| -> Vec<f64> {
        side.iter().zip(&found).map(|(s, f)| sign * lambda * f.1 * s.2).collect()
    };
    tropism_core::CoreError::check_finite("odds ratio", &values)?;
    let inputs = [(policy.chosen, slopes(&chosen, 1.0)), (policy.rejected, slopes(&rejected, -1.0))];
    Ok(LossTerms::new(attach(&values, inputs)?, vec![1.0; values.len()], diagnostics)?)
}

/// Negative log-likelihood of chosen rows, by token.
fn row_nll<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    chosen: TokenLogps<P, C, E, D, T>,
    likelihood: Likelihood,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    let prompt = match likelihood {
        Likelihood::Completion => vec![false; chosen.mask().len()],
        Likelihood::PromptAndCompletion => {
            chosen.prompt_mask().ok_or(ObjectiveError::MissingPrompt { method: Orpo::NAME })?.to_vec()
        }
    };
    let counted: Vec<f64> = chosen.mask().iter().zip(&prompt).map(|(&c, &p)| crate::diagnostics::flag(c || p)).collect();
    let columns = chosen.size().1;
    let by_row = |cells: Vec<f64>| cells.chunks(columns).map(|row| row.iter().sum()).collect::<Vec<f64>>();
    let values = by_row(chosen.values().iter().zip(&counted).map(|(lp, m)| -lp * m).collect());
    let slopes: Vec<f64> = counted.iter().map(|m| -m).collect();
    Ok(LossTerms::new(chosen.attach(&values, &slopes)?, by_row(counted), Diagnostics::default())?)
}
