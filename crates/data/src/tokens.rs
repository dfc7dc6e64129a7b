//! Records after tokenisation, and truncation to a length.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::DataError;
use crate::record::{Numbers, Source};

/// Which end of prompt + completion survives truncation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truncation {
    /// Keep the first tokens; an item whose prompt alone fills the length is left out.
    #[default]
    KeepStart,
    /// Keep the last tokens; the two sides of a pair may then keep different parts of the prompt.
    KeepEnd,
    /// Cut nothing: an item that is longer is left out.
    Drop,
}

/// Why an item is left out: its prompt leaves no room, it is too long, or nothing of it can be scored.
const FULL: &str = "prompt not shorter than max_length";
const LONG: &str = "longer than max_length";
const NOTHING: &str = "no token to score";

/// Length limit on prompt + completion, in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LengthOptions {
    /// Most tokens of prompt and completion together; none: nothing is cut.
    pub max_length: Option<usize>,
    /// Which end is kept.
    pub truncation: Truncation,
}

impl LengthOptions {
    /// Checks the values.
    ///
    /// # Errors
    /// A `max_length` below 2: a prompt token and a completion token are the least that can be scored.
    pub fn check(&self) -> Result<(), DataError> {
        match self.max_length {
            Some(length) if length < 2 => {
                Err(DataError::config("max_length", length, "must be at least 2: one token to read, one to score"))
            }
            _ => Ok(()),
        }
    }
}

/// A tokenised prompt with one completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSample {
    /// Where the sample came from.
    pub source: Source,
    /// Prompt tokens; may be empty.
    pub prompt: Vec<u32>,
    /// Completion tokens.
    pub completion: Vec<u32>,
    /// Parts of the completion that its author did not write, such as a tool's results between turns: they are read, not scored. In
    /// order, none empty.
    pub given: Vec<Range<usize>>,
}

/// A tokenised prompt with any number of responses, which share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenGroup {
    /// Where the group came from.
    pub source: Source,
    /// Prompt tokens; may be empty.
    pub prompt: Vec<u32>,
    /// Tokens of each response, in the order of the records.
    pub responses: Vec<Vec<u32>>,
}

/// A tokenised conversation, of which some tokens are trained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenChat {
    /// Where the conversation came from.
    pub source: Source,
    /// All tokens.
    pub ids: Vec<u32>,
    /// True on tokens to train, one for each of the ids.
    pub mask: Vec<bool>,
}

/// A tokenised prompt with two completions.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenPair {
    /// Where the pair came from.
    pub source: Source,
    /// Prompt tokens of the chosen side, and of both where `rejected_prompt` is none; may be empty.
    pub prompt: Vec<u32>,
    /// Tokens of the chosen completion.
    pub chosen: Vec<u32>,
    /// Tokens of the rejected completion.
    pub rejected: Vec<u32>,
    /// Prompt tokens of the rejected side where truncation left it another part of the prompt.
    pub rejected_prompt: Option<Vec<u32>>,
    /// Parts of the chosen and of the rejected completion that their author did not write; see [`TokenSample::given`].
    pub given: [Vec<Range<usize>>; 2],
    /// Further columns that a loss reads.
    pub numbers: Numbers,
}

impl TokenSample {
    /// Tokens of prompt and completion.
    pub fn len(&self) -> usize {
        self.prompt.len() + self.completion.len()
    }

    /// True where there is no token at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Completion tokens that its author wrote and something precedes, so that they can be scored.
    pub fn scored(&self) -> usize {
        let first = usize::from(self.prompt.is_empty());
        self.written().map(|part| part.end.saturating_sub(part.start.max(first))).sum()
    }

    /// Parts of the completion that its author wrote, in order, none empty.
    pub fn written(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let starts = std::iter::once(0).chain(self.given.iter().map(|part| part.end));
        let ends = self.given.iter().map(|part| part.start).chain([self.completion.len()]);
        starts.zip(ends).filter(|(start, end)| start < end).map(|(start, end)| start..end)
    }

    /// Cuts prompt + completion to the length limit; `Err` is the reason for leaving the sample out.
    ///
    /// # Errors
    /// `prompt not shorter than max_length` (keep-start), `longer than max_length` (drop), `no token to score`.
    pub fn truncate(mut self, options: &LengthOptions) -> Result<Self, &'static str> {
        check_length(self.prompt.len(), self.completion.len(), options)?;
        cut(&mut self.prompt, &mut self.completion, &mut self.given, options);
        if self.scored() == 0 { Err(NOTHING) } else { Ok(self) }
    }
}

