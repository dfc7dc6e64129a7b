//! How answers are sampled, and how many at a time.
use crate::error::LmError;
use serde::{Deserialize, Serialize};

/// How the next token is chosen.
///
/// Steps on a row of logits, in transformers' order: repetition penalty, stop tokens vetoed below `min_new_tokens`,
/// temperature, top-k, top-p, min-p; each filter sees what the one before it left. At temperature 0 the likeliest token is
/// taken after the first two steps, and the filters have nothing to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// 0 takes the likeliest token; otherwise logits are divided by it
    pub temperature: f64,
    /// keep the fewest likeliest tokens that hold this much probability; 1 keeps all
    pub top_p: f64,
    /// keep this many likeliest tokens, and those as likely as the last of them; 0 keeps all
    pub top_k: usize,
    /// keep tokens at least this many times as likely as the likeliest; 0 keeps all
    pub min_p: f64,
    /// positive logits of tokens that the prompt or the answer holds are divided by it, negative ones multiplied; 1 is off
    pub repetition_penalty: f64,
    /// longest answer in tokens
    pub max_new_tokens: usize,
    /// no stop token is sampled, and no stop string looked for, before this many tokens
    pub min_new_tokens: usize,
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling {
            temperature: 1.0,
            top_p: 1.0,
            top_k: 0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            max_new_tokens: 64,
            min_new_tokens: 0,
        }
    }
}

impl Sampling {
    pub(super) fn check(&self) -> Result<(), LmError> {
        let refuse = |text: String| Err(LmError::Invalid(text));
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return refuse(format!("temperature is {}, it must be 0 or more", self.temperature));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return refuse(format!("top_p is {}, it must be above 0 and at most 1", self.top_p));
        }
        if !(self.min_p >= 0.0 && self.min_p <= 1.0) {
            return refuse(format!("min_p is {}, it must be from 0 to 1", self.min_p));
        }
        if !(self.repetition_penalty > 0.0 && self.repetition_penalty.is_finite()) {
            return refuse(format!("repetition_penalty is {}, it must be above 0", self.repetition_penalty));
        }
        lengths(self.min_new_tokens, self.max_new_tokens)
    }
}

/// Checks an answer's shortest and longest length.
pub(super) fn lengths(min: usize, max: usize) -> Result<(), LmError> {
    if max == 0 {
        return Err(LmError::Invalid("max_new_tokens is 0, it must be at least 1".into()));
    }
    if min > max {
        return Err(LmError::Invalid(format!("min_new_tokens is {min}, more than max_new_tokens of {max}")));
    }
    Ok(())
}

/// Checks stop tokens.
pub(super) fn stops(tokens: &[u32], vocab: usize) -> Result<(), LmError> {
    match tokens.iter().find(|t| **t as usize >= vocab) {
        Some(t) => Err(LmError::Invalid(format!("stop token {t} is not below the model's vocabulary of {vocab}"))),
        None => Ok(()),
    }
}

/// How much is computed and kept at a time. None of it changes an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Batching {
    /// answers that are written at the same time; one that ends makes room for the next
    pub slots: usize,
    /// most tokens whose keys and values are kept, counted in whole pages ([`tropism_ops::PAGE`] tokens); 0 for no limit.
    /// An answer enters only when it fits at its full length, its prompt counted once for all answers to it
    pub cached_tokens: usize,
    /// most prompt tokens that are computed together; a longer prompt is computed alone
    pub prefill_tokens: usize,
}

impl Default for Batching {
    fn default() -> Self {
        Batching { slots: 32, cached_tokens: 0, prefill_tokens: 4096 }
    }
}

impl Batching {
    /// Checks every option.
    ///
    /// # Errors
    /// Names the key and what would do.
    pub fn check(&self) -> Result<(), LmError> {
        for (key, value) in [("slots", self.slots), ("prefill_tokens", self.prefill_tokens)] {
            if value == 0 {
                return Err(LmError::Invalid(format!("{key} is 0, it must be at least 1")));
            }
        }
        Ok(())
    }
}
