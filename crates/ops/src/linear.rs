//! `y = x W^T`, with an optional residual that the product starts from.
use crate::bias::onto;
use crate::error::{OpsError, same};
use crate::frozen::Frozen;
use crate::mm::{Precision, View, big};
use crate::operand::{Operand, Param, take};
use crate::params::TapeOf;
use crate::raw::{GradSlot, data, data_mut, record};
use crate::scalar::Scalar;
use crate::simd::add_into;
use crate::weights::Weights;
use dfdx::prelude::*;

/// `y = x W^T`.
///
/// # Shapes
/// x (N, I), weight (O, I), result (N, O).
///
/// # Gradient
/// To `x` (`g W`) and to `weight` (`g^T x`) when it is trained; otherwise `x` is not kept either.
///
/// # Errors
/// Run-time sizes that disagree.
pub fn linear<N: Dim, I: Dim, O: Dim, E: Scalar, T: TapeOf<E>>(
    x: Tensor<(N, I), E, Cpu, T>,
    weight: impl Operand<E, Shape = (O, I)>,
    precision: Precision,
) -> Result<Tensor<(N, O), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    let out = x.device().try_zeros_like(&(x.shape().0, weight.values().shape().0))?;
    let (x, tape) = x.try_contiguous()?.split_tape();
    product(x, weight, out, None, (tape, precision))
}

/// `y = x W^T + residual`; the sum costs nothing, the product accumulates onto the residual.
///
/// # Shapes
/// x (N, I), weight (O, I), residual (N, O), result (N, O).
///
/// # Gradient
/// To all three, to the weight when it is trained.
///
/// # Errors
/// Run-time sizes that disagree.
pub fn linear_add<N: Dim, I: Dim, O: Dim, E: Scalar, T: TapeOf<E>>(
    x: Tensor<(N, I), E, Cpu, T>,
    weight: impl Operand<E, Shape = (O, I)>,
    residual: Tensor<(N, O), E, Cpu, T>,
    precision: Precision,
) -> Result<Tensor<(N, O), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    same("linear_add", "rows of the residual", x.shape().0.size(), residual.shape().0.size())?;
    same("linear_add", "columns of the residual", weight.values().shape().0.size(), residual.shape().1.size())?;
    let (residual, rt) = residual.try_contiguous()?.split_tape();
    let mut out = x.device().try_zeros_like(residual.shape())?;
    data_mut(&mut out).copy_from_slice(data(&residual));
    let (x, tape) = x.try_contiguous()?.split_tape();
    product(x, weight, out, Some(GradSlot::of(&residual)), (tape.merge(rt), precision))
}

/// `out (+)= x W^T`; `residual` is the gradient of what `out` holds at the start.
fn product<N: Dim, I: Dim, O: Dim, E: Scalar, T: TapeOf<E>>(
    x: Tensor<(N, I), E, Cpu>,
    weight: impl Operand<E, Shape = (O, I)>,
    mut out: Tensor<(N, O), E, Cpu>,
    residual: Option<GradSlot<E>>,
    (tape, precision): (T, Precision),
) -> Result<Tensor<(N, O), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    let ((n, i), (o, i2)) = (*x.shape(), *weight.values().shape());
    let (n, i, o) = (n.size(), i.size(), o.size());
    same("linear", "columns of the weight", i, i2.size())?;
    let (w, gw, wt) = take::<_, _, T>(weight)?;
    big(data_mut(&mut out), o, residual.is_some(), View::new(data(&x), n, i), View::new(data(&w), o, i).t(), precision);
    let gx = GradSlot::of(&x);
    // the input is kept for the weight's gradient alone
    let own = gw.map(|gw| (gw, x));
    Ok(record(out, tape.merge(wt), move |go, grads| {
        let g = View::new(go, n, o);
        big(gx.get(grads)?, i, true, g, View::new(data(&w), o, i), precision);
        if let Some((gw, x)) = own {
            big(gw.get(grads)?, i, true, g.t(), View::new(data(&x), n, i), precision);
        }
        if let Some(slot) = residual {
            add_into(slot.get(grads)?, go);
        }
        Ok(())
    }))
}

/// `y = x W^T (+ bias) (+ residual)` for frozen weights.
///
/// # Shapes
/// x (N, I), weight (O, I), bias (O,), residual (N, O), result (N, O).
///
/// # Gradient
/// To all but the weight; to the bias when it is trained.
///
/// # Errors
/// Run-time sizes that disagree.
pub fn linear_frozen<N: Dim, I: Dim, O: Dim, E: Scalar, T: TapeOf<E>>(
    x: Tensor<(N, I), E, Cpu, T>,
    weight: &Frozen<O, I>,
    bias: Option<&Param<(O,), E>>,
    residual: Option<Tensor<(N, O), E, Cpu, T>>,
) -> Result<Tensor<(N, O), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    let ((n, i), (o, i2)) = (*x.shape(), weight.shape());
    same("linear_frozen", "columns of the weight", i.size(), i2.size())?;
    let mut out = x.device().try_zeros_like(&(n, o))?;
    let (x, mut tape) = x.try_contiguous()?.split_tape();
    let mut slot = None;
    if let Some(residual) = residual {
        same("linear_frozen", "rows of the residual", n.size(), residual.shape().0.size())?;
        same("linear_frozen", "columns of the residual", o.size(), residual.shape().1.size())?;
        let (residual, rt) = residual.try_contiguous()?.split_tape();
        data_mut(&mut out).copy_from_slice(data(&residual));
        slot = Some(GradSlot::of(&residual));
        tape = tape.merge(rt);
    }
    let (n, i, o) = (n.size(), i.size(), o.size());
    let store = weight.store.clone();
    store.forward(data_mut(&mut out), o, slot.is_some(), View::new(data(&x), n, i), 0..o);
    let gx = GradSlot::of(&x);
    let y = record(out, tape, move |go, grads| {
        store.backward(gx.get(grads)?, View::new(go, n, o), 0..o);
        if let Some(slot) = slot {
            add_into(slot.get(grads)?, go);
        }
        Ok(())
    });
    match bias {
        Some(bias) => onto(y, bias),
        None => Ok(y),
    }
}
