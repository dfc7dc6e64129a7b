//! Linear combinations of tensors, row by row.

use dfdx::prelude::*;
use tropism_core::CoreError;
use tropism_core::numerics::{detach, from_f64, to_f64};

use crate::DiffusionError;

/// Samples `[B, D]`, one a row.
pub type Samples<B, D, E, T = NoneTape> = Tensor<(B, D), E, Cpu, T>;

/// Rows and columns.
pub(crate) fn size<B: Dim, D: Dim, E: Dtype, V: Device<E>, T>(x: &Tensor<(B, D), E, V, T>) -> (usize, usize) {
    let (rows, columns) = *x.shape();
    (rows.size(), columns.size())
}

/// `Σ_k f_k(row) · x_k`, in f64, rounded once; a term whose factor is 0 is left out, whatever it holds.
pub(crate) fn combine<B: Dim, D: Dim, E: Dtype, V: Device<E>>(
    terms: &[(&Tensor<(B, D), E, V>, &dyn Fn(usize) -> f64)],
) -> Result<Tensor<(B, D), E, V>, DiffusionError> {
    let Some((first, _)) = terms.first() else {
        return Err(CoreError::Empty { what: "combination" }.into());
    };
    let (rows, columns) = size(*first);
    let mut sum = vec![0.0; rows * columns];
    for (x, factor) in terms {
        DiffusionError::check_shape("tensor", (rows, columns), size(*x))?;
        let values = to_f64(*x);
        for (row, (sums, values)) in sum.chunks_mut(columns).zip(values.chunks(columns)).enumerate() {
            let factor = factor(row);
            if factor != 0.0 {
                sums.iter_mut().zip(values).for_each(|(s, v)| *s += factor * v);
            }
        }
    }
    Ok(from_f64(first.device(), &sum, *first.shape())?)
}

/// `values` per row, with `slopes` as gradient in the cells of `x`.
pub(crate) fn attach_rows<B: Dim, D: Dim, E: Dtype, V: Device<E>, T: Tape<E, V>>(
    values: &[f64],
    x: Tensor<(B, D), E, V, T>,
    slopes: &[f64],
) -> Result<Tensor<(B,), E, V, T>, DiffusionError> {
    let (rows, columns) = *x.shape();
    let device = x.device().clone();
    let slopes: Tensor<(B, D), E, V> = from_f64(&device, slopes, (rows, columns))?;
    let values: Tensor<(B,), E, V> = from_f64(&device, values, (rows,))?;
    // x - x is exactly 0, so the values are untouched while the tape sees the slopes.
    let origin = detach(&x)?;
    let offset = x.try_sub(origin).and_then(|d| d.try_mul(slopes)).map_err(CoreError::device)?;
    let offset: Tensor<(B,), E, V, T> = offset.try_sum::<_, Axis<1>>().map_err(CoreError::device)?;
    Ok(offset.try_add(values).map_err(CoreError::device)?)
}
