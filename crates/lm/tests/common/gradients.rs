//! Gradients of all trained parameters against central differences.
use dfdx::prelude::*;
use std::collections::BTreeMap;
use tropism_ops::{Grads, Params, Visit, VisitMut, data_mut, grad_mut};

/// Gradients by name.
struct Collected<'a>(&'a mut Grads<f64>, BTreeMap<String, Vec<f64>>);
impl Visit<f64> for Collected<'_> {
    type Error = std::convert::Infallible;
    fn tensor<S: Shape>(&mut self, name: &str, t: &Tensor<S, f64, Cpu>) -> Result<(), Self::Error> {
        self.1.insert(name.to_owned(), grad_mut(self.0, t).unwrap().to_vec());
        Ok(())
    }
}

/// Adds to one element of one parameter.
struct Nudge<'a>(&'a str, usize, f64);
impl VisitMut<f64> for Nudge<'_> {
    type Error = std::convert::Infallible;
    fn tensor<S: Shape>(&mut self, name: &str, t: &mut Tensor<S, f64, Cpu>) -> Result<(), Self::Error> {
        if name == self.0 {
            data_mut(t)[self.1] += self.2;
        }
        Ok(())
    }
}

pub(crate) fn gradients(model: &impl Params<f64>, mut grads: Grads<f64>) -> BTreeMap<String, Vec<f64>> {
    let mut all = Collected(&mut grads, BTreeMap::new());
    let Ok(()) = model.visit(&mut all);
    all.1
}

/// A fixed weighting of a result, so that every element's gradient counts differently.
pub(crate) fn weigh<S: Shape>(y: Tensor<S, f64, Cpu, OwnedTape<f64, Cpu>>) -> Tensor<Rank0, f64, Cpu, OwnedTape<f64, Cpu>> {
    let n = y.shape().num_elements();
    let w = y.device().tensor_from_vec((0..n).map(|i| (1.0 + i as f64 * 0.7).sin()).collect(), *y.shape());
    (y * w).sum::<Rank0, S::AllAxes>()
}

/// Checks at most `most` elements of every parameter, spread evenly; the gradients that were checked.
pub(crate) fn check_gradients<P: Params<f64> + Clone>(
    model: &P,
    most: usize,
    loss: impl Fn(&P) -> Tensor<Rank0, f64, Cpu, OwnedTape<f64, Cpu>>,
) -> BTreeMap<String, Vec<f64>> {
    let found = gradients(model, loss(model).backward());
    for (name, gradient) in &found {
        for i in (0..gradient.len()).step_by(gradient.len().div_ceil(most)) {
            let at = |step: f64| {
                let mut moved = model.clone();
                let Ok(()) = moved.visit_mut(&mut Nudge(name, i, step));
                loss(&moved).array()
            };
            let h = 1e-5;
            let expected = (at(h) - at(-h)) / (2.0 * h);
            assert!(
                (gradient[i] - expected).abs() < 1e-7 * expected.abs().max(1.0),
                "{name}, element {i}: {} against {expected}",
                gradient[i]
            );
        }
    }
    found
}
