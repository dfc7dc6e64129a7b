//! Figures of whole distributions over the vocabulary, of several models, without logits in memory.
use crate::error::{OpsError, same};
use crate::frozen::Frozen;
use crate::mm::{Precision, View, big};
use crate::operand::{Operand, take};
use crate::par::split_rows;
use crate::params::TapeOf;
use crate::raw::{GradSlot, data, record};
use crate::scalar::Scalar;
use crate::softcap::{cap, uncap};
use crate::weights::{Dense, Weights};
use dfdx::prelude::*;
use std::ops::Range;
use std::sync::Arc;
use tropism_core::VocabularyFigure;

/// Vocabulary rows per chunk: at most N x 1024 logits per model exist at a time.
const CHUNK: usize = 1024;

/// Writes the logits of some rows of the weight, one row per token.
type Logits<E> = Arc<dyn Fn(&mut [E], Range<usize>) + Send + Sync>;

/// Hidden states of another model with the head that turns them into logits: constants of a [`vocabulary_figure`].
#[derive(Clone)]
pub struct OtherHead<E> {
    tokens: usize,
    vocab: usize,
    limit: Option<f64>,
    logits: Logits<E>,
}

impl<E: Scalar> OtherHead<E>
where
    Cpu: Device<E>,
{
    /// A head `weight` (V, D) on states `hidden` (N, D); `limit` is the soft cap of the logits, if the model has one.
    ///
    /// # Errors
    /// Sizes that disagree.
    pub fn new<N: Dim, D: Dim, V: Dim>(
        hidden: Tensor<(N, D), E, Cpu>,
        weight: &Tensor<(V, D), E, Cpu>,
        limit: Option<f64>,
        precision: Precision,
    ) -> Result<Self, OpsError> {
        let ((n, d), (v, d2)) = (*hidden.shape(), *weight.shape());
        same("vocabulary_figure", "columns of another weight", d.size(), d2.size())?;
        let (hidden, weight) = (hidden.try_contiguous()?, weight.clone().try_contiguous()?);
        let (n, cols) = (n.size(), d.size());
        let logits = move |to: &mut [E], range: Range<usize>| {
            let dense = Dense { d: data(&weight), cols, precision };
            dense.forward(to, range.len(), false, View::new(data(&hidden), n, cols), range);
        };
        Ok(Self { tokens: n, vocab: v.size(), limit, logits: Arc::new(logits) })
    }

    /// [`new`](Self::new) with packed weights.
    ///
    /// # Errors
    /// Sizes that disagree.
    pub fn frozen<N: Dim, D: Dim, V: Dim>(
        hidden: Tensor<(N, D), E, Cpu>,
        weight: &Frozen<V, D>,
        limit: Option<f64>,
    ) -> Result<Self, OpsError> {
        let ((n, d), (v, d2)) = (*hidden.shape(), weight.shape());
        same("vocabulary_figure", "columns of another weight", d.size(), d2.size())?;
        let (hidden, store, n) = (hidden.try_contiguous()?, weight.store.clone(), n.size());
        let cols = d.size();
        let logits = move |to: &mut [E], range: Range<usize>| {
            store.forward(to, range.len(), false, View::new(data(&hidden), n, cols), range);
        };
        Ok(Self { tokens: n, vocab: v.size(), limit, logits: Arc::new(logits) })
    }

    /// Fails unless it belongs to a model of `n` tokens and `vocab` ids.
    fn check(&self, n: usize, vocab: usize) -> Result<(), OpsError> {
        same("vocabulary_figure", "tokens of another model", n, self.tokens)?;
        same("vocabulary_figure", "vocabulary of another model", vocab, self.vocab)
    }
}

/// What [`vocabulary_figure`] found.
#[derive(Debug)]
pub struct VocabularyFigures<N: Dim, E: Dtype, T, S> {
    /// The figure of each token; carries the tape.
    pub values: Tensor<(N,), E, Cpu, T>,
    /// What the figure kept of each token.
    pub tokens: Vec<S>,
}

