//! RewardBench 2's Ties: several right answers should lie close together and above the wrong ones.
use crate::error::{EvaluationError, finite, same_length};
use serde::Serialize;

/// Rewards of a prompt with several right answers.
#[derive(Clone, Copy, Debug)]
pub struct TiePrompt<'a> {
    /// of right answers
    pub right: &'a [f64],
    /// of wrong answers
    pub wrong: &'a [f64],
}

/// The parts of the score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ties {
    /// share of tied prompts whose worst right answer is above the best wrong one
    pub accuracy_tied: f64,
    /// share of reference prompts likewise
    pub accuracy_reference: f64,
    /// share of prompts whose gap is larger than the spread of right answers
    pub gap_above_spread: f64,
    /// share of prompts where the smaller of both gaps is
    pub least_gap_above_spread: f64,
    /// mean of `tanh(min(gap_ref, gap)/spread − 1)`
    pub margin: f64,
    /// `0.3, 0.3, 0.2, 0.2, 0.01` times the five
    pub score: f64,
}

/// Score of tied prompts with their reference prompts, which have one right answer each. Prompts with one right answer or
/// equal rewards of all right ones have no spread: their gaps count as infinitely larger if they are positive.
///
/// # Errors
/// Slices of unequal length or empty, a prompt without right or wrong answers, values that are not finite.
///
/// # Source
/// Malik et al. 2025, "RewardBench 2"; allenai/reward-bench for the weights.
pub fn ties_score(tied: &[TiePrompt<'_>], reference: &[TiePrompt<'_>]) -> Result<Ties, EvaluationError> {
    same_length("reference prompts", tied.len(), reference.len())?;
    if tied.is_empty() {
        return Err(EvaluationError::Empty { what: "tied prompts" });
    }
    let gaps = |prompts: &[TiePrompt<'_>]| prompts.iter().map(gap).collect::<Result<Vec<f64>, _>>();
    let (gap_tied, gap_reference) = (gaps(tied)?, gaps(reference)?);
    let least: Vec<f64> = gap_tied.iter().zip(&gap_reference).map(|(a, b)| a.min(*b)).collect();
    let spreads: Vec<f64> = tied.iter().map(|p| largest(p.right) + largest(&negated(p.right))).collect();
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / tied.len() as f64;
    let above = |a: &[f64], b: &[f64]| mean(a.iter().zip(b).map(|(a, b)| f64::from(u8::from(a > b))).collect());
    let zeros = vec![0.0; tied.len()];
    let ratio = |(gap, spread): (&f64, &f64)| match *spread {
        0.0 if *gap == 0.0 => (-1.0f64).tanh(),
        spread => (gap / spread - 1.0).tanh(),
    };
    let parts = [
        above(&gap_tied, &zeros),
        above(&gap_reference, &zeros),
        above(&gap_tied, &spreads),
        above(&least, &spreads),
        mean(least.iter().zip(&spreads).map(ratio).collect()),
    ];
    let score = parts.iter().zip([0.3, 0.3, 0.2, 0.2, 0.01]).map(|(part, weight)| part * weight).sum();
    let [accuracy_tied, accuracy_reference, gap_above_spread, least_gap_above_spread, margin] = parts;
    Ok(Ties { accuracy_tied, accuracy_reference, gap_above_spread, least_gap_above_spread, margin, score })
}

/// Worst right minus best wrong reward.
fn gap(prompt: &TiePrompt<'_>) -> Result<f64, EvaluationError> {
    finite("rewards of right answers", prompt.right)?;
    finite("rewards of wrong answers", prompt.wrong)?;
    Ok(-largest(&negated(prompt.right)) - largest(prompt.wrong))
}

fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

fn negated(values: &[f64]) -> Vec<f64> {
    values.iter().map(|v| -v).collect()
}
