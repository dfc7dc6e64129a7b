//! Sampling with a cache of keys and values.
//!
//! [`Sampler`] answers a list of [`Request`]s. A fixed number of slots is kept busy: an answer that ends leaves, the next one
//! enters ([`Batching`]). Equal prompts are computed once, and their keys and values are shared by all answers to them.
//!
//! # What does not change an answer
//! In f32 (and f64) on one machine an answer's tokens and log-probabilities have the same bits whatever answers are written
//! beside it, in however many slots, on however many threads, and whether its prompt is shared. Every operation of a step
//! works row by row in a fixed order of additions, and each answer draws from a stream of its own, made of the seed, the
//! request's stream and the answer's number. Between processors, and against [`Decoder::logits`](crate::Decoder::logits),
//! results agree to rounding only.
mod beam;
mod cache;
mod choose;
mod engine;
mod options;
mod pick;
mod request;
mod slots;
mod step;
mod stop;
mod turns;

pub use beam::{Beams, Hypothesis};
pub use engine::Sampler;
pub use options::{Batching, Sampling};
pub use request::{Answer, HookStep, LogitsHook, Request};
pub use stop::{End, StopStrings};
pub use turns::{Reply, Turn, written};

use crate::decoder::Decoder;
use crate::dims::Dims;
use crate::error::LmError;
use dfdx::prelude::*;
use tropism_ops::Scalar;

impl<M: Dims, E: Scalar> Decoder<M, E>
where
    Cpu: Device<E>,
{
    /// One answer to every prompt, each until a `stop` token or the limit of length: [`Sampler`] with what it does by itself.
    ///
    /// # Errors
    /// As [`Sampler::answers`].
    pub fn generate(
        &self,
        prompts: &[Vec<u32>],
        sampling: &Sampling,
        stop: &[u32],
        seed: u64,
    ) -> Result<Vec<Answer>, LmError> {
        let requests: Vec<Request> = prompts.iter().map(|p| Request::new(p.clone(), 1)).collect();
        let answers = Sampler::new(self, sampling.clone()).stop_tokens(stop).seed(seed).answers(&requests)?;
        Ok(answers.into_iter().flatten().collect())
    }
}
