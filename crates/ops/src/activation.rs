//! Activations of feed-forward layers, plain and as the gate of a gated unit.
use crate::error::{OpsError, same};
use crate::par::split_rows;
use crate::params::TapeOf;
use crate::raw::{GradSlot, data, data_mut, record};
use crate::scalar::Scalar;
use crate::simd::simd;
use dfdx::prelude::*;

/// The curve of a feed-forward layer.
///
/// # Source
/// Hendrycks and Gimpel 2016 for both forms of GELU; Elfwing et al. 2017 for SiLU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x sigmoid(x)`
    Silu,
    /// `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`
    GeluTanh,
    /// `x P(Z <= x)` with Z standard normal
    GeluErf,
}

/// Elements below which a thread is not worth starting.
const GRAIN: usize = 1 << 13;

/// Value and derivative.
#[inline(always)]
fn silu<E: Scalar>(x: E) -> (E, E) {
    let d = E::one() + (-x).vexp();
    let s = E::one() / d;
    (x / d, s + x * s * (E::one() - s))
}

#[inline(always)]
fn gelu_tanh<E: Scalar>(x: E) -> (E, E) {
    // (1 + tanh u) / 2 is sigmoid(2 u); beyond 100 it is 0 or 1 in any type, and the cube must not overflow
    let t = if x > E::c(100.0) { E::c(100.0) } else { x };
    let t = if t < E::c(-100.0) { E::c(-100.0) } else { t };
    let (a, k) = (E::c(0.044715), E::c(2.0 * (2.0 / std::f64::consts::PI).sqrt()));
    let s = E::one() / (E::one() + (-k * (t + a * t * t * t)).vexp());
    (x * s, s + x * s * (E::one() - s) * k * (E::one() + E::c(3.0) * a * t * t))
}

#[inline(always)]
fn gelu_erf<E: Scalar>(x: E) -> (E, E) {
    let below = E::c(0.5) * (-x * E::c(std::f64::consts::FRAC_1_SQRT_2)).erfc();
    let density = E::c((2.0 * std::f64::consts::PI).sqrt().recip()) * (-x * x * E::c(0.5)).vexp();
    (x * below, below + x * density)
}

macro_rules! kernels {
    ($curve:ident) => {
        mod $curve {
            use super::*;
            simd! {
                pub(super) fn plain<E>(y: &mut [E], x: &[E]) {
                    for (y, &x) in y.iter_mut().zip(x) { *y = super::$curve(x).0; }
                }
            }
            simd! {
                pub(super) fn pull<E>(dx: &mut [E], go: &[E], x: &[E]) {
                    for ((dx, &go), &x) in dx.iter_mut().zip(go).zip(x) { *dx += go * super::$curve(x).1; }
                }
            }
            simd! {
                pub(super) fn gated<E>(y: &mut [E], gate: &[E], up: &[E]) {
                    for ((y, &g), &u) in y.iter_mut().zip(gate).zip(up) { *y = super::$curve(g).0 * u; }
                }
            }
            simd! {
                pub(super) fn pull_gated<E>(dg: &mut [E], du: &mut [E], go: &[E], gate: &[E], up: &[E]) {
                    for ((((dg, du), &go), &g), &u) in dg.iter_mut().zip(du).zip(go).zip(gate).zip(up) {
                        let (value, slope) = super::$curve(g);
                        *du += go * value;
                        *dg += go * u * slope;
                    }
                }
            }
        }
    };
}
kernels!(silu);
kernels!(gelu_tanh);
kernels!(gelu_erf);

/// Calls one kernel of the activation.
macro_rules! on {
    ($act:expr, $kernel:ident, $($a:expr),*) => {
        match $act {
            Activation::Silu => silu::$kernel($($a),*),
            Activation::GeluTanh => gelu_tanh::$kernel($($a),*),
            Activation::GeluErf => gelu_erf::$kernel($($a),*),
        }
    };
}

