//! Token items laid out as one flat run, without padding.
//!
//! ```text
//! pair:      prompt  p p p   chosen  c c   rejected  r r r
//! tokens:    p0 p1 p2 c0 c1 r0 r1 r2
//! segments:  {0..3}, {3..5, parent 0}, {5..8, parent 0}
//! targets:            c0 c1 | r0 r1 r2       (sequences 0..2 and 2..5)
//! sources:             2  3 |  2  5  6       (the state that predicts each target)
//! ```
//!
//! A token attends to the tokens before it in its own segment and to all of the parent segments.

use std::ops::Range;

use crate::DataError;
use crate::record::Source;
use crate::tokens::{TokenChat, TokenGroup, TokenPair, TokenSample};

/// A run of consecutive tokens in [`Packed::tokens`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Index of its first token.
    pub start: usize,
    /// Number of tokens, at least 1.
    pub len: usize,
    /// Index of the segment that it continues; it stands earlier in the list.
    pub parent: Option<usize>,
}

/// Items laid out flat; see the module's drawing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packed {
    /// All tokens.
    pub tokens: Vec<u32>,
    /// The segments, in the order of their tokens, without gaps.
    pub segments: Vec<Segment>,
    /// For each target, the index in `tokens` of the state that predicts it.
    pub sources: Vec<usize>,
    /// The completion tokens to score. A completion's first token is not among them where nothing precedes it.
    pub targets: Vec<u32>,
    /// Ranges of `targets`, none empty, one per completion: 2i chosen and 2i + 1 rejected for pairs, i for samples and
    /// conversations, the responses of all groups in order.
    pub sequences: Vec<Range<usize>>,
    /// For each sequence, the segment that holds its completion.
    pub completions: Vec<usize>,
    /// For each sequence, the range of `targets` that holds its prompt; empty unless [`Packed::score_prompts`] was asked.
    pub prompts: Vec<Range<usize>>,
    /// One per item, for error messages.
    pub rows: Vec<Source>,
}

/// Lays out pairs: each prompt once, chosen and rejected completion hanging off it. Where truncation left the sides
/// different prompts, each side has its own.
///
/// # Errors
/// A side without a token to score.
pub fn pack_pairs(pairs: &[TokenPair]) -> Result<Packed, DataError> {
    let mut packed = Packed::default();
    for pair in pairs {
        packed.rows.push(pair.source.clone());
        let prompt = packed.push_prompt(&pair.prompt);
        packed.push_completion(prompt, (&pair.chosen, &pair.given[0]), &pair.source)?;
        let prompt = match &pair.rejected_prompt {
            Some(own) => packed.push_prompt(own),
            None => prompt,
        };
        packed.push_completion(prompt, (&pair.rejected, &pair.given[1]), &pair.source)?;
    }
    Ok(packed)
}

/// Lays out samples. Neighbours with the same prompt, such as a group of answers to one question, share it. Parts of a completion
/// that were given to its author are no targets.
///
/// # Errors
/// A sample without a token to score.
pub fn pack_samples(samples: &[TokenSample]) -> Result<Packed, DataError> {
    let mut packed = Packed::default();
    let mut shared: Option<(&[u32], Option<usize>)> = None;
    for sample in samples {
        packed.rows.push(sample.source.clone());
        let prompt = match shared {
            Some((tokens, segment)) if tokens == sample.prompt => segment,
            _ => packed.push_prompt(&sample.prompt),
        };
        shared = Some((&sample.prompt, prompt));
        packed.push_completion(prompt, (&sample.completion, &sample.given), &sample.source)?;
    }
    Ok(packed)
}

/// Lays out groups: each prompt once, its responses hanging off it. Lists of ranked responses are groups too.
///
/// ```
/// use tropism_data::{pack::pack_groups, record::Source, tokens::TokenGroup};
/// let source = Source::row("made up", 1);
/// let group = TokenGroup { source, prompt: vec![1, 2], responses: vec![vec![3], vec![4, 5], vec![6]] };
/// let packed = pack_groups(&[group])?;
/// assert_eq!(packed.tokens, [1, 2, 3, 4, 5, 6]);
/// assert_eq!(packed.sequences, [0..1, 1..3, 3..4]);
/// assert_eq!(packed.sources, [1, 1, 3, 1]);
/// # Ok::<(), tropism_data::DataError>(())
/// ```
///
/// # Errors
/// A response without a token to score.
pub fn pack_groups(groups: &[TokenGroup]) -> Result<Packed, DataError> {
    let mut packed = Packed::default();
    for group in groups {
        packed.rows.push(group.source.clone());
        let prompt = packed.push_prompt(&group.prompt);
        for response in &group.responses {
            packed.push_completion(prompt, (response, &[]), &group.source)?;
        }
    }
    Ok(packed)
}