impl TokenGroup {
    /// Tokens that [`crate::pack::pack_groups`] lays out: the prompt counts once.
    pub fn len(&self) -> usize {
        self.prompt.len() + self.responses.iter().map(Vec::len).sum::<usize>()
    }

    /// True where there is no token at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens of the longest response, prompt included.
    pub fn longest(&self) -> usize {
        self.prompt.len() + self.longest_response()
    }

    /// Tokens of all responses, each with the prompt.
    pub fn unshared_len(&self) -> usize {
        self.len() + self.prompt.len() * self.responses.len().saturating_sub(1)
    }

    fn longest_response(&self) -> usize {
        self.responses.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// The responses as samples of their own.
    pub fn samples(&self) -> impl Iterator<Item = TokenSample> + '_ {
        let sample = |completion: &Vec<u32>| TokenSample {
            source: self.source.clone(),
            prompt: self.prompt.clone(),
            completion: completion.clone(),
            given: vec![],
        };
        self.responses.iter().map(sample)
    }

    /// Cuts the group to the length limit; `Err` is the reason for leaving it out.
    ///
    /// The responses keep sharing one prompt. Keep-start cuts responses; keep-end cuts the prompt's beginning by what the
    /// longest response needs, and responses only where they are longer than the limit themselves.
    ///
    /// # Errors
    /// `prompt not shorter than max_length` (keep-start), `longer than max_length` (drop), `no token to score` in a response.
    pub fn truncate(mut self, options: &LengthOptions) -> Result<Self, &'static str> {
        let longest = self.longest_response();
        check_length(self.prompt.len(), longest, options)?;
        if let Some(max) = options.max_length {
            match options.truncation {
                Truncation::KeepStart => {
                    let room = max.saturating_sub(self.prompt.len());
                    self.responses.iter_mut().for_each(|response| response.truncate(room));
                }
                Truncation::KeepEnd => {
                    keep_last(&mut self.prompt, max.saturating_sub(longest));
                    self.responses.iter_mut().for_each(|response| keep_last(response, max));
                }
                Truncation::Drop => {}
            }
        }
        let unscored = self.responses.iter().any(|response| scored(&self.prompt, response) == 0);
        if unscored || self.responses.is_empty() { Err(NOTHING) } else { Ok(self) }
    }
}

impl TokenChat {
    /// Cuts the conversation to the length limit; `Err` is the reason for leaving it out.
    ///
    /// # Errors
    /// `longer than max_length` (drop), `no token to score` where the cut left none that is trained and preceded by another.
    pub fn truncate(mut self, options: &LengthOptions) -> Result<Self, &'static str> {
        if let Some(max) = options.max_length {
            match options.truncation {
                Truncation::KeepStart => {
                    self.ids.truncate(max);
                    self.mask.truncate(max);
                }
                Truncation::KeepEnd => {
                    keep_last(&mut self.ids, max);
                    keep_last(&mut self.mask, max);
                }
                Truncation::Drop if self.ids.len() > max => return Err(LONG),
                Truncation::Drop => {}
            }
        }
        if self.mask.iter().skip(1).any(|&on| on) { Ok(self) } else { Err(NOTHING) }
    }
}

fn keep_last<T>(items: &mut Vec<T>, most: usize) {
    items.drain(..items.len().saturating_sub(most));
}

impl TokenPair {
    /// The rejected side's prompt.
    pub fn rejected_prompt(&self) -> &[u32] {
        self.rejected_prompt.as_deref().unwrap_or(&self.prompt)
    }

    /// Tokens that [`crate::pack::pack_pairs`] lays out for this pair: a shared prompt counts once.
    pub fn len(&self) -> usize {
        let own_prompt = self.rejected_prompt.as_ref().map_or(0, Vec::len);
        self.prompt.len() + self.chosen.len() + own_prompt + self.rejected.len()
    }

    /// True where there is no token at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens of the longer side, prompt included.
    pub fn longest(&self) -> usize {
        (self.prompt.len() + self.chosen.len()).max(self.rejected_prompt().len() + self.rejected.len())
    }

    /// The chosen side alone.
    pub fn chosen_sample(&self) -> TokenSample {
        TokenSample {
            source: self.source.clone(),
            prompt: self.prompt.clone(),
            completion: self.chosen.clone(),
            given: self.given[0].clone(),
        }
    }

