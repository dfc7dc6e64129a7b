//! Figures of whole distributions over the vocabulary, of a model that is trained and of others.
use crate::decoder::Decoder;
use crate::dims::Dims;
use crate::error::LmError;
use crate::matrix::Matrix;
use dfdx::prelude::*;
use tropism_ops::{
    OtherHead, Scalar, TapeOf, Tree, VocabularyFigure, VocabularyFigures, rows, vocabulary_figure, vocabulary_figure_frozen,
};

impl<M: Dims, E: Scalar> Decoder<M, E>
where
    Cpu: Device<E>,
{
    /// What this model says after the tokens `sources` of a packed batch, for [`Decoder::figure`] of another model.
    ///
    /// # Errors
    /// As [`Decoder::states`] and [`Decoder::unembedding`]; a source that is out of range.
    pub fn other_head(&self, ids: &[usize], tree: &Tree, sources: &[usize]) -> Result<OtherHead<E>, LmError> {
        let states = rows(self.states(ids, tree, NoneTape)?, sources)?;
        let cap = self.config().style.logit_softcap;
        Ok(match self.unembedding()? {
            Matrix::Dense(w) => OtherHead::new(states, &w.values, cap, self.precision)?,
            Matrix::Frozen(w) => OtherHead::frozen(states, w, cap)?,
        })
    }

    /// A figure of this model's distribution after each of the tokens `sources` of a packed batch, and of the distributions of
    /// `others` there, `[sources]`. Logits exist chunk by chunk only.
    ///
    /// # Gradient
    /// To all trained parameters of this model; the others are constants.
    ///
    /// # Errors
    /// As [`Decoder::states`] and [`Decoder::unembedding`]; a source that is out of range; another number of models than the
    /// figure reads, models of other vocabularies.
    pub fn figure<T: TapeOf<E>, F: VocabularyFigure>(
        &self,
        ids: &[usize],
        tree: &Tree,
        sources: &[usize],
        others: &[OtherHead<E>],
        figure: F,
        tape: T,
    ) -> Result<VocabularyFigures<usize, E, T, F::Token>, LmError> {
        let states = rows(self.states(ids, tree, tape)?, sources)?;
        let cap = self.config().style.logit_softcap;
        Ok(match self.unembedding()? {
            Matrix::Dense(w) => vocabulary_figure(states, w, cap, self.precision, others, figure)?,
            Matrix::Frozen(w) => vocabulary_figure_frozen(states, w, cap, others, figure)?,
        })
    }
}