/// `y = act(x)`, elementwise.
///
/// # Shapes
/// x and result (N, F).
///
/// # Gradient
/// To `x`.
///
/// # Errors
/// When the device cannot allocate.
pub fn activate<N: Dim, F: Dim, E: Scalar, T: TapeOf<E>>(
    x: Tensor<(N, F), E, Cpu, T>,
    act: Activation,
) -> Result<Tensor<(N, F), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    let (x, tape) = x.try_contiguous()?.split_tape();
    let mut out = x.device().try_zeros_like(x.shape())?;
    let xs = data(&x);
    split_rows((data_mut(&mut out), 1), (&mut [(); 0], 0), GRAIN, |s, y, _| {
        let x = &xs[s..s + y.len()];
        on!(act, plain, y, x);
    });
    let slot = GradSlot::of(&x);
    Ok(record(out, tape, move |go, grads| {
        let xs = data(&x);
        split_rows((slot.get(grads)?, 1), (&mut [(); 0], 0), GRAIN, |s, dx, _| {
            let e = s + dx.len();
            on!(act, pull, dx, &go[s..e], &xs[s..e]);
        });
        Ok(())
    }))
}

/// `y = act(gate) * up`, elementwise: SwiGLU with [`Activation::Silu`], GeGLU with a GELU.
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
pub fn gated<N: Dim, F: Dim, E: Scalar, T: TapeOf<E>>(
    gate: Tensor<(N, F), E, Cpu, T>,
    up: Tensor<(N, F), E, Cpu, T>,
    act: Activation,
) -> Result<Tensor<(N, F), E, Cpu, T>, OpsError>
where
    Cpu: Device<E>,
{
    same("gated", "rows of `up`", gate.shape().0.size(), up.shape().0.size())?;
    same("gated", "columns of `up`", gate.shape().1.size(), up.shape().1.size())?;
    let (g, gt) = gate.try_contiguous()?.split_tape();
    let (u, ut) = up.try_contiguous()?.split_tape();
    let mut out = g.device().try_zeros_like(g.shape())?;
    let (gs, us) = (data(&g), data(&u));
    split_rows((data_mut(&mut out), 1), (&mut [(); 0], 0), GRAIN, |s, y, _| {
        let e = s + y.len();
        on!(act, gated, y, &gs[s..e], &us[s..e]);
    });
    let (sg, su) = (GradSlot::of(&g), GradSlot::of(&u));
    Ok(record(out, gt.merge(ut), move |go, grads| {
        let mut dg = sg.take(grads)?;
        let (gs, us) = (data(&g), data(&u));
        split_rows((&mut dg, 1), (su.get(grads)?, 1), GRAIN, |s, dg, du| {
            let e = s + dg.len();
            on!(act, pull_gated, dg, du, &go[s..e], &gs[s..e], &us[s..e]);
        });
        sg.put(grads, dg)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        // x sigmoid(x), x P(Z <= x) at 1; the tanh form is the curve written with tanh itself
        assert!((silu(1.0f64).0 - 0.731_058_578_630_004_9).abs() < 1e-15);
        assert!((gelu_erf(1.0f64).0 - 0.841_344_746_068_542_9).abs() < 1e-15);
        for i in -80..80 {
            let x = i as f64 / 10.0;
            let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            assert!((gelu_tanh(x).0 - 0.5 * x * (1.0 + u.tanh())).abs() < 1e-14, "at {x}");
            assert!((gelu_tanh(x as f32).0 as f64 - gelu_tanh(x).0).abs() < 2e-6, "at {x}");
            assert!((gelu_erf(x as f32).0 as f64 - gelu_erf(x).0).abs() < 2e-6, "at {x}");
        }
    }

    #[test]
    fn huge_inputs_give_the_limits() {
        fn limits<E: Scalar>(huge: f64) {
            for f in [silu::<E>, gelu_tanh::<E>, gelu_erf::<E>] {
                let ((v, s), (w, t)) = (f(E::c(huge)), f(E::c(-huge)));
                assert_eq!((v.f() / E::c(huge).f(), s.f()), (1.0, 1.0));
                assert_eq!((w.f().abs(), t.f().abs()), (0.0, 0.0));
            }
        }
        limits::<f32>(1e30);
        limits::<f64>(1e200);
    }
}
