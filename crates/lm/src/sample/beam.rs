//! Beam search over a scoring function.
use super::cache::{Cache, Sequence};
use super::options::{lengths, stops};
use super::request::Request;
use super::{End, Sampling};
use crate::decoder::Decoder;
use crate::dims::Dims;
use crate::error::LmError;
use dfdx::prelude::*;
use tropism_ops::{Scalar, at_least, data, log_sum_exp};

/// Options of a beam search.
#[derive(Clone, Debug, PartialEq)]
pub struct Beams {
    /// hypotheses that are continued at each step
    pub beams: usize,
    /// likeliest next tokens of each hypothesis that are scored; 0 for twice the beams
    pub candidates: usize,
    /// hypotheses that are returned at most
    pub best: usize,
    /// longest answer in tokens
    pub max_new_tokens: usize,
    /// a finished answer's score is divided by its length to this power; 0 is off, larger favours longer answers while scores
    /// are negative
    pub length_penalty: f64,
}

impl Default for Beams {
    fn default() -> Self {
        Beams { beams: 4, candidates: 0, best: 1, max_new_tokens: 64, length_penalty: 1.0 }
    }
}

/// An answer found by beam search.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypothesis {
    /// its tokens, the stop token included when there is one
    pub tokens: Vec<u32>,
    /// sum of the model's log-probabilities of its tokens, in nats
    pub logp: f64,
    /// what it was ranked by: the scoring function's value over the length penalty
    pub score: f64,
    /// why it ended
    pub end: End,
}

/// A hypothesis that is continued.
struct Beam {
    tokens: Vec<u32>,
    logp: f64,
    sequence: Sequence,
}

/// A possible next token of a beam.
struct Candidate {
    beam: usize,
    tokens: Vec<u32>,
    logp: f64,
    score: f64,
}

impl Beams {
    fn check(&self) -> Result<(), LmError> {
        for (key, value) in [("beams", self.beams), ("best", self.best)] {
            if value == 0 {
                return Err(LmError::Invalid(format!("{key} is 0, it must be at least 1")));
            }
        }
        if !self.length_penalty.is_finite() {
            return Err(LmError::Invalid(format!("length_penalty is {}, it must be a number", self.length_penalty)));
        }
        lengths(0, self.max_new_tokens)
    }

    fn ended(&self, c: Candidate, end: End) -> Hypothesis {
        let score = c.score / (c.tokens.len() as f64).powf(self.length_penalty);
        Hypothesis { tokens: c.tokens, logp: c.logp, score, end }
    }
}

impl<M: Dims, E: Scalar> Decoder<M, E>
where
    Cpu: Device<E>,
{
    /// The likeliest answers that a search with a limited number of hypotheses finds, best first.
    ///
    /// At each step every hypothesis is continued by its likeliest tokens. All continuations are ranked by
    /// `score(tokens, logp)`, the sum of log-probabilities itself when `score` is none; going down the list, those that end
    /// with a stop token are put aside and the first `beams` others are continued. The search goes on to `max_new_tokens`, and
    /// ends before when nothing is left to continue, or, without a scoring function, when no continuation can be among the
    /// best any more. Hypotheses share the cached keys and values of what they have in common.
    ///
    /// # Errors
    /// Options, prompt or stop tokens that cannot be used, logits that are NaN, a score that is NaN; named.
    pub fn beam_search(
        &self,
        prompt: &[u32],
        options: &Beams,
        stop: &[u32],
        score: Option<&mut dyn FnMut(&[u32], f64) -> f64>,
    ) -> Result<Vec<Hypothesis>, LmError> {
        options.check()?;
        let sizes = self.dims.config().sizes;
        let sampling = Sampling { max_new_tokens: options.max_new_tokens, ..Sampling::default() };
        Request::new(prompt.to_vec(), 1).check(1, &sampling, sizes.vocab, sizes.positions)?;
        stops(stop, sizes.vocab)?;
        let mut search = Search { model: self, options, stop, score, cache: self.cache() };
        search.run(prompt)
    }
}

struct Search<'a, 's, M: Dims, E: Dtype> {
    model: &'a Decoder<M, E>,
    options: &'a Beams,
    stop: &'a [u32],
    score: Option<&'s mut dyn FnMut(&[u32], f64) -> f64>,
    cache: Cache<E>,
}

