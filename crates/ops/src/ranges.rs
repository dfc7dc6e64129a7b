//! Sums over ranges of a vector: token log-probabilities to sequence log-probabilities.
use crate::error::OpsError;
use crate::params::TapeOf;
use crate::raw::{GradSlot, data, record};
use crate::scalar::Scalar;
use dfdx::prelude::*;
use std::ops::Range;

/// `y[i] = sum of x over ranges[i]`; an empty range gives 0. Sums run in f64.
///
/// # Shapes
/// x (N,), result (ranges.len(),). Ranges may overlap and need not cover x.
///
/// # Gradient
/// To `x`: each element gets the sum of the gradients of the ranges that hold it.
///
/// # Errors
/// A range that ends beyond N.
pub fn range_sums<N: Dim, E: Scalar, T: TapeOf<E>>(
    x: Tensor<(N,), E, Cpu, T>,
    ranges: &[Range<usize>],
) -> Result<Tensor<(usize,), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    let n = x.shape().0.size();
    if let Some(position) = ranges.iter().position(|r| r.end > n || r.start > r.end) {
        return Err(OpsError::Index { op: "range_sums", position, index: ranges[position].end, bound: n + 1 });
    }
    let (x, tape) = x.try_contiguous()?.split_tape();
    let sums = ranges.iter().map(|r| E::c(data(&x)[r.clone()].iter().map(|v| v.f()).sum::<f64>())).collect();
    let out = x.device().try_tensor_from_vec(sums, (ranges.len(),))?;
    let (slot, ranges) = (GradSlot::of(&x), ranges.to_vec());
    Ok(record(out, tape, move |go, grads| {
        let dx = slot.get(grads)?;
        for (r, &g) in ranges.into_iter().zip(go) {
            dx[r].iter_mut().for_each(|d| *d += g);
        }
        Ok(())
    }))
}
