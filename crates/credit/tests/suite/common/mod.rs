//! What the tests of the losses share.

pub(crate) mod plain;
pub(crate) mod prove;
pub(crate) mod solve;

use dfdx::prelude::*;
use tropism_core::{PairTokens, TokenLogps};

pub(crate) type Table<T = NoneTape> = Tensor<(usize, usize), f64, Cpu, T>;
pub(crate) type Pair = PairTokens<usize, usize, f64, Cpu>;
pub(crate) type Tokens<T = NoneTape> = TokenLogps<usize, usize, f64, Cpu, T>;

/// A table of one row.
pub(crate) fn row(values: &[f64]) -> Table {
    Cpu::default().tensor_from_vec(values.to_vec(), (1, values.len()))
}

/// A row of tokens that all count.
pub(crate) fn tokens(values: &[f64]) -> Tokens {
    TokenLogps::new(row(values), &vec![true; values.len()]).unwrap()
}

/// One pair of completions by token.
pub(crate) fn pair(chosen: &[f64], rejected: &[f64]) -> Pair {
    PairTokens::new(tokens(chosen), tokens(rejected)).unwrap()
}

/// Equality within `tolerance` times the size of what is wanted, or times 1.
pub(crate) fn close(found: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(found.len(), want.len(), "{found:?} is not {want:?}");
    for (x, y) in found.iter().zip(want) {
        assert!((x - y).abs() <= tolerance * y.abs().max(1.0), "{found:?} is not {want:?}");
    }
}

/// Loss and gradients of one pair by token under a loss that is given both models.
pub(crate) fn traced<R>(
    chosen: &[f64],
    rejected: &[f64],
    loss: impl FnOnce(PairTokens<usize, usize, f64, Cpu, OwnedTape<f64, Cpu>>) -> R,
) -> (f64, Vec<f64>, Vec<f64>)
where
    R: IntoLosses,
{
    let (w, l) = (row(chosen), row(rejected));
    let side = |t: Table<OwnedTape<f64, Cpu>>, n| TokenLogps::new(t, &vec![true; n]).unwrap();
    let policy = PairTokens::new(side(w.leaky_trace(), chosen.len()), side(l.leaky_trace(), rejected.len())).unwrap();
    let losses = loss(policy).losses();
    let value = losses.as_vec()[0];
    let grads = losses.sum().backward();
    (value, grads.get(&w).as_vec(), grads.get(&l).as_vec())
}

/// What a loss of one pair returns.
pub(crate) trait IntoLosses {
    fn losses(self) -> Tensor<(usize,), f64, Cpu, OwnedTape<f64, Cpu>>;
}

impl<E: std::fmt::Debug> IntoLosses for Result<tropism_core::LossTerms<usize, f64, Cpu, OwnedTape<f64, Cpu>>, E> {
    fn losses(self) -> Tensor<(usize,), f64, Cpu, OwnedTape<f64, Cpu>> {
        self.unwrap().losses
    }
}
