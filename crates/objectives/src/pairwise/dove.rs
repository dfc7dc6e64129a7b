//! DOVE: preferences between pairs of instruction and response.

use dfdx::prelude::*;
use tropism_core::{LossTerms, PairLogps, PairTokens, SequenceLogps, TokenLogps};

use crate::method::sums_for_base;
use crate::options::{any, options, pair_method};
use crate::pairwise::Likelihood;
use crate::{Batch, Dpo, Objective, ObjectiveError};

options! {
    /// Options of [`dove()`].
    Dove = "dove", "Comparing Bad Apples to Good Oranges: Aligning Large Language Models via Joint Preference Optimization, arXiv 2404.00530" {
        /// Tokens that are compared: `"prompt_and_completion"` (the default) or the `"completion"` alone.
        likelihood: Likelihood = Likelihood::PromptAndCompletion, with_likelihood, any;
        /// The loss of the joint log-probabilities, a method on pairs; DPO by default.
        base: Box<Objective> = Box::new(Dpo::default().into()), with_base, |m, k, b: &Objective| pair_method(m, k, b);
    }
}

sums_for_base!(Dove, joint, |config| config.likelihood == Likelihood::PromptAndCompletion);

/// A loss of pairs on the joint log-probability of prompt and completion, for completions of different prompts.
///
/// ```text
/// J = Σ over prompt tokens of lp_t + Σ over completion tokens of lp_t     for policy and reference, then `base` of J
/// ∂J/∂lp_t = 1 for each of these tokens
/// ```
///
/// With DPO, `z = β [(Δ prompt_w − Δ prompt_l) + (Δ completion_w − Δ completion_l)]`, `Δ` being policy minus reference, in
/// nats. With the same prompt on both sides it is `base` of the completions. `"completion"` leaves the prompts out: the
/// ablation that shows whether the policy has learnt more than which prompts are likely. Lengths are those of the tokens
/// that are compared. The prompt mask must leave out a first token that nothing predicts, and padding. With a reference,
/// `prompt_ratios/chosen` and `prompt_ratios/rejected` report `Δ prompt`.
///
/// Source: Bansal et al. 2024, arXiv 2404.00530 (later called JPO), and the authors' code, which cuts rejected
/// responses by the chosen one's length; here each side has its own tokens.
///
/// # Errors
/// [`ObjectiveError::MissingPrompt`] when the tokens do not say which are the prompt's, [`ObjectiveError::Option`], and
/// those of `base`.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{PairTokens, TokenLogps};
/// use tropism_objectives::{Dove, dove};
///
/// let dev = Cpu::default();
/// let side = |v: [f64; 2]| TokenLogps::new(dev.tensor([v]), &[false, true])?.with_prompt(&[true, false]);
/// let policy = PairTokens::new(side([-20.0, -10.0])?, side([-25.0, -12.0])?)?;
/// let reference = PairTokens::new(side([-20.5, -11.0])?, side([-24.0, -11.5])?)?;
/// let terms = dove(policy, reference, &Dove::default())?;
/// assert!((terms.values()[0] - 0.55435524).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn dove<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairTokens<P, C, E, D, T>,
    reference: impl Into<Option<PairTokens<P, C, E, D>>>,
    config: &Dove,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    joint(policy, reference.into(), tropism_core::Columns::default(), config)
}

fn joint<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairTokens<P, C, E, D, T>,
    reference: Option<PairTokens<P, C, E, D>>,
    columns: tropism_core::Columns,
    config: &Dove,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    let ratios = reference.as_ref().map(|r| {
        let side = |own: &[f64], other: &[f64]| own.iter().zip(other).map(|(p, r)| p - r).collect::<Vec<f64>>();
        let chosen = side(&prompt_sums(&policy.chosen), &prompt_sums(&r.chosen));
        (chosen, side(&prompt_sums(&policy.rejected), &prompt_sums(&r.rejected)))
    });
    let reference = reference.map(|r| pair(r, config.likelihood)).transpose()?;
    let pairs = Batch::<P, C, E, D, T>::pairs(pair(policy, config.likelihood)?, reference).with_columns(columns);
    let mut terms = config.base.loss(pairs)?;
    if let Some((chosen, rejected)) = ratios {
        terms.diagnostics.push("prompt_ratios/chosen", chosen)?;
        terms.diagnostics.push("prompt_ratios/rejected", rejected)?;
    }
    Ok(terms)
}

/// Sums over each row's prompt.
fn prompt_sums<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(side: &TokenLogps<P, C, E, D, T>) -> Vec<f64> {
    let (values, prompt) = (side.values(), side.prompt_mask().unwrap_or_default());
    let cells: Vec<f64> = values.iter().zip(prompt).map(|(v, &p)| if p { *v } else { 0.0 }).collect();
    match cells.is_empty() {
        true => vec![0.0; side.size().0],
        false => cells.chunks(side.size().1).map(|row| row.iter().sum()).collect(),
    }
}

fn pair<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tokens: PairTokens<P, C, E, D, T>,
    likelihood: Likelihood,
) -> Result<PairLogps<P, E, D, T>, ObjectiveError> {
    Ok(PairLogps::from_sequences(sums(tokens.chosen, likelihood)?, sums(tokens.rejected, likelihood)?)?)
}

/// Sums over the tokens that are compared, and how many these are.
fn sums<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    side: TokenLogps<P, C, E, D, T>,
    likelihood: Likelihood,
) -> Result<SequenceLogps<P, E, D, T>, ObjectiveError> {
    if likelihood == Likelihood::Completion {
        return Ok(side.sum()?);
    }
    let prompt = side.prompt_mask().ok_or(ObjectiveError::MissingPrompt { method: Dove::NAME })?;
    let counted: Vec<bool> = side.mask().iter().zip(prompt).map(|(&c, &p)| c || p).collect();
    let width = side.size().1;
    let slopes: Vec<f64> = counted.iter().map(|&m| crate::diagnostics::flag(m)).collect();
    // Cells of neither mask are 0 in `values`.
    let values: Vec<f64> = side.values().chunks(width).map(|row| row.iter().sum()).collect();
    let lengths: Vec<usize> = counted.chunks(width).map(|row| row.iter().filter(|m| **m).count()).collect();
    Ok(SequenceLogps::new(side.attach(&values, &slopes)?, &lengths)?)
}
