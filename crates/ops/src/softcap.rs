//! Soft-capping: `cap tanh(x / cap)` keeps logits within `-cap..cap`.
use crate::error::OpsError;
use crate::par::split_rows;
use crate::params::TapeOf;
use crate::raw::{GradSlot, data, data_mut, record};
use crate::scalar::Scalar;
use crate::simd::simd;
use dfdx::prelude::*;

simd! {
    /// x to cap tanh(x / cap)
    pub(crate) fn cap<E>(x: &mut [E], cap: E) {
        for v in x.iter_mut() { *v = cap * (*v / cap).vtanh(); }
    }
}

simd! {
    /// g times the slope at the point whose capped value is y: 1 - (y / cap)^2
    pub(crate) fn uncap<E>(g: &mut [E], y: &[E], cap: E) {
        for (g, &y) in g.iter_mut().zip(y) { *g *= E::one() - (y / cap) * (y / cap); }
    }
}

simd! {
    fn pull<E>(dx: &mut [E], go: &[E], y: &[E], cap: E) {
        for ((dx, &go), &y) in dx.iter_mut().zip(go).zip(y) { *dx += go * (E::one() - (y / cap) * (y / cap)); }
    }
}

/// `y = cap tanh(x / cap)`, elementwise.
///
/// # Shapes
/// x and result (N, V).
///
/// # Gradient
/// To `x`: `g (1 - (y / cap)^2)`.
///
/// # Errors
/// When the device cannot allocate.
///
/// # Source
/// Bello et al. 2016, section 5.1, in the form of Gemma 2.
pub fn softcap<N: Dim, V: Dim, E: Scalar, T: TapeOf<E>>(
    x: Tensor<(N, V), E, Cpu, T>,
    limit: f64,
) -> Result<Tensor<(N, V), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    let (x, tape) = x.try_contiguous()?.split_tape();
    let mut out = x.device().try_zeros_like(x.shape())?;
    let xs = data(&x);
    split_rows((data_mut(&mut out), 1), (&mut [(); 0], 0), 1 << 13, |s, y, _| {
        y.copy_from_slice(&xs[s..s + y.len()]);
        cap(y, E::c(limit));
    });
    let (slot, kept) = (GradSlot::of(&x), out.clone());
    Ok(record(out, tape, move |go, grads| {
        let ys = data(&kept);
        split_rows((slot.get(grads)?, 1), (&mut [(); 0], 0), 1 << 13, |s, dx, _| {
            let e = s + dx.len();
            pull(dx, &go[s..e], &ys[s..e], E::c(limit));
        });
        Ok(())
    }))
}
