//! Convolutions of images and clips, by matrix products of their patches.
mod grid;
mod plan;

use crate::bias::onto;
use crate::error::{OpsError, same};
use crate::mm::Precision;
use crate::operand::{Operand, take};
use crate::params::TapeOf;
use crate::raw::{GradSlot, data, data_mut, record};
use crate::scalar::Scalar;
use dfdx::prelude::*;
pub use grid::Window;
use plan::Plan;

/// Cross-correlation of images or clips with zeros around them, plus a bias:
/// `y[b, p, o] = bias[o] + sum over taps k and channels i of w[o, k, i] x[b, p stride + k - kernel / 2, i]`.
///
/// Rows are cells, channels last: cell `(frame, row, column)` of sample `b` is row `((b F + frame) H + row) W + column`. Patches
/// are made a few samples at a time, forward and again backward; they are never kept.
///
/// # Shapes
/// x (B·F·H·W, I), weight (O, taps·I) with the channels of each tap together, bias (O,), result (B·F'·H'·W', O).
///
/// # Gradient
/// To all three, to weight and bias when they are trained.
///
/// # Errors
/// Sizes that disagree, rows that are no whole samples, an even kernel, a stride of 0.
pub fn conv<I: Dim, K: Dim, O: Dim, E: Scalar, T: TapeOf<E>>(
    x: Tensor<(usize, I), E, Cpu, T>,
    weight: impl Operand<E, Shape = (O, K)>,
    bias: impl Operand<E, Shape = (O,)>,
    window: Window,
    precision: Precision,
) -> Result<Tensor<(usize, O), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    let (rows, channels) = (x.shape().0, x.shape().1.size());
    let samples = window.samples(rows)?;
    let (o, k) = *weight.values().shape();
    same("conv", "columns of the weight", window.taps() * channels, k.size())?;
    let (x, tape) = x.try_contiguous()?.split_tape();
    let (w, gw, wt) = take::<_, _, T>(weight)?;
    let plan = Plan::new(window, samples, (channels, o.size()), precision);
    let mut out: Tensor<(usize, O), E, Cpu> = x.device().try_zeros_like(&(samples * plan.places, o))?;
    plan.forward(data_mut(&mut out), data(&x), data(&w));
    let gx = GradSlot::of(&x);
    let y = record(out, tape.merge(wt), move |go, grads| {
        plan.to_input(gx.get(grads)?, go, data(&w));
        if let Some(gw) = gw {
            plan.to_weight(gw.get(grads)?, go, data(&x));
        }
        Ok(())
    });
    onto(y, bias)
}
