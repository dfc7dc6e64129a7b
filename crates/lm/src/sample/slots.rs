//! Who is written and who waits.
use super::cache::{Cache, Sequence};
use super::choose::Scratch;
use super::options::{Batching, Sampling};
use super::request::{Answer, Request};
use crate::error::LmError;
use crate::random::Stream;
use std::collections::{HashMap, VecDeque};
use tropism_ops::PAGE;

/// A prompt that all answers to it share.
pub(super) struct Prompt<'a, E> {
    pub(super) tokens: &'a [u32],
    pub(super) sequence: Sequence,
    /// the state after its last token, once it is computed
    pub(super) state: Vec<E>,
    /// answers that have not taken their seat yet, and those that are being written
    waiting: usize,
    writing: usize,
}

/// An answer that is being written.
pub(super) struct Live<E> {
    pub(super) request: usize,
    pub(super) number: usize,
    pub(super) prompt: usize,
    pub(super) min: usize,
    pub(super) max: usize,
    pub(super) sequence: Sequence,
    pub(super) state: Vec<E>,
    pub(super) stream: Stream,
    pub(super) answer: Answer,
    /// distinct tokens of prompt and answer, for the repetition penalty
    pub(super) seen: Vec<u32>,
    pub(super) scratch: Scratch<E>,
    /// tokens of the answer before this turn, and those that the model has run over
    pub(super) turn: usize,
    pub(super) ran: usize,
    pages: usize,
}

/// An answer that waits: request and number.
#[derive(Clone, Copy)]
struct Waiting {
    request: usize,
    number: usize,
    prompt: usize,
}

/// The queue, the slots and what they hold of the cache.
pub(super) struct Slots<'a, E> {
    requests: &'a [Request],
    sampling: &'a Sampling,
    batching: Batching,
    seed: u64,
    pub(super) prompts: Vec<Prompt<'a, E>>,
    queue: VecDeque<Waiting>,
    pub(super) live: Vec<Live<E>>,
    /// pages that live answers and their prompts may come to need
    reserved: usize,
}

impl<'a, E: tropism_ops::Scalar> Slots<'a, E> {
    /// Queues all answers, those to equal prompts one after the other. Prompts and options must have been checked.
    pub(super) fn new(
        requests: &'a [Request],
        sampling: &'a Sampling,
        batching: Batching,
        seed: u64,
    ) -> Result<Self, LmError> {
        let mut slots =
            Slots { requests, sampling, batching, seed, prompts: vec![], queue: VecDeque::new(), live: vec![], reserved: 0 };
        let (mut known, mut queues): (HashMap<&[u32], usize>, Vec<Vec<Waiting>>) = Default::default();
        for (request, r) in requests.iter().enumerate().filter(|(_, r)| r.answers > 0) {
            let prompt = *known.entry(&r.prompt).or_insert_with(|| {
                let (sequence, state) = (Sequence::default(), vec![]);
                slots.prompts.push(Prompt { tokens: &r.prompt, sequence, state, waiting: 0, writing: 0 });
                queues.push(vec![]);
                queues.len() - 1
            });
            slots.prompts[prompt].waiting += r.answers;
            queues[prompt].extend((0..r.answers).map(|number| Waiting { request, number, prompt }));
        }
        slots.queue = queues.into_iter().flatten().collect();
        slots.room()?;
        Ok(slots)
    }

    /// Most pages that may be held.
    fn capacity(&self) -> usize {
        if self.batching.cached_tokens == 0 { usize::MAX } else { self.batching.cached_tokens / PAGE }
    }

    /// Whether each answer fits when it is alone.
    fn room(&self) -> Result<(), LmError> {
        let pages = |w: &Waiting| self.shared_pages(w.prompt) + self.own_pages(*w);
        match self.queue.iter().find(|w| pages(w) > self.capacity()) {
            Some(w) => Err(LmError::Invalid(format!(
                "prompt {} and an answer of full length need {} cached tokens, counted in pages of {PAGE}; cached_tokens is {}",
                w.request + 1,
                pages(w) * PAGE,
                self.batching.cached_tokens
            ))),
            None => Ok(()),
        }
    }

