//! Tokenisation of pairs, samples and groups, with truncation and audit; the rules are in the `encode` module beside.

use super::boundary::Boundary;
use super::encode::{Encoded, MERGED, Notes, Record, encode};
use crate::DataError;
use crate::audit::Audit;
use crate::record::{self, Pair, Sample, Source, Text, Tools};
use crate::text::Tokenizer;
use crate::tokens::{LengthOptions, TokenGroup, TokenPair, TokenSample};

/// Records tokenised at a time: enough for all cores, few enough to bound memory.
pub(super) const CHUNK: usize = 2048;

/// Remark on pairs whose sides are the same tokens, mostly because the cut fell before their difference.
const SAME: &str = "identical tokens on both sides";

/// How records become tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PrepareOptions {
    /// The length limit.
    pub length: LengthOptions,
    /// What to do where prompt and completion merge in a token.
    pub boundary: Boundary,
}

impl From<&LengthOptions> for PrepareOptions {
    fn from(length: &LengthOptions) -> Self {
        Self { length: *length, boundary: Boundary::default() }
    }
}

impl From<&PrepareOptions> for PrepareOptions {
    fn from(options: &PrepareOptions) -> Self {
        *options
    }
}

/// A prompt with any number of responses: a group that one policy sampled, or a ranking.
#[derive(Debug, Clone, PartialEq)]
pub struct TextGroup {
    /// Where the group came from.
    pub source: Source,
    /// What all responses answer.
    pub prompt: Text,
    /// Tools that the prompt offers.
    pub tools: Tools,
    /// The responses, in an order that means what the caller wants it to mean.
    pub responses: Vec<Text>,
}

impl From<&record::Record> for TextGroup {
    /// The record's prompt with all of its responses, in the record's order.
    fn from(record: &record::Record) -> Self {
        let responses = record.responses.iter().map(|response| response.content.clone()).collect();
        Self { source: record.source.clone(), prompt: record.prompt.clone(), tools: record.tools.clone(), responses }
    }
}

/// Tokenises one pair, uncut, by the rules of TRL's preference trainer.
///
/// * Messages: the prompt is rendered with the opening of an assistant turn; prompt and completion are rendered
///   together, and the completion's ids are those after the prompt's. Nothing is appended: the template ends the turn.
/// * Plain text: the EOS token is appended to a completion that does not end in it; the prompt, and the prompt with the
///   completion, are tokenised apart, and the completion's ids are those after the prompt's.
///
/// Which tokens begin and end the sequence is the tokenizer's [`crate::text::TokenPolicy`]. Where characters merge across
/// the boundary TRL warns and cuts by count; here that is an error, unless another [`Boundary`] is asked for.
///
/// # Errors
/// A template that fails or whose rendered prompt does not begin the conversation, tokens that merge across the boundary,
/// plain text mixed with messages, plain text for a tokenizer without EOS token, two BOS or EOS tokens in a row.
pub fn tokenize_pair(tokenizer: &Tokenizer, pair: &Pair) -> Result<TokenPair, DataError> {
    only(&pair.source, encode_pairs(tokenizer, std::slice::from_ref(pair), Boundary::Error)?)
}

/// Tokenises one sample, uncut.
///
/// # Errors
/// As for [`tokenize_pair`].
pub fn tokenize_sample(tokenizer: &Tokenizer, sample: &Sample) -> Result<TokenSample, DataError> {
    only(&sample.source, encode_samples(tokenizer, std::slice::from_ref(sample), Boundary::Error)?)
}

fn only<T>(at: &Source, mut found: Vec<Option<(T, Notes)>>) -> Result<T, DataError> {
    found.pop().flatten().map(|(item, _)| item).ok_or_else(|| DataError::row(at, "was not tokenised"))
}

/// Tokenises and cuts pairs, on all cores. The audit counts pairs left out (too long a prompt, nothing to score, merged
/// tokens where asked for) and cut, and notes joined completions, special tokens written in texts, and sides that have become
/// identical.
///
/// # Errors
/// As for [`tokenize_pair`]; options that make no sense; no pair left.
pub fn tokenize_pairs(
    tokenizer: &Tokenizer,
    pairs: &[Pair],
    options: impl Into<PrepareOptions>,
) -> Result<(Vec<TokenPair>, Audit), DataError> {
    let mut preparation = Preparation::new(tokenizer, options)?;
    let mut kept = Vec::with_capacity(pairs.len());
    for chunk in pairs.chunks(CHUNK) {
        kept.extend(preparation.pairs(chunk)?);
    }
    finish(kept, preparation)
}

