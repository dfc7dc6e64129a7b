//! The passes over the vocabulary, chunk by chunk, and the way back.
use super::OtherHead;
use crate::error::{OpsError, same};
use crate::mm::View;
use crate::par::split_rows;
use crate::scalar::Scalar;
use crate::softcap::{cap, uncap};
use crate::weights::Weights;
use dfdx::prelude::*;
use std::ops::Range;
use tropism_core::VocabularyFigure;

/// Vocabulary rows per chunk: at most N x 1024 logits per model exist at a time.
const CHUNK: usize = 1024;

/// The way over the vocabulary and back.
pub(super) struct Reading<E, F> {
    tokens: usize,
    vocab: usize,
    limit: Option<f64>,
    others: Vec<OtherHead<E>>,
    pub(super) figure: F,
}

impl<E: Scalar, F: VocabularyFigure> Reading<E, F>
where
    Cpu: Device<E>,
{
    pub(super) fn new(
        tokens: usize,
        vocab: usize,
        limit: Option<f64>,
        others: &[OtherHead<E>],
        figure: F,
    ) -> Result<Self, OpsError> {
        same("vocabulary_figure", "number of models", figure.models(), 1 + others.len())?;
        others.iter().try_for_each(|other| other.check(tokens, vocab))?;
        Ok(Self { tokens, vocab, limit, others: others.to_vec(), figure })
    }
}

impl<E: Scalar, F: VocabularyFigure> Reading<E, F> {
    /// Ranges of rows of the weights.
    fn chunks(&self) -> impl Iterator<Item = Range<usize>> {
        let vocab = self.vocab;
        (0..vocab).step_by(CHUNK).map(move |v0| v0..(v0 + CHUNK).min(vocab))
    }

    /// Room for a chunk of each model's logits.
    fn scratch(&self) -> Vec<Vec<E>> {
        vec![vec![E::zero(); self.tokens * CHUNK.min(self.vocab)]; 1 + self.others.len()]
    }

    /// A chunk of each model's logits, before the soft cap.
    fn logits(&self, (hidden, weight): (&[E], &impl Weights<E>), to: &mut [Vec<E>], range: &Range<usize>) {
        let (n, Some((own, rest))) = (self.tokens, to.split_first_mut()) else { return };
        weight.forward(own, range.len(), false, View::new(hidden, n, weight.cols()), range.clone());
        for (other, to) in self.others.iter().zip(rest) {
            (other.logits)(&mut to[..n * range.len()], range.clone());
        }
    }

    /// Logits of token `i` as f64, soft-capped, model after model.
    fn row(&self, logits: &[Vec<E>], i: usize, width: usize) -> Vec<f64> {
        let limits = std::iter::once(self.limit).chain(self.others.iter().map(|o| o.limit));
        let mut row = Vec::with_capacity(logits.len() * width);
        for ((own, limit), start) in logits.iter().zip(limits).zip((0..).step_by(width)) {
            row.extend(own[i * width..(i + 1) * width].iter().map(|x| x.f()));
            if let Some(limit) = limit {
                cap(&mut row[start..], limit);
            }
        }
        row
    }

    pub(super) fn forward(&self, hidden: &[E], weight: &impl Weights<E>) -> Vec<F::Token> {
        let (mut logits, mut tokens) = (self.scratch(), vec![self.figure.start(); self.tokens]);
        for pass in 0..self.figure.passes() {
            for range in self.chunks() {
                self.logits((hidden, weight), &mut logits, &range);
                let (logits, width) = (&logits, range.len());
                split_rows((&mut tokens, 1), (&mut [(); 0], 0), 4, |first, part, _| {
                    for (i, token) in part.iter_mut().enumerate() {
                        let row = self.row(logits, first + i, width);
                        self.figure.read(pass, token, &row.chunks_exact(width).collect::<Vec<_>>());
                    }
                });
            }
        }
        tokens
    }

    /// Adds to `dh`, and hands each range of rows with the gradient of its logits and the states to `own`.
    pub(super) fn backward(
        &self,
        tokens: &[F::Token],
        go: &[E],
        (hidden, weight): (&[E], &impl Weights<E>),
        dh: &mut [E],
        mut own: impl FnMut(Range<usize>, View<E>, View<E>),
    ) {
        let (n, mut logits) = (self.tokens, self.scratch());
        let mut slopes = vec![E::zero(); n * CHUNK.min(self.vocab)];
        for range in self.chunks() {
            let width = range.len();
            self.logits((hidden, weight), &mut logits, &range);
            let logits = &logits;
            split_rows((&mut slopes[..n * width], width), (&mut [(); 0], 0), 4, |first, part, _| {
                for (i, to) in part.chunks_exact_mut(width).enumerate() {
                    self.pull(&tokens[first + i], go[first + i].f(), self.row(logits, first + i, width), to);
                }
            });
            let g = View::new(&slopes, n, width);
            weight.backward(dh, g, range.clone());
            own(range, g, View::new(hidden, n, weight.cols()));
        }
    }

    /// A token's logits to the loss's gradient in those of model 0, before their cap.
    fn pull(&self, token: &F::Token, go: f64, row: Vec<f64>, to: &mut [E]) {
        if go == 0.0 {
            return to.fill(E::zero());
        }
        let (models, mut slopes) = (row.chunks_exact(to.len()).collect::<Vec<_>>(), vec![0.0; to.len()]);
        self.figure.slopes(token, &models, &mut slopes);
        if let Some(limit) = self.limit {
            uncap(&mut slopes, models[0], limit);
        }
        to.iter_mut().zip(&slopes).for_each(|(to, s)| *to = E::c(go * s));
    }
}
