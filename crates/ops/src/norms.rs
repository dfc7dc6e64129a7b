//! Norms of gradients, and the search for values that are not numbers.
use crate::error::OpsError;
use crate::par::blocks;
use crate::params::{Grads, Params, Visit};
use crate::raw::grad_mut;
use crate::scalar::Scalar;
use crate::simd::sum_squares;
use dfdx::prelude::*;
use std::collections::BTreeMap;

/// Elements per partial sum.
const BLOCK: usize = 1 << 14;

/// Sum of squares in f64 over blocks, the same for any number of threads.
pub(crate) fn squares<E: Scalar>(x: &[E]) -> f64 {
    blocks(x.len(), BLOCK, |a, b| sum_squares(&x[a..b]).f()).into_iter().sum()
}

/// L2 norm of every parameter's gradient, by name.
///
/// # Errors
/// When the device cannot allocate a gradient that is missing.
pub fn param_norms<E: Scalar>(model: &impl Params<E>, grads: &mut Grads<E>) -> Result<BTreeMap<String, f64>, OpsError> {
    struct Norms<'a, E: Dtype>(&'a mut Grads<E>, BTreeMap<String, f64>);
    impl<E: Scalar> Visit<E> for Norms<'_, E> {
        type Error = OpsError;
        fn tensor<S: Shape>(&mut self, name: &str, t: &Tensor<S, E, Cpu>) -> Result<(), OpsError> {
            self.1.insert(name.to_owned(), squares(grad_mut(self.0, t)?).sqrt());
            Ok(())
        }
    }
    let mut n = Norms(grads, BTreeMap::new());
    model.visit(&mut n)?;
    Ok(n.1)
}

/// L2 norm of all gradients of `model` together. NaN or infinite when one of them is.
///
/// # Errors
/// When the device cannot allocate a gradient that is missing.
pub fn grad_norm<E: Scalar>(model: &impl Params<E>, grads: &mut Grads<E>) -> Result<f64, OpsError> {
    Ok(param_norms(model, grads)?.values().map(|n| n * n).sum::<f64>().sqrt())
}