impl<M: Dims, E: Scalar> Search<'_, '_, M, E>
where
    Cpu: Device<E>,
{
    fn run(&mut self, prompt: &[u32]) -> Result<Vec<Hypothesis>, LmError> {
        let mut first = [Sequence::default()];
        let mut states = self.model.prefill(&mut self.cache, &[prompt], &mut first)?;
        let mut beams = first.map(|sequence| Beam { tokens: vec![], logp: 0.0, sequence }).into_iter().collect::<Vec<_>>();
        let mut ended: Vec<Hypothesis> = vec![];
        loop {
            let candidates = self.candidates(&beams, states)?;
            beams = self.select(beams, candidates, &mut ended);
            ended.sort_by(|a, b| b.score.total_cmp(&a.score));
            ended.truncate(self.options.best);
            if beams.is_empty() || self.settled(&beams, &ended) {
                return Ok(ended);
            }
            let (mut runs, mut sequences): (Vec<&[u32]>, Vec<&mut Sequence>) = (vec![], vec![]);
            for beam in &mut beams {
                runs.extend(beam.tokens.chunks(1).next_back());
                sequences.push(&mut beam.sequence);
            }
            states = self.model.extend(&mut self.cache, &runs, &mut sequences)?;
        }
    }

    /// The likeliest continuations of all beams, best score first.
    fn candidates(&mut self, beams: &[Beam], states: super::step::States<M, E>) -> Result<Vec<Candidate>, LmError> {
        let logits = self.model.head_logits(states)?;
        let width = logits.shape().1.size();
        let wanted = if self.options.candidates == 0 { 2 * self.options.beams } else { self.options.candidates };
        let mut found = vec![];
        for (i, (beam, row)) in beams.iter().zip(data(&logits).chunks_exact(width)).enumerate() {
            let lse = log_sum_exp(row);
            if lse.is_nan() {
                let at = beam.tokens.len() + 1;
                return Err(LmError::Invalid(format!("beam {}, token {at}: the model's logits hold NaN", i + 1)));
            }
            for token in likeliest(row, wanted) {
                let logp = beam.logp + (row[token as usize] - lse).f();
                let tokens = [beam.tokens.as_slice(), &[token]].concat();
                let score = self.score.as_mut().map_or(logp, |s| s(&tokens, logp));
                if score.is_nan() {
                    return Err(LmError::Invalid(format!("the scoring function returns NaN for the tokens {tokens:?}")));
                }
                found.push(Candidate { beam: i, tokens, logp, score });
            }
        }
        // a stable sort: equal scores stay in the order of beams and tokens
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        Ok(found)
    }

    /// Puts aside what ended and forks the beams that go on; the old ones are given back.
    fn select(&mut self, mut old: Vec<Beam>, candidates: Vec<Candidate>, ended: &mut Vec<Hypothesis>) -> Vec<Beam> {
        let mut beams: Vec<Beam> = vec![];
        for c in candidates {
            if beams.len() == self.options.beams {
                break;
            }
            if c.tokens.last().is_some_and(|t| self.stop.contains(t)) {
                ended.push(self.options.ended(c, End::StopToken));
            } else if c.tokens.len() == self.options.max_new_tokens {
                ended.push(self.options.ended(c, End::Length));
            } else {
                let sequence = self.cache.fork(&old[c.beam].sequence);
                beams.push(Beam { tokens: c.tokens, logp: c.logp, sequence });
            }
        }
        old.iter_mut().for_each(|b| self.cache.release(&mut b.sequence));
        // neighbours share their pages, so that attention reads them once
        beams.sort_by(|a, b| a.sequence.pages.cmp(&b.sequence.pages));
        beams
    }

    /// Whether no beam can still enter the list. Log-probabilities only fall; the penalty is kindest at one end of the length.
    fn settled(&self, beams: &[Beam], ended: &[Hypothesis]) -> bool {
        if self.score.is_some() || ended.len() < self.options.best {
            return false;
        }
        let (shortest, longest) = (beams[0].tokens.len() + 1, self.options.max_new_tokens);
        let length = if self.options.length_penalty > 0.0 { longest } else { shortest };
        let best = beams.iter().map(|b| b.logp).fold(f64::NEG_INFINITY, f64::max);
        let bound = best / (length as f64).powf(self.options.length_penalty);
        ended.last().is_some_and(|worst| worst.score >= bound)
    }
}

/// The `n` likeliest tokens, likeliest first.
fn likeliest<E: Scalar>(row: &[E], n: usize) -> Vec<u32> {
    let mut ids = vec![];
    at_least(row, E::min_value(), &mut ids);
    let likelier = |a: &u32, b: &u32| {
        let (x, y) = (row[*a as usize], row[*b as usize]);
        y.partial_cmp(&x).unwrap_or(std::cmp::Ordering::Equal).then(a.cmp(b))
    };
    if n < ids.len() {
        ids.select_nth_unstable_by(n, likelier);
        ids.truncate(n);
    }
    ids.sort_unstable_by(likelier);
    ids
}
