//! Token log-probabilities, as one vector, to sums of sequences and to rectangles of tokens.
use crate::error::{OpsError, same};
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

/// `y[i, j] = x[cells[i width + j]]`, and 0 where a cell is `None`: a vector of tokens laid out as padded rows.
///
/// # Shapes
/// x (N,), result (cells.len() / width, width). An element may stand in several cells, or in none.
///
/// # Gradient
/// To `x`: each element gets the sum of the gradients of its cells.
///
/// # Errors
/// A cell beyond N; cells that do not fill the last row.
///
/// ```
/// use dfdx::prelude::*;
/// let x = Cpu::default().tensor([1.0_f32, 2.0, 3.0]);
/// let y = tropism_ops::cells(x, &[Some(0), Some(1), Some(2), None], 2)?;
/// assert_eq!((y.shape().0, y.as_vec()), (2, vec![1.0, 2.0, 3.0, 0.0]));
/// # Ok::<(), tropism_ops::OpsError>(())
/// ```
pub fn cells<N: Dim, E: Scalar, T: TapeOf<E>>(
    x: Tensor<(N,), E, Cpu, T>,
    cells: &[Option<usize>],
    width: usize,
) -> Result<Tensor<(usize, usize), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    let n = x.shape().0.size();
    if let Some((position, &Some(index))) = cells.iter().enumerate().find(|(_, c)| c.is_some_and(|c| c >= n)) {
        return Err(OpsError::Index { op: "cells", position, index, bound: n });
    }
    same("cells", "cells beyond whole rows", 0, cells.len() % width.max(1))?;
    let (x, tape) = x.try_contiguous()?.split_tape();
    let values = cells.iter().map(|c| c.map_or(E::zero(), |c| data(&x)[c])).collect();
    let out = x.device().try_tensor_from_vec(values, (cells.len() / width.max(1), width))?;
    let (slot, cells) = (GradSlot::of(&x), cells.to_vec());
    Ok(record(out, tape, move |go, grads| {
        let dx = slot.get(grads)?;
        for (cell, &g) in cells.iter().zip(go) {
            if let Some(cell) = *cell {
                dx[cell] += g;
            }
        }
        Ok(())
    }))
}
