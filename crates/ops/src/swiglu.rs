//! `y = silu(gate) * up`, elementwise.
use crate::error::{OpsError, same};
use crate::par::split_rows;
use crate::params::TapeOf;
use crate::raw::{GradSlot, data, data_mut, record};
use crate::scalar::Scalar;
use crate::simd::simd;
use dfdx::prelude::*;

simd! {
    fn forward<E>(y: &mut [E], gate: &[E], up: &[E]) {
        for ((y, &g), &u) in y.iter_mut().zip(gate).zip(up) { *y = g / (E::one() + (-g).vexp()) * u; }
    }
}

simd! {
    fn backward<E>(dg: &mut [E], du: &mut [E], go: &[E], gate: &[E], up: &[E]) {
        for ((((dg, du), &go), &g), &u) in dg.iter_mut().zip(du).zip(go).zip(gate).zip(up) {
            let s = E::one() / (E::one() + (-g).vexp());
            let silu = g * s;
            *du += go * silu;
            *dg += go * u * (s + silu * (E::one() - s));
        }
    }
}

/// The gated unit of Llama's feed-forward layer: `silu(gate) * up`, with `silu(x) = x sigmoid(x)`.
///
/// # Shapes
/// gate, up and result (N, F).
///
/// # Gradient
/// To both.
///
/// # Errors
/// Run-time sizes that disagree.
///
/// # Source
/// Shazeer 2020, eq. 6.
pub fn swiglu<N: Dim, F: Dim, E: Scalar, T: TapeOf<E>>(
    gate: Tensor<(N, F), E, Cpu, T>,
    up: Tensor<(N, F), E, Cpu, T>,
) -> Result<Tensor<(N, F), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    same("swiglu", "rows of `up`", gate.shape().0.size(), up.shape().0.size())?;
    same("swiglu", "columns of `up`", gate.shape().1.size(), up.shape().1.size())?;
    let (g, gt) = gate.try_contiguous()?.split_tape();
    let (u, ut) = up.try_contiguous()?.split_tape();
    let mut out = g.device().try_zeros_like(g.shape())?;
    let (gs, us) = (data(&g), data(&u));
    split_rows((data_mut(&mut out), 1), (&mut [(); 0], 0), 1 << 13, |s, y, _| {
        forward(y, &gs[s..s + y.len()], &us[s..s + y.len()]);
    });
    let (sg, su) = (GradSlot::of(&g), GradSlot::of(&u));
    Ok(record(out, gt.merge(ut), move |go, grads| {
        let mut dg = sg.take(grads)?;
        let (gs, us) = (data(&g), data(&u));
        split_rows((&mut dg, 1), (su.get(grads)?, 1), 1 << 13, |s, dg, du| {
            let e = s + dg.len();
            backward(dg, du, &go[s..e], &gs[s..e], &us[s..e]);
        });
        sg.put(grads, dg)
    }))
}
