//! Preferences that follow Bradley and Terry exactly: every ordered pair of arms, weighted by its probability.

use tropism_core::numerics::sigmoid_scalar;
use tropism_core::{LossTerms, PairLogps};
use tropism_objectives::Objective;

use dfdx::prelude::{Cpu, NoneTape};

use super::{Loss, PairBatch, Traced};
use crate::ToyError;

/// All ordered pairs of the arms of a bandit, with the probability that the first is preferred.
pub(crate) struct OrderedPairs {
    batch: PairBatch,
    weights: Vec<f64>,
    reference: PairLogps<usize, f64, Cpu, NoneTape>,
}

impl OrderedPairs {
    /// Pairs of arms with the given rewards, a share `flipped` of the labels swapped; `reference` holds the frozen
    /// log-probabilities.
    pub(crate) fn new(rewards: &[f64], flipped: f64, reference: &[f64]) -> Result<Self, ToyError> {
        let arms = rewards.len();
        let ordered = |i: usize| (0..arms).filter(move |&j| j != i).map(move |j| (i, j));
        let pairs: Vec<(usize, usize)> = (0..arms).flat_map(ordered).collect();
        let weight = |&(i, j): &(usize, usize)| {
            let p = sigmoid_scalar(rewards[i] - rewards[j]);
            p * (1.0 - flipped) + (1.0 - p) * flipped
        };
        let weights = pairs.iter().map(weight).collect();
        let batch = PairBatch::cells(arms, &pairs)?;
        let reference = batch.reference(reference)?;
        Ok(Self { batch, weights, reference })
    }

    /// Expected loss of a pair drawn uniformly and labelled, from the log-probabilities of the arms on the tape.
    pub(crate) fn loss(&self, objective: &Objective, arms: Traced) -> Result<Loss, ToyError> {
        let reference = objective.needs_reference().then(|| self.reference.clone());
        let terms: LossTerms<_, _, _, _> = objective.pair_loss(self.batch.logps(arms)?, reference)?;
        // each unordered pair stands there twice, its weights sum to 1
        Ok(terms.times_rows(&self.weights)?.times(2.0)?.mean()?)
    }
}

/// Values minus their mean: rewards are known up to a constant only.
pub(crate) fn centred(values: &[f64]) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    values.iter().map(|v| v - mean).collect()
}
