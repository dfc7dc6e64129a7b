//! Tokenisation of pairs and samples, with truncation and audit; the rules are in the `encode` module beside.

use super::encode::{Notes, Record, encode};
use crate::DataError;
use crate::audit::Audit;
use crate::record::{Pair, Sample};
use crate::text::Tokenizer;
use crate::tokens::{LengthOptions, TokenPair, TokenSample};

/// Records tokenised at a time: enough for all cores, few enough to bound memory.
const CHUNK: usize = 512;

/// Remark on pairs whose sides are the same tokens, mostly because the cut fell before their difference.
const SAME: &str = "identical tokens on both sides";

/// Tokenises one pair, uncut, by the rules of TRL's preference trainer.
///
/// * Messages: the prompt is rendered with the opening of an assistant turn; prompt and completion are rendered
///   together, and the completion's ids are those after the prompt's. Nothing is appended: the template ends the turn.
/// * Plain text: the EOS token is appended to a completion that does not end in it; the prompt, and the prompt with the
///   completion, are tokenised apart, and the latter is cut at the former's length.
///
/// A tokenizer may merge characters across the boundary, so that the ids of the whole do not begin with
/// those of the prompt. The cut is then still made by count; [`tokenize_pairs`] notes such rows as boundary merges.
///
/// # Errors
/// A template that fails or whose rendered prompt does not begin the conversation, plain text mixed with
/// messages, plain text for a tokenizer without EOS token, or two BOS tokens in a row.
pub fn tokenize_pair(tokenizer: &Tokenizer, pair: &Pair) -> Result<TokenPair, DataError> {
    let mut found = encode_pairs(tokenizer, std::slice::from_ref(pair))?;
    found.pop().map(|(pair, _)| pair).ok_or_else(|| DataError::row(&pair.source, "was not tokenised"))
}

/// Tokenises one sample, uncut.
///
/// # Errors
/// As for [`tokenize_pair`].
pub fn tokenize_sample(tokenizer: &Tokenizer, sample: &Sample) -> Result<TokenSample, DataError> {
    let mut found = encode_samples(tokenizer, std::slice::from_ref(sample))?;
    found.pop().map(|(sample, _)| sample).ok_or_else(|| DataError::row(&sample.source, "was not tokenised"))
}

/// Tokenises and cuts pairs, on all cores. The audit counts pairs left out (too long a prompt, nothing to score) and
/// cut, and notes boundary merges, special tokens written in texts, and sides that have become identical.
///
/// # Errors
/// As for [`tokenize_pair`]; options that make no sense; no pair left.
pub fn tokenize_pairs(
    tokenizer: &Tokenizer,
    pairs: &[Pair],
    options: &LengthOptions,
) -> Result<(Vec<TokenPair>, Audit), DataError> {
    options.check()?;
    let (mut kept, mut audit) = (Vec::with_capacity(pairs.len()), Audit::default());
    for chunk in pairs.chunks(CHUNK) {
        for (pair, notes) in encode_pairs(tokenizer, chunk)? {
            let row = pair.source.row;
            let (longest, before) = (pair.longest(), both_sides(&pair));
            audit.cut.longest = audit.cut.longest.max(longest);
            match pair.truncate(options) {
                Ok(pair) => {
                    notes.write(&mut audit, row);
                    if pair.chosen == pair.rejected {
                        audit.note(SAME, row);
                    }
                    count_cut(&mut audit, row, before - both_sides(&pair));
                    kept.push(pair);
                }
                Err(reason) => audit.drop_row(reason, row),
            }
        }
    }
    finish(kept, audit)
}

/// Tokenises and cuts samples, as [`tokenize_pairs`] does with pairs.
///
/// # Errors
/// As for [`tokenize_pairs`].
pub fn tokenize_samples(
    tokenizer: &Tokenizer,
    samples: &[Sample],
    options: &LengthOptions,
) -> Result<(Vec<TokenSample>, Audit), DataError> {
    options.check()?;
    let (mut kept, mut audit) = (Vec::with_capacity(samples.len()), Audit::default());
    for chunk in samples.chunks(CHUNK) {
        for (sample, notes) in encode_samples(tokenizer, chunk)? {
            let (row, before) = (sample.source.row, sample.len());
            audit.cut.longest = audit.cut.longest.max(before);
            match sample.truncate(options) {
                Ok(sample) => {
                    notes.write(&mut audit, row);
                    count_cut(&mut audit, row, before - sample.len());
                    kept.push(sample);
                }
                Err(reason) => audit.drop_row(reason, row),
            }
        }
    }
    finish(kept, audit)
}

fn finish<T>(kept: Vec<T>, audit: Audit) -> Result<(Vec<T>, Audit), DataError> {
    if kept.is_empty() {
        let reason = match audit.read {
            0 => "there were none to begin with".to_owned(),
            read => format!("all {read} were left out ({}); raise max_length or look at the data", audit.reasons()),
        };
        return Err(DataError::NoRows { what: "tokenisation".to_owned(), reason });
    }
    Ok((kept, audit))
}

fn count_cut(audit: &mut Audit, row: usize, lost: usize) {
    audit.keep();
    if lost > 0 {
        audit.cut.items.add(row);
        audit.cut.tokens += lost;
    }
}

fn both_sides(pair: &TokenPair) -> usize {
    pair.prompt.len() + pair.chosen.len() + pair.rejected_prompt().len() + pair.rejected.len()
}

fn encode_pairs(tokenizer: &Tokenizer, pairs: &[Pair]) -> Result<Vec<(TokenPair, Notes)>, DataError> {
    let records: Vec<Record<'_, 2>> = pairs
        .iter()
        .map(|pair| Record { at: &pair.source, prompt: &pair.prompt, sides: [&pair.chosen, &pair.rejected] })
        .collect();
    let encoded = encode(tokenizer, &records)?;
    let pairs = pairs.iter().zip(encoded).map(|(pair, encoded)| {
        let [chosen, rejected] = encoded.sides;
        let (source, numbers) = (pair.source.clone(), pair.numbers.clone());
        (TokenPair { source, prompt: encoded.prompt, chosen, rejected, rejected_prompt: None, numbers }, encoded.notes)
    });
    Ok(pairs.collect())
}

fn encode_samples(tokenizer: &Tokenizer, samples: &[Sample]) -> Result<Vec<(TokenSample, Notes)>, DataError> {
    let records: Vec<Record<'_, 1>> = samples
        .iter()
        .map(|sample| Record { at: &sample.source, prompt: &sample.prompt, sides: [&sample.completion] })
        .collect();
    let encoded = encode(tokenizer, &records)?;
    let samples = samples.iter().zip(encoded).map(|(sample, encoded)| {
        let [completion] = encoded.sides;
        (TokenSample { source: sample.source.clone(), prompt: encoded.prompt, completion }, encoded.notes)
    });
    Ok(samples.collect())
}
