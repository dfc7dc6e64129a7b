//! Looking spans up in a corpus.
use super::suffix_array::suffix_array;
use crate::error::EvaluationError;
use std::cmp::Ordering;
use std::ops::Range;

/// Separates documents; symbols of tokens come after it.
const BORDER: u32 = 1;

/// Where a span stands in the corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Match {
    /// number of the document
    pub document: usize,
    /// tokens before the span in it
    pub offset: usize,
}

/// A corpus of token ids with its suffix array: any span is found in `|span| log n` comparisons, by eight bytes a token.
///
/// ```
/// use tropism_evaluation::safety::TraceIndex;
///
/// let index = TraceIndex::new(&[&[7, 8, 9, 8, 9], &[9, 7]])?;
/// assert_eq!(index.count(&[8, 9]), 2);
/// assert_eq!(index.count(&[9, 9]), 0, "no match across documents");
/// # Ok::<(), tropism_evaluation::EvaluationError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TraceIndex {
    /// token ids in order; a token's symbol is its place here, plus 2
    vocabulary: Vec<u32>,
    text: Vec<u32>,
    suffixes: Vec<u32>,
    /// where documents begin in the text
    starts: Vec<usize>,
}

impl TraceIndex {
    /// Builds the index in linear time and memory.
    ///
    /// # Errors
    /// No documents, or more than 2³² − 2 tokens and documents.
    pub fn new(documents: &[&[u32]]) -> Result<Self, EvaluationError> {
        let length = documents.iter().map(|d| d.len() + 1).sum::<usize>() + 1;
        if documents.is_empty() {
            return Err(EvaluationError::Empty { what: "the corpus" });
        }
        if length >= u32::MAX as usize {
            let expected = "an index holds less than 2^32 tokens; split the corpus";
            return Err(EvaluationError::Range { what: "the number of tokens", value: length, expected });
        }
        let mut vocabulary: Vec<u32> = documents.iter().flat_map(|d| d.iter().copied()).collect();
        vocabulary.sort_unstable();
        vocabulary.dedup();
        let (mut text, mut starts) = (Vec::with_capacity(length), Vec::with_capacity(documents.len()));
        for document in documents {
            starts.push(text.len());
            text.extend(document.iter().map(|t| vocabulary.partition_point(|v| v < t) as u32 + BORDER + 1));
            text.push(BORDER);
        }
        text.push(0);
        let suffixes = suffix_array(&text, vocabulary.len() + 2);
        Ok(Self { vocabulary, text, suffixes, starts })
    }

    /// How often the span occurs within documents; 0 for an empty span.
    pub fn count(&self, span: &[u32]) -> usize {
        self.range(span).len()
    }

    /// Where the span occurs, document by document, `most` places at most.
    pub fn find(&self, span: &[u32], most: usize) -> Vec<Match> {
        let mut places: Vec<usize> = self.suffixes[self.range(span)].iter().map(|&i| i as usize).collect();
        places.sort_unstable();
        places.truncate(most);
        let locate = |place: usize| {
            let document = self.starts.partition_point(|&s| s <= place) - 1;
            Match { document, offset: place - self.starts[document] }
        };
        places.into_iter().map(locate).collect()
    }

    /// Tokens that follow the span somewhere in the corpus, in order, each once; after an empty span, all tokens of the corpus.
    /// Takes time in proportion to how often the span occurs.
    pub fn followers(&self, span: &[u32]) -> Vec<u32> {
        if span.is_empty() {
            return self.vocabulary.clone();
        }
        let next = |&suffix: &u32| self.text[suffix as usize + span.len()];
        // suffixes that share the span are ordered by what follows it
        let mut symbols: Vec<u32> = self.suffixes[self.range(span)].iter().map(next).filter(|&s| s > BORDER).collect();
        symbols.dedup();
        symbols.into_iter().map(|s| self.vocabulary[(s - BORDER - 1) as usize]).collect()
    }

    /// Suffixes that begin with the span.
    fn range(&self, span: &[u32]) -> Range<usize> {
        let symbol = |t: &u32| self.vocabulary.binary_search(t).ok().map(|at| at as u32 + BORDER + 1);
        let Some(span) = span.iter().map(symbol).collect::<Option<Vec<u32>>>().filter(|s| !s.is_empty()) else {
            return 0..0;
        };
        let order = |&suffix: &u32| {
            let rest = &self.text[suffix as usize..];
            rest[..rest.len().min(span.len())].cmp(&span[..])
        };
        let start = self.suffixes.partition_point(|s| order(s) == Ordering::Less);
        let length = self.suffixes[start..].partition_point(|s| order(s) == Ordering::Equal);
        start..start + length
    }
}
