//! Figures of whole distributions over the vocabulary, of several models, without logits in memory.
mod other;
mod reading;

pub use other::OtherHead;

use crate::error::{OpsError, same};
use crate::frozen::Frozen;
use crate::mm::{Precision, big};
use crate::operand::{Operand, take};
use crate::params::TapeOf;
use crate::raw::{GradSlot, data, record};
use crate::scalar::Scalar;
use crate::weights::Dense;
use dfdx::prelude::*;
use reading::Reading;
use tropism_core::VocabularyFigure;

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
