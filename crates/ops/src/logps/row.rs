//! One row of logits, chunk by chunk: plain slices in, numbers out.
use crate::scalar::Scalar;
use crate::simd::{LANES, fold, largest, simd};

simd! {
    /// maximum and sum of exponentials of one row, carried on over a chunk of its logits
    fn extend<E>(x: &[E], max: &mut E, sum: &mut E) {
        let top = largest(x);
        if top > *max {
            *sum *= (*max - top).vexp();
            *max = top;
        }
        let m = *max;
        *sum += fold(x, E::zero(), |a, v| a + (v - m).vexp(), |a, b| a + b);
    }
}

simd! {
    /// adds, with `d = x - max`, the sums of `exp d`, `d exp d` and `exp 2d`
    fn moments<E>(x: &[E], max: E, sums: &mut [E; 3]) {
        let mut acc = [[E::zero(); LANES]; 3];
        let mut add = |l: usize, v: E| {
            let d = v - max;
            let e = d.vexp();
            acc[0][l] += e;
            // the limit of d exp d where exp d is 0
            acc[1][l] += if e > E::zero() { e * d } else { E::zero() };
            acc[2][l] += e * e;
        };
        let mut chunks = x.chunks_exact(LANES);
        for c in &mut chunks {
            for (l, &v) in c.iter().enumerate() { add(l, v); }
        }
        for (l, &v) in chunks.remainder().iter().enumerate() { add(l, v); }
        for (sum, acc) in sums.iter_mut().zip(acc) { *sum += acc.into_iter().fold(E::zero(), |a, b| a + b); }
    }
}

simd! {
    /// logits to -g softmax
    pub(super) fn pull<E>(x: &mut [E], lse: E, g: E) {
        for v in x.iter_mut() { *v = -g * (*v - lse).vexp(); }
    }
}

simd! {
    /// logits to `-p (g + e (log p + h))`, for gradients `g` of a log-probability and `e` of the entropy `h`
    pub(super) fn pull_entropy<E>(x: &mut [E], lse: E, g: E, e: E, h: E) {
        for v in x.iter_mut() {
            let log = *v - lse;
            let p = log.vexp();
            *v = if p > E::zero() { -p * (g + e * (log + h)) } else { E::zero() };
        }
    }
}

/// Sums of a row so far.
#[derive(Clone, Copy)]
pub(super) struct Row<E> {
    max: E,
    /// of `exp d`, `d exp d` and `exp 2d`, where `d` is a logit minus the maximum; the last two only where asked for
    sums: [E; 3],
    /// the target's logit
    pub(super) target: E,
}

impl<E: Scalar> Row<E> {
    pub(super) fn new() -> Self {
        Row { max: E::neg_infinity(), sums: [E::zero(); 3], target: E::zero() }
    }

    /// Takes in a chunk of logits; with `all` sums, or the first alone.
    pub(super) fn add(&mut self, logits: &[E], all: bool) {
        if !all {
            return extend(logits, &mut self.max, &mut self.sums[0]);
        }
        let top = crate::logits::largest_of(logits);
        if top > self.max {
            // the maximum rises by `-fall`; nothing is to be scaled at first, when it rises from -inf
            let fall = if self.sums[0] > E::zero() { self.max - top } else { E::zero() };
            let factor = fall.vexp();
            self.sums[1] = factor * (self.sums[1] + fall * self.sums[0]);
            self.sums[0] *= factor;
            self.sums[2] *= factor * factor;
            self.max = top;
        }
        moments(logits, self.max, &mut self.sums);
    }

    pub(super) fn log_sum_exp(&self) -> E {
        self.max + self.sums[0].ln()
    }

    /// `-sum p log p`: both terms are 0 or more, nothing cancels.
    pub(super) fn entropy(&self) -> E {
        self.sums[0].ln() - self.sums[1] / self.sums[0]
    }

    /// `log sum p^2`.
    pub(super) fn log_sum_squares(&self) -> E {
        self.sums[2].ln() - (self.sums[0].ln() + self.sums[0].ln())
    }
}

/// Places that no logit has taken yet have this id.
pub(super) const FREE: u32 = u32::MAX;

/// Logits that are looked at together: most groups have none that is large enough.
const GROUP: usize = 64;

/// Puts those of `logits`, the ids from `first` on, that belong to the largest into `best`, which is sorted.
pub(super) fn keep_best<E: Scalar>(best: &mut [(E, u32)], logits: &[E], first: usize) {
    let Some(last) = best.len().checked_sub(1) else { return };
    for (group, x) in logits.chunks(GROUP).enumerate() {
        if best[last].1 != FREE && crate::logits::largest_of(x) <= best[last].0 {
            continue;
        }
        for (i, &v) in x.iter().enumerate() {
            // ids rise, so an equal one that is there already stays in front
            if best[last].1 == FREE || v > best[last].0 {
                let at = best.iter().position(|&(w, id)| id == FREE || v > w).unwrap_or(last);
                best[at..].rotate_right(1);
                best[at] = (v, (first + group * GROUP + i) as u32);
            }
        }
    }
}
