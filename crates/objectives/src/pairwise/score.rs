//! From log-probabilities of pairs to the scores that a loss compares, and back to its terms.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::numerics::{attach, to_f64};
use tropism_core::{CoreError, Diagnostics, LossTerms, PairLogps};

use super::Divergence;
use crate::ObjectiveError;
use crate::diagnostics::PairFigures;

/// How a completion's score is normalised before the two sides are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// Divided by the completion's length (0 counts as 1): per token.
    #[default]
    Mean,
    /// As it is: summed over tokens.
    Sum,
}

/// What a score is relative to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// A frozen reference model: scores are log-ratios.
    #[default]
    Model,
    /// Nothing, as if the reference gave all completions the same probability: scores are log-probabilities.
    Uniform,
}

/// How log-probabilities become scores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scoring {
    pub(crate) reference: Reference,
    pub(crate) divergence: Divergence,
    pub(crate) normalization: Normalization,
}

impl Scoring {
    /// Summed log-ratios.
    pub(crate) const RATIOS: Self =
        Self { reference: Reference::Model, divergence: Divergence::ReverseKl, normalization: Normalization::Sum };

    /// Log-probabilities per token.
    pub(crate) const PER_TOKEN: Self =
        Self { reference: Reference::Uniform, divergence: Divergence::ReverseKl, normalization: Normalization::Mean };

    /// Summed log-ratios under a divergence.
    pub(crate) fn under(divergence: Divergence) -> Self {
        Self { divergence, ..Self::RATIOS }
    }

    /// The score of a log-ratio `h` of a completion of `n` tokens, and its slope.
    fn score(&self, h: f64, n: f64) -> (f64, f64) {
        let (value, slope) = self.divergence.score(h);
        match self.normalization {
            Normalization::Sum => (value, slope),
            Normalization::Mean => (value / n.max(1.0), slope / n.max(1.0)),
        }
    }
}

/// Scores of both sides with the tensors that they came from.
pub(crate) struct Scored<P: Dim, E: Dtype, D: Device<E>, T> {
    chosen: Tensor<(P,), E, D, T>,
    rejected: Tensor<(P,), E, D, T>,
    /// Score and its slope in the log-probability, per row.
    scores: [Vec<(f64, f64)>; 2],
    /// Log-ratios of both sides, before divergence and normalisation.
    pub(crate) ratios: [Vec<f64>; 2],
    pub(crate) diagnostics: Diagnostics,
}

impl<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> Scored<P, E, D, T> {
    /// Scores a batch; the rewards it reports are `beta` times the log-ratios.
    pub(crate) fn new(
        method: &'static str,
        policy: PairLogps<P, E, D, T>,
        reference: Option<PairLogps<P, E, D>>,
        scoring: &Scoring,
        beta: f64,
    ) -> Result<Self, ObjectiveError> {
        let mut figures = PairFigures::of(&policy);
        let ratios = match (scoring.reference, reference) {
            (Reference::Uniform, None) => figures.logps.clone(),
            (Reference::Uniform, Some(_)) => return Err(ObjectiveError::UnusedReference { method }),
            (Reference::Model, None) => return Err(ObjectiveError::MissingReference { method }),
            (Reference::Model, Some(reference)) => figures.log_ratios(&reference)?,
        };
        let lengths = &figures.lengths;
        let side = |k: usize| {
            let pairs = ratios[k].iter().zip(&lengths[k]);
            pairs.map(|(&h, &n)| scoring.score(h, n)).collect::<Vec<_>>()
        };
        let scores = [side(0), side(1)];
        let free = scoring.reference == Reference::Uniform;
        let averaged = free && scoring.normalization == Normalization::Mean;
        let reward = |k: usize| match averaged {
            // Without a reference the reward is what the loss compares.
            true => scores[k].iter().map(|s| beta * s.0).collect(),
            false => ratios[k].iter().map(|h| beta * h).collect::<Vec<f64>>(),
        };
        let diagnostics = figures.diagnostics(Some([reward(0), reward(1)]), (!free).then_some(&ratios[0]), averaged)?;
        Ok(Self { chosen: policy.chosen, rejected: policy.rejected, scores, ratios, diagnostics })
    }

