//! The model's passes for sampling: prompts into the cache, then one token per sequence.
//!
//! Products run row by row ([`Precision::FullByRow`]), so that a sequence's numbers have the same bits in any batch.
use super::cache::{Cache, Place, Sequence};
use crate::decoder::Decoder;
use crate::dims::Dims;
use crate::error::LmError;
use crate::layer::{Layer, Pass};
use dfdx::prelude::*;
use tropism_ops::{AttentionConfig, Precision, Scalar, Tree, attention, data, decode_attention, rows};

/// Normalised last states, a row per sequence.
pub(super) type States<M, E> = Tensor<(usize, <M as Dims>::Hidden), E, Cpu>;

impl<M: Dims, E: Scalar> Decoder<M, E>
where
    Cpu: Device<E>,
{
    /// The model's precision, with products whose rows do not depend on each other.
    fn precision_by_row(&self) -> Precision {
        match self.precision {
            Precision::Bf16 if Precision::has_bf16() => Precision::Bf16,
            _ => Precision::FullByRow,
        }
    }

    /// An empty cache; its numbers are rounded to bf16 where the weights are.
    pub(super) fn cache(&self) -> Cache<E> {
        Cache::new(self.layers.len(), self.dims.heads(), self.rounds())
    }

    fn rounds(&self) -> bool {
        self.is_frozen() || self.precision == Precision::Bf16 && Precision::has_bf16()
    }

    /// Attention over prompts; one sequence's does not depend on the others in any precision.
    fn attention_of(&self, layer: &Layer<M, E>, pass: &Pass<E>) -> AttentionConfig {
        let precision = if self.rounds() { Precision::Bf16 } else { pass.precision };
        AttentionConfig { precision, ..layer.attention(pass) }
    }

    /// Runs whole prompts, packed, and fills their (empty) sequences; the state after each prompt's last token.
    pub(super) fn prefill(
        &self,
        cache: &mut Cache<E>,
        prompts: &[&[u32]],
        sequences: &mut [Sequence],
    ) -> Result<States<M, E>, LmError> {
        let lengths: Vec<usize> = prompts.iter().map(|p| p.len()).collect();
        let ids: Vec<usize> = prompts.iter().flat_map(|p| p.iter().map(|&t| t as usize)).collect();
        let tree = Tree::sequences(&lengths)?;
        let table = self.rope.upto(self.check(&ids, &tree)?);
        let mut places: Vec<Place> = vec![];
        for (sequence, &len) in sequences.iter_mut().zip(&lengths) {
            for _ in 0..len {
                places.push(cache.append(sequence)?);
            }
        }
        let mut pass = self.pass(&table, tree.positions());
        pass.precision = self.precision_by_row();
        let mut x = self.embedded(&ids, tree.positions(), NoneTape)?;
        let last: Vec<usize> = tree.segments().iter().map(|s| s.start + s.len - 1).collect();
        if self.layers.is_empty() {
            x = rows(x, &last)?;
        }
        for (i, layer) in self.layers.iter().enumerate() {
            let (q, k, v) = layer.project(x.clone(), &pass)?;
            cache.write(i, &places, data(&k), data(&v))?;
            let mut attended = attention(q, k, v, &tree, self.attention_of(layer, &pass))?;
            if i + 1 == self.layers.len() {
                // nothing after the last layer's attention looks at other tokens
                (attended, x) = (rows(attended, &last)?, rows(x, &last)?);
            }
            x = layer.finish(attended, x, &pass)?;
        }
        self.normalised(x)
    }

    /// More tokens, at least one, for every sequence; the state after the last of each. Every token is a row of its own that
    /// attends to what is cached before it, so that its numbers are those of a pass over it alone.
    pub(super) fn extend(
        &self,
        cache: &mut Cache<E>,
        runs: &[&[u32]],
        sequences: &mut [&mut Sequence],
    ) -> Result<States<M, E>, LmError> {
        let ids: Vec<usize> = runs.iter().flat_map(|run| run.iter().map(|&t| t as usize)).collect();
        let (mut positions, mut places, mut last): (Vec<usize>, Vec<Place>, Vec<usize>) = (vec![], vec![], vec![]);
        for (sequence, run) in sequences.iter_mut().zip(runs) {
            for _ in 0..run.len() {
                positions.push(sequence.len);
                places.push(cache.append(sequence)?);
            }
            last.push(places.len().saturating_sub(1));
        }
        let owners = sequences.iter().zip(runs).flat_map(|(s, run)| run.iter().map(move |_| s));
        let paged: Vec<_> = owners.zip(&positions).map(|(s, p)| s.paged(p + 1)).collect();
        let table = self.rope.upto(positions.iter().max().map_or(0, |p| p + 1));
        let mut pass = self.pass(&table, &positions);
        pass.precision = self.precision_by_row();
        let mut x = self.embedded(&ids, &positions, NoneTape)?;
        for (i, layer) in self.layers.iter().enumerate() {
            let (q, k, v) = layer.project(x.clone(), &pass)?;
            cache.write(i, &places, data(&k), data(&v))?;
            x = layer.finish(decode_attention(&q, cache.layer(i), &paged, layer.attention)?, x, &pass)?;
        }
        if last.len() < ids.len() {
            x = rows(x, &last)?;
        }
        self.normalised(x)
    }

    fn normalised(&self, x: States<M, E>) -> Result<States<M, E>, LmError> {
        self.norm.forward(x)
    }

    /// Logits of states, `[N, vocab]`.
    pub(super) fn head_logits(&self, states: States<M, E>) -> Result<Tensor<(usize, M::Vocab), E, Cpu>, LmError> {
        self.unembed(states, self.precision_by_row())
    }

    /// States from rows of numbers.
    pub(super) fn stack(&self, states: Vec<E>) -> Result<States<M, E>, LmError> {
        let hidden = self.dims.hidden();
        let shape = (states.len() / hidden.size(), hidden);
        Ok(Cpu::default().try_tensor_from_vec(states, shape)?)
    }
}
