//! Attention of one new token per sequence over cached keys and values: the sampler's step. No gradient.
//!
//! A row's score with a token is one sum over the head's width, its output one sum over the tokens in their order, each made
//! with fused multiply-adds. So a sequence's result has the same bits whatever stands beside it, and whether its first pages
//! are computed for it alone or for all sequences that share them.
use super::pages::{PAGE, Paged, Pages};
use super::rows::softmax;
use super::{AttentionConfig, kernels};
use crate::error::{OpsError, below, same};
use crate::par::{Ptr, split};
use crate::raw::{data, data_mut};
use crate::scalar::Scalar;
use dfdx::prelude::*;
use std::ops::Range;

/// Most sequences that one task takes together.
const TOGETHER: usize = 16;
/// Multiply-adds that are worth a thread of their own.
const LEAST: usize = 1 << 18;

/// [`attention`](super::attention) for the last token of each sequence, whose own key and value are in the cache already.
/// Neighbours that share their first pages read them once, together.
///
/// # Shapes
/// q (B, heads * dim), one sequence per row; result as q.
///
/// # Errors
/// Sizes that disagree, an empty sequence, a page that does not exist.
pub fn decode_attention<N: Dim, D: Dim, E: Scalar>(
    q: &Tensor<(N, D), E, Cpu>,
    cache: &Pages<E>,
    sequences: &[Paged],
    config: impl Into<AttentionConfig>,
) -> Result<Tensor<(N, D), E, Cpu>, OpsError>
where
    Cpu: Device<E>,
{
    let config = config.into();
    config.check()?;
    let heads = config.heads;
    same("decode_attention", "number of sequences", q.shape().0.size(), sequences.len())?;
    same("decode_attention", "columns of q", heads.query_width(), q.shape().1.size())?;
    same("decode_attention", "columns of the cache", heads.kv_width(), cache.width())?;
    for s in sequences {
        if s.len == 0 {
            return Err(OpsError::Size { op: "decode_attention", what: "tokens of a sequence", expected: 1, found: 0 });
        }
        same("decode_attention", "pages of a sequence", s.len.div_ceil(PAGE), s.pages.len())?;
        below("decode_attention", s.pages, cache.len(), None)?;
    }
    let mut out: Tensor<(N, D), E, Cpu> = q.device().try_zeros_like(q.shape())?;
    let q = q.clone().try_contiguous()?;
    let step = Step { q: data(&q), cache, sequences, config, out: Ptr::of(data_mut(&mut out)) };
    let clusters = clusters(sequences);
    let (tasks, tokens) = (clusters.len() * heads.kv_heads, sequences.iter().map(|s| s.len).sum::<usize>());
    let least = LEAST * tasks / (2 * tokens * heads.query_width()).max(1) + 1;
    split(tasks, least, |first, end| {
        let mut scratch = [vec![], vec![]];
        for task in first..end {
            step.cluster(clusters[task / heads.kv_heads].clone(), task % heads.kv_heads, &mut scratch);
        }
    });
    Ok(out)
}

/// Runs of neighbours with the same first page.
fn clusters(sequences: &[Paged]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = vec![];
    for (i, s) in sequences.iter().enumerate() {
        match found.last_mut() {
            Some(c) if c.len() < TOGETHER && sequences[c.start].pages.first() == s.pages.first() => c.end = i + 1,
            _ => found.push(i..i + 1),
        }
    }
    found
}

/// Number of pages at the start that all sequences have in common, and that are full in all of them.
fn shared(sequences: &[Paged]) -> usize {
    let [first, rest @ ..] = sequences else { return 0 };
    let common = |s: &Paged| first.pages.iter().zip(s.pages).take_while(|(a, b)| a == b).count().min(s.len / PAGE);
    rest.iter().map(common).min().unwrap_or(0).min(first.len / PAGE)
}

/// One call's inputs and output.
struct Step<'a, E> {
    q: &'a [E],
    cache: &'a Pages<E>,
    sequences: &'a [Paged<'a>],
    config: AttentionConfig,
    out: Ptr<E>,
}

impl<E: Scalar> Step<'_, E> {
    /// All query heads of one key/value head, for neighbours.
    fn cluster(&self, members: Range<usize>, kv: usize, [scores, room]: &mut [Vec<E>; 2]) {
        let sequences = &self.sequences[members.clone()];
        let heads = self.config.heads;
        let (d, group) = (heads.dim, heads.group(kv));
        let at = |member: usize| member * heads.query_width() + group.start * d;
        let q: Vec<&[E]> = members.clone().flat_map(|m| self.q[at(m)..at(m) + group.len() * d].chunks_exact(d)).collect();
        let width = sequences.iter().map(|s| s.pages.len()).max().unwrap_or(0) * PAGE;
        scores.clear();
        scores.resize(q.len() * width, E::zero());
        let parts = parts(sequences, group.len());
        // what comes next is asked for one page ahead: a page is too short for the processor to see a stream
        let next = |i: usize| match parts.get(i + 1) {
            Some((_, page, ..)) => self.cache.fetch(*page, kv, false),
            None => self.cache.fetch(parts[0].1, kv, true),
        };
        for (i, (rows, page, at, _)) in parts.iter().enumerate() {
            next(i);
            let keys = self.cache.keys(*page, kv, room);
            kernels::scores(&q[rows.clone()], keys, &mut scores[rows.start * width + at..], width);
        }
        for (row, scores) in scores.chunks_exact_mut(width).enumerate() {
            let len = sequences[row / group.len()].len;
            softmax(scores, self.config.first(len - 1), len, self.config.curve());
        }
        let mut sums = vec![E::zero(); q.len() * d];
        for (i, (rows, page, at, live)) in parts.iter().enumerate() {
            parts.get(i + 1).iter().for_each(|(_, page, ..)| self.cache.fetch(*page, kv, true));
            let values = self.cache.values(*page, kv, *live, room);
            let p = &scores[rows.start * width + at..];
            kernels::weigh(&mut sums[rows.start * d..rows.end * d], p, width, values, d);
        }
        for (member, sums) in members.zip(sums.chunks_exact(group.len() * d)) {
            // SAFETY: this task alone has these heads of this row; `out` is as large as q, which was sliced alike above
            unsafe { self.out.range(at(member), sums.len()) }.copy_from_slice(sums);
        }
    }
}

/// What is read, in order: (rows of queries, page, first token, tokens).
fn parts(sequences: &[Paged], heads: usize) -> Vec<(Range<usize>, usize, usize, usize)> {
    let common = shared(sequences);
    let mut parts: Vec<_> =
        (0..common).map(|i| (0..sequences.len() * heads, sequences[0].pages[i], i * PAGE, PAGE)).collect();
    for (m, s) in sequences.iter().enumerate() {
        for (i, &page) in s.pages.iter().enumerate().skip(common) {
            parts.push((m * heads..(m + 1) * heads, page, i * PAGE, PAGE.min(s.len - i * PAGE)));
        }
    }
    parts
}
