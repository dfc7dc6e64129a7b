//! Models that are compared with and not trained.
use crate::error::{OpsError, same};
use crate::frozen::Frozen;
use crate::mm::{Precision, View};
use crate::raw::data;
use crate::scalar::Scalar;
use crate::weights::{Dense, Weights};
use dfdx::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// Writes the logits of some rows of the weight, one row per token.
pub(super) type Logits<E> = Arc<dyn Fn(&mut [E], Range<usize>) + Send + Sync>;

/// Hidden states of another model with the head that turns them into logits: constants of a [`vocabulary_figure`](crate::vocabulary_figure).
#[derive(Clone)]
pub struct OtherHead<E> {
    tokens: usize,
    vocab: usize,
    pub(super) limit: Option<f64>,
    pub(super) logits: Logits<E>,
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
    pub(super) fn check(&self, n: usize, vocab: usize) -> Result<(), OpsError> {
        same("vocabulary_figure", "tokens of another model", n, self.tokens)?;
        same("vocabulary_figure", "vocabulary of another model", vocab, self.vocab)
    }
}