/// A figure of each token's distribution over the vocabulary under one model that is trained and others that are not, such as
/// the divergence from a teacher.
///
/// The logits of model 0 are `hidden weight^T`, soft-capped at `limit` if it is given; those of the others come from their heads.
///
/// # Shapes
/// hidden (N, D), weight (V, D), each other model (N, any) and (V, any); result (N,).
///
/// # Gradient
/// To `hidden`, and to `weight` when it is trained: the figure's gradient in model 0's logits `G` gives `G W` and `G^T h`. All
/// logits are made again for each pass and for the way back, 1024 ids at a time, so `[N, V]` never exists. The figure reads
/// them in f64.
///
/// # Errors
/// Sizes that disagree; another number of models than the figure reads.
pub fn vocabulary_figure<N: Dim, D: Dim, V: Dim, E: Scalar, T: TapeOf<E>, F: VocabularyFigure>(
    hidden: Tensor<(N, D), E, Cpu, T>,
    weight: impl Operand<E, Shape = (V, D)>,
    limit: Option<f64>,
    precision: Precision,
    others: &[OtherHead<E>],
    figure: F,
) -> Result<VocabularyFigures<N, E, T, F::Token>, OpsError>
where
    Cpu: Device<E>,
{
    let ((n, d), (v, d2)) = (*hidden.shape(), *weight.values().shape());
    same("vocabulary_figure", "columns of the weight", d.size(), d2.size())?;
    let read = Reading::new(n.size(), v.size(), limit, others, figure)?;
    let (hidden, tape) = hidden.try_contiguous()?.split_tape();
    let (weight, gw, wt) = take::<_, _, T>(weight)?;
    let cols = d.size();
    let tokens = read.forward(data(&hidden), &Dense { d: data(&weight), cols, precision });
    let gh = GradSlot::of(&hidden);
    attach(read, tokens, n, tape.merge(wt), move |read, tokens, go, grads| {
        let mut dh = gh.take(grads)?;
        let mut dw = gw.as_ref().map(|gw| gw.take(grads)).transpose()?;
        let dense = Dense { d: data(&weight), cols, precision };
        read.backward(tokens, go, (data(&hidden), &dense), &mut dh, |range, g, h| {
            if let Some(dw) = &mut dw {
                big(&mut dw[range.start * cols..range.end * cols], cols, true, g.t(), h, precision);
            }
        });
        gh.put(grads, dh)?;
        gw.zip(dw).map_or(Ok(()), |(gw, dw)| gw.put(grads, dw))
    })
}

/// [`vocabulary_figure`] with a frozen head of the model that is trained.
///
/// # Gradient
/// To `hidden` alone.
///
/// # Errors
/// As [`vocabulary_figure`].
pub fn vocabulary_figure_frozen<N: Dim, D: Dim, V: Dim, E: Scalar, T: TapeOf<E>, F: VocabularyFigure>(
    hidden: Tensor<(N, D), E, Cpu, T>,
    weight: &Frozen<V, D>,
    limit: Option<f64>,
    others: &[OtherHead<E>],
    figure: F,
) -> Result<VocabularyFigures<N, E, T, F::Token>, OpsError>
where
    Cpu: Device<E>,
{
    let ((n, d), (v, d2)) = (*hidden.shape(), weight.shape());
    same("vocabulary_figure", "columns of the weight", d.size(), d2.size())?;
    let read = Reading::new(n.size(), v.size(), limit, others, figure)?;
    let (hidden, tape) = hidden.try_contiguous()?.split_tape();
    let store = weight.store.clone();
    let tokens = read.forward(data(&hidden), &*store);
    let gh = GradSlot::of(&hidden);
    attach(read, tokens, n, tape, move |read, tokens, go, grads| {
        read.backward(tokens, go, (data(&hidden), &*store), gh.get(grads)?, |_, _, _| ());
        Ok(())
    })
}

/// The figures as a tensor whose backward pass is `back`, given the tokens and the gradients of the figures.
fn attach<N: Dim, E: Scalar, T: TapeOf<E>, F: VocabularyFigure>(
    read: Reading<E, F>,
    tokens: Vec<F::Token>,
    n: N,
    tape: T,
    back: impl FnOnce(&Reading<E, F>, &[F::Token], &[E], &mut crate::params::Grads<E>) -> crate::raw::Back<()> + 'static,
) -> Result<VocabularyFigures<N, E, T, F::Token>, OpsError>
where
    Cpu: Device<E>,
{
    let values = tokens.iter().map(|token| E::c(read.figure.value(token))).collect();
    let (values, kept) = (Cpu::default().try_tensor_from_vec(values, (n,))?, tokens.clone());
    let values = record(values, tape, move |go, grads| back(&read, &kept, go, grads));
    Ok(VocabularyFigures { values, tokens })
}

/// The way over the vocabulary and back.
struct Reading<E, F> {
    tokens: usize,
    vocab: usize,
    limit: Option<f64>,
    others: Vec<OtherHead<E>>,
    figure: F,
}

impl<E: Scalar, F: VocabularyFigure> Reading<E, F>
where
    Cpu: Device<E>,
{
    fn new(tokens: usize, vocab: usize, limit: Option<f64>, others: &[OtherHead<E>], figure: F) -> Result<Self, OpsError> {
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

    fn forward(&self, hidden: &[E], weight: &impl Weights<E>) -> Vec<F::Token> {
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
    fn backward(
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
