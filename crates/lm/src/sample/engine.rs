//! The loop: enter, choose, leave, one step.
use super::cache::{Cache, Sequence};
use super::options::{Batching, Sampling, stops};
use super::pick::Picker;
use super::request::{Answer, HookStep, LogitsHook, Request};
use super::slots::{Live, Slots};
use super::stop::{End, StopStrings};
use crate::decoder::Decoder;
use crate::dims::Dims;
use crate::error::LmError;
use dfdx::prelude::*;
use tropism_ops::{Scalar, data, data_mut, for_each};

/// Answers prompts by sampling.
///
/// ```
/// use tropism_lm::{Config, Decoder, End, Loaded, Request, Sampler, Sampling, Sizes};
///
/// let sizes = Sizes { vocab: 16, hidden: 8, ff: 16, layers: 1, heads: 2, kv_heads: 1, head_dim: 4, positions: 32 };
/// let model = Decoder::<Loaded, f32>::random(Loaded::new(Config::new(sizes, true)?), 7)?;
/// let sampling = Sampling { temperature: 0.7, top_p: 0.9, max_new_tokens: 5, ..Sampling::default() };
/// let sampler = Sampler::new(&model, sampling).stop_tokens(&[0]).seed(1);
/// // four answers to the first prompt, one to the second
/// let answers = sampler.answers(&[Request::new(vec![3, 1, 4], 4), Request::new(vec![5], 1)])?;
/// assert_eq!((answers[0].len(), answers[1].len()), (4, 1));
/// for a in answers.iter().flatten() {
///     assert_eq!(a.tokens.len(), a.model_logps.len());
///     assert!(a.end == End::StopToken || a.tokens.len() == 5);
/// }
/// # Ok::<(), tropism_lm::LmError>(())
/// ```
#[derive(Clone)]
pub struct Sampler<'a, M: Dims, E: Dtype> {
    model: &'a Decoder<M, E>,
    sampling: Sampling,
    batching: Batching,
    stop_tokens: Vec<u32>,
    stop_strings: Option<StopStrings<'a>>,
    seed: u64,
}

