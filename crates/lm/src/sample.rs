//! Sampling with a cache of keys and values.
use crate::decoder::Decoder;
use crate::dims::Dims;
use crate::error::LmError;
use crate::random::Stream;
use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_ops::{Cached, Scalar, Tree, attention, data, decode_attention, rows};

/// How the next token is chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// 0 takes the likeliest token; otherwise logits are divided by it
    pub temperature: f64,
    /// keep the fewest likeliest tokens that hold this much probability; 1 keeps all
    pub top_p: f64,
    /// keep this many likeliest tokens; 0 keeps all
    pub top_k: usize,
    /// longest answer in tokens
    pub max_new_tokens: usize,
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling { temperature: 1.0, top_p: 1.0, top_k: 0, max_new_tokens: 64 }
    }
}

/// One sampled answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// its tokens, the stop token included when there is one
    pub tokens: Vec<u32>,
    /// whether it ended by itself; otherwise the limit of length cut it
    pub finished: bool,
}

/// Keys and values of one sequence, layer by layer.
struct Cache<E> {
    layers: Vec<(Vec<E>, Vec<E>)>,
    len: usize,
}

/// A sequence that is still being written.
struct Live<E> {
    index: usize,
    cache: Cache<E>,
    stream: Stream,
    next: usize,
}

impl Sampling {
    fn check(&self) -> Result<(), LmError> {
        let refuse = |text: String| Err(LmError::Invalid(text));
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return refuse(format!("temperature is {}, it must be 0 or more", self.temperature));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return refuse(format!("top_p is {}, it must be above 0 and at most 1", self.top_p));
        }
        if self.max_new_tokens == 0 {
            return refuse("max_new_tokens is 0, it must be at least 1".into());
        }
        Ok(())
    }

    /// Picks a token from one row of logits.
    fn pick<E: Scalar>(&self, logits: &[E], stream: &mut Stream) -> usize {
        let better = |a: usize, b: usize| logits[a] >= logits[b];
        let best = (1..logits.len()).fold(0, |a, b| if better(a, b) { a } else { b });
        if self.temperature == 0.0 {
            return best;
        }
        let top = logits[best].f();
        let weight = |i: usize| ((logits[i].f() - top) / self.temperature).exp();
        let mut order: Vec<(usize, f64)> = (0..logits.len()).map(|i| (i, weight(i))).collect();
        if self.top_k > 0 || self.top_p < 1.0 {
            order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            order.truncate(if self.top_k > 0 { self.top_k } else { order.len() });
            let all: f64 = order.iter().map(|o| o.1).sum();
            let mut before = 0.0;
            let needed = |o: &&(usize, f64)| {
                let needed = before < self.top_p * all;
                before += o.1;
                needed
            };
            let keep = order.iter().take_while(needed).count();
            order.truncate(keep.max(1));
        }
        let mut left = stream.uniform() * order.iter().map(|o| o.1).sum::<f64>();
        let hit = order.iter().find(|o| {
            left -= o.1;
            left < 0.0
        });
        hit.map_or(best, |o| o.0)
    }
}

