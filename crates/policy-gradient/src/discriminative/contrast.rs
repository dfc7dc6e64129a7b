//! Right against wrong completions of a question.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::{Diagnostics, LossTerms};

use super::trust_region::{TrustRegion, estimates};
use crate::row::{Row, mean};
use crate::surrogates::common::flag;
use crate::{Coupling, Field, Groups, Need, PolicyGradientError, Rollout};

/// How a completion is scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// The mean log-probability of its tokens.
    #[default]
    LogL,
    /// The mean importance ratio of its tokens.
    LRatio,
}

impl Score {
    /// The score, and its slopes in the tokens' log-probabilities.
    fn of(self, row: &Row) -> (f64, Vec<f64>) {
        let n = row.len().max(1) as f64;
        match self {
            Self::LogL => (mean(&row.logps), vec![1.0 / n; row.len()]),
            Self::LRatio => {
                let ratios: Vec<f64> = row.log_ratios().iter().map(|r| r.exp()).collect();
                (mean(&ratios), ratios.iter().map(|r| r / n).collect())
            }
        }
    }
}

/// Losses of one question's completions and their slopes in the scores: the rows of `right` first, then those of `wrong`.
pub(super) struct Question<'q> {
    pub(super) right: &'q [f64],
    pub(super) wrong: &'q [f64],
    /// Tokens of the right completions.
    pub(super) lengths: &'q [usize],
}

/// Values and slopes.
pub(super) type Sides = [Vec<(f64, f64)>; 2];

/// An objective over questions, with a trust region.
pub(super) struct Contrast<F: Fn(&Question<'_>) -> Sides> {
    pub(super) score: Score,
    pub(super) region: TrustRegion,
    /// A question's loss, split over its completions, with slopes in the scores.
    pub(super) question: F,
}

/// What such objectives read.
pub(super) fn reads() -> Vec<(Field, Need)> {
    vec![
        (Field::Rewards, Need::Required),
        (Field::Groups, Need::Required),
        (Field::Old, Need::Required),
        (Field::StepKl, Need::Optional),
    ]
}

/// They read a divergence over the step.
pub(super) const COUPLING: Coupling = Coupling::Step;

/// Rows on the host.
#[derive(Default)]
struct Host {
    losses: Vec<f64>,
    slopes: Vec<f64>,
    scores: Vec<f64>,
    valid: Vec<f64>,
}

