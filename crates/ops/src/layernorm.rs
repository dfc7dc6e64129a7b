//! `y = (x - mean(x)) / sqrt(var(x) + eps) * w + b` over the last axis.
use crate::error::{OpsError, same};
use crate::operand::{Operand, take};
use crate::par::{Ptr, blocks, split_rows};
use crate::params::TapeOf;
use crate::raw::{GradSlot, data, data_mut, record};
use crate::scalar::Scalar;
use crate::simd::{add_assign, dot, fold, simd};
use dfdx::prelude::*;

/// Rows whose weight gradients are summed together: fixed, so that sums do not depend on the number of threads.
const BLOCK: usize = 256;

simd! {
    /// returns the mean and the reciprocal of the deviation
    fn forward<E>(y: &mut [E], x: &[E], w: &[E], b: &[E], eps: E) -> (E, E) {
        let n = E::c(x.len() as f64);
        let mean = fold(x, E::zero(), |a, v| a + v, |a, b| a + b) / n;
        let var = fold(x, E::zero(), |a, v| a + (v - mean) * (v - mean), |a, b| a + b) / n;
        let r = E::one() / (var + eps).sqrt();
        for (((y, &x), &w), &b) in y.iter_mut().zip(x).zip(w).zip(b) { *y = (x - mean) * r * w + b; }
        (mean, r)
    }
}

simd! {
    /// with h = (x - mean) r and p = g w: dx += r (p - mean(p) - h mean(p h)), dw += g h, db += g
    fn backward<E>(dx: &mut [E], dw: &mut [E], db: &mut [E], h: &mut [E], p: &mut [E], g: &[E], x: &[E], w: &[E], mean: E, r: E) {
        let n = x.len();
        let (dx, dw, db, g, w) = (&mut dx[..n], &mut dw[..n], &mut db[..n], &g[..n], &w[..n]);
        let (h, p) = (&mut h[..n], &mut p[..n]);
        for i in 0..n {
            h[i] = (x[i] - mean) * r;
            p[i] = g[i] * w[i];
            dw[i] += g[i] * h[i];
            db[i] += g[i];
        }
        let count = E::c(n as f64);
        let (a, c) = (fold(p, E::zero(), |a, v| a + v, |a, b| a + b) / count, dot(p, h) / count);
        for i in 0..n { dx[i] += r * (p[i] - a - h[i] * c); }
    }
}

/// Layer normalisation with a learned scale and shift.
///
/// # Shapes
/// x (N, D), weight (D,), bias (D,), result (N, D).
///
/// # Gradient
/// To all three, to weight and bias when they are trained.
///
/// # Errors
/// Run-time sizes that disagree.
///
/// # Source
/// Ba, Kiros and Hinton 2016, eq. 4, with the variance over D elements (not D - 1) and `eps` inside the root.
pub fn layernorm<N: Dim, D: Dim, E: Scalar, T: TapeOf<E>>(
    x: Tensor<(N, D), E, Cpu, T>,
    weight: impl Operand<E, Shape = (D,)>,
    bias: impl Operand<E, Shape = (D,)>,
    eps: f64,
) -> Result<Tensor<(N, D), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    let (n, width) = (x.shape().0.size(), x.shape().1.size());
    same("layernorm", "length of the weight", width, weight.values().shape().0.size())?;
    same("layernorm", "length of the bias", width, bias.values().shape().0.size())?;
    let (x, tape) = x.try_contiguous()?.split_tape();
    let (w, gw, wt) = take::<_, _, T>(weight)?;
    let (b, gb, bt) = take::<_, _, T>(bias)?;
    let mut out = x.device().try_zeros_like(x.shape())?;
    let mut moments = vec![(E::zero(), E::zero()); n];
    let (xs, ws, bs) = (data(&x), data(&w), data(&b));
    split_rows((data_mut(&mut out), width), (&mut moments, 1), 64, |first, y, moments| {
        for (i, (y, m)) in y.chunks_exact_mut(width).zip(moments).enumerate() {
            let o = (first + i) * width;
            *m = forward(y, &xs[o..o + width], ws, bs, E::c(eps));
        }
    });
    let gx = GradSlot::of(&x);
    Ok(record(out, tape.merge(wt).merge(bt), move |go, grads| {
        let sums = spread(gx.get(grads)?, go, data(&x), data(&w), &moments);
        for (slot, sum) in [gw, gb].into_iter().zip(&sums) {
            if let Some(slot) = slot {
                add_assign(slot.get(grads)?, sum);
            }
        }
        Ok(())
    }))
}

/// The backward pass of all rows; returns the gradients of weight and bias, summed in fixed blocks.
fn spread<E: Scalar>(dx: &mut [E], go: &[E], x: &[E], w: &[E], moments: &[(E, E)]) -> [Vec<E>; 2] {
    let width = w.len();
    let px = Ptr::of(dx);
    let [mut dw, mut db] = [vec![E::zero(); width], vec![E::zero(); width]];
    for [part_w, part_b] in blocks(moments.len(), BLOCK, |a, b| {
        let zeros = || vec![E::zero(); width];
        let (mut sums, mut scratch) = ([zeros(), zeros()], [zeros(), zeros()]);
        let ([sw, sb], [h, p]) = (&mut sums, &mut scratch);
        for (i, &(mean, r)) in moments.iter().enumerate().take(b).skip(a) {
            let o = i * width;
            // SAFETY: row i belongs to this block alone, and dx has a row per element of `moments`
            let dx = unsafe { px.range(o, width) };
            backward(dx, sw, sb, h, p, &go[o..o + width], &x[o..o + width], w, mean, r);
        }
        sums
    }) {
        add_assign(&mut dw, &part_w);
        add_assign(&mut db, &part_b);
    }
    [dw, db]
}