    /// Pages of a prompt; its last, when not full, is copied by each answer but the last.
    fn shared_pages(&self, prompt: usize) -> usize {
        self.prompts[prompt].tokens.len().div_ceil(PAGE)
    }

    /// Pages that an answer needs beside the prompt's full ones. Its last token is never cached.
    fn own_pages(&self, w: Waiting) -> usize {
        let (prompt, (_, max)) = (self.prompts[w.prompt].tokens.len(), self.requests[w.request].lengths(self.sampling));
        (prompt + max - 1).div_ceil(PAGE) - prompt / PAGE
    }

    /// Takes answers out of the queue as long as slots and cache have room. The second list holds the prompts that have to be
    /// computed for them, up to the limit of a prefill.
    pub(super) fn next(&mut self) -> (Vec<usize>, Vec<usize>) {
        let (mut entering, mut prompts, mut tokens) = (vec![], vec![], 0);
        while self.live.len() + entering.len() < self.batching.slots {
            let Some(&w) = self.queue.front() else { break };
            let fresh = self.prompts[w.prompt].state.is_empty() && !prompts.contains(&w.prompt);
            let needed = self.own_pages(w) + if fresh { self.shared_pages(w.prompt) } else { 0 };
            let len = if fresh { self.prompts[w.prompt].tokens.len() } else { 0 };
            let crowded = fresh && !prompts.is_empty() && tokens + len > self.batching.prefill_tokens;
            if self.reserved.saturating_add(needed) > self.capacity() || crowded {
                break;
            }
            self.queue.pop_front();
            self.reserved += needed;
            tokens += len;
            if fresh {
                prompts.push(w.prompt);
            }
            entering.push(w);
        }
        let places = entering.len();
        for w in entering {
            let live = self.start(w);
            self.live.push(live);
        }
        ((self.live.len() - places..self.live.len()).collect(), prompts)
    }

    fn start(&self, w: Waiting) -> Live<E> {
        let request = &self.requests[w.request];
        let ((min, max), pages) = (request.lengths(self.sampling), self.own_pages(w));
        let mut seen = vec![];
        if self.sampling.repetition_penalty != 1.0 {
            seen = request.prompt.clone();
            seen.sort_unstable();
            seen.dedup();
        }
        let place = request.stream.map_or(w.request as u64, u64::from);
        let answer = Answer::empty();
        Live {
            request: w.request,
            number: w.number,
            prompt: w.prompt,
            min,
            max,
            sequence: Sequence::default(),
            state: vec![],
            stream: Stream::new(self.seed, place | (w.number as u64) << 32),
            answer,
            seen,
            scratch: Scratch::default(),
            turn: 0,
            ran: 0,
            pages,
        }
    }

    /// Gives a new answer its prompt's cache and state; the last one takes the prompt's own.
    pub(super) fn seat(&mut self, cache: &mut Cache<E>, live: usize) {
        let live = &mut self.live[live];
        let prompt = &mut self.prompts[live.prompt];
        (prompt.waiting, prompt.writing) = (prompt.waiting - 1, prompt.writing + 1);
        live.state.clone_from(&prompt.state);
        live.sequence = match prompt.waiting {
            0 => std::mem::take(&mut prompt.sequence),
            _ => cache.fork(&prompt.sequence),
        };
    }

    /// Takes an ended answer out, with what it held.
    pub(super) fn leave(&mut self, cache: &mut Cache<E>, live: usize) -> Live<E> {
        let mut live = self.live.remove(live);
        cache.release(&mut live.sequence);
        self.reserved -= live.pages;
        let prompt = &mut self.prompts[live.prompt];
        prompt.writing -= 1;
        if prompt.writing == 0 && prompt.waiting == 0 {
            self.reserved -= self.shared_pages(live.prompt);
        }
        live
    }
}