    /// The rejected side alone.
    pub fn rejected_sample(&self) -> TokenSample {
        TokenSample {
            source: self.source.clone(),
            prompt: self.rejected_prompt().to_vec(),
            completion: self.rejected.clone(),
            given: self.given[1].clone(),
        }
    }

    /// Cuts both sides to the length limit; `Err` is the reason for leaving the pair out.
    ///
    /// Each side is prompt + completion cut by itself, as TRL's preference collator does. Keep-start cuts
    /// completions only, so the prompt stays shared. Keep-end may leave the sides different parts
    /// of the prompt; then `rejected_prompt` holds the rejected side's.
    ///
    /// # Errors
    /// `prompt not shorter than max_length` (keep-start), `longer than max_length` (drop), `no token to score`.
    pub fn truncate(mut self, options: &LengthOptions) -> Result<Self, &'static str> {
        check_length(self.prompt.len(), self.chosen.len(), options)?;
        check_length(self.rejected_prompt().len(), self.rejected.len(), options)?;
        if options.max_length.is_none_or(|max| self.longest() <= max) {
            return if self.is_scored() { Ok(self) } else { Err(NOTHING) };
        }
        let mut rejected_prompt = self.rejected_prompt().to_vec();
        cut(&mut self.prompt, &mut self.chosen, &mut self.given[0], options);
        cut(&mut rejected_prompt, &mut self.rejected, &mut self.given[1], options);
        self.rejected_prompt = (rejected_prompt != self.prompt).then_some(rejected_prompt);
        if self.is_scored() { Ok(self) } else { Err(NOTHING) }
    }

    fn is_scored(&self) -> bool {
        self.chosen_sample().scored() > 0 && self.rejected_sample().scored() > 0
    }
}

/// Scored tokens of a completion: its first one has no predictor where there is no prompt.
fn scored(prompt: &[u32], completion: &[u32]) -> usize {
    completion.len().saturating_sub(usize::from(prompt.is_empty()))
}

fn check_length(prompt: usize, completion: usize, options: &LengthOptions) -> Result<(), &'static str> {
    let Some(max) = options.max_length else {
        return Ok(());
    };
    match options.truncation {
        Truncation::KeepStart if prompt >= max => Err(FULL),
        Truncation::Drop if prompt + completion > max => Err(LONG),
        _ => Ok(()),
    }
}

fn cut(prompt: &mut Vec<u32>, completion: &mut Vec<u32>, given: &mut Vec<Range<usize>>, options: &LengthOptions) {
    let Some(max) = options.max_length else {
        return;
    };
    let before = completion.len();
    let excess = (prompt.len() + before).saturating_sub(max);
    match options.truncation {
        Truncation::KeepStart => completion.truncate(before.saturating_sub(excess)),
        Truncation::KeepEnd => {
            let from_prompt = excess.min(prompt.len());
            prompt.drain(..from_prompt);
            completion.drain(..excess - from_prompt);
        }
        Truncation::Drop => {}
    }
    let (start, end) = match options.truncation {
        Truncation::KeepEnd => (before - completion.len(), before),
        _ => (0, completion.len()),
    };
    for part in given.iter_mut() {
        *part = part.start.clamp(start, end) - start..part.end.clamp(start, end) - start;
    }
    given.retain(|part| !part.is_empty());
}

/// Checks that every token id of the pairs is below the vocabulary size of the model.
///
/// # Errors
/// Names the row of the first one that is not, the id and the size.
pub fn check_vocab(pairs: &[TokenPair], vocab: usize) -> Result<(), DataError> {
    for pair in pairs {
        for ids in [&pair.prompt[..], &pair.chosen, &pair.rejected, pair.rejected_prompt()] {
            check_ids(&pair.source, ids, vocab)?;
        }
    }
    Ok(())
}

/// As [`check_vocab`], for samples.
///
/// # Errors
/// Names the row of the first id that is too large, the id and the size.
pub fn check_vocab_samples(samples: &[TokenSample], vocab: usize) -> Result<(), DataError> {
    for sample in samples {
        check_ids(&sample.source, &sample.prompt, vocab)?;
        check_ids(&sample.source, &sample.completion, vocab)?;
    }
    Ok(())
}

fn check_ids(at: &Source, ids: &[u32], vocab: usize) -> Result<(), DataError> {
    match ids.iter().find(|&&id| id as usize >= vocab) {
        Some(&id) => Err(DataError::Vocabulary { at: at.clone(), id, vocab }),
        None => Ok(()),
    }
}
