//! Pairs of completions token by token, for losses that weigh the tokens of a completion differently.

use dfdx::prelude::*;
use tropism_core::{CoreError, PairTokens, TokenLogps, numerics};
use tropism_objectives::{Batch, Input, Objective};

use super::{Loss, Traced, device};
use crate::ToyError;

/// Pairs of completions, kept in groups of about the same width so that little of a rectangle is padding.
#[derive(Clone, Debug)]
pub(crate) struct TokenPairs(Vec<[TokenRows; 2]>);

/// TokenRows as a rectangle of cells; what the mask leaves out is padding.
#[derive(Clone, Debug)]
pub(crate) struct TokenRows {
    cells: Tensor<(usize,), usize, Cpu>,
    mask: Vec<bool>,
    shape: (usize, usize),
}

impl TokenPairs {
    /// Pairs of completions given as lists of cells, the chosen one first, in `groups` groups.
    pub(crate) fn new(pairs: &[(&[usize], &[usize])], groups: usize) -> Result<Self, ToyError> {
        let width = |(chosen, rejected): &(&[usize], &[usize])| chosen.len().max(rejected.len());
        let mut sorted = pairs.to_vec();
        sorted.sort_by_key(width);
        let size = sorted.len().div_ceil(groups.max(1)).max(1);
        let group = |rows: &[(&[usize], &[usize])]| {
            let columns = rows.iter().map(width).max().unwrap_or_default();
            let side = |of: fn(&(&[usize], &[usize])) -> Vec<usize>| {
                TokenRows::new(&rows.iter().map(of).collect::<Vec<_>>(), columns)
            };
            Ok([side(|pair| pair.0.to_vec())?, side(|pair| pair.1.to_vec())?])
        };
        Ok(Self(sorted.chunks(size).map(group).collect::<Result<_, ToyError>>()?))
    }

    /// Mean loss of the pairs under an objective that reads tokens, from the log-probabilities of the cells on the tape;
    /// `reference` is a frozen table.
    pub(crate) fn loss(&self, objective: &Objective, cells: Traced, reference: &[f64]) -> Result<Loss, ToyError> {
        let frozen: Tensor<(usize,), f64, Cpu> = numerics::from_f64(&Cpu::default(), reference, (reference.len(),))?;
        let mut terms = Vec::new();
        for [chosen, rejected] in &self.0 {
            let policy = PairTokens::new(chosen.logps(cells.with_empty_tape())?, rejected.logps(cells.with_empty_tape())?)?;
            let reference = match objective.needs_reference() {
                true => Some(PairTokens::new(chosen.logps(frozen.clone())?, rejected.logps(frozen.clone())?)?),
                false => None,
            };
            terms.push(objective.loss(Batch::from(Input::PairTokens(policy, reference)))?);
        }
        let mut denominators = vec![0.0; terms.first().map_or(0, |t| t.denominators().len())];
        for part in &terms {
            denominators.iter_mut().zip(part.denominators()).for_each(|(sum, d)| *sum += d);
        }
        // the groups have tapes of their own; the policy's joins them last
        let (_, tape) = cells.split_tape();
        let mut sum: Loss = Cpu::default().zeros().put_tape(tape);
        for part in terms {
            sum = sum.try_add(part.into_scaled(&denominators)?).map_err(device)?;
        }
        Ok(sum)
    }
}

impl TokenRows {
    /// TokenRows given as lists of cells, of at most `columns` tokens.
    pub(crate) fn new(completions: &[Vec<usize>], columns: usize) -> Result<Self, ToyError> {
        let padded = completions.iter().flat_map(|c| (0..columns).map(|t| c.get(t).copied()));
        let (cells, mask): (Vec<usize>, Vec<bool>) = padded.map(|c| (c.unwrap_or_default(), c.is_some())).unzip();
        CoreError::check_size("cells", completions.len() * columns, cells.len())?;
        let shape = (cells.len(),);
        let cells = Cpu::default().try_tensor_from_vec(cells, shape).map_err(device)?;
        Ok(Self { cells, mask, shape: (completions.len(), columns) })
    }

    /// Log-probabilities of the tokens from those of the cells.
    pub(crate) fn logps<T: Tape<f64, Cpu>>(
        &self,
        cells: Tensor<(usize,), f64, Cpu, T>,
    ) -> Result<TokenLogps<usize, usize, f64, Cpu, T>, ToyError> {
        let tokens: Tensor<(usize,), f64, Cpu, T> = cells.try_gather(self.cells.clone()).map_err(device)?;
        Ok(TokenLogps::new(tokens.try_reshape_like(&self.shape).map_err(device)?, &self.mask)?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{PairBatch, Policy, gradient};
    use super::*;
    use tropism_objectives::{Dpo, LdDpo};

    #[test]
    fn groups_do_not_change_a_loss_that_ignores_tokens() {
        let (chosen, rejected): ([&[usize]; 3], [&[usize]; 3]) =
            ([&[0, 1, 3], &[2], &[5, 4]], [&[1], &[0, 0, 5, 2], &[3, 1]]);
        let pairs: Vec<_> = chosen.into_iter().zip(rejected).collect();
        let (policy, at) = (Policy::tabular(2, 3), [0.3, -0.7, 1.1, 0.2, 0.0, -2.0]);
        let reference = policy.table(&[0.0; 6]).unwrap();
        let sums = PairBatch::sequences(6, &chosen, &rejected).unwrap();
        let dpo = Dpo::default().with_beta(0.7);
        let frozen = sums.reference(&reference).unwrap();
        let expected = gradient(&at, |x| sums.loss(&dpo.clone().into(), policy.logps(x)?, &frozen)).unwrap();
        let by_token = LdDpo::default().with_alpha(1.0).with_base(Box::new(dpo.into())).into();
        for groups in 1..4 {
            let tokens = TokenPairs::new(&pairs, groups).unwrap();
            let found = gradient(&at, |x| tokens.loss(&by_token, policy.logps(x)?, &reference)).unwrap();
            assert!((found.0 - expected.0).abs() < 1e-14, "{found:?} {expected:?}");
            assert!(found.1.iter().zip(&expected.1).all(|(f, e)| (f - e).abs() < 1e-14), "{found:?} {expected:?}");
        }
    }
}
