//! Gradient checks shared by the tests.
#![allow(dead_code, clippy::unwrap_used)]
use dfdx::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

pub(crate) type Matrix = Tensor<(usize, usize), f64, Cpu>;
pub(crate) type Taped<S> = Tensor<S, f64, Cpu, OwnedTape<f64, Cpu>>;

/// Uniform numbers in -1..1.
pub(crate) fn random(seed: u64, n: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| (rng.next_u64() >> 11) as f64 / (1u64 << 52) as f64 - 1.0).collect()
}

pub(crate) fn matrix(dev: &Cpu, seed: u64, rows: usize, cols: usize) -> Matrix {
    dev.tensor_from_vec(random(seed, rows * cols), (rows, cols))
}

/// A fixed weighting of a result, so that every element's gradient counts differently.
pub(crate) fn weigh<S: Shape>(y: Taped<S>) -> Taped<Rank0> {
    let n = y.shape().num_elements();
    let flat = (0..n).map(|i| (1.0 + i as f64 * 0.7).sin()).collect();
    let w = y.device().tensor_from_vec(flat, *y.shape());
    (y * w).sum::<Rank0, S::AllAxes>()
}

/// Gradients of `f` at random matrices of the given sizes against central differences.
pub(crate) fn check(sizes: &[(usize, usize)], seed: u64, f: impl Fn(&[Matrix]) -> Taped<Rank0>) {
    let dev = Cpu::default();
    let xs: Vec<Matrix> = sizes.iter().enumerate().map(|(i, &(r, c))| matrix(&dev, seed + i as u64, r, c)).collect();
    let grads = f(&xs).backward();
    for (k, x) in xs.iter().enumerate() {
        let found = grads.get(x).as_vec();
        let base = x.as_vec();
        let at = |i: usize, step: f64| {
            let mut v = base.clone();
            v[i] += step;
            let mut moved = xs.clone();
            moved[k] = dev.tensor_from_vec(v, *x.shape());
            f(&moved).array()
        };
        for (i, &found) in found.iter().enumerate() {
            let h = 1e-5;
            let expected = (at(i, h) - at(i, -h)) / (2.0 * h);
            assert!(
                (found - expected).abs() < 2e-8 * expected.abs().max(1.0),
                "input {k}, element {i}: {found} against {expected}"
            );
        }
    }
}
