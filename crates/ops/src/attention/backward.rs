//! Backward pass: scores are made again block by block.
use super::{BLOCK, Inputs, rows};
use crate::mm::{Parallelism, View, mm, mm_raw};
use crate::par::Ptr;
use crate::scalar::Scalar;
use crate::simd::{add_assign, dot};
use std::ops::Range;

/// What one task needs beside the inputs.
struct Task<'a, E> {
    x: Inputs<'a, E>,
    go: &'a [E],
    out: &'a [E],
    lse: &'a [E],
    dq: Ptr<E>,
}

/// Buffers of one task, reused over its segments.
#[derive(Default)]
struct Scratch<E> {
    keys: Vec<E>,
    values: Vec<E>,
    p: Vec<E>,
    dp: Vec<E>,
    dk: Vec<E>,
    dv: Vec<E>,
}

/// Adds the gradients of q, k and v to `d`.
pub(super) fn run<E: Scalar>(x: Inputs<E>, go: &[E], out: &[E], lse: &[E], d: &mut [Vec<E>; 3]) {
    let [dq, dk, dv] = d;
    let (pk, pv) = (Ptr::of(dk), Ptr::of(dv));
    let task = Task { x, go, out, lse, dq: Ptr::of(dq) };
    x.tasks(|tree, kv| {
        let (dim, width) = (x.config.heads.dim, x.config.heads.kv_width());
        let segments = &x.tree.segments()[x.tree.trees()[tree].clone()];
        let (first, n) = (segments[0].start, segments.iter().map(|s| s.len).sum::<usize>());
        let mut sums = [vec![E::zero(); n * dim], vec![E::zero(); n * dim]];
        let mut scratch = Scratch::default();
        for segment in x.tree.trees()[tree].clone() {
            task.segment(segment, kv, first, &mut scratch, &mut sums);
        }
        for (sum, to) in sums.iter().zip([pk, pv]) {
            for (i, row) in sum.chunks_exact(dim).enumerate() {
                // SAFETY: this task alone has this key/value head of this tree's tokens
                add_assign(unsafe { to.range((first + i) * width + kv * dim, dim) }, row);
            }
        }
    });
}

impl<E: Scalar> Task<'_, E> {
    /// Queries of one segment; gradients of its chain's keys and values go to `sums`, which starts at token `first`.
    fn segment(&self, segment: usize, kv: usize, first: usize, b: &mut Scratch<E>, sums: &mut [Vec<E>; 2]) {
        let x = self.x;
        x.chain(x.k, segment, kv, &mut b.keys);
        x.chain(x.v, segment, kv, &mut b.values);
        for d in [&mut b.dk, &mut b.dv] {
            d.clear();
            d.resize(b.keys.len(), E::zero());
        }
        for head in x.config.heads.group(kv) {
            self.head(segment, head, b);
        }
        let (mut from, dim) = (0, x.config.heads.dim);
        for s in x.tree.chain(segment) {
            let (to, n) = ((s.start - first) * dim, s.len * dim);
            for (sum, d) in sums.iter_mut().zip([&b.dk, &b.dv]) {
                add_assign(&mut sum[to..to + n], &d[from..from + n]);
            }
            from += n;
        }
    }

    fn head(&self, segment: usize, head: usize, b: &mut Scratch<E>) {
        let x = self.x;
        let (d, width, s) = (x.config.heads.dim, x.config.heads.query_width(), x.tree.segments()[segment]);
        let before = b.keys.len() / d - s.len;
        for r0 in (0..s.len).step_by(BLOCK) {
            let n = BLOCK.min(s.len - r0);
            let start = x.config.first(before + r0);
            let len = before + r0 + n - start;
            let at = (s.start + r0) * width + head * d;
            let (q, g) = (View::strided(&x.q[at..], n, d, width), View::strided(&self.go[at..], n, d, width));
            let (k, v) = (View::new(&b.keys[start * d..], len, d), View::new(&b.values[start * d..], len, d));
            b.p.resize(n * len, E::zero());
            b.dp.resize(n * len, E::zero());
            mm(&mut b.p, len, false, q, k.t(), Parallelism::None);
            mm(&mut b.dp, len, false, g, v.t(), Parallelism::None);
            for i in 0..n {
                let row = i * len..(i + 1) * len;
                let position = before + r0 + i;
                let live = x.config.first(position) - start..position + 1 - start;
                self.row(&mut b.p[row.clone()], &mut b.dp[row], head, s.start + r0 + i, live);
            }
            let (p, ds) = (View::new(&b.p, n, len), View::new(&b.dp, n, len));
            // SAFETY: rows of this segment, columns of this head; dq is as large as q, whose view was checked above
            unsafe { mm_raw(self.dq.at(at), width, true, ds, k, Parallelism::None) };
            mm(&mut b.dk[start * d..], d, true, ds.t(), q, Parallelism::None);
            mm(&mut b.dv[start * d..], d, true, p.t(), g, Parallelism::None);
        }
    }

    /// One query row: raw scores to probabilities, gradient of the probabilities to gradient of the scores.
    fn row(&self, p: &mut [E], dp: &mut [E], head: usize, token: usize, live: Range<usize>) {
        let h = self.x.config.heads;
        let at = token * h.query_width() + head * h.dim;
        let delta = dot(&self.go[at..at + h.dim], &self.out[at..at + h.dim]);
        let lse = self.lse[head * self.x.tree.tokens() + token];
        rows::to_scores(dp, p, live.start, live.end, self.x.config.curve(), lse, delta);
    }
}
