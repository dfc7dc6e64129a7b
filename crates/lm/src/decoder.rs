//! The decoder: tokens to states to log-probabilities.
use crate::architecture::Names;
use crate::config::Config;
use crate::dims::{Dims, Positions};
use crate::error::LmError;
use crate::layer::{Layer, Pass};
use crate::linear::Rows;
use crate::lora::LoraConfig;
use crate::matrix::Matrix;
use crate::norm::Norm;
use crate::part::LayerPart;
use crate::rope::RopeCache;
use dfdx::prelude::*;
use std::sync::Arc;
use tropism_ops::{
    DetailedLogps, FrozenFormat, LogpsExtras, Param, Params, Part, Precision, RopeTable, Scalar, TapeOf, Tree, Visit,
    checkpoint, embed, plus, rows, softcap,
};

/// A decoder-only transformer.
#[derive(Clone, Debug)]
pub struct Decoder<M: Dims, E: Dtype> {
    /// its sizes
    pub dims: M,
    /// token embedding
    pub embed: Matrix<M::Vocab, M::Hidden, E>,
    /// learned positions, where there is no rotary embedding
    pub positions: Option<Param<(Positions, M::Hidden), E>>,
    /// layers, from the embedding up
    pub layers: Vec<Layer<M, E>>,
    /// of the last states
    pub norm: Norm<M::Hidden, E>,
    /// output projection; none when it is tied to the embedding
    pub head: Option<Matrix<M::Vocab, M::Hidden, E>>,
    /// how its products are computed
    pub precision: Precision,
    /// whether training keeps only the input of each layer and runs the layer once more in the backward pass
    pub checkpointing: bool,
    pub(crate) adapter: Option<LoraConfig>,
    pub(crate) rope: RopeCache<E>,
    pub(crate) names: Names,
}

/// A packed batch: one flat run of tokens, and which log-probabilities are wanted of it.
#[derive(Clone, Copy, Debug)]
pub struct TokenBatch<'a> {
    /// the tokens
    pub ids: &'a [usize],
    /// how they hang together
    pub tree: &'a Tree,
    /// per target: the token whose state predicts it
    pub sources: &'a [usize],
    /// the predicted ids
    pub targets: &'a [usize],
}

