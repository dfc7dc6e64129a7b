//! Losses on pairs of single numbers, with their gradients.

use dfdx::prelude::*;
use tropism_diffusion::DiffusionError;
use tropism_diffusion::objectives::*;

use super::{Rows, Vector, rows, vector};

pub(crate) type Traced = OwnedTape<f64, Cpu>;
pub(crate) type Terms = LossTerms<usize, f64, Cpu, Traced>;

/// Mean loss, and its gradients in the chosen and the rejected errors.
pub(crate) fn solved(
    chosen: &[f64],
    rejected: &[f64],
    loss: impl FnOnce(PairErrors<usize, f64, Cpu, Traced>) -> Result<Terms, DiffusionError>,
) -> (f64, Vec<f64>, Vec<f64>) {
    let (w, l) = (vector(chosen), vector(rejected));
    let mean = loss(PairErrors::new(w.leaky_trace(), l.retaped()).unwrap()).unwrap().mean().unwrap();
    let (value, grads) = (mean.array(), mean.backward());
    (value, grads.get(&w).as_vec(), grads.get(&l).as_vec())
}

/// Errors outside any tape.
pub(crate) fn frozen(chosen: &[f64], rejected: &[f64]) -> PairErrors<usize, f64, Cpu> {
    PairErrors::new(vector(chosen), vector(rejected)).unwrap()
}

/// Mean loss of one pair and its gradients in both outputs, from outputs and targets.
pub(crate) fn from_outputs(
    outputs: [&[f64]; 2],
    targets: [&[f64]; 2],
    loss: impl FnOnce(PairErrors<usize, f64, Cpu, Traced>) -> Result<Terms, DiffusionError>,
) -> (f64, Vec<f64>, Vec<f64>) {
    let (w, l) = (rows(&[outputs[0]]), rows(&[outputs[1]]));
    let error = |x: Rows<Traced>, target: &[f64]| -> Vector<Traced> {
        tropism_diffusion::prediction::squared_errors(x, &rows(&[target])).unwrap()
    };
    let pairs = PairErrors::new(error(w.leaky_trace(), targets[0]), error(l.retaped(), targets[1])).unwrap();
    let mean = loss(pairs).unwrap().mean().unwrap();
    let (value, grads) = (mean.array(), mean.backward());
    (value, grads.get(&w).as_vec(), grads.get(&l).as_vec())
}

/// `ln(1 + e^{−z})`.
pub(crate) fn softplus_of_minus(z: f64) -> f64 {
    if z > 0.0 { (-z).exp().ln_1p() } else { z.exp().ln_1p() - z }
}
