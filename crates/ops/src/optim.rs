//! Optimisers over any [`Params`], in place and multi-threaded, with their state in plain sight.
use crate::error::OpsError;
use crate::moments::{Moment, MomentFormat, Moments, narrow, widen};
use crate::par::Ptr;
use crate::params::{Grads, Params, VisitMut};
use crate::raw::{data_mut, grad_mut};
use crate::scalar::Scalar;
use crate::simd::simd;
use dfdx::prelude::*;
use std::collections::BTreeMap;

/// AdamW: Adam with decoupled weight decay.
///
/// ```text
/// m = b1 m + (1 - b1) g        v = b2 v + (1 - b2) g^2
/// p = p - lr wd p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
/// ```
///
/// # Source
/// Loshchilov and Hutter 2019, algorithm 2, in the form of PyTorch (the decay is multiplied by the learning rate).
#[derive(Clone, Debug)]
pub struct AdamW<E> {
    /// decay rates of the two moments
    pub betas: [f64; 2],
    /// added to the root of the second moment
    pub eps: f64,
    /// decoupled weight decay, per unit of learning rate; applies to parameters of rank 2 or more, see `decay_vectors`
    pub weight_decay: f64,
    /// whether norm weights and biases (rank 1) decay too
    pub decay_vectors: bool,
    /// steps made so far
    pub steps: u64,
    /// how new moments are stored
    pub format: MomentFormat,
    /// moments by parameter name
    pub moments: BTreeMap<String, Moments<E>>,
}

/// Plain gradient descent, `p = p - lr g`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sgd;

struct Rates<E> {
    first: E,
    second: E,
    step: E,
    unbias: E,
    eps: E,
    decay: E,
    grad: E,
}

simd! {
    fn adam<E>(p: &mut [E], m: &mut [E], v: &mut [E], g: &mut [E], r: &Rates<E>) {
        let n = p.len();
        let (m, v, g) = (&mut m[..n], &mut v[..n], &mut g[..n]);
        for i in 0..n {
            let gi = g[i] * r.grad;
            m[i] = m[i] * r.first + gi * (E::one() - r.first);
            v[i] = v[i] * r.second + gi * gi * (E::one() - r.second);
            p[i] = p[i] - p[i] * r.decay - r.step * m[i] / ((v[i] * r.unbias).sqrt() + r.eps);
            g[i] = E::zero();
        }
    }
}

/// Elements that are widened at a time.
const PIECE: usize = 1024;

/// [`adam`] with moments in bf16; `first` is the number of the first element.
fn rounded<E: Scalar>(
    (p, g): (&mut [E], &mut [E]),
    (m, v): (&mut [u16], &mut [u16]),
    (first, seed): (usize, u32),
    rates: &Rates<E>,
) {
    let mut wide = [[E::zero(); PIECE]; 2];
    let pieces = p.chunks_mut(PIECE).zip(g.chunks_mut(PIECE)).zip(m.chunks_mut(PIECE).zip(v.chunks_mut(PIECE)));
    for (i, ((p, g), (m, v))) in pieces.enumerate() {
        let [wm, wv] = &mut wide;
        let (wm, wv, at) = (&mut wm[..p.len()], &mut wv[..p.len()], (first + i * PIECE) as u32);
        widen(m, wm);
        widen(v, wv);
        adam(p, wm, wv, g, rates);
        narrow(wm, m, at, seed.wrapping_mul(2));
        narrow(wv, v, at, seed.wrapping_mul(2).wrapping_add(1).wrapping_mul(0x85EB_CA6B));
    }
}

impl<E: Scalar> AdamW<E> {
    /// Zero moments, betas 0.9 and 0.999, eps 1e-8.
    pub fn new(weight_decay: f64) -> Self {
        AdamW {
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay,
            decay_vectors: false,
            steps: 0,
            format: MomentFormat::Full,
            moments: BTreeMap::new(),
        }
    }

