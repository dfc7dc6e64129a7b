//! Backward pass: scores are made again block by block.
use super::{BLOCK, Heads, Inputs, room, rows};
use crate::mm::{View, alone, alone_raw};
use crate::par::{Ptr, split_rows};
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

/// Buffers of a thread.
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
    let (heads, each) = (x.config.heads, x.tree.tokens() * x.config.heads.dim);
    // of every query head by itself: heads that share keys and values run beside each other
    let mut sums = [vec![E::zero(); heads.heads * each], vec![E::zero(); heads.heads * each]];
    let task = Task { x, go, out, lse, dq: Ptr::of(dq) };
    let [ps, pt] = sums.each_mut().map(|s| Ptr::of(s));
    x.tasks(|scratch, tree, head| {
        let segments = &x.tree.segments()[x.tree.trees()[tree].clone()];
        let (first, n) = (segments[0].start, segments.iter().map(|s| s.len).sum::<usize>());
        let at = head * each + first * heads.dim;
        // SAFETY: this task alone has this head of this tree's tokens, and `sums` holds all heads of all tokens
        let mut sums = [ps, pt].map(|p| unsafe { p.range(at, n * heads.dim) });
        for segment in x.tree.trees()[tree].clone() {
            task.segment(segment, head, first, scratch, &mut sums);
        }
    });
    for (sum, to) in sums.iter().zip([dk, dv]) {
        gather(heads, sum, to);
    }
}

/// Adds the query heads' `sums`, `[heads, N, dim]`, to the rows of `to`, `[N, kv_heads, dim]`.
fn gather<E: Scalar>(heads: Heads, sums: &[E], to: &mut [E]) {
    let (width, d) = (heads.kv_width(), heads.dim);
    let each = to.len() / width * d;
    split_rows((to, width), (&mut [(); 0], 0), (1 << 14) / width + 1, |first, rows, _| {
        for (i, row) in rows.chunks_exact_mut(width).enumerate() {
            for (kv, row) in row.chunks_exact_mut(d).enumerate() {
                heads.group(kv).for_each(|head| add_assign(row, &sums[head * each + (first + i) * d..][..d]));
            }
        }
    });
}

impl<E: Scalar> Task<'_, E> {
    /// Queries of one segment; gradients of its chain's keys and values go to `sums`, which starts at token `first`.
    fn segment(&self, segment: usize, head: usize, first: usize, b: &mut Scratch<E>, sums: &mut [&mut [E]; 2]) {
        let (x, dim) = (self.x, self.x.config.heads.dim);
        let kv = x.config.heads.kv_of(head);
        let (k, v) = (x.chain(x.k, segment, kv, &mut b.keys), x.chain(x.v, segment, kv, &mut b.values));
        for d in [&mut b.dk, &mut b.dv] {
            d.clear();
            d.resize(k.rows() * dim, E::zero());
        }
        self.head(segment, head, (k, v), [&mut b.dk, &mut b.dv], [&mut b.p, &mut b.dp]);
        let mut from = 0;
        for s in x.tree.chain(segment) {
            let (to, n) = ((s.start - first) * dim, s.len * dim);
            for (sum, d) in sums.iter_mut().zip([&b.dk, &b.dv]) {
                add_assign(&mut sum[to..to + n], &d[from..from + n]);
            }
            from += n;
        }
    }

    fn head(
        &self,
        segment: usize,
        head: usize,
        (keys, values): (View<E>, View<E>),
        [dk, dv]: [&mut Vec<E>; 2],
        [p, dp]: [&mut Vec<E>; 2],
    ) {
        let x = self.x;
        let (d, width, s) = (x.config.heads.dim, x.config.heads.query_width(), x.tree.segments()[segment]);
        let (before, precision) = (keys.rows() - s.len, x.config.precision);
        for r0 in (0..s.len).step_by(BLOCK) {
            let n = BLOCK.min(s.len - r0);
            let start = x.config.first(before + r0);
            let len = before + r0 + n - start;
            let at = (s.start + r0) * width + head * d;
            let (q, g) = (View::strided(&x.q[at..], n, d, width), View::strided(&self.go[at..], n, d, width));
            let (k, v) = (keys.rows_from(start, len), values.rows_from(start, len));
            let (p, dp) = (room(p, n * len), room(dp, n * len));
            alone(p, len, false, q, k.t(), precision);
            alone(dp, len, false, g, v.t(), precision);
            for i in 0..n {
                let row = i * len..(i + 1) * len;
                let position = before + r0 + i;
                let live = x.config.first(position) - start..position + 1 - start;
                self.row(&mut p[row.clone()], &mut dp[row], head, s.start + r0 + i, live);
            }
            let (p, ds) = (View::new(p, n, len), View::new(dp, n, len));
            // SAFETY: rows of this segment, columns of this head; dq is as large as q, whose view was checked above
            unsafe { alone_raw(self.dq.at(at), width, true, ds, k, precision) };
            alone(&mut dk[start * d..], d, true, ds.t(), q, precision);
            alone(&mut dv[start * d..], d, true, p.t(), g, precision);
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