impl<M: Dims, E: Scalar> Decoder<M, E>
where
    Cpu: Device<E>,
{
    /// Continues every prompt until a `stop` token or the limit of length. Prompt i draws from a stream of its own, made of
    /// `seed` and i, so that an answer does not depend on what else is in the batch.
    ///
    /// # Errors
    /// An empty prompt, a token outside the vocabulary, prompt and limit together beyond the model's positions.
    pub fn generate(
        &self,
        prompts: &[Vec<u32>],
        sampling: &Sampling,
        stop: &[u32],
        seed: u64,
    ) -> Result<Vec<Generated>, LmError> {
        sampling.check()?;
        let limit = self.dims.config().sizes.positions;
        if let Some(long) = prompts.iter().map(|p| p.len() + sampling.max_new_tokens).find(|n| *n > limit) {
            return Err(LmError::TooLong { found: long, limit });
        }
        if let Some(i) = prompts.iter().position(|p| p.is_empty()) {
            return Err(LmError::Invalid(format!("prompt {} is empty; there is nothing to continue", i + 1)));
        }
        let mut done = vec![Generated { tokens: vec![], finished: false }; prompts.len()];
        let mut live = self.start(prompts, sampling, seed)?;
        while !live.is_empty() {
            live.retain(|l| {
                let g = &mut done[l.index];
                g.tokens.push(l.next as u32);
                g.finished = stop.contains(&(l.next as u32));
                !g.finished && g.tokens.len() < sampling.max_new_tokens
            });
            if !live.is_empty() {
                self.advance(&mut live, sampling)?;
            }
        }
        Ok(done)
    }

    /// Runs all prompts, fills their caches and picks their first tokens.
    fn start(&self, prompts: &[Vec<u32>], sampling: &Sampling, seed: u64) -> Result<Vec<Live<E>>, LmError> {
        if prompts.is_empty() {
            return Ok(vec![]);
        }
        let lengths: Vec<usize> = prompts.iter().map(Vec::len).collect();
        let ids: Vec<usize> = prompts.iter().flatten().map(|&t| t as usize).collect();
        let tree = Tree::sequences(&lengths)?;
        let table = self.rope.upto(self.check(&ids, &tree)?);
        let pass = self.pass(&table, tree.positions());
        let empty = || Cache { layers: vec![], len: 0 };
        let mut caches: Vec<Cache<E>> = lengths.iter().map(|_| empty()).collect();
        let mut x = self.embedded(&ids, tree.positions(), NoneTape)?;
        for layer in &self.layers {
            let (q, k, v) = layer.project(x.clone(), &pass)?;
            let width = k.shape().1.size();
            for (cache, s) in caches.iter_mut().zip(tree.segments()) {
                let range = s.start * width..(s.start + s.len) * width;
                cache.layers.push((data(&k)[range.clone()].to_vec(), data(&v)[range].to_vec()));
                cache.len = s.len;
            }
            x = layer.finish(attention(q, k, v, &tree, layer.attention)?, x, &pass)?;
        }
        let last: Vec<usize> = tree.segments().iter().map(|s| s.start + s.len - 1).collect();
        let logits = self.last_logits(rows(x, &last)?)?;
        let live = |(index, cache)| Live { index, cache, stream: Stream::new(seed, index as u64), next: 0 };
        let mut live: Vec<Live<E>> = caches.into_iter().enumerate().map(live).collect();
        self.choose(&mut live, &logits, sampling);
        Ok(live)
    }

    /// One more token for every live sequence.
    fn advance(&self, live: &mut [Live<E>], sampling: &Sampling) -> Result<(), LmError> {
        let positions: Vec<usize> = live.iter().map(|l| l.cache.len).collect();
        let ids: Vec<usize> = live.iter().map(|l| l.next).collect();
        let table = self.rope.upto(positions.iter().max().map_or(0, |p| p + 1));
        let pass = self.pass(&table, &positions);
        let mut x = self.embedded(&ids, &positions, NoneTape)?;
        for (i, layer) in self.layers.iter().enumerate() {
            let (q, k, v) = layer.project(x.clone(), &pass)?;
            let width = k.shape().1.size();
            for ((l, k), v) in live.iter_mut().zip(data(&k).chunks_exact(width)).zip(data(&v).chunks_exact(width)) {
                l.cache.layers[i].0.extend_from_slice(k);
                l.cache.layers[i].1.extend_from_slice(v);
            }
            let caches: Vec<Cached<E>> =
                live.iter().map(|l| Cached { keys: &l.cache.layers[i].0, values: &l.cache.layers[i].1 }).collect();
            x = layer.finish(decode_attention(&q, &caches, layer.attention)?, x, &pass)?;
        }
        live.iter_mut().for_each(|l| l.cache.len += 1);
        let logits = self.last_logits(x)?;
        self.choose(live, &logits, sampling);
        Ok(())
    }

    fn last_logits(&self, x: Tensor<(usize, M::Hidden), E, Cpu>) -> Result<Tensor<(usize, M::Vocab), E, Cpu>, LmError> {
        self.unembed(self.norm.forward(x)?)
    }

    fn choose(&self, live: &mut [Live<E>], logits: &Tensor<(usize, M::Vocab), E, Cpu>, sampling: &Sampling) {
        let width = logits.shape().1.size();
        for (l, row) in live.iter_mut().zip(data(logits).chunks_exact(width)) {
            l.next = sampling.pick(row, &mut l.stream);
        }
    }
}
