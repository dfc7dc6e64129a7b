//! `y = x / sqrt(mean(x^2) + eps) * (offset + w)` over the last axis.
use crate::error::{OpsError, same};
use crate::operand::{Operand, take};
use crate::par::{blocks, split_rows};
use crate::params::TapeOf;
use crate::raw::{GradSlot, data, data_mut, record};
use crate::scalar::Scalar;
use crate::simd::{LANES, add_assign, simd, sum_squares};
use dfdx::prelude::*;

/// Rows whose weight gradients are summed together: fixed, so that sums do not depend on the number of threads.
const BLOCK: usize = 256;

simd! {
    fn forward<E>(y: &mut [E], x: &[E], w: &[E], eps: E) -> E {
        let r = E::one() / (sum_squares(x) / E::c(x.len() as f64) + eps).sqrt();
        for ((y, &x), &w) in y.iter_mut().zip(x).zip(w) { *y = x * r * w; }
        r
    }
}

simd! {
    /// dx += r (g w - x r^2 mean(g w x)), dw += g x r
    fn backward<E>(dx: &mut [E], dw: &mut [E], g: &[E], x: &[E], w: &[E], r: E) {
        let n = x.len();
        let (dx, dw, g, w) = (&mut dx[..n], &mut dw[..n], &g[..n], &w[..n]);
        let (mut acc, full) = ([E::zero(); LANES], n / LANES * LANES);
        for o in (0..full).step_by(LANES) {
            for l in 0..LANES { acc[l] += g[o + l] * w[o + l] * x[o + l]; }
        }
        let rest = (full..n).fold(E::zero(), |s, i| s + g[i] * w[i] * x[i]);
        let c = acc.into_iter().fold(rest, |s, v| s + v) * r * r / E::c(n as f64);
        for i in 0..n {
            dx[i] += r * (g[i] * w[i] - x[i] * c);
            dw[i] += g[i] * x[i] * r;
        }
    }
}

/// Root-mean-square normalisation with a learned scale.
///
/// # Shapes
/// x (N, D), weight (D,), result (N, D).
///
/// # Gradient
/// To both, to the weight when it is trained.
///
/// # Errors
/// Run-time sizes that disagree.
///
/// # Source
/// Zhang and Sennrich 2019, eq. 4, with `eps` inside the root as Llama checkpoints have it.
pub fn rmsnorm<N: Dim, D: Dim, E: Scalar, T: TapeOf<E>>(
    x: Tensor<(N, D), E, Cpu, T>,
    weight: impl Operand<E, Shape = (D,)>,
    eps: f64,
) -> Result<Tensor<(N, D), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    rmsnorm_offset(x, weight, 0.0, eps)
}

/// [`rmsnorm`] with the scale `offset + weight`; Gemma's weights are stored with offset 1.
///
/// # Errors
/// Run-time sizes that disagree.
pub fn rmsnorm_offset<N: Dim, D: Dim, E: Scalar, T: TapeOf<E>>(
    x: Tensor<(N, D), E, Cpu, T>,
    weight: impl Operand<E, Shape = (D,)>,
    offset: f64,
    eps: f64,
) -> Result<Tensor<(N, D), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    let (n, d) = *x.shape();
    let (n, width) = (n.size(), d.size());
    same("rmsnorm", "length of the weight", width, weight.values().shape().0.size())?;
    let (x, tape) = x.try_contiguous()?.split_tape();
    let (w, gw, wt) = take::<_, _, T>(weight)?;
    let mut out = x.device().try_zeros_like(x.shape())?;
    let mut scale = vec![E::zero(); n];
    let factors: Vec<E> = data(&w).iter().map(|&w| E::c(offset) + w).collect();
    let xs = data(&x);
    split_rows((data_mut(&mut out), width), (&mut scale, 1), 64, |first, y, r| {
        for (i, (y, r)) in y.chunks_exact_mut(width).zip(r).enumerate() {
            let o = (first + i) * width;
            *r = forward(y, &xs[o..o + width], &factors, E::c(eps));
        }
    });
    let gx = GradSlot::of(&x);
    Ok(record(out, tape.merge(wt), move |go, grads| {
        let dw = spread(gx.get(grads)?, go, data(&x), &factors, &scale);
        if let Some(gw) = gw {
            add_assign(gw.get(grads)?, &dw);
        }
        Ok(())
    }))
}

/// The backward pass of all rows; returns the gradient of the weight, summed in fixed blocks.
fn spread<E: Scalar>(dx: &mut [E], go: &[E], x: &[E], w: &[E], scale: &[E]) -> Vec<E> {
    let width = w.len();
    let px = crate::par::Ptr::of(dx);
    let mut dw = vec![E::zero(); width];
    for part in blocks(scale.len(), BLOCK, |a, b| {
        let mut part = vec![E::zero(); width];
        for (i, &r) in scale.iter().enumerate().take(b).skip(a) {
            let o = i * width;
            // SAFETY: row i belongs to this block alone, and dx has a row per element of `scale`
            let dx = unsafe { px.range(o, width) };
            backward(dx, &mut part, &go[o..o + width], &x[o..o + width], w, r);
        }
        part
    }) {
        add_assign(&mut dw, &part);
    }
    dw
}
