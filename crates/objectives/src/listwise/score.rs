//! From log-probabilities of lists to the scores that a loss compares, and back to its terms.

use dfdx::prelude::*;
use tropism_core::{CoreError, Diagnostics, ListLogps, LossTerms};

use crate::diagnostics::{check_lengths, flag};
use crate::{Column, Domain, Normalization, ObjectiveError};

/// How good each answer is; larger is better.
pub(crate) const RELEVANCE: Column = Column::cell("relevance", Domain::NotNegative);

/// Log-ratios of lists, with the tensor that they came from.
pub(crate) struct ScoredLists<P: Dim, K: Dim, E: Dtype, D: Device<E>, T> {
    policy: ListLogps<P, K, E, D, T>,
    /// Log-ratio of each cell, normalised; 0 where there is no answer.
    pub(crate) ratios: Vec<f64>,
    /// What a log-probability is divided by.
    divisors: Vec<f64>,
}

impl<P: Dim, K: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> ScoredLists<P, K, E, D, T> {
    /// Scores lists; fails when policy and reference did not score the same answers.
    pub(crate) fn new(
        policy: ListLogps<P, K, E, D, T>,
        reference: &ListLogps<P, K, E, D>,
        normalization: Normalization,
    ) -> Result<Self, ObjectiveError> {
        CoreError::check_size("reference list", policy.mask().len(), reference.mask().len())?;
        let tokens = |mask: &[bool], lengths: &[usize]| -> Vec<f64> {
            mask.iter().zip(lengths).map(|(&m, &n)| if m { n as f64 } else { 0.0 }).collect()
        };
        let lengths = tokens(policy.mask(), policy.lengths());
        check_lengths("list", &lengths, &tokens(reference.mask(), reference.lengths()))?;
        let divisors: Vec<f64> = match normalization {
            Normalization::Mean => lengths.iter().map(|n| n.max(1.0)).collect(),
            Normalization::Sum => vec![1.0; lengths.len()],
        };
        let (ours, theirs) = (policy.values(), reference.values());
        let ratios = ours.iter().zip(&theirs).zip(&divisors).map(|((p, r), n)| (p - r) / n).collect();
        Ok(Self { policy, ratios, divisors })
    }

    /// Terms of weight 1 from `f(cells of a list, their scores) = (loss, slope in each score)`, where a score is `beta`
    /// times the log-ratio. `goodness` says which answer should be first, for the diagnostics.
    pub(crate) fn by_list(
        self,
        beta: f64,
        goodness: &[f64],
        f: impl Fn(&[usize], &[f64]) -> (f64, Vec<f64>),
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (rows, places) = self.policy.size();
        let (mut values, mut slopes, mut figures) = (Vec::new(), vec![0.0; rows * places], Figures::default());
        for row in 0..rows {
            let cells: Vec<usize> = (row * places..(row + 1) * places).filter(|&i| self.policy.mask()[i]).collect();
            let scores: Vec<f64> = cells.iter().map(|&i| beta * self.ratios[i]).collect();
            let (value, gradient) = f(&cells, &scores);
            values.push(value);
            cells.iter().zip(gradient).for_each(|(&i, g)| slopes[i] = beta * g / self.divisors[i]);
            figures.push(&scores, &cells.iter().map(|&i| goodness[i]).collect::<Vec<f64>>());
        }
        CoreError::check_finite("loss", &values)?;
        let losses = self.policy.attach(&values, &slopes)?;
        Ok(LossTerms::new(losses, vec![1.0; rows], figures.into_diagnostics()?)?)
    }
}

/// Figures of lists, one entry per list.
#[derive(Default)]
struct Figures {
    top: Vec<f64>,
    best: Vec<f64>,
    worst: Vec<f64>,
    counts: Vec<f64>,
}

impl Figures {
    fn push(&mut self, rewards: &[f64], goodness: &[f64]) {
        let extreme = |values: &[f64], f: fn(f64, f64) -> f64| values.iter().copied().reduce(f).unwrap_or(0.0);
        let (good, bad) = (extreme(goodness, f64::max), extreme(goodness, f64::min));
        let of = |want: f64, f: fn(f64, f64) -> f64| {
            let kept: Vec<f64> = rewards.iter().zip(goodness).filter(|(_, g)| **g == want).map(|(r, _)| *r).collect();
            extreme(&kept, f)
        };
        let best = of(good, f64::max);
        let mut rest = rewards.iter().zip(goodness).filter(|(_, g)| **g < good);
        self.top.push(flag(rest.all(|(r, _)| *r < best)));
        self.best.push(best);
        self.worst.push(of(bad, f64::min));
        self.counts.push(rewards.len() as f64);
    }

    fn into_diagnostics(self) -> Result<Diagnostics, CoreError> {
        let mut diagnostics = Diagnostics::default();
        diagnostics.push("rewards/top_accuracies", self.top)?;
        diagnostics.push("rewards/best", self.best)?;
        diagnostics.push("rewards/worst", self.worst)?;
        diagnostics.push("counts", self.counts)?;
        Ok(diagnostics)
    }
}

/// `log Σ e^x`; −∞ of nothing.
pub(crate) fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let top = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if top == f64::NEG_INFINITY { top } else { top + values.map(|x| (x - top).exp()).sum::<f64>().ln() }
}

/// Log-softmax.
pub(crate) fn log_softmax(values: &[f64]) -> Vec<f64> {
    let total = log_sum_exp(values.iter().copied());
    values.iter().map(|x| x - total).collect()
}

/// [`Method`](crate::Method) for a loss of lists that reads a reference and one column.
macro_rules! on_lists {
    ($config:ident, $function:path, $column:expr) => {
        impl crate::Method for $config {
            const INPUT: crate::InputKind = crate::InputKind::Lists;

            fn needs_reference(&self) -> bool {
                true
            }

            fn columns(&self) -> Vec<crate::Column> {
                vec![$column]
            }

            fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
                &self,
                batch: crate::Batch<P, C, E, D, T>,
            ) -> Result<LossTerms<P, E, D, T>, crate::ObjectiveError> {
                let (policy, reference, columns) = batch.into_lists(Self::NAME)?;
                let reference = crate::batch::need(Self::NAME, reference)?;
                $function(policy, reference, columns.get($column.name).unwrap_or_default(), self)
            }
        }
    };
}
pub(crate) use on_lists;