impl<'a, M: Dims, E: Scalar> Sampler<'a, M, E>
where
    Cpu: Device<E>,
{
    /// Without stop tokens, seed 0, 32 slots and no limit of the cache.
    pub fn new(model: &'a Decoder<M, E>, sampling: Sampling) -> Self {
        Sampler { model, sampling, batching: Batching::default(), stop_tokens: vec![], stop_strings: None, seed: 0 }
    }

    /// Tokens that end an answer.
    pub fn stop_tokens(self, tokens: &[u32]) -> Self {
        Sampler { stop_tokens: tokens.to_vec(), ..self }
    }

    /// Texts that end an answer.
    pub fn stop_strings(self, strings: StopStrings<'a>) -> Self {
        Sampler { stop_strings: Some(strings), ..self }
    }

    /// Slots and limits.
    pub fn batching(self, batching: Batching) -> Self {
        Sampler { batching, ..self }
    }

    /// The seed of all draws.
    pub fn seed(self, seed: u64) -> Self {
        Sampler { seed, ..self }
    }

    /// All answers, a list per request.
    ///
    /// # Errors
    /// Options that contradict each other; an empty prompt, one with a token outside the vocabulary, one that is too long
    /// with its answer for the model or for the cache; logits that are NaN. The option or prompt is named.
    pub fn answers(&self, requests: &[Request]) -> Result<Vec<Vec<Answer>>, LmError> {
        self.run(requests, None, &mut |_, _, _| {})
    }

    /// [`Sampler::answers`], with a look at each answer as soon as it is complete: `each` gets the request's place in the
    /// list, the answer's number and the answer. In which order answers end depends on their lengths and the slots.
    ///
    /// # Errors
    /// As [`Sampler::answers`].
    pub fn answers_each(
        &self,
        requests: &[Request],
        each: &mut dyn FnMut(usize, usize, &Answer),
    ) -> Result<Vec<Vec<Answer>>, LmError> {
        self.run(requests, None, each)
    }

    /// [`Sampler::answers`] with a hook on every step's logits.
    ///
    /// # Errors
    /// Also the hook's own, and logits of which it leaves none finite.
    pub fn answers_with(&self, requests: &[Request], hook: &mut LogitsHook<E>) -> Result<Vec<Vec<Answer>>, LmError> {
        self.run(requests, Some(hook), &mut |_, _, _| {})
    }

    fn check(&self, requests: &[Request]) -> Result<(), LmError> {
        let sizes = self.model.dims.config().sizes;
        self.sampling.check()?;
        self.batching.check()?;
        self.stop_strings.iter().try_for_each(StopStrings::check)?;
        stops(&self.stop_tokens, sizes.vocab)?;
        let mut numbered = requests.iter().enumerate();
        numbered.try_for_each(|(i, r)| r.check(i + 1, &self.sampling, sizes.vocab, sizes.positions))
    }

    fn run(
        &self,
        requests: &[Request],
        hook: Option<&mut LogitsHook<E>>,
        each: &mut dyn FnMut(usize, usize, &Answer),
    ) -> Result<Vec<Vec<Answer>>, LmError> {
        self.check(requests)?;
        let mut cache = self.model.cache();
        let mut slots = Slots::new(requests, &self.sampling, self.batching, self.seed)?;
        let mut done: Vec<Vec<Option<Answer>>> = requests.iter().map(|r| vec![None; r.answers]).collect();
        let mut hook = hook;
        loop {
            self.enter(&mut slots, &mut cache)?;
            if slots.live.is_empty() {
                break;
            }
            self.choose(&mut slots, hook.as_deref_mut())?;
            for i in (0..slots.live.len()).rev() {
                if self.ended(&mut slots.live[i])? {
                    let live = slots.leave(&mut cache, i);
                    each(live.request, live.number, &live.answer);
                    done[live.request][live.number] = Some(live.answer);
                }
            }
            self.step(&mut slots, &mut cache)?;
        }
        Ok(done.into_iter().map(|answers| answers.into_iter().flatten().collect()).collect())
    }

    /// Fills free slots; prompts that enter are computed together.
    fn enter(&self, slots: &mut Slots<E>, cache: &mut Cache<E>) -> Result<(), LmError> {
        loop {
            let (entering, prompts) = slots.next();
            if !prompts.is_empty() {
                let tokens: Vec<&[u32]> = prompts.iter().map(|&p| slots.prompts[p].tokens).collect();
                let mut sequences: Vec<Sequence> = prompts.iter().map(|_| Sequence::default()).collect();
                let states = self.model.prefill(cache, &tokens, &mut sequences)?;
                let rows = data(&states).chunks_exact(states.shape().1.size());
                for ((&p, sequence), state) in prompts.iter().zip(sequences).zip(rows) {
                    (slots.prompts[p].sequence, slots.prompts[p].state) = (sequence, state.to_vec());
                }
            }
            if entering.is_empty() {
                return Ok(());
            }
            entering.into_iter().for_each(|live| slots.seat(cache, live));
        }
    }

    /// Chooses a token for every live answer.
    fn choose(&self, slots: &mut Slots<E>, hook: Option<&mut LogitsHook<E>>) -> Result<(), LmError> {
        let states = self.model.stack(slots.live.iter().flat_map(|l| l.state.iter().copied()).collect())?;
        let mut logits = self.model.head_logits(states)?;
        let width = logits.shape().1.size();
        let mut raw = vec![];
        if let Some(hook) = hook {
            raw = data(&logits).to_vec();
            for (live, row) in slots.live.iter().zip(data_mut(&mut logits).chunks_exact_mut(width)) {
                let prompt = slots.prompts[live.prompt].tokens;
                let (tokens, state) = (live.answer.tokens.as_slice(), live.state.as_slice());
                hook(&HookStep { request: live.request, answer: live.number, prompt, tokens, state }, row)?;
            }
        }
        let rows = data_mut(&mut logits).chunks_exact_mut(width);
        let mut jobs: Vec<_> = slots.live.iter_mut().zip(rows).map(|(live, row)| (live, row, Ok(()))).collect();
        let picker = Picker { sampling: &self.sampling, stop_tokens: &self.stop_tokens };
        for_each(&mut jobs, |i, (live, row, result)| {
            *result = picker.pick(live, row, raw.get(i * width..(i + 1) * width));
        });
        jobs.into_iter().try_for_each(|j| j.2)
    }

    /// Whether the last token ended the answer.
    fn ended(&self, live: &mut Live<E>) -> Result<bool, LmError> {
        let (answer, min) = (&mut live.answer, live.min);
        let Some(&last) = answer.tokens.last() else { return Ok(false) };
        if self.stop_tokens.contains(&last) {
            answer.end = End::StopToken;
            return Ok(true);
        }
        if let Some(strings) = &self.stop_strings
            && let Some(found) = strings.find(&answer.tokens, min)?
        {
            answer.tokens.truncate(found.tokens);
            answer.model_logps.truncate(found.tokens);
            answer.sampling_logps.truncate(found.tokens);
            (answer.end, answer.text) = (End::StopString(found.string), Some(found.text));
            return Ok(true);
        }
        if self.sampling.repetition_penalty != 1.0 && !live.seen.contains(&last) {
            live.seen.push(last);
        }
        Ok(answer.tokens.len() >= live.max)
    }

    /// Runs the model over the chosen tokens.
    fn step(&self, slots: &mut Slots<E>, cache: &mut Cache<E>) -> Result<(), LmError> {
        if slots.live.is_empty() {
            return Ok(());
        }
        let ids: Vec<usize> = slots.live.iter().filter_map(|l| l.answer.tokens.last()).map(|&t| t as usize).collect();
        let mut sequences: Vec<&mut Sequence> = slots.live.iter_mut().map(|l| &mut l.sequence).collect();
        let states = self.model.extend(cache, &ids, &mut sequences)?;
        for (live, state) in slots.live.iter_mut().zip(data(&states).chunks_exact(states.shape().1.size())) {
            live.state.clear();
            live.state.extend_from_slice(state);
        }
        Ok(())
    }
}
