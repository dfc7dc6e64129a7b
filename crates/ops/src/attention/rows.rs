//! Row kernels of attention.
use crate::simd::{fold, largest, simd};

simd! {
    /// scores to probabilities over the first `live` columns, 0 beyond; returns the log-sum-exp of the scaled scores
    pub(super) fn softmax<E>(x: &mut [E], live: usize, scale: E) -> E {
        let (l, dead) = x.split_at_mut(live);
        let top = largest(l) * scale;
        for v in l.iter_mut() { *v = (*v * scale - top).vexp(); }
        let sum = fold(l, E::zero(), |a, v| a + v, |a, b| a + b);
        let r = E::one() / sum;
        for v in l.iter_mut() { *v *= r; }
        dead.fill(E::zero());
        top + sum.ln()
    }
}

simd! {
    /// scores to probabilities with a known log-sum-exp
    pub(super) fn probabilities<E>(x: &mut [E], live: usize, scale: E, lse: E) {
        let (l, dead) = x.split_at_mut(live);
        for v in l.iter_mut() { *v = (*v * scale - lse).vexp(); }
        dead.fill(E::zero());
    }
}

simd! {
    /// gradient of the probabilities to gradient of the raw scores: p (dp - delta) scale
    pub(super) fn to_scores<E>(dp: &mut [E], p: &[E], delta: E, scale: E) {
        for (d, &p) in dp.iter_mut().zip(p) { *d = p * (*d - delta) * scale; }
    }
}