/// Tokenises and cuts samples, as [`tokenize_pairs`] does with pairs.
///
/// # Errors
/// As for [`tokenize_pairs`].
pub fn tokenize_samples(
    tokenizer: &Tokenizer,
    samples: &[Sample],
    options: impl Into<PrepareOptions>,
) -> Result<(Vec<TokenSample>, Audit), DataError> {
    let mut preparation = Preparation::new(tokenizer, options)?;
    let mut kept = Vec::with_capacity(samples.len());
    for chunk in samples.chunks(CHUNK) {
        kept.extend(preparation.samples(chunk)?);
    }
    finish(kept, preparation)
}

/// Tokenises and cuts groups, as [`tokenize_pairs`] does with pairs. A group is kept or left out as a whole.
///
/// # Errors
/// As for [`tokenize_pairs`].
pub fn tokenize_groups(
    tokenizer: &Tokenizer,
    groups: &[TextGroup],
    options: impl Into<PrepareOptions>,
) -> Result<(Vec<TokenGroup>, Audit), DataError> {
    let mut preparation = Preparation::new(tokenizer, options)?;
    let mut kept = Vec::with_capacity(groups.len());
    for chunk in groups.chunks(CHUNK) {
        kept.extend(preparation.groups(chunk)?);
    }
    finish(kept, preparation)
}

pub(super) fn finish<T>(kept: Vec<T>, preparation: Preparation<'_>) -> Result<(Vec<T>, Audit), DataError> {
    let audit = preparation.audit;
    if kept.is_empty() {
        return Err(nothing_left(&audit));
    }
    Ok((kept, audit))
}

pub(super) fn nothing_left(audit: &Audit) -> DataError {
    let reason = match audit.read {
        0 => "there were none to begin with".to_owned(),
        read => format!("all {read} were left out ({}); raise max_length or look at the data", audit.reasons()),
    };
    DataError::NoRows { what: "tokenisation".to_owned(), reason }
}

/// Tokenisation of records that come in portions, with one audit over all of them.
///
/// A portion is tokenised on all cores; some thousand records keep them busy. Nothing is held but the audit.
#[derive(Debug)]
pub struct Preparation<'a> {
    tokenizer: &'a Tokenizer,
    options: PrepareOptions,
    audit: Audit,
}

impl<'a> Preparation<'a> {
    /// A preparation that has seen nothing yet.
    ///
    /// # Errors
    /// Options that make no sense.
    pub fn new(tokenizer: &'a Tokenizer, options: impl Into<PrepareOptions>) -> Result<Self, DataError> {
        let options = options.into();
        options.length.check()?;
        Ok(Self { tokenizer, options, audit: Audit::default() })
    }

    /// What was read, kept, left out and cut so far.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Tokenises and cuts a portion of pairs.
    ///
    /// # Errors
    /// As for [`tokenize_pair`].
    pub fn pairs(&mut self, pairs: &[Pair]) -> Result<Vec<TokenPair>, DataError> {
        let found = encode_pairs(self.tokenizer, pairs, self.options.boundary)?;
        let size = |pair: &TokenPair| {
            let tokens = pair.prompt.len() + pair.chosen.len() + pair.rejected_prompt().len() + pair.rejected.len();
            (pair.longest(), tokens)
        };
        let items = pairs.iter().map(|pair| pair.source.row).zip(found);
        Ok(self.cut(items, size, TokenPair::truncate, |pair| pair.chosen == pair.rejected))
    }

    /// Tokenises and cuts a portion of samples.
    ///
    /// # Errors
    /// As for [`tokenize_pair`].
    pub fn samples(&mut self, samples: &[Sample]) -> Result<Vec<TokenSample>, DataError> {
        let found = encode_samples(self.tokenizer, samples, self.options.boundary)?;
        let items = samples.iter().map(|sample| sample.source.row).zip(found);
        Ok(self.cut(items, |sample| (sample.len(), sample.len()), TokenSample::truncate, |_| false))
    }

