//! The loop: enter, choose, leave, one step.
use super::cache::{Cache, Sequence};
use super::options::{Batching, Sampling, stops};
use super::pick::Picker;
use super::request::{Answer, HookStep, LogitsHook, Request};
use super::slots::{Live, Slots};
use super::stop::{End, StopStrings};
use super::turns::{Reply, Turn, Turns};
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
        self.run(requests, None, None, &mut |_, _, _| {})
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
        self.run(requests, None, None, each)
    }

    /// [`Sampler::answers`] with a hook on every step's logits.
    ///
    /// # Errors
    /// Also the hook's own, and logits of which it leaves none finite.
    pub fn answers_with(&self, requests: &[Request], hook: &mut LogitsHook<E>) -> Result<Vec<Vec<Answer>>, LmError> {
        self.run(requests, Some(hook), None, &mut |_, _, _| {})
    }

    /// [`Sampler::answers_each`] with replies: after each turn, which a stop token or a stop string ends as it would end an answer,
    /// `reply` says what is put in, and the model goes on, until there is no reply or the answer is at its length. Replies count in
    /// an answer's length; a turn has at most `turn_tokens`. What a limit cuts gets no reply, and a reply that leaves no room for a
    /// token after it is not put in; both end the answer by [`End::Length`].
    ///
    /// Keys and values are kept between turns, and the tokens of a reply are run together. An answer is the same in whatever
    /// company it is written, as long as `reply` looks at nothing but its turn.
    ///
    /// ```
    /// use tropism_lm::{Config, Decoder, Loaded, Request, Sampler, Sampling, Sizes, Turn};
    ///
    /// let sizes = Sizes { vocab: 4, hidden: 8, ff: 16, layers: 1, heads: 2, kv_heads: 1, head_dim: 4, positions: 64 };
    /// let model = Decoder::<Loaded, f32>::random(Loaded::new(Config::new(sizes, true)?), 7)?;
    /// let sampling = Sampling { max_new_tokens: 60, ..Sampling::default() };
    /// // a turn ends with a 0; two replies, then no more
    /// let mut reply = |turn: &Turn| Ok((turn.given.len() < 2).then(|| vec![3, 3, 1]));
    /// let sampler = Sampler::new(&model, sampling).stop_tokens(&[0]).seed(1);
    /// let answers = sampler.answers_in_turns(&[Request::new(vec![2, 1], 3)], 60, &mut reply, &mut |_, _, _| {})?;
    /// for answer in answers.iter().flatten().filter(|a| a.finished()) {
    ///     assert_eq!((answer.given.len(), answer.turns().len()), (2, 3));
    ///     assert!(answer.given.iter().all(|g| answer.tokens[g.clone()] == [3, 3, 1]));
    /// }
    /// # Ok::<(), tropism_lm::LmError>(())
    /// ```
    ///
    /// # Errors
    /// Also the reply's own, a reply with a token outside the vocabulary, `turn_tokens` of 0, and stop strings that are taken off the
    /// answer, as what was said cannot be taken back.
    pub fn answers_in_turns(
        &self,
        requests: &[Request],
        turn_tokens: usize,
        reply: &mut Reply,
        each: &mut dyn FnMut(usize, usize, &Answer),
    ) -> Result<Vec<Vec<Answer>>, LmError> {
        if turn_tokens == 0 {
            return Err(LmError::Invalid("a turn has 0 tokens, it must have at least 1".into()));
        }
        if self.stop_strings.is_some_and(|s| !s.keep && !s.strings.is_empty()) {
            return Err(LmError::Invalid("stop strings of answers in turns must be kept".into()));
        }
        let vocab = self.model.dims.config().sizes.vocab;
        self.run(requests, None, Some(&mut Turns { tokens: turn_tokens, vocab, reply }), each)
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
        mut turns: Option<&mut Turns>,
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
                let longest = turns.as_ref().map_or(usize::MAX, |t| t.tokens);
                if self.ended(&mut slots.live[i], longest)? && !goes_on(&mut slots.live[i], turns.as_deref_mut())? {
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

    /// Whether the last token ended the answer, or its turn.
    fn ended(&self, live: &mut Live<E>, longest: usize) -> Result<bool, LmError> {
        let (answer, turn) = (&mut live.answer, live.turn);
        let min = live.min.saturating_sub(turn);
        let Some(&last) = answer.tokens.last() else { return Ok(false) };
        if self.stop_tokens.contains(&last) {
            answer.end = End::StopToken;
            return Ok(true);
        }
        if let Some(strings) = &self.stop_strings
            && let Some(found) = strings.find(&answer.tokens[turn..], min)?
        {
            let kept = turn + found.tokens;
            answer.tokens.truncate(kept);
            answer.model_logps.truncate(kept);
            answer.sampling_logps.truncate(kept);
            (answer.end, answer.text) = (End::StopString(found.string), Some(found.text));
            return Ok(true);
        }
        Ok(answer.tokens.len() >= live.max || answer.tokens.len() - turn >= longest)
    }

    /// Runs the model over the chosen tokens, and over replies.
    fn step(&self, slots: &mut Slots<E>, cache: &mut Cache<E>) -> Result<(), LmError> {
        let most = self.batching.prefill_tokens.max(slots.live.len());
        let mut rest = slots.live.as_mut_slice();
        while !rest.is_empty() {
            // replies may be long: no more together than of prompts
            let mut tokens = 0;
            let fits = |l: &&Live<E>| {
                tokens += l.answer.tokens.len() - l.ran;
                tokens <= most
            };
            let n = rest.iter().take_while(fits).count().max(1);
            let (now, later) = rest.split_at_mut(n);
            self.step_over(now, cache)?;
            rest = later;
        }
        Ok(())
    }

    fn step_over(&self, lives: &mut [Live<E>], cache: &mut Cache<E>) -> Result<(), LmError> {
        let (mut runs, mut sequences): (Vec<&[u32]>, Vec<&mut Sequence>) = (vec![], vec![]);
        for live in lives.iter_mut() {
            runs.push(&live.answer.tokens[live.ran..]);
            sequences.push(&mut live.sequence);
        }
        let states = self.model.extend(cache, &runs, &mut sequences)?;
        for (live, state) in lives.iter_mut().zip(data(&states).chunks_exact(states.shape().1.size())) {
            live.state.clear();
            live.state.extend_from_slice(state);
            let ran = std::mem::replace(&mut live.ran, live.answer.tokens.len());
            if self.sampling.repetition_penalty != 1.0 {
                for &token in &live.answer.tokens[ran..] {
                    if !live.seen.contains(&token) {
                        live.seen.push(token);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Puts the reply to a turn into the answer; nothing changes where there is none, or no room for it.
fn goes_on<E>(live: &mut Live<E>, turns: Option<&mut Turns>) -> Result<bool, LmError> {
    let answer = &mut live.answer;
    let Some(turns) = turns.filter(|_| answer.finished()) else { return Ok(false) };
    let (tokens, given, end) = (answer.tokens.as_slice(), answer.given.as_slice(), &answer.end);
    let turn = Turn { request: live.request, answer: live.number, tokens, given, end };
    let Some(reply) = turns.reply(&turn)? else { return Ok(false) };
    (answer.end, answer.text) = (End::Length, None);
    let start = answer.tokens.len();
    if start + reply.len() >= live.max {
        return Ok(false);
    }
    answer.tokens.extend(&reply);
    for logps in [&mut answer.model_logps, &mut answer.sampling_logps] {
        logps.resize(answer.tokens.len(), 0.0);
    }
    if !reply.is_empty() {
        answer.given.push(start..answer.tokens.len());
    }
    live.turn = answer.tokens.len();
    Ok(true)
}
