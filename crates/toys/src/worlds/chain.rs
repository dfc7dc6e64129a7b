//! A chain of tokens whose policy is a table, so that lengths and divergences have exact expectations.

use super::{Policy, Stream};
use crate::ToyError;

/// Tokens, and the states they lead to; the state at the start stands in the place of the end.
const GOOD: usize = 0;
const BAD: usize = 1;
const END: usize = 3;
const START: usize = 3;
const TOKENS: usize = 4;

/// A bigram policy over the tokens good, bad, filler and end: the next token depends on the last one alone.
///
/// It has 4 × 4 logits, a row for each token that something can follow and one for the start. A completion is a list of
/// cells, one for each of its tokens, the end included.
#[derive(Clone, Debug)]
pub(crate) struct Chain;

/// A sampled completion.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sequence {
    /// a cell of the table for each token
    pub(crate) cells: Vec<usize>,
}

/// What a policy does on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moments {
    /// expected tokens, the end included
    pub(crate) length: f64,
    /// expected good minus bad tokens
    net: f64,
}

impl Moments {
    /// Good minus bad tokens for each token before the end.
    pub(crate) fn quality(&self) -> f64 {
        self.net / (self.length - 1.0)
    }
}

impl Sequence {
    /// Tokens, the end included.
    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }

    /// Good minus bad tokens for each token before the end.
    pub(crate) fn quality(&self) -> f64 {
        let count = |token| self.cells.iter().filter(|c| *c % TOKENS == token).count() as f64;
        (count(GOOD) - count(BAD)) / (self.len() - 1).max(1) as f64
    }
}

impl Chain {
    /// Cells of the table.
    pub(crate) const CELLS: usize = TOKENS * TOKENS;

    /// The policy as a table of logits.
    pub(crate) fn policy() -> Policy {
        Policy::tabular(TOKENS, TOKENS)
    }

    /// Logits that are the same in each row, but that hardly anything ends at once: −6 for the end at the start.
    pub(crate) fn logits(good: f64, bad: f64, end: f64) -> Vec<f64> {
        let row = |end| [good, bad, 0.0, end];
        [row(end), row(end), row(end), row(-6.0)].concat()
    }

    /// Draws a completion of at most `cap` tokens.
    pub(crate) fn sample(logps: &[f64], cap: usize, random: &mut Stream) -> Sequence {
        let probabilities: Vec<f64> = logps.iter().map(|l| l.exp()).collect();
        let (mut state, mut cells) = (START, Vec::new());
        while cells.len() < cap {
            let token = random.pick(&probabilities[state * TOKENS..][..TOKENS]);
            cells.push(state * TOKENS + token);
            if token == END {
                break;
            }
            state = token;
        }
        Sequence { cells }
    }

    /// Expected visits of each state before the end, without a cap: `v = start + vᵀP`.
    fn visits(logps: &[f64]) -> Result<[f64; TOKENS], ToyError> {
        let p = |from: usize, to: usize| logps[from * TOKENS + to].exp();
        // (I − Pᵀ) v = p(start, ·) for the three tokens, by elimination: the matrix is diagonally dominant by columns
        let mut a = [[0.0; 4]; 3];
        for (to, row) in a.iter_mut().enumerate() {
            for (from, cell) in row.iter_mut().take(3).enumerate() {
                *cell = f64::from(to == from) - p(from, to);
            }
            row[3] = p(START, to);
        }
        for i in 0..3 {
            let pivot = a[i];
            for (_, row) in a.iter_mut().enumerate().filter(|(k, _)| *k != i) {
                let factor = row[i] / pivot[i];
                (0..4).for_each(|j| row[j] -= factor * pivot[j]);
            }
        }
        let v = [0, 1, 2].map(|i| a[i][3] / a[i][i]);
        tropism_core::CoreError::check_finite("expected visits", &v)?;
        Ok([v[0], v[1], v[2], 1.0])
    }

    /// Exact expectations under a table of log-probabilities.
    pub(crate) fn moments(logps: &[f64]) -> Result<Moments, ToyError> {
        let v = Self::visits(logps)?;
        Ok(Moments { length: v.iter().sum(), net: v[GOOD] - v[BAD] })
    }

    /// Exact good minus bad tokens for each token before the end, in completions of at most `cap` tokens; the policy may be
    /// one that never ends.
    pub(crate) fn quality_within(logps: &[f64], cap: usize) -> f64 {
        let (mut at, mut net, mut tokens) = ([0.0, 0.0, 0.0, 1.0], 0.0, 0.0);
        for _ in 0..cap {
            let step = |to: usize| (0..TOKENS).map(|from| at[from] * logps[from * TOKENS + to].exp()).sum::<f64>();
            // nothing follows the end
            at = [step(GOOD), step(BAD), step(2), 0.0];
            net += at[GOOD] - at[BAD];
            tokens += at.iter().sum::<f64>();
        }
        net / tokens
    }

    /// Exact `KL(π‖π_ref)` of whole completions, in nats.
    pub(crate) fn kl(logps: &[f64], reference: &[f64]) -> Result<f64, ToyError> {
        let v = Self::visits(logps)?;
        let cell = |c: usize| v[c / TOKENS] * logps[c].exp() * (logps[c] - reference[c]);
        Ok((0..Self::CELLS).map(cell).sum())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn expectations_are_those_of_samples() {
        let table = |logits: Vec<f64>| Chain::policy().table(&logits).unwrap();
        let reference = table(Chain::logits(0.0, 0.0, -0.8));
        assert!((Chain::moments(&reference).unwrap().length - 8.67).abs() < 5e-3);
        let mut logits = Chain::logits(0.6, -0.2, -1.0);
        logits[2] += 1.5; // rows differ
        logits[4] -= 0.7;
        let logps = table(logits);
        let exact = Chain::moments(&logps).unwrap();
        let mut random = Stream::new(3, 0);
        let n = 40_000;
        let (mut length, mut net, mut kl) = (0.0, 0.0, 0.0);
        for _ in 0..n {
            let s = Chain::sample(&logps, 1000, &mut random);
            length += s.len() as f64 / n as f64;
            net += s.quality() * (s.len() - 1) as f64 / n as f64;
            kl += s.cells.iter().map(|&c| logps[c] - reference[c]).sum::<f64>() / n as f64;
        }
        assert!((length - exact.length).abs() < 0.2, "{length} {exact:?}");
        assert!((net - exact.net).abs() < 0.15, "{net} {exact:?}");
        assert!((Chain::quality_within(&logps, 2000) - exact.quality()).abs() < 1e-12);
        // the first token is good three times in four, bad never, and the end once in four
        let certain = table([&[0.0, -80.0, -80.0, 0.0].repeat(3), [3f64.ln(), -80.0, -80.0, 0.0].as_slice()].concat());
        assert!((Chain::quality_within(&certain, 1) - 1.0).abs() < 1e-12);
        let exact = Chain::kl(&logps, &reference).unwrap();
        assert!((kl - exact).abs() < 0.05, "{kl} {exact}");
        assert!(Chain::kl(&logps, &logps).unwrap().abs() < 1e-15);
    }
}
