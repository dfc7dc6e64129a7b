//! Answers of several turns, between which somebody else speaks.
use super::stop::End;
use crate::error::LmError;
use std::ops::Range;

/// A turn that has just ended, as whoever replies sees it.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// the request's place in the list, from 0
    pub request: usize,
    /// the answer's number among those to its prompt, from 0
    pub answer: usize,
    /// the answer so far: all turns with the replies between them
    pub tokens: &'a [u32],
    /// the replies' places in it
    pub given: &'a [Range<usize>],
    /// what ended the turn; never its length
    pub end: &'a End,
}

/// What follows a turn: tokens that go into the answer, after which the model goes on, or nothing, which ends the answer. Its error
/// ends the run.
pub type Reply<'a> = dyn FnMut(&Turn) -> Result<Option<Vec<u32>>, LmError> + 'a;

/// Who replies, and how long a turn may be.
pub(super) struct Turns<'a, 'r> {
    /// most tokens of one turn
    pub(super) tokens: usize,
    pub(super) vocab: usize,
    pub(super) reply: &'a mut Reply<'r>,
}

impl Turns<'_, '_> {
    /// The reply to a turn, checked.
    pub(super) fn reply(&mut self, turn: &Turn) -> Result<Option<Vec<u32>>, LmError> {
        let Some(tokens) = (self.reply)(turn)? else { return Ok(None) };
        match tokens.iter().find(|t| **t as usize >= self.vocab) {
            Some(t) => Err(LmError::Invalid(format!(
                "the reply to answer {} to prompt {} holds token id {t}, which is not below the model's vocabulary of {}",
                turn.answer + 1,
                turn.request + 1,
                self.vocab
            ))),
            None => Ok(Some(tokens)),
        }
    }
}

/// Parts of a sequence of `len` tokens that are not among `given` (in order, apart), none empty: what the model itself wrote.
pub fn written(given: &[Range<usize>], len: usize) -> Vec<Range<usize>> {
    let starts = std::iter::once(0).chain(given.iter().map(|g| g.end));
    let ends = given.iter().map(|g| g.start).chain([len]);
    starts.zip(ends).filter(|(start, end)| start < end).map(|(start, end)| start..end).collect()
}