    /// Scores a batch without a reference and bends the scores by `f`, which gives value and slope; rewards are bent too.
    pub(crate) fn bent(
        method: &'static str,
        policy: PairLogps<P, E, D, T>,
        scoring: &Scoring,
        beta: f64,
        f: impl Fn(f64) -> (f64, f64),
    ) -> Result<Self, ObjectiveError> {
        let mut scored = Self::new(method, policy, None, scoring, beta)?;
        for side in &mut scored.scores {
            for score in side.iter_mut() {
                let (value, slope) = f(score.0);
                *score = (value, score.1 * slope);
            }
        }
        let reward = |k: usize| scored.scores[k].iter().map(|s| beta * s.0).collect::<Vec<f64>>();
        let mut diagnostics = crate::diagnostics::rewards(reward(0), reward(1))?;
        diagnostics.join(scored.diagnostics)?;
        scored.diagnostics = diagnostics;
        Ok(scored)
    }

    /// Terms of weight 1 from `f(row, score of chosen, score of rejected) = [loss, slope in chosen, slope in rejected]`.
    pub(crate) fn by_pair(self, f: impl Fn(usize, f64, f64) -> [f64; 3]) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (mut values, mut slopes) = (Vec::new(), [Vec::new(), Vec::new()]);
        for (row, (a, c)) in self.scores[0].iter().zip(&self.scores[1]).enumerate() {
            let [value, da, dc] = f(row, a.0, c.0);
            values.push(value);
            slopes[0].push(da * a.1);
            slopes[1].push(dc * c.1);
        }
        let [chosen, rejected] = slopes;
        Self::terms(self.chosen, self.rejected, (values, [chosen, rejected]), self.diagnostics)
    }

    /// Terms of weight 1 from a function of `z = beta · (score of chosen − score of rejected)` with its slope.
    pub(crate) fn by_margin(
        self,
        beta: f64,
        f: impl Fn(f64) -> (f64, f64),
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        self.by_pair(|_, a, c| {
            let (value, slope) = f(beta * (a - c));
            [value, beta * slope, -beta * slope]
        })
    }

    /// Terms of weight 1 from losses per row and the gradient of their sum in each side, for losses in which the rows
    /// depend on each other. Reads log-ratios, before divergence and normalisation.
    pub(crate) fn by_batch(
        self,
        f: impl Fn(&[f64], &[f64]) -> (Vec<f64>, [Vec<f64>; 2]),
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let found = f(&self.ratios[0], &self.ratios[1]);
        Self::terms(self.chosen, self.rejected, found, self.diagnostics)
    }

    fn terms(
        chosen: Tensor<(P,), E, D, T>,
        rejected: Tensor<(P,), E, D, T>,
        (values, [dw, dl]): (Vec<f64>, [Vec<f64>; 2]),
        diagnostics: Diagnostics,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        CoreError::check_finite("loss", &values)?;
        let losses = attach(&values, [(chosen, dw), (rejected, dl)])?;
        Ok(LossTerms::new(losses, vec![1.0; values.len()], diagnostics)?)
    }
}

impl PairFigures {
    /// Log-ratios `policy − reference` of both sides, after a check that both scored the same rows and tokens.
    pub(crate) fn log_ratios<P: Dim, E: Dtype, D: Device<E>>(
        &mut self,
        reference: &PairLogps<P, E, D>,
    ) -> Result<[Vec<f64>; 2], ObjectiveError> {
        CoreError::check_size("reference logps", self.logps[0].len(), reference.rows())?;
        let lengths = [to_f64(&reference.chosen_lengths), to_f64(&reference.rejected_lengths)];
        for (k, side) in ["chosen", "rejected"].into_iter().enumerate() {
            crate::diagnostics::check_lengths(side, &self.lengths[k], &lengths[k])?;
        }
        let theirs = [to_f64(&reference.chosen), to_f64(&reference.rejected)];
        Ok([0, 1].map(|k| self.logps[k].iter().zip(&theirs[k]).map(|(p, r)| p - r).collect()))
    }
}
