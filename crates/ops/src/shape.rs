//! Sums of activations, and some of their columns.
use crate::error::{OpsError, same};
use crate::par::split_rows;
use crate::params::TapeOf;
use crate::raw::{GradSlot, data, data_mut, record};
use crate::scalar::Scalar;
use crate::simd::{add_assign, add_into};
use dfdx::prelude::*;

/// `y = a + b`.
///
/// # Shapes
/// a, b and result (N, D).
///
/// # Gradient
/// To both.
///
/// # Errors
/// Run-time sizes that disagree.
pub fn plus<N: Dim, D: Dim, E: Scalar, T: TapeOf<E>>(
    a: Tensor<(N, D), E, Cpu, T>,
    b: Tensor<(N, D), E, Cpu, T>,
) -> Result<Tensor<(N, D), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    same("plus", "rows of the second", a.shape().0.size(), b.shape().0.size())?;
    same("plus", "columns of the second", a.shape().1.size(), b.shape().1.size())?;
    let (a, at) = a.try_contiguous()?.split_tape();
    let (b, bt) = b.try_contiguous()?.split_tape();
    let mut out = a.device().try_zeros_like(a.shape())?;
    data_mut(&mut out).copy_from_slice(data(&a));
    add_into(data_mut(&mut out), data(&b));
    let slots = [GradSlot::of(&a), GradSlot::of(&b)];
    Ok(record(out, at.merge(bt), move |go, grads| {
        for slot in &slots {
            add_into(slot.get(grads)?, go);
        }
        Ok(())
    }))
}

/// `y = factor x`.
///
/// # Shapes
/// x and result (N, D).
///
/// # Gradient
/// To `x`.
///
/// # Errors
/// When the device cannot allocate.
pub fn scaled<N: Dim, D: Dim, E: Scalar, T: TapeOf<E>>(
    x: Tensor<(N, D), E, Cpu, T>,
    factor: f64,
) -> Result<Tensor<(N, D), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    let (x, tape) = x.try_contiguous()?.split_tape();
    let (factor, slot) = (E::c(factor), GradSlot::of(&x));
    let mut out = x.device().try_zeros_like(x.shape())?;
    data_mut(&mut out).iter_mut().zip(data(&x)).for_each(|(y, &x)| *y = factor * x);
    Ok(record(out, tape, move |go, grads| {
        slot.get(grads)?.iter_mut().zip(go).for_each(|(dx, &g)| *dx += factor * g);
        Ok(())
    }))
}

/// The columns `first..first + D` of an activation: one part of a fused projection.
///
/// # Shapes
/// x (N, W), result (N, D).
///
/// # Gradient
/// To those columns of `x`.
///
/// # Errors
/// Columns beyond W.
pub fn columns<N: Dim, W: Dim, D: Dim, E: Scalar, T: TapeOf<E>>(
    x: Tensor<(N, W), E, Cpu, T>,
    first: usize,
    count: D,
) -> Result<Tensor<(N, D), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    let (from, to) = (x.shape().1.size(), count.size());
    if first + to > from {
        return Err(OpsError::Size { op: "columns", what: "end of the columns", expected: from, found: first + to });
    }
    let (x, tape) = x.try_contiguous()?.split_tape();
    let mut out: Tensor<(N, D), E, Cpu> = x.device().try_zeros_like(&(x.shape().0, count))?;
    let xs = data(&x);
    split_rows((data_mut(&mut out), to), (&mut [(); 0], 0), 64, |row, part, _| {
        for (y, x) in part.chunks_exact_mut(to).zip(xs[row * from..].chunks_exact(from)) {
            y.copy_from_slice(&x[first..first + to]);
        }
    });
    let slot = GradSlot::of(&x);
    drop(x);
    Ok(record(out, tape, move |go, grads| {
        split_rows((slot.get(grads)?, from), (&mut [(); 0], 0), 64, |row, part, _| {
            for (dx, g) in part.chunks_exact_mut(from).zip(go[row * to..].chunks_exact(to)) {
                add_assign(&mut dx[first..first + to], g);
            }
        });
        Ok(())
    }))
}