impl<F: Fn(&Question<'_>) -> Sides> Contrast<F> {
    /// The loss: questions first, then the trust region, each with its own denominator.
    pub(super) fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        method: &'static str,
        rollout: Rollout<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, PolicyGradientError> {
        rollout.check(method, &reads())?;
        let (rows, cells) = (Row::all(&rollout), rollout.policy.mask().len());
        let (Some(rewards), Some(groups)) = (&rollout.rewards, &rollout.groups) else {
            return Err(PolicyGradientError::Missing { method, field: Field::Rewards });
        };
        let host = self.questions(&rows, rewards, groups, &rollout.kept, cells);
        let shares = shares(groups, &rollout.kept);
        let tokens = |row: usize| if rollout.kept[row] { rows[row].len() as f64 } else { 0.0 };
        let tokens: Vec<f64> = (0..rows.len()).map(tokens).collect();
        let each: Vec<Vec<f64>> = rows.iter().map(|row| estimates(self.region.estimator, row)).collect();
        let kept = each.iter().zip(&rollout.kept).filter(|(_, kept)| **kept);
        let own = kept.map(|(e, _)| e.iter().sum::<f64>()).sum::<f64>() / tokens.iter().sum::<f64>().max(1.0);
        let divergence = rollout.step_kl.unwrap_or(own);
        let penalties: Vec<f64> = tokens.iter().map(|n| n * self.region.value(divergence)).collect();
        let penalty_slopes = self.penalty_slopes(&rows, &rollout.kept, divergence, cells);
        let mut diagnostics = Diagnostics::default();
        let kl = each.iter().map(|e| mean(e)).collect();
        let columns =
            [("scores", host.scores), ("rewards", rewards.clone()), ("valid", host.valid), ("lengths", tokens.clone())];
        for (name, column) in columns.into_iter().chain([("old_policy_kl", kl)]) {
            diagnostics.push(name, column)?;
        }
        let penalty = rollout.policy.fork().attach(&penalties, &penalty_slopes)?;
        let questions = LossTerms::new(rollout.policy.attach(&host.losses, &host.slopes)?, shares, diagnostics)?;
        Ok(questions.with(LossTerms::new(penalty, tokens, Diagnostics::default())?)?)
    }

    /// Slopes of the trust region in all cells.
    fn penalty_slopes(&self, rows: &[Row], kept: &[bool], divergence: f64, cells: usize) -> Vec<f64> {
        let mut slopes = vec![0.0; cells];
        for (row, _) in rows.iter().zip(kept).filter(|(_, kept)| **kept) {
            let of_row = self.region.slopes(divergence, row);
            row.cells.iter().zip(of_row).for_each(|(&cell, slope)| slopes[cell] = slope);
        }
        slopes
    }

    /// Losses of the questions.
    fn questions(&self, rows: &[Row], rewards: &[f64], groups: &Groups, kept: &[bool], cells: usize) -> Host {
        let scored: Vec<(f64, Vec<f64>)> = rows.iter().map(|row| self.score.of(row)).collect();
        let mut host = Host {
            losses: vec![0.0; rows.len()],
            slopes: vec![0.0; cells],
            scores: scored.iter().map(|(s, _)| *s).collect(),
            valid: vec![0.0; rows.len()],
        };
        for members in groups.members() {
            // Completions without a token have no score and are on neither side.
            let side = |reward: f64| {
                let on = members.iter().filter(|&&row| kept[row] && rows[row].len() > 0 && rewards[row] == reward);
                on.copied().collect::<Vec<usize>>()
            };
            let (right, wrong) = (side(1.0), side(0.0));
            if right.is_empty() || wrong.is_empty() {
                continue;
            }
            members.iter().for_each(|&row| host.valid[row] = flag(kept[row]));
            let scores = |side: &[usize]| side.iter().map(|&row| host.scores[row]).collect::<Vec<f64>>();
            let lengths: Vec<usize> = right.iter().map(|&row| rows[row].len()).collect();
            let sides = (self.question)(&Question { right: &scores(&right), wrong: &scores(&wrong), lengths: &lengths });
            for (row, (loss, slope)) in right.iter().chain(&wrong).zip(sides.iter().flatten()) {
                host.losses[*row] = *loss;
                let tokens = rows[*row].cells.iter().zip(&scored[*row].1);
                tokens.for_each(|(&cell, s)| host.slopes[cell] = slope * s);
            }
        }
        host
    }
}

/// Each row's share of its question, which counts as 1 in the denominator.
fn shares(groups: &Groups, kept: &[bool]) -> Vec<f64> {
    let share = |row: usize| {
        let there = groups.members()[groups.of(row)].iter().filter(|&&r| kept[r]).count();
        if kept[row] { 1.0 / there as f64 } else { 0.0 }
    };
    (0..kept.len()).map(share).collect()
}

/// `τ log mean exp(s/τ)` with its slopes, a softmax.
pub(super) fn soft_maximum(scores: &[f64], tau: f64) -> (f64, Vec<f64>) {
    let largest = scores.iter().fold(f64::NEG_INFINITY, |m, &s| m.max(s));
    let powers: Vec<f64> = scores.iter().map(|s| ((s - largest) / tau).exp()).collect();
    let sum: f64 = powers.iter().sum();
    (largest + tau * (sum / scores.len() as f64).ln(), powers.iter().map(|p| p / sum).collect())
}