    /// One update at learning rate `lr` with all gradients multiplied by `scale` (clipping, division by the batch's
    /// weight). The gradients are zeroed in the same pass.
    ///
    /// # Errors
    /// When moments that were put in by hand have another size than their parameter.
    pub fn step(&mut self, model: &mut impl Params<E>, grads: &mut Grads<E>, lr: f64, scale: f64) -> Result<(), OpsError> {
        self.steps += 1;
        model.visit_mut(&mut AdamStep { opt: self, grads, lr, scale })
    }

    fn rates(&self, lr: f64, scale: f64, decay: bool) -> Rates<E> {
        let [b1, b2] = self.betas;
        let t = self.steps as f64;
        Rates {
            first: E::c(b1),
            second: E::c(b2),
            step: E::c(lr / (1.0 - b1.powf(t))),
            unbias: E::c(1.0 / (1.0 - b2.powf(t))),
            eps: E::c(self.eps),
            decay: E::c(if decay { lr * self.weight_decay } else { 0.0 }),
            grad: E::c(scale),
        }
    }
}

struct AdamStep<'a, E: Dtype> {
    opt: &'a mut AdamW<E>,
    grads: &'a mut Grads<E>,
    lr: f64,
    scale: f64,
}

impl<E: Scalar> VisitMut<E> for AdamStep<'_, E> {
    type Error = OpsError;
    fn tensor<S: Shape>(&mut self, name: &str, t: &mut Tensor<S, E, Cpu>) -> Result<(), OpsError> {
        let rates = self.opt.rates(self.lr, self.scale, S::NUM_DIMS > 1 || self.opt.decay_vectors);
        let g = grad_mut(self.grads, t)?;
        let p = data_mut(t);
        let n = p.len();
        let format = self.opt.format;
        if !self.opt.moments.contains_key(name) {
            let (first, second) = (Moment::zeros(n, format), Moment::zeros(n, format));
            self.opt.moments.insert(name.to_owned(), Moments { first, second });
        }
        let seed = self.opt.steps as u32;
        let Some(Moments { first, second }) = self.opt.moments.get_mut(name) else { return Ok(()) };
        for v in [&*first, &*second] {
            crate::error::same("adamw", "length of the moments", n, v.len())?;
        }
        let (pp, pg) = (Ptr::of(p), Ptr::of(g));
        match (first, second) {
            (Moment::Full(m), Moment::Full(v)) => {
                let (pm, pv) = (Ptr::of(m), Ptr::of(v));
                crate::par::split(n, 1 << 14, |a, b| {
                    let k = b - a;
                    // SAFETY: parts of different tasks are disjoint; all four buffers hold n elements
                    unsafe { adam(pp.range(a, k), pm.range(a, k), pv.range(a, k), pg.range(a, k), &rates) }
                });
            }
            (Moment::Bf16(m), Moment::Bf16(v)) => {
                let (pm, pv) = (Ptr::of(m), Ptr::of(v));
                crate::par::split(n, 1 << 14, |a, b| {
                    let k = b - a;
                    // SAFETY: as above
                    unsafe { rounded((pp.range(a, k), pg.range(a, k)), (pm.range(a, k), pv.range(a, k)), (a, seed), &rates) }
                });
            }
            _ => return Err(OpsError::Moments { name: name.to_owned() }),
        }
        Ok(())
    }
}

impl Sgd {
    /// One update; gradients are zeroed.
    ///
    /// # Errors
    /// When the device cannot allocate a gradient that is missing.
    pub fn step<E: Scalar>(self, model: &mut impl Params<E>, grads: &mut Grads<E>, lr: f64) -> Result<(), OpsError> {
        struct Step<'a, E: Dtype>(&'a mut Grads<E>, E);
        impl<E: Scalar> VisitMut<E> for Step<'_, E> {
            type Error = OpsError;
            fn tensor<S: Shape>(&mut self, _: &str, t: &mut Tensor<S, E, Cpu>) -> Result<(), OpsError> {
                let g = grad_mut(self.0, t)?;
                for (p, g) in data_mut(t).iter_mut().zip(g) {
                    *p -= self.1 * *g;
                    *g = E::zero();
                }
                Ok(())
            }
        }
        model.visit_mut(&mut Step(grads, E::c(lr)))
    }
}
