//! TokenRows of a fixed length in which each position has a distribution of its own.

use dfdx::prelude::*;
use tropism_core::numerics::{from_f64, sigmoid_scalar};
use tropism_core::{PairTokens, TokenLogps};
use tropism_credit::{TokenDpo, token_dpo};

use super::{Loss, Policy, Stream, TokenRows, Traced};
use crate::ToyError;

/// Token log-probabilities of pairs.
pub(crate) type TokenLogpsOfPairs<T = NoneTape> = PairTokens<usize, usize, f64, Cpu, T>;

/// Policies with a row of logits for each of `tokens` positions; a completion's true reward is the sum of its tokens' values.
///
/// Cell `position · vocabulary + token`. Values and the reference's logits are standard normal.
#[derive(Clone, Debug)]
pub(crate) struct Positions {
    pub(crate) tokens: usize,
    pub(crate) vocabulary: usize,
    /// value of each cell
    pub(crate) values: Vec<f64>,
    /// log-probabilities of the reference
    pub(crate) reference: Vec<f64>,
}

impl Positions {
    /// Draws values and reference.
    pub(crate) fn draw(tokens: usize, vocabulary: usize, random: &mut Stream) -> Result<Self, ToyError> {
        let values = random.normals(tokens * vocabulary);
        let reference = Policy::tabular(tokens, vocabulary).table(&random.normals(tokens * vocabulary))?;
        Ok(Self { tokens, vocabulary, values, reference })
    }

    /// The policy class: all tables.
    pub(crate) fn policy(&self) -> Policy {
        Policy::tabular(self.tokens, self.vocabulary)
    }

    /// The cells of a completion drawn from a table of log-probabilities.
    pub(crate) fn sample(&self, table: &[f64], random: &mut Stream) -> Vec<usize> {
        let draw = |(position, row): (usize, &[f64])| {
            let probabilities: Vec<f64> = row.iter().map(|lp| lp.exp()).collect();
            position * self.vocabulary + random.pick(&probabilities)
        };
        table.chunks(self.vocabulary).enumerate().map(draw).collect()
    }

    /// True reward of a completion.
    pub(crate) fn reward(&self, completion: &[usize]) -> f64 {
        completion.iter().map(|&cell| self.values[cell]).sum()
    }

    /// Exact expected true reward under a table.
    pub(crate) fn expected_reward(&self, table: &[f64]) -> f64 {
        table.iter().zip(&self.values).map(|(lp, value)| lp.exp() * value).sum()
    }

    /// Exact divergence `KL(table ‖ other)` of whole completions, in nats.
    pub(crate) fn kl(&self, table: &[f64], other: &[f64]) -> f64 {
        table.iter().zip(other).map(|(lp, o)| lp.exp() * (lp - o)).sum()
    }

    /// TokenRows as a batch.
    pub(crate) fn batch(&self, completions: &[Vec<usize>]) -> Result<TokenRows, ToyError> {
        TokenRows::new(completions, self.tokens)
    }

    /// Pairs of completions of the reference, labelled by Bradley and Terry on their true rewards.
    pub(crate) fn pairs(&self, pairs: usize, random: &mut Stream) -> Result<PositionPairs, ToyError> {
        let mut sides = [Vec::new(), Vec::new()];
        for _ in 0..pairs {
            let (one, other) = (self.sample(&self.reference, random), self.sample(&self.reference, random));
            let first = random.chance(sigmoid_scalar(self.reward(&one) - self.reward(&other)));
            let (chosen, rejected) = if first { (one, other) } else { (other, one) };
            sides[0].push(chosen);
            sides[1].push(rejected);
        }
        PositionPairs::new([self.batch(&sides[0])?, self.batch(&sides[1])?], &self.reference)
    }
}

/// Pairs by token with their log-probabilities under the reference.
#[derive(Clone, Debug)]
pub(crate) struct PositionPairs {
    sides: [TokenRows; 2],
    reference: TokenLogpsOfPairs,
}

impl PositionPairs {
    /// Chosen and rejected completions; `reference` is a frozen table.
    pub(crate) fn new(sides: [TokenRows; 2], reference: &[f64]) -> Result<Self, ToyError> {
        let frozen = |side: &TokenRows| logps_of(side, reference);
        let reference = PairTokens::new(frozen(&sides[0])?, frozen(&sides[1])?)?;
        Ok(Self { sides, reference })
    }

    /// The same pairs with their labels turned round.
    pub(crate) fn reversed(&self) -> Result<Self, ToyError> {
        let [chosen, rejected] = self.sides.clone();
        let reference = PairTokens::new(self.reference.rejected.clone(), self.reference.chosen.clone())?;
        Ok(Self { sides: [rejected, chosen], reference })
    }

    /// Log-probabilities of both sides' tokens from those of the cells.
    pub(crate) fn logps<T: Tape<f64, Cpu>>(
        &self,
        cells: Tensor<(usize,), f64, Cpu, T>,
    ) -> Result<TokenLogpsOfPairs<T>, ToyError> {
        let again = cells.with_empty_tape();
        Ok(PairTokens::new(self.sides[0].logps(cells)?, self.sides[1].logps(again)?)?)
    }

    /// Log-probabilities under the reference.
    pub(crate) fn reference(&self) -> TokenLogpsOfPairs {
        self.reference.clone()
    }

    /// Log-probabilities of each side's tokens under a table, row by row.
    pub(crate) fn table_logps(&self, table: &[f64]) -> Result<[Vec<f64>; 2], ToyError> {
        Ok([logps_of(&self.sides[0], table)?.values(), logps_of(&self.sides[1], table)?.values()])
    }

    /// Mean DPO loss from the log-probabilities of the cells on the tape.
    pub(crate) fn dpo(&self, cells: Traced, beta: f64) -> Result<Loss, ToyError> {
        Ok(token_dpo(self.logps(cells)?, self.reference(), &TokenDpo::default().with_beta(beta))?.mean()?)
    }
}

/// Log-probabilities of completions under a frozen table.
pub(crate) fn logps_of(completions: &TokenRows, table: &[f64]) -> Result<TokenLogps<usize, usize, f64, Cpu>, ToyError> {
    completions.logps(from_f64(&Cpu::default(), table, (table.len(),))?)
}
