//! The decoder: tokens to states to log-probabilities.
use crate::config::Config;
use crate::dims::Dims;
use crate::error::LmError;
use crate::layer::{Layer, Pass};
use crate::rope::RopeCache;
use dfdx::prelude::*;
use tropism_ops::{Precision, RopeTable, Scalar, TapeOf, Tree, attention, embed, linear, linear_logps, rmsnorm, rows};

/// A Llama-style decoder.
#[derive(Clone, Debug)]
pub struct Decoder<M: Dims, E: Dtype> {
    /// its sizes
    pub dims: M,
    /// `model.embed_tokens`
    pub embed: Tensor<(M::Vocab, M::Hidden), E, Cpu>,
    /// `model.layers`
    pub layers: Vec<Layer<M, E>>,
    /// `model.norm`
    pub norm: Tensor<(M::Hidden,), E, Cpu>,
    /// `lm_head`; none when it is tied to the embedding
    pub head: Option<Tensor<(M::Vocab, M::Hidden), E, Cpu>>,
    /// how its products are computed
    pub precision: Precision,
    pub(crate) rope: RopeCache<E>,
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
    pub fn unembedding(&self) -> &Tensor<(M::Vocab, M::Hidden), E, Cpu> {
        self.head.as_ref().unwrap_or(&self.embed)
    }

    /// Normalised last states of all tokens, `[N, hidden]`.
    ///
    /// # Gradient
    /// To all parameters but an untied head.
    ///
    /// # Errors
    /// A token id outside the vocabulary, a sequence beyond the model's positions.
    pub fn states<T: TapeOf<E>>(
        &self,
        ids: &[usize],
        tree: &Tree,
        tape: T,
    ) -> Result<Tensor<(usize, M::Hidden), E, Cpu, T>, LmError> {
        let config = self.dims.config();
        let length = self.check(ids, tree)?;
        let table = self.rope.upto(length);
        let pass = self.pass(&table, tree.positions());
        let mut x = embed(&self.embed, ids, tape)?;
        for layer in &self.layers {
            let (q, k, v) = layer.project(x.with_empty_tape(), &pass)?;
            x = layer.finish(attention(q, k, v, tree, self.dims.heads())?, x, &pass)?;
        }
        Ok(rmsnorm(x, &self.norm, config.eps)?)
    }

    pub(crate) fn pass<'a>(&self, table: &'a RopeTable<E>, positions: &'a [usize]) -> Pass<'a, E> {
        Pass { eps: self.dims.config().eps, table, positions, precision: self.precision }
    }

    /// Log-probability of each target given everything before it, `[targets]`, in nats.
    ///
    /// # Gradient
    /// To all parameters. Only `sources` rows enter the head, and their logits exist chunk by chunk only.
    ///
    /// # Errors
    /// As [`Decoder::states`]; a target outside the vocabulary; an empty batch.
    pub fn token_logps<T: TapeOf<E>>(&self, batch: TokenBatch, tape: T) -> Result<Tensor<(usize,), E, Cpu, T>, LmError> {
        if batch.targets.is_empty() || batch.sources.len() != batch.targets.len() {
            let (s, t) = (batch.sources.len(), batch.targets.len());
            return Err(LmError::Invalid(format!(
                "a batch needs one source per target and a target at least, found {s} and {t}"
            )));
        }
        self.vocabulary(batch.targets)?;
        let states = self.states(batch.ids, batch.tree, tape)?;
        Ok(linear_logps(rows(states, batch.sources)?, self.unembedding(), batch.targets, self.precision)?)
    }

    /// Logits at some tokens, `[at.len(), vocab]`: for looking at a model and for sampling, not for training.
    ///
    /// # Errors
    /// As [`Decoder::states`].
    pub fn logits(&self, ids: &[usize], tree: &Tree, at: &[usize]) -> Result<Tensor<(usize, M::Vocab), E, Cpu>, LmError> {
        let states = rows(self.states(ids, tree, NoneTape)?, at)?;
        Ok(linear(states, self.unembedding(), self.precision)?)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        self.dims.config()
    }

    /// The configuration, for settings that are no sizes.
    pub fn config_mut(&mut self) -> &mut Config {
        self.dims.config_mut()
    }

    /// Number of parameters; a tied head counts once.
    pub fn parameters(&self) -> usize {
        let s = self.dims.config().sizes;
        let (q, kv) = (s.heads * s.head_dim, s.kv_heads * s.head_dim);
        let layer = s.hidden * (2 * q + 2 * kv + 3 * s.ff + 2);
        s.vocab * s.hidden * (1 + usize::from(self.head.is_some())) + s.layers * layer + s.hidden
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

    fn vocabulary(&self, ids: &[usize]) -> Result<(), LmError> {
        let vocab = self.dims.config().sizes.vocab;
        match ids.iter().position(|&i| i >= vocab) {
            Some(position) => Err(LmError::TokenId { id: ids[position], position, vocab }),
            None => Ok(()),
        }
    }
}
