//! Padded rows, as padding trainers build them.
//!
//! This workspace trains on packed tokens ([`crate::pack`]); padded rows serve for comparison with other
//! implementations and for models that want rectangles.

use crate::tokens::{TokenPair, TokenSample};

/// Rectangular rows: the chosen sides of all pairs first, then the rejected sides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Padded {
    /// Token ids, right-padded: [2 x pairs, longest side].
    pub input_ids: Vec<Vec<u32>>,
    /// 1 on tokens, 0 on padding.
    pub attention_mask: Vec<Vec<u8>>,
    /// 1 on completion tokens, 0 on prompt, padding and what was given between turns.
    pub completion_mask: Vec<Vec<u8>>,
}

/// Pads pairs on the right to the longest side. Masks come from lengths, so the padding id may be any token.
///
/// ```
/// use tropism_data::{collate::pad_pairs, record::Source, tokens::TokenPair};
/// let pair = TokenPair {
///     source: Source::row("made up", 1),
///     prompt: vec![5],
///     chosen: vec![6, 7],
///     rejected: vec![8],
///     rejected_prompt: None,
///     given: Default::default(),
///     numbers: Default::default(),
/// };
/// let padded = pad_pairs(&[pair], 0);
/// assert_eq!(padded.input_ids, [[5, 6, 7], [5, 8, 0]]);
/// assert_eq!(padded.completion_mask, [[0, 1, 1], [0, 1, 0]]);
/// ```
pub fn pad_pairs(pairs: &[TokenPair], pad_id: u32) -> Padded {
    let width = pairs.iter().map(TokenPair::longest).max().unwrap_or(0);
    let mut padded = Padded::default();
    for pair in pairs {
        padded.push(&pair.chosen_sample(), width, pad_id);
    }
    for pair in pairs {
        padded.push(&pair.rejected_sample(), width, pad_id);
    }
    padded
}

impl Padded {
    fn push(&mut self, side: &TokenSample, width: usize, pad_id: u32) {
        let (start, used) = (side.prompt.len(), side.len());
        let mut ids = [side.prompt.as_slice(), &side.completion].concat();
        ids.resize(width, pad_id);
        self.input_ids.push(ids);
        self.attention_mask.push((0..width).map(|i| u8::from(i < used)).collect());
        let mut mask = vec![0; width];
        side.written().for_each(|part| mask[start + part.start..start + part.end].fill(1));
        self.completion_mask.push(mask);
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)]
mod tests {
    use super::*;
    use crate::record::Source;

    #[test]
    fn masks_do_not_look_at_ids() {
        let pair = |prompt: &[u32], chosen: &[u32], rejected: &[u32]| TokenPair {
            source: Source::row("t", 1),
            prompt: prompt.to_vec(),
            chosen: chosen.to_vec(),
            rejected: rejected.to_vec(),
            rejected_prompt: None,
            given: Default::default(),
            numbers: Default::default(),
        };
        // padding id 1 is also the end-of-turn token within the rows
        let padded = pad_pairs(&[pair(&[1], &[1, 1], &[1]), pair(&[], &[1, 1, 1, 1], &[2])], 1);
        assert_eq!(padded.attention_mask, [[1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]]);
        assert_eq!(padded.completion_mask, [[0, 1, 1, 0], [1, 1, 1, 1], [0, 1, 0, 0], [1, 0, 0, 0]]);
        assert_eq!(pad_pairs(&[], 1), Padded::default());
    }

    #[test]
    fn what_was_given_is_no_completion() {
        let mut pair = TokenPair {
            source: Source::row("made up", 1),
            prompt: vec![5],
            chosen: vec![6, 7, 8, 9],
            rejected: vec![6],
            rejected_prompt: None,
            given: [vec![1..3], vec![]],
            numbers: Default::default(),
        };
        assert_eq!(pad_pairs(&[pair.clone()], 0).completion_mask, [[0, 1, 0, 0, 1], [0, 1, 0, 0, 0]]);
        pair.given = Default::default();
        assert_eq!(pad_pairs(&[pair], 0).completion_mask[0], [0, 1, 1, 1, 1]);
    }
}
