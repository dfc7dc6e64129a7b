//! What is asked of the sampler, and what it gives back.
use super::options::{Sampling, lengths};
use super::stop::End;
use super::turns::written;
use crate::error::LmError;
use std::ops::Range;

/// A prompt and how it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// its tokens
    pub prompt: Vec<u32>,
    /// how many answers; the prompt is computed once for all of them
    pub answers: usize,
    /// longest answer; none for that of [`Sampling`]
    pub max_new_tokens: Option<usize>,
    /// shortest answer; none for that of [`Sampling`]
    pub min_new_tokens: Option<usize>,
    /// which random stream its answers draw from; none for the request's place in the list. Answer i of stream s draws the
    /// same numbers in whatever list it stands
    pub stream: Option<u32>,
}

impl Request {
    /// `answers` answers to a prompt.
    pub fn new(prompt: Vec<u32>, answers: usize) -> Self {
        Request { prompt, answers, max_new_tokens: None, min_new_tokens: None, stream: None }
    }

    /// Shortest and longest answer, in tokens.
    pub(super) fn lengths(&self, sampling: &Sampling) -> (usize, usize) {
        let max = self.max_new_tokens.unwrap_or(sampling.max_new_tokens);
        (self.min_new_tokens.unwrap_or(sampling.min_new_tokens), max)
    }

    /// `number` is counted from 1 and for messages.
    pub(super) fn check(&self, number: usize, sampling: &Sampling, vocab: usize, positions: usize) -> Result<(), LmError> {
        let refuse = |text: String| Err(LmError::Invalid(format!("prompt {number} {text}")));
        let (min, max) = self.lengths(sampling);
        lengths(min, max).or_else(|e| refuse(format!("cannot be answered: {e}")))?;
        if self.prompt.is_empty() {
            return refuse("is empty; there is nothing to continue".into());
        }
        if let Some(at) = self.prompt.iter().position(|&t| t as usize >= vocab) {
            return refuse(format!(
                "holds token id {} at position {at}, which is not below the model's vocabulary of {vocab}; the tokenizer \
                 does not fit the model",
                self.prompt[at]
            ));
        }
        if self.prompt.len() + max > positions {
            return refuse(format!(
                "of {} tokens and an answer of {max} are longer than the model's max_position_embeddings of {positions}; \
                 lower max_new_tokens or cut the prompt",
                self.prompt.len()
            ));
        }
        Ok(())
    }
}

/// One sampled answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// its tokens, the stop token included when there is one
    pub tokens: Vec<u32>,
    /// why it ended
    pub end: End,
    /// per token: its log-probability under the model, `log_softmax` of the logits before hook, penalty, temperature and
    /// filters; nats. 0 for tokens that were given
    pub model_logps: Vec<f32>,
    /// per token: its log-probability under the distribution that it was drawn from, after all of these; nats. 0 at
    /// temperature 0, and for tokens that were given
    pub sampling_logps: Vec<f32>,
    /// of an answer that a stop string ended: the text of its last turn, cut at the character
    pub text: Option<String>,
    /// parts of `tokens` that the model did not write, see [`Sampler::answers_in_turns`](super::Sampler::answers_in_turns); in
    /// order, none empty
    pub given: Vec<Range<usize>>,
}

impl Answer {
    /// An answer before its first token.
    pub fn empty() -> Self {
        Answer { tokens: vec![], end: End::Length, model_logps: vec![], sampling_logps: vec![], text: None, given: vec![] }
    }

    /// Whether it ended by itself; otherwise the limit of length cut it.
    pub fn finished(&self) -> bool {
        self.end != End::Length
    }

    /// Number of tokens that the model wrote.
    pub fn written(&self) -> usize {
        self.tokens.len() - self.given.iter().map(Range::len).sum::<usize>()
    }

    /// The parts of `tokens` that the model wrote, in order.
    pub fn turns(&self) -> Vec<Range<usize>> {
        written(&self.given, self.tokens.len())
    }
}

/// What a hook on the logits sees of a step.
#[derive(Clone, Copy, Debug)]
pub struct HookStep<'a, E> {
    /// the request's place in the list, from 0
    pub request: usize,
    /// the answer's number among those to its prompt, from 0
    pub answer: usize,
    /// the prompt
    pub prompt: &'a [u32],
    /// the answer so far
    pub tokens: &'a [u32],
    /// the last token's normalised state, which the head turns into logits
    pub state: &'a [E],
}

/// Changes the logits of a step before anything else does: other heads mixed in, tokens vetoed by -inf. Called once per
/// answer and token; its error ends the run.
pub type LogitsHook<'a, E> = dyn FnMut(&HookStep<E>, &mut [E]) -> Result<(), LmError> + 'a;
