//! One answer's next token, with its log-probabilities.
use super::choose::penalise;
use super::options::Sampling;
use super::slots::Live;
use crate::error::LmError;
use tropism_ops::{Scalar, find_nan, log_sum_exp};

/// What all answers' choices share.
pub(super) struct Picker<'a> {
    pub(super) sampling: &'a Sampling,
    pub(super) stop_tokens: &'a [u32],
}

impl Picker<'_> {
    /// Chooses one token; `raw` are the model's logits when a hook has been at `row`.
    pub(super) fn pick<E: Scalar>(&self, live: &mut Live<E>, row: &mut [E], raw: Option<&[E]>) -> Result<(), LmError> {
        let named = |what: &str| {
            let (answer, prompt, token) = (live.number + 1, live.request + 1, live.answer.tokens.len() + 1);
            LmError::Invalid(format!("answer {answer} to prompt {prompt}, token {token}: {what}"))
        };
        let veto = live.answer.tokens.len() < live.min && !self.stop_tokens.is_empty();
        let penalty = self.sampling.repetition_penalty;
        let kept = if raw.is_none() && (veto || penalty != 1.0) { row.to_vec() } else { vec![] };
        let lse = log_sum_exp(raw.unwrap_or(row));
        if lse.is_nan() {
            return Err(named("the model's logits hold NaN or no finite number; has its training diverged?"));
        }
        if raw.is_some() && find_nan(row) {
            return Err(named("the hook left NaN among the logits"));
        }
        if penalty != 1.0 {
            penalise(row, &live.seen, penalty);
        }
        if veto {
            self.stop_tokens.iter().for_each(|&t| row[t as usize] = E::neg_infinity());
        }
        let uniform = if self.sampling.temperature == 0.0 { 0.0 } else { live.stream.uniform() };
        let choice = live.scratch.choose(row, self.sampling, uniform);
        let choice = choice.ok_or_else(|| named("no token is left, all are vetoed or one is infinitely likely"))?;
        let model = raw.unwrap_or(if kept.is_empty() { row } else { &kept })[choice.token] - lse;
        live.answer.tokens.push(choice.token as u32);
        live.answer.model_logps.push(model.f() as f32);
        live.answer.sampling_logps.push(choice.logp as f32);
        Ok(())
    }
}
