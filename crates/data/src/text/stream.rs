//! Preparation of pairs that are read one after the other, in bounded memory.

use std::collections::VecDeque;

use super::Tokenizer;
use super::prepare::{CHUNK, Preparation, PrepareOptions};
use crate::DataError;
use crate::audit::Audit;
use crate::record::Pair;
use crate::tokens::TokenPair;

/// Prepared pairs, made as they are asked for; see [`prepare_pairs`].
#[derive(Debug)]
pub struct PreparedPairs<'a, I> {
    rows: I,
    portion: Vec<Pair>,
    ready: VecDeque<TokenPair>,
    preparation: Preparation<'a>,
    failed: bool,
}

/// Tokenises and cuts the pairs of an iterator, a few thousand at a time, on all cores.
///
/// What [`crate::text::tokenize_pairs`] does with a list, this does with a file of any length: no more than a portion of rows is in
/// memory. After an error, of reading or of preparing, the iterator ends.
///
/// ```
/// use tropism_data::record::{Pair, Source, Text};
/// use tropism_data::text::{PrepareOptions, Tokenizer, prepare_pairs};
/// let tokenizer = Tokenizer::train(["one two", "two one"].into_iter(), 262)?;
/// let plain = |text: &str| Text::Plain(text.into());
/// let rows = (1..=5000).map(|row| {
///     let source = Source::row("counted", row);
///     let (prompt, chosen, rejected) = (plain("one"), plain(" two"), plain(" one"));
///     Ok(Pair { source, prompt, tools: vec![], chosen, rejected, numbers: Default::default() })
/// });
/// let mut prepared = prepare_pairs(&tokenizer, rows, &PrepareOptions::default())?;
/// assert_eq!(prepared.by_ref().filter(|pair| pair.is_ok()).count(), 5000);
/// assert_eq!(prepared.audit().kept, 5000);
/// # Ok::<(), tropism_data::DataError>(())
/// ```
///
/// # Errors
/// Options that make no sense. Rows that cannot be used are errors of the iterator.
pub fn prepare_pairs<I>(
    tokenizer: &Tokenizer,
    rows: I,
    options: impl Into<PrepareOptions>,
) -> Result<PreparedPairs<'_, I::IntoIter>, DataError>
where
    I: IntoIterator<Item = Result<Pair, DataError>>,
{
    let preparation = Preparation::new(tokenizer, options)?;
    let (portion, ready) = (Vec::with_capacity(CHUNK), VecDeque::new());
    Ok(PreparedPairs { rows: rows.into_iter(), portion, ready, preparation, failed: false })
}

impl<I> PreparedPairs<'_, I> {
    /// What was read, kept, left out and cut so far.
    pub fn audit(&self) -> &Audit {
        self.preparation.audit()
    }
}

impl<I: Iterator<Item = Result<Pair, DataError>>> PreparedPairs<'_, I> {
    /// Reads and prepares portions until there is a pair to give; false where there are no more rows.
    fn fill(&mut self) -> Result<bool, DataError> {
        while self.ready.is_empty() {
            self.portion.clear();
            for row in self.rows.by_ref().take(CHUNK) {
                self.portion.push(row?);
            }
            if self.portion.is_empty() {
                return Ok(false);
            }
            self.ready.extend(self.preparation.pairs(&self.portion)?);
        }
        Ok(true)
    }
}

impl<I: Iterator<Item = Result<Pair, DataError>>> Iterator for PreparedPairs<'_, I> {
    type Item = Result<TokenPair, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        match self.fill() {
            Ok(_) => self.ready.pop_front().map(Ok),
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}