    /// Tokenises and cuts a portion of groups.
    ///
    /// # Errors
    /// As for [`tokenize_pair`]; a group without responses.
    pub fn groups(&mut self, groups: &[TextGroup]) -> Result<Vec<TokenGroup>, DataError> {
        let found = encode_groups(self.tokenizer, groups, self.options.boundary)?;
        let items = groups.iter().map(|group| group.source.row).zip(found);
        Ok(self.cut(items, |group| (group.longest(), group.unshared_len()), TokenGroup::truncate, |_| false))
    }

    /// Cuts items and keeps the audit. `size` gives the tokens of the longest side, and of all sides with their prompts.
    pub(super) fn cut<T>(
        &mut self,
        items: impl Iterator<Item = (usize, Option<(T, Notes)>)>,
        size: impl Fn(&T) -> (usize, usize),
        truncate: impl Fn(T, &LengthOptions) -> Result<T, &'static str>,
        same: impl Fn(&T) -> bool,
    ) -> Vec<T> {
        let mut kept = Vec::new();
        for (row, item) in items {
            let Some((item, notes)) = item else {
                self.audit.drop_row(MERGED, row);
                continue;
            };
            let (longest, before) = size(&item);
            self.audit.cut.longest = self.audit.cut.longest.max(longest);
            match truncate(item, &self.options.length) {
                Ok(item) => {
                    notes.write(&mut self.audit, row);
                    if same(&item) {
                        self.audit.note(SAME, row);
                    }
                    count_cut(&mut self.audit, row, before - size(&item).1);
                    kept.push(item);
                }
                Err(reason) => self.audit.drop_row(reason, row),
            }
        }
        kept
    }
}

fn count_cut(audit: &mut Audit, row: usize, lost: usize) {
    audit.keep();
    if lost > 0 {
        audit.cut.items.add(row);
        audit.cut.tokens += lost;
    }
}

type Found<T> = Result<Vec<Option<(T, Notes)>>, DataError>;

fn encode_pairs(tokenizer: &Tokenizer, pairs: &[Pair], boundary: Boundary) -> Found<TokenPair> {
    encode_all(
        tokenizer,
        pairs,
        boundary,
        |pair| Record {
            at: &pair.source,
            prompt: &pair.prompt,
            tools: &pair.tools,
            sides: vec![&pair.chosen, &pair.rejected],
        },
        |pair, prompt, mut sides| {
            let (rejected, chosen) = (sides.pop().unwrap_or_default(), sides.pop().unwrap_or_default());
            let (source, numbers) = (pair.source.clone(), pair.numbers.clone());
            TokenPair { source, prompt, chosen, rejected, rejected_prompt: None, given: Default::default(), numbers }
        },
    )
}

fn encode_samples(tokenizer: &Tokenizer, samples: &[Sample], boundary: Boundary) -> Found<TokenSample> {
    encode_all(
        tokenizer,
        samples,
        boundary,
        |sample| Record {
            at: &sample.source,
            prompt: &sample.prompt,
            tools: &sample.tools,
            sides: vec![&sample.completion],
        },
        |sample, prompt, mut sides| {
            let completion = sides.pop().unwrap_or_default();
            TokenSample { source: sample.source.clone(), prompt, completion, given: vec![] }
        },
    )
}

fn encode_groups(tokenizer: &Tokenizer, groups: &[TextGroup], boundary: Boundary) -> Found<TokenGroup> {
    if let Some(group) = groups.iter().find(|group| group.responses.is_empty()) {
        return Err(DataError::row(&group.source, "has no responses; leave it out"));
    }
    encode_all(
        tokenizer,
        groups,
        boundary,
        |group| Record {
            at: &group.source,
            prompt: &group.prompt,
            tools: &group.tools,
            sides: group.responses.iter().collect(),
        },
        |group, prompt, responses| TokenGroup { source: group.source.clone(), prompt, responses },
    )
}

fn encode_all<I, T>(
    tokenizer: &Tokenizer,
    items: &[I],
    boundary: Boundary,
    record: impl Fn(&I) -> Record<'_>,
    item: impl Fn(&I, Vec<u32>, Vec<Vec<u32>>) -> T,
) -> Found<T> {
    let records: Vec<Record<'_>> = items.iter().map(record).collect();
    let encoded = encode(tokenizer, &records, boundary)?;
    let found = items
        .iter()
        .zip(encoded)
        .map(|(origin, encoded)| encoded.map(|Encoded { prompt, sides, notes }| (item(origin, prompt, sides), notes)));
    Ok(found.collect())
}