impl<M: Dims, E: Scalar> Decoder<M, E>
where
    Cpu: Device<E>,
{
    /// The weights that turn states into logits: the head, or the embedding when tied.
    ///
    /// # Errors
    /// A model that was read from a reward model's folder and has no output projection.
    pub fn unembedding(&self) -> Result<&Matrix<M::Vocab, M::Hidden, E>, LmError> {
        match &self.head {
            Some(head) => Ok(head),
            None if self.config().tied => Ok(&self.embed),
            None => {
                Err(LmError::Invalid("the model has no `lm_head`: it was read from the folder of a reward model".into()))
            }
        }
    }

    /// The same model with embedding, projections and head rounded to 16 or 8 bits: a reference, or a sampler's copy, in
    /// half or a quarter of the memory. It has norms and biases as its only parameters and cannot be saved.
    pub fn frozen(&self, format: FrozenFormat) -> Self {
        Decoder {
            embed: self.embed.frozen(format),
            head: self.head.as_ref().map(|h| h.frozen(format)),
            layers: self.layers.iter().map(|l| l.frozen(format)).collect(),
            // a merged adapter is rounded with its weights, another stays beside them
            adapter: if self.is_merged() { None } else { self.adapter.clone() },
            ..self.clone()
        }
    }

    /// Whether weights are frozen.
    pub fn is_frozen(&self) -> bool {
        self.embed.dense().is_none()
    }

    /// Normalised last states of all tokens, `[N, hidden]`.
    ///
    /// # Gradient
    /// To all trained parameters but an untied head.
    ///
    /// # Errors
    /// A token id outside the vocabulary, a sequence beyond the model's positions.
    pub fn states<T: TapeOf<E>>(
        &self,
        ids: &[usize],
        tree: &Tree,
        tape: T,
    ) -> Result<Tensor<(usize, M::Hidden), E, Cpu, T>, LmError> {
        let length = self.check(ids, tree)?;
        let table = self.rope.upto(length);
        let tree = Arc::new(tree.clone());
        let mut parts = self.layers.iter().enumerate().map(|(index, layer)| {
            let (layer, table, tree) = (layer.clone(), table.clone(), tree.clone());
            LayerPart { layer, table, tree, precision: self.precision, names: self.names, index }
        });
        let mut x = self.untrained(ids, &tree, &mut parts, tape)?;
        for part in parts {
            x = if self.checkpointing { checkpoint(x, part)? } else { part.run(x)? };
        }
        self.norm.forward(x)
    }

    /// The embedding, and the layers from below up to the first that is trained: these keep nothing for a backward pass when
    /// the embedding is not trained either.
    fn untrained<T: TapeOf<E>>(
        &self,
        ids: &[usize],
        tree: &Tree,
        parts: &mut impl Iterator<Item = LayerPart<M, E>>,
        tape: T,
    ) -> Result<Rows<M::Hidden, E, T>, LmError> {
        let first = self.first_trained_layer();
        if first == 0 {
            return self.embedded(ids, tree.positions(), tape);
        }
        let mut x = self.embedded(ids, tree.positions(), NoneTape)?;
        for part in parts.take(first) {
            x = part.run(x)?;
        }
        Ok(x.put_tape(tape))
    }

    /// What enters the first layer.
    pub(crate) fn embedded<T: TapeOf<E>>(
        &self,
        ids: &[usize],
        positions: &[usize],
        tape: T,
    ) -> Result<Rows<M::Hidden, E, T>, LmError> {
        let x = self.embed.rows(ids, self.dims.config().style.embed_scale, tape)?;
        let Some(learned) = &self.positions else { return Ok(x) };
        let (x, tape) = x.split_tape();
        Ok(plus(x.put_tape(T::default()), embed(learned, positions, tape)?)?)
    }

    /// Logits of normalised states.
    pub(crate) fn unembed(
        &self,
        states: Rows<M::Hidden, E, NoneTape>,
        precision: Precision,
    ) -> Result<Rows<M::Vocab, E, NoneTape>, LmError> {
        let logits = self.unembedding()?.times(states, None, precision)?;
        Ok(match self.dims.config().style.logit_softcap {
            Some(cap) => softcap(logits, cap)?,
            None => logits,
        })
    }

    pub(crate) fn pass<'a>(&self, table: &'a RopeTable<E>, positions: &'a [usize]) -> Pass<'a, E> {
        Pass { table, positions, precision: self.precision }
    }

    /// Log-probability of each target given everything before it, `[targets]`, in nats.
    ///
    /// # Gradient
    /// To all trained parameters. Only `sources` rows enter the head, and their logits exist chunk by chunk only.
    ///
    /// # Errors
    /// As [`Decoder::states`]; a target outside the vocabulary; an empty batch.
    pub fn token_logps<T: TapeOf<E>>(&self, batch: TokenBatch, tape: T) -> Result<Tensor<(usize,), E, Cpu, T>, LmError> {
        self.check_targets(&batch)?;
        self.logps_of(self.states(batch.ids, batch.tree, tape)?, batch.sources, batch.targets)
    }

    /// [`Decoder::token_logps`] with entropies, the most probable tokens, or `log sum p^2`, from the same pass.
    ///
    /// # Gradient
    /// Of log-probabilities and entropies, to all trained parameters.
    ///
    /// # Errors
    /// As [`Decoder::token_logps`]; more of the most probable tokens than the vocabulary has.
    pub fn token_logps_detailed<T: TapeOf<E>>(
        &self,
        batch: TokenBatch,
        extras: LogpsExtras,
        tape: T,
    ) -> Result<DetailedLogps<usize, E, T>, LmError> {
        self.check_targets(&batch)?;
        let states = rows(self.states(batch.ids, batch.tree, tape)?, batch.sources)?;
        let cap = self.dims.config().style.logit_softcap;
        self.unembedding()?.detailed_logps(states, batch.targets, cap, self.precision, extras)
    }

    /// Log-probabilities of `targets` after the states (of [`Decoder::states`]) at `sources`: for passes whose states go to
    /// other heads too.
    ///
    /// # Errors
    /// A source or a target that is out of range; as [`Decoder::unembedding`].
    pub fn logps_of<T: TapeOf<E>>(
        &self,
        states: Rows<M::Hidden, E, T>,
        sources: &[usize],
        targets: &[usize],
    ) -> Result<Tensor<(usize,), E, Cpu, T>, LmError> {
        let cap = self.dims.config().style.logit_softcap;
        self.unembedding()?.logps(rows(states, sources)?, targets, cap, self.precision)
    }

    /// Logits at some tokens, `[at.len(), vocab]`: for looking at a model and for sampling, not for training.
    ///
    /// # Errors
    /// As [`Decoder::states`].
    pub fn logits(&self, ids: &[usize], tree: &Tree, at: &[usize]) -> Result<Tensor<(usize, M::Vocab), E, Cpu>, LmError> {
        self.unembed(rows(self.states(ids, tree, NoneTape)?, at)?, self.precision)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        self.dims.config()
    }

    /// The configuration, for settings that are no sizes.
    pub fn config_mut(&mut self) -> &mut Config {
        self.dims.config_mut()
    }

    /// Number of trained parameters; a tied head counts once.
    pub fn parameters(&self) -> usize {
        count(self)
    }

    /// Checks tokens and positions; the length of the longest sequence.
    pub(crate) fn check(&self, ids: &[usize], tree: &Tree) -> Result<usize, LmError> {
        if ids.is_empty() || ids.len() != tree.tokens() {
            let (i, t) = (ids.len(), tree.tokens());
            return Err(LmError::Invalid(format!("{i} token ids for a tree of {t}; a batch needs at least one token")));
        }
        self.vocabulary(ids)?;
        let found = tree.positions().iter().max().map_or(0, |p| p + 1);
        let limit = self.dims.config().sizes.positions;
        if found > limit { Err(LmError::TooLong { found, limit }) } else { Ok(found) }
    }

    pub(crate) fn check_targets(&self, batch: &TokenBatch) -> Result<(), LmError> {
        if batch.targets.is_empty() || batch.sources.len() != batch.targets.len() {
            let (s, t) = (batch.sources.len(), batch.targets.len());
            return Err(LmError::Invalid(format!(
                "a batch needs one source per target and a target at least, found {s} and {t}"
            )));
        }
        self.vocabulary(batch.targets)
    }

    fn vocabulary(&self, ids: &[usize]) -> Result<(), LmError> {
        let vocab = self.dims.config().sizes.vocab;
        match ids.iter().position(|&i| i >= vocab) {
            Some(position) => Err(LmError::TokenId { id: ids[position], position, vocab }),
            None => Ok(()),
        }
    }
}

/// Number of trained parameters.
pub(crate) fn count<E: Dtype>(params: &impl Params<E>) -> usize {
    struct Count(usize);
    impl<E: Dtype> Visit<E> for Count {
        type Error = std::convert::Infallible;
        fn tensor<S: Shape>(&mut self, _: &str, t: &Tensor<S, E, Cpu>) -> Result<(), Self::Error> {
            self.0 += t.shape().num_elements();
            Ok(())
        }
    }
    let mut count = Count(0);
    let Ok(()) = params.visit(&mut count);
    count.0
}
