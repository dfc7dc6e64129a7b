//! Rows of a table (token embedding) and rows of an activation.
use crate::error::{OpsError, below};
use crate::operand::{Operand, take};
use crate::params::TapeOf;
use crate::raw::{GradSlot, data, data_mut, record};
use crate::scalar::Scalar;
use crate::simd::simd;
use dfdx::prelude::*;

simd! {
    fn scaled_copy<E>(to: &mut [E], from: &[E], scale: E) {
        for (t, &f) in to.iter_mut().zip(from) { *t = f * scale; }
    }
}

simd! {
    fn scaled_add<E>(to: &mut [E], from: &[E], scale: E) {
        for (t, &f) in to.iter_mut().zip(from) { *t += f * scale; }
    }
}

/// Rows `ids` of the table `weight`: token embeddings.
///
/// # Shapes
/// weight (V, D), result (ids.len(), D).
///
/// # Gradient
/// To the used rows of `weight` when it is trained; a row that is used twice gets both.
///
/// # Errors
/// An id that is not below V, with its position.
pub fn embed<V: Dim, D: Dim, E: Scalar, T: TapeOf<E>>(
    weight: impl Operand<E, Shape = (V, D)>,
    ids: &[usize],
    tape: T,
) -> Result<Tensor<(usize, D), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    embed_scaled(weight, ids, 1.0, tape)
}

/// [`embed`] with the rows multiplied by `scale`.
///
/// # Errors
/// An id that is not below V, with its position.
pub fn embed_scaled<V: Dim, D: Dim, E: Scalar, T: TapeOf<E>>(
    weight: impl Operand<E, Shape = (V, D)>,
    ids: &[usize],
    scale: f64,
    tape: T,
) -> Result<Tensor<(usize, D), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    let (weight, slot, wt) = take::<_, _, T>(weight)?;
    pick("embed", (weight, slot), ids, E::c(scale), tape.merge(wt))
}

/// Rows `at` of an activation, in that order; a row may be taken several times.
///
/// # Shapes
/// x (N, D), result (at.len(), D).
///
/// # Gradient
/// To `x`, added per use.
///
/// # Errors
/// An index that is not below N.
pub fn rows<N: Dim, D: Dim, E: Scalar, T: TapeOf<E>>(
    x: Tensor<(N, D), E, Cpu, T>,
    at: &[usize],
) -> Result<Tensor<(usize, D), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    let (x, tape) = x.try_contiguous()?.split_tape();
    let slot = GradSlot::of(&x);
    pick("rows", (x, Some(slot)), at, E::one(), tape)
}

fn pick<N: Dim, D: Dim, E: Scalar, T: TapeOf<E>>(
    op: &'static str,
    (x, slot): (Tensor<(N, D), E, Cpu>, Option<GradSlot<E>>),
    at: &[usize],
    scale: E,
    tape: T,
) -> Result<Tensor<(usize, D), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    let (n, d) = *x.shape();
    below(op, at, n.size(), None)?;
    let width = d.size();
    let mut out: Tensor<(usize, D), E, Cpu> = x.device().try_zeros_like(&(at.len(), d))?;
    for (to, &i) in data_mut(&mut out).chunks_exact_mut(width).zip(at) {
        scaled_copy(to, &data(&x)[i * width..(i + 1) * width], scale);
    }
    let Some(slot) = slot else { return Ok(out.put_tape(tape)) };
    let at = at.to_vec();
    Ok(record(out, tape, move |go, grads| {
        let dx = slot.get(grads)?;
        for (g, &i) in go.chunks_exact(width).zip(&at) {
            scaled_add(&mut dx[i * width..(i + 1) * width], g, scale);
        }
        Ok(())
    }))
}
