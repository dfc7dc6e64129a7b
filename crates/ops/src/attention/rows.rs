//! Row kernels of attention. Only the columns `from..to` of a row are seen; the others become 0.
use crate::scalar::Scalar;
use crate::simd::{fold, largest, simd};

/// From a raw score to the one that the softmax takes: scaled, then capped.
#[derive(Clone, Copy)]
pub(super) struct Curve<E> {
    pub(super) scale: E,
    pub(super) cap: Option<E>,
}

simd! {
    /// raw scores to `cap tanh(scale x / cap)`
    fn capped<E>(x: &mut [E], scale: E, cap: E) {
        for v in x.iter_mut() { *v = cap * (*v * scale / cap).vtanh(); }
    }
}

simd! {
    fn normalise<E>(x: &mut [E], scale: E) -> E {
        let top = largest(x) * scale;
        for v in x.iter_mut() { *v = (*v * scale - top).vexp(); }
        let sum = fold(x, E::zero(), |a, v| a + v, |a, b| a + b);
        let r = E::one() / sum;
        for v in x.iter_mut() { *v *= r; }
        top + sum.ln()
    }
}

/// Raw scores to probabilities; returns the log-sum-exp of the scores that the softmax takes.
pub(super) fn softmax<E: Scalar>(x: &mut [E], from: usize, to: usize, curve: Curve<E>) -> E {
    x[..from].fill(E::zero());
    x[to..].fill(E::zero());
    let live = &mut x[from..to];
    match curve.cap {
        None => normalise(live, curve.scale),
        Some(cap) => {
            capped(live, curve.scale, cap);
            normalise(live, E::one())
        }
    }
}

simd! {
    /// raw scores in `p` to probabilities, their gradient in `dp` to that of the raw scores: p (dp - delta) scale
    fn pull<E>(dp: &mut [E], p: &mut [E], scale: E, lse: E, delta: E) {
        for (d, p) in dp.iter_mut().zip(p) {
            *p = (*p * scale - lse).vexp();
            *d = *p * (*d - delta) * scale;
        }
    }
}

simd! {
    /// as `pull`, with the slope of the cap, 1 - tanh^2, as a further factor
    fn pull_capped<E>(dp: &mut [E], p: &mut [E], scale: E, cap: E, lse: E, delta: E) {
        for (d, p) in dp.iter_mut().zip(p) {
            let t = (*p * scale / cap).vtanh();
            *p = (cap * t - lse).vexp();
            *d = *p * (*d - delta) * scale * (E::one() - t * t);
        }
    }
}

/// Raw scores to probabilities with a known log-sum-exp, and the gradient of the probabilities to that of the raw scores.
pub(super) fn to_scores<E: Scalar>(dp: &mut [E], p: &mut [E], from: usize, to: usize, curve: Curve<E>, lse: E, delta: E) {
    for row in [&mut *dp, &mut *p] {
        row[..from].fill(E::zero());
        row[to..].fill(E::zero());
    }
    let (dp, p) = (&mut dp[from..to], &mut p[from..to]);
    match curve.cap {
        None => pull(dp, p, curve.scale, lse, delta),
        Some(cap) => pull_capped(dp, p, curve.scale, cap, lse, delta),
    }
}
