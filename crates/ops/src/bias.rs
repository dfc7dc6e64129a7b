//! `y = x W^T + bias`, with an optional residual: [`linear`] with a vector added to every row of its result.
use crate::error::{OpsError, same};
use crate::linear::{linear, linear_add};
use crate::mm::Precision;
use crate::operand::{Operand, take};
use crate::par::{blocks, split_rows};
use crate::params::TapeOf;
use crate::raw::{GradSlot, data, data_mut};
use crate::scalar::Scalar;
use crate::simd::add_assign;
use dfdx::prelude::*;

/// Rows whose bias gradients are summed together: fixed, so that sums do not depend on the number of threads.
const BLOCK: usize = 256;

/// `y = x W^T + bias`.
///
/// # Shapes
/// x (N, I), weight (O, I), bias (O,), result (N, O).
///
/// # Gradient
/// To all three, to weight and bias when they are trained; the bias receives the column sums.
///
/// # Errors
/// Run-time sizes that disagree.
pub fn linear_bias<N: Dim, I: Dim, O: Dim, E: Scalar, T: TapeOf<E>>(
    x: Tensor<(N, I), E, Cpu, T>,
    weight: impl Operand<E, Shape = (O, I)>,
    bias: impl Operand<E, Shape = (O,)>,
    precision: Precision,
) -> Result<Tensor<(N, O), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    onto(linear(x, weight, precision)?, bias)
}

/// `y = x W^T + bias + residual`.
///
/// # Shapes
/// x (N, I), weight (O, I), bias (O,), residual (N, O), result (N, O).
///
/// # Gradient
/// To all four, to weight and bias when they are trained.
///
/// # Errors
/// Run-time sizes that disagree.
pub fn linear_bias_add<N: Dim, I: Dim, O: Dim, E: Scalar, T: TapeOf<E>>(
    x: Tensor<(N, I), E, Cpu, T>,
    weight: impl Operand<E, Shape = (O, I)>,
    bias: impl Operand<E, Shape = (O,)>,
    residual: Tensor<(N, O), E, Cpu, T>,
    precision: Precision,
) -> Result<Tensor<(N, O), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    onto(linear_add(x, weight, residual, precision)?, bias)
}

/// Adds the bias in place. `y` keeps its id, so its gradient passes to the product unchanged and uncopied. This is sound for
/// a tensor that nobody else has seen, as a product that was made just now; hence not public.
pub(crate) fn onto<N: Dim, O: Dim, E: Scalar, T: TapeOf<E>>(
    y: Tensor<(N, O), E, Cpu, T>,
    bias: impl Operand<E, Shape = (O,)>,
) -> Result<Tensor<(N, O), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    let width = y.shape().1.size();
    same("linear_bias", "length of the bias", width, bias.values().shape().0.size())?;
    let (mut y, tape) = y.split_tape();
    let (bias, slot, bt) = take::<_, _, T>(bias)?;
    let bs = data(&bias);
    split_rows((data_mut(&mut y), width), (&mut [(); 0], 0), 64, |_, part, _| {
        part.chunks_exact_mut(width).for_each(|row| add_assign(row, bs));
    });
    let mut tape = tape.merge(bt);
    if let (true, Some(sb)) = (T::OWNS_TAPE, slot) {
        let sy = GradSlot::of(&y);
        tape.add_backward_op(move |grads| {
            let go = sy.take(grads)?;
            let mut db = sb.take(grads)?;
            column_sums(&go, &mut db);
            sb.put(grads, db)?;
            sy.put(grads, go)
        });
    }
    Ok(y.put_tape(tape))
}

/// Adds the sum of all rows to `sums`.
fn column_sums<E: Scalar>(rows: &[E], sums: &mut [E]) {
    let width = sums.len();
    for part in blocks(rows.len() / width.max(1), BLOCK, |a, b| {
        let mut part = vec![E::zero(); width];
        rows[a * width..b * width].chunks_exact(width).for_each(|row| add_assign(&mut part, row));
        part
    }) {
        add_assign(sums, &part);
    }
}
