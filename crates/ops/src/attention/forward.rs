//! Forward pass.
use super::{BLOCK, Inputs, room, rows::softmax};
use crate::mm::{View, alone, alone_raw};
use crate::par::Ptr;
use crate::scalar::Scalar;

/// Fills `out` and returns the log-sum-exp of every head and token, `[heads, N]`.
pub(super) fn run<E: Scalar>(x: Inputs<E>, out: &mut [E]) -> Vec<E> {
    let mut lse = vec![E::zero(); x.config.heads.heads * x.tree.tokens()];
    let (po, pl) = (Ptr::of(out), Ptr::of(&mut lse));
    x.tasks(|scratch, tree, head| {
        for segment in x.tree.trees()[tree].clone() {
            one_segment(x, segment, head, scratch, (po, pl));
        }
    });
    lse
}

/// Buffers of a thread.
#[derive(Default)]
struct Scratch<E> {
    keys: Vec<E>,
    values: Vec<E>,
    scores: Vec<E>,
}

fn one_segment<E: Scalar>(
    x: Inputs<E>,
    segment: usize,
    head: usize,
    scratch: &mut Scratch<E>,
    (out, lse): (Ptr<E>, Ptr<E>),
) {
    let (d, width, s) = (x.config.heads.dim, x.config.heads.query_width(), x.tree.segments()[segment]);
    let kv = x.config.heads.kv_of(head);
    let keys = x.chain(x.k, segment, kv, &mut scratch.keys);
    let values = x.chain(x.v, segment, kv, &mut scratch.values);
    let (before, precision) = (keys.rows() - s.len, x.config.precision);
    for r0 in (0..s.len).step_by(BLOCK) {
        let n = BLOCK.min(s.len - r0);
        // keys that no row of this block sees are left out
        let start = x.config.first(before + r0);
        let len = before + r0 + n - start;
        let at = (s.start + r0) * width + head * d;
        let scores = room(&mut scratch.scores, n * len);
        let q = View::strided(&x.q[at..], n, d, width);
        alone(scores, len, false, q, keys.rows_from(start, len).t(), precision);
        // SAFETY: this task alone has this head of these tokens
        let lse = unsafe { lse.range(head * x.tree.tokens() + s.start + r0, n) };
        for (i, (row, lse)) in scores.chunks_exact_mut(len).zip(lse).enumerate() {
            let position = before + r0 + i;
            *lse = softmax(row, x.config.first(position) - start, position + 1 - start, x.config.curve());
        }
        let (p, v) = (View::new(scores, n, len), values.rows_from(start, len));
        // SAFETY: rows of this segment, columns of this head: `out` is as large as q, whose view was checked above
        unsafe { alone_raw(out.at(at), width, false, p, v, precision) };
    }
}
