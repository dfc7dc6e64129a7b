//! The pass over the vocabulary, chunk by chunk, and its way back.
use super::extras::{LogpsExtras, TopLogps};
use super::row::{FREE, Row, keep_best, pull, pull_entropy};
use super::{Logps, Pull};
use crate::error::{OpsError, below, same};
use crate::mm::View;
use crate::par::split_rows;
use crate::scalar::Scalar;
use crate::softcap::{cap, uncap};
use crate::weights::Weights;
use std::ops::Range;

/// Vocabulary rows per chunk: at most N x 2048 logits exist at a time.
const CHUNK: usize = 2048;

pub(super) struct Head {
    targets: Vec<usize>,
    vocab: usize,
    limit: Option<f64>,
    extras: LogpsExtras,
}

/// Results of a forward pass, per row.
pub(super) struct Found<E> {
    pub(super) logps: Vec<E>,
    pub(super) lse: Vec<E>,
    pub(super) entropy: Option<Vec<E>>,
    pub(super) log_sum_squares: Option<Vec<E>>,
    pub(super) top: Option<TopLogps<E>>,
}

impl Head {
    pub(super) fn new(
        targets: &[usize],
        n: usize,
        vocab: usize,
        limit: Option<f64>,
        extras: LogpsExtras,
    ) -> Result<Self, OpsError> {
        same("linear_logps", "number of targets", n, targets.len())?;
        below("linear_logps", targets, vocab, Some(Logps::IGNORED))?;
        if extras.top_k > vocab {
            return Err(OpsError::TopK { k: extras.top_k, vocab });
        }
        Ok(Head { targets: targets.to_vec(), vocab, limit, extras })
    }

    /// Ranges of rows of the weight.
    fn chunks(&self) -> impl Iterator<Item = Range<usize>> {
        let vocab = self.vocab;
        (0..vocab).step_by(CHUNK).map(move |v0| v0..(v0 + CHUNK).min(vocab))
    }

    fn scratch<E: Scalar>(&self) -> Vec<E> {
        vec![E::zero(); self.targets.len() * CHUNK.min(self.vocab)]
    }

    pub(super) fn forward<E: Scalar>(&self, hidden: &[E], weight: &impl Weights<E>) -> Found<E> {
        let (n, k) = (self.targets.len(), self.extras.top_k);
        let h = View::new(hidden, n, weight.cols());
        let mut logits = self.scratch();
        let mut rows = vec![Row::new(); n];
        let mut best = vec![(E::neg_infinity(), FREE); n * k];
        let all = self.extras.entropy || self.extras.log_sum_squares;
        for range in self.chunks() {
            let c = range.len();
            weight.forward(&mut logits, c, false, h, range.clone());
            self.cap(&mut logits[..n * c], c);
            let logits = &logits;
            split_rows((&mut rows, 1), (&mut best, k), 16, |first, rows, best| {
                for (i, row) in rows.iter_mut().enumerate() {
                    let x = &logits[(first + i) * c..(first + i + 1) * c];
                    row.add(x, all);
                    keep_best(&mut best[i * k..(i + 1) * k], x, range.start);
                    if let Some(&logit) = self.targets[first + i].checked_sub(range.start).and_then(|t| x.get(t)) {
                        row.target = logit;
                    }
                }
            });
        }
        self.found(&rows, &best)
    }

    fn found<E: Scalar>(&self, rows: &[Row<E>], best: &[(E, u32)]) -> Found<E> {
        let lse: Vec<E> = rows.iter().map(Row::log_sum_exp).collect();
        let logp =
            |((row, &lse), &t): ((&Row<E>, &E), &usize)| if t == Logps::IGNORED { E::zero() } else { row.target - lse };
        let k = self.extras.top_k;
        let top = (k > 0).then(|| TopLogps {
            k,
            ids: best.iter().map(|b| b.1 as usize).collect(),
            logps: best.iter().enumerate().map(|(i, b)| b.0 - lse[i / k]).collect(),
        });
        Found {
            logps: rows.iter().zip(&lse).zip(&self.targets).map(logp).collect(),
            entropy: self.extras.entropy.then(|| rows.iter().map(Row::entropy).collect()),
            log_sum_squares: self.extras.log_sum_squares.then(|| rows.iter().map(Row::log_sum_squares).collect()),
            top,
            lse,
        }
    }

    /// Adds to `dh`, and hands each range of rows with the gradient of its logits and the states to `own`, for the
    /// weight's gradient.
    pub(super) fn backward<E: Scalar>(
        &self,
        from: &Pull<E>,
        (hidden, weight): (&[E], &impl Weights<E>),
        dh: &mut [E],
        mut own: impl FnMut(Range<usize>, View<E>, View<E>),
    ) {
        let n = self.targets.len();
        let h = View::new(hidden, n, weight.cols());
        let mut logits: Vec<E> = self.scratch();
        for range in self.chunks() {
            let c = range.len();
            weight.forward(&mut logits, c, false, h, range.clone());
            split_rows((&mut logits[..n * c], c), (&mut [(); 0], 0), 16, |first, part, _| {
                for (i, row) in part.chunks_exact_mut(c).enumerate() {
                    self.pull_row(row, first + i, range.start, from);
                }
            });
            let g = View::new(&logits, n, c);
            weight.backward(dh, g, range.clone());
            own(range, g, h);
        }
    }

    /// Soft-caps a chunk of logits where the model does so.
    fn cap<E: Scalar>(&self, logits: &mut [E], width: usize) {
        if let Some(limit) = self.limit {
            split_rows((logits, width), (&mut [(); 0], 0), 16, |_, part, _| cap(part, E::c(limit)));
        }
    }

    /// Logits of row `i` (before the cap), ids from `v0` on, to the loss's gradient with respect to them.
    fn pull_row<E: Scalar>(&self, row: &mut [E], i: usize, v0: usize, from: &Pull<E>) {
        let g = if self.targets[i] == Logps::IGNORED { E::zero() } else { from.go[i] };
        let entropy = from.entropy.map(|(e, h)| (e[i], h[i])).filter(|(e, _)| *e != E::zero());
        if g == E::zero() && entropy.is_none() {
            return row.fill(E::zero());
        }
        let Some(limit) = self.limit.map(E::c) else { return self.pull_capped(row, i, v0, from.lse[i], (g, entropy)) };
        cap(row, limit);
        let capped = row.to_vec();
        self.pull_capped(row, i, v0, from.lse[i], (g, entropy));
        uncap(row, &capped, limit);
    }

    /// Logits of row `i` as the softmax sees them to the loss's gradient with respect to them.
    fn pull_capped<E: Scalar>(&self, row: &mut [E], i: usize, v0: usize, lse: E, (g, entropy): (E, Option<(E, E)>)) {
        match entropy {
            None => pull(row, lse, g),
            Some((e, h)) => pull_entropy(row, lse, g, e, h),
        }
        if let Some(x) = self.targets[i].checked_sub(v0).and_then(|t| row.get_mut(t)) {
            *x += g;
        }
    }
}