/// Lays out conversations: one segment each, of which the tokens under the mask are targets. A conversation's first token
/// has no predictor and is none.
///
/// # Errors
/// A mask of another length than the ids, or that leaves no token to score.
pub fn pack_chats(chats: &[TokenChat]) -> Result<Packed, DataError> {
    let mut packed = Packed::default();
    for chat in chats {
        if chat.mask.len() != chat.ids.len() {
            let reason = format!("has {} tokens and a mask of {}; they must be as many", chat.ids.len(), chat.mask.len());
            return Err(DataError::row(&chat.source, reason));
        }
        packed.rows.push(chat.source.clone());
        let (start, before) = (packed.tokens.len(), packed.targets.len());
        let segment = packed.push_segment(None, &chat.ids);
        for at in (1..chat.ids.len()).filter(|&at| chat.mask[at]) {
            packed.sources.push(start + at - 1);
            packed.targets.push(chat.ids[at]);
        }
        if packed.targets.len() == before {
            return Err(DataError::row(&chat.source, NOTHING));
        }
        packed.sequences.push(before..packed.targets.len());
        packed.completions.push(segment);
    }
    Ok(packed)
}

const NOTHING: &str = "the completion has no token to score; leave the row out";

impl Packed {
    /// Position of each token in its own sequence, from 0: depth below the root of its tree.
    pub fn positions(&self) -> Vec<usize> {
        let mut ends = Vec::with_capacity(self.segments.len());
        let mut positions = Vec::with_capacity(self.tokens.len());
        for segment in &self.segments {
            let base = segment.parent.map_or(0, |parent: usize| ends[parent]);
            positions.extend(base..base + segment.len);
            ends.push(base + segment.len);
        }
        positions
    }

    /// Adds the prompts' tokens to the targets, behind those of the completions. Completions that share a prompt share its
    /// targets. A prompt's first token has no predictor and is not among them.
    ///
    /// ```
    /// # use tropism_data::{pack::pack_samples, record::Source, tokens::TokenSample};
    /// let sample = TokenSample { source: Source::row("made up", 1), prompt: vec![5, 6], completion: vec![7], given: vec![] };
    /// let mut packed = pack_samples(&[sample])?;
    /// packed.score_prompts();
    /// assert_eq!((&packed.targets[..], &packed.sources[..]), (&[7, 6][..], &[1, 0][..]));
    /// assert_eq!((&packed.sequences[..], &packed.prompts[..]), (&[0..1][..], &[1..2][..]));
    /// # Ok::<(), tropism_data::DataError>(())
    /// ```
    pub fn score_prompts(&mut self) {
        let mut found: Vec<Option<Range<usize>>> = vec![None; self.segments.len()];
        self.prompts.clear();
        for sequence in 0..self.completions.len() {
            let Some(at) = self.segments[self.completions[sequence]].parent else {
                self.prompts.push(0..0);
                continue;
            };
            let range = found[at].get_or_insert_with(|| {
                let (before, s) = (self.targets.len(), self.segments[at]);
                self.sources.extend(s.start..s.start + s.len - 1);
                self.targets.extend_from_slice(&self.tokens[s.start + 1..s.start + s.len]);
                before..self.targets.len()
            });
            self.prompts.push(range.clone());
        }
    }

    /// Number of scored tokens of each sequence.
    pub fn lengths(&self) -> Vec<usize> {
        self.sequences.iter().map(Range::len).collect()
    }

    /// Prompt and completion tokens of a sequence; `None` where there is no such sequence.
    pub fn unpack(&self, sequence: usize) -> Option<(&[u32], &[u32])> {
        let completion = self.segments[*self.completions.get(sequence)?];
        let prompt = completion.parent.map_or(&[][..], |parent| self.segment_tokens(self.segments[parent]));
        Some((prompt, self.segment_tokens(completion)))
    }

    fn segment_tokens(&self, segment: Segment) -> &[u32] {
        &self.tokens[segment.start..segment.start + segment.len]
    }

    fn push_prompt(&mut self, prompt: &[u32]) -> Option<usize> {
        (!prompt.is_empty()).then(|| self.push_segment(None, prompt))
    }

    fn push_segment(&mut self, parent: Option<usize>, tokens: &[u32]) -> usize {
        self.segments.push(Segment { start: self.tokens.len(), len: tokens.len(), parent });
        self.tokens.extend_from_slice(tokens);
        self.segments.len() - 1
    }

    fn push_completion(
        &mut self,
        prompt: Option<usize>,
        (tokens, given): (&[u32], &[Range<usize>]),
        at: &Source,
    ) -> Result<(), DataError> {
        if let Some(part) = given.iter().find(|part| part.start > part.end || part.end > tokens.len()) {
            let reason = format!("has tokens {part:?} that were given, in a completion of {}", tokens.len());
            return Err(DataError::row(at, reason));
        }
        let unscored = usize::from(prompt.is_none());
        let mut written = vec![true; tokens.len()];
        given.iter().for_each(|part| written[part.clone()].fill(false));
        if !written.iter().skip(unscored).any(|&own| own) {
            return Err(DataError::row(at, NOTHING));
        }
        let start = self.tokens.len();
        let segment = self.push_segment(prompt, tokens);
        let before = self.targets.len();
        let prompt = prompt.map(|prompt| self.segments[prompt]);
        for place in (unscored..tokens.len()).filter(|&place| written[place]) {
            let last_of_prompt = prompt.filter(|_| place == 0).map(|prompt| prompt.start + prompt.len - 1);
            self.sources.push(last_of_prompt.unwrap_or_else(|| start + place - 1));
            self.targets.push(tokens[place]);
        }
        self.sequences.push(before..self.targets.len());
        self.completions.push(segment);
        Ok(())
    }
}
