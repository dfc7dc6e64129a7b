//! Beam search over a model that scores next tokens.

use thiserror::Error;

/// Something that gives the log-probabilities of the next token after prefixes, such as a language model.
pub trait NextTokens {
    /// What it may fail with.
    type Error: std::error::Error;

    /// Log-probabilities in nats of all tokens of the vocabulary after each of the prefixes (without the prompt). −∞ rules a
    /// token out; NaN is an error.
    ///
    /// # Errors
    /// The scorer's own.
    fn next_logps(&mut self, prefixes: &[&[usize]]) -> Result<Vec<Vec<f64>>, Self::Error>;
}

/// Search for the answer with the largest sum of log-probabilities.
///
/// Under a policy that was trained with DPO this is search guided by its reward: with a complete answer's `Σ log π` goes
/// `R + β Σ log π_ref − V(prompt)` over `β`. Wider beams find answers of higher implicit reward, and longer ones; the
/// paper's best width is 5. Report lengths beside results.
///
/// Each step extends every unfinished prefix by every token and keeps the `width` best of these and of the finished answers,
/// which keep their score. There is no length penalty. Of equally likely prefixes the one of the better earlier place
/// comes first, then the smaller token: the result depends on nothing but the scores.
///
/// Source: Rafailov et al. 2024, arXiv 2404.12358, equations 12 and 13, where the value of the prompt has the wrong sign;
/// the order of the answers does not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeamSearch {
    /// Prefixes that are kept, at least 1; 1 is greedy.
    pub width: usize,
    /// Token that ends an answer.
    pub end: usize,
    /// Tokens after which an answer ends in any case, at least 1.
    pub max_tokens: usize,
}

/// A prefix or answer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Beam {
    /// Its tokens, with the end if it has one.
    pub tokens: Vec<usize>,
    /// Sum of their log-probabilities, in nats.
    pub logp: f64,
    /// Whether it ends with the end token; otherwise it was cut at the greatest length.
    pub finished: bool,
}

/// What can go wrong in a search.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum SearchError<S: std::error::Error> {
    /// An option has a value that the search cannot use.
    #[error("beam search: `{key}` is 0; it must be at least 1")]
    Zero {
        /// The option.
        key: &'static str,
    },
    /// The scorer returned something else than a list of log-probabilities for each prefix.
    #[error("beam search: the scorer's answer {problem}")]
    Scores {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// No prefix can be extended: all next tokens are ruled out.
    #[error("beam search: no token can follow after {tokens} tokens; the scorer rules all of them out")]
    DeadEnd {
        /// Tokens so far.
        tokens: usize,
    },
    /// The scorer failed.
    #[error(transparent)]
    Scorer(S),
}

impl BeamSearch {
    /// The beams at the end of the search, best first.
    ///
    /// # Errors
    /// [`SearchError`].
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use tropism_credit::{BeamSearch, NextTokens};
    ///
    /// /// Ends at once with probability 0.4, goes on to a certain end otherwise, in two ways.
    /// struct Toy;
    /// impl NextTokens for Toy {
    ///     type Error = Infallible;
    ///     fn next_logps(&mut self, prefixes: &[&[usize]]) -> Result<Vec<Vec<f64>>, Infallible> {
    ///         let row = |prefix: &&[usize]| match prefix.is_empty() {
    ///             true => [0.4_f64, 0.35, 0.25].map(f64::ln).to_vec(),
    ///             false => vec![0.0, f64::NEG_INFINITY, f64::NEG_INFINITY],
    ///         };
    ///         Ok(prefixes.iter().map(row).collect())
    ///     }
    /// }
    /// let beams = BeamSearch { width: 2, end: 0, max_tokens: 4 }.run(&mut Toy)?;
    /// assert_eq!((beams[0].tokens.as_slice(), beams[1].tokens.as_slice()), ([0].as_slice(), [1, 0].as_slice()));
    /// # Ok::<(), tropism_credit::SearchError<Infallible>>(())
    /// ```
    pub fn run<S: NextTokens>(&self, scorer: &mut S) -> Result<Vec<Beam>, SearchError<S::Error>> {
        for (key, value) in [("width", self.width), ("max_tokens", self.max_tokens)] {
            if value == 0 {
                return Err(SearchError::Zero { key });
            }
        }
        let mut beams = vec![Beam { tokens: Vec::new(), logp: 0.0, finished: false }];
        for step in 0..self.max_tokens {
            let open: Vec<&[usize]> = beams.iter().filter(|b| !b.finished).map(|b| b.tokens.as_slice()).collect();
            if open.is_empty() {
                break;
            }
            let scores = scorer.next_logps(&open).map_err(SearchError::Scorer)?;
            check(&scores, open.len(), self.end)?;
            beams = self.extended(&beams, &scores);
            if beams.is_empty() {
                return Err(SearchError::DeadEnd { tokens: step });
            }
        }
        Ok(beams)
    }

    /// The best finished answer, or the best of all if none is finished.
    ///
    /// # Errors
    /// [`SearchError`].
    pub fn best<S: NextTokens>(&self, scorer: &mut S) -> Result<Beam, SearchError<S::Error>> {
        let beams = self.run(scorer)?;
        let at = beams.iter().position(|b| b.finished).unwrap_or(0);
        beams.into_iter().nth(at).ok_or(SearchError::DeadEnd { tokens: 0 })
    }

    /// One step: finished beams as they are, the others by every token that may follow; the best of all.
    fn extended(&self, beams: &[Beam], scores: &[Vec<f64>]) -> Vec<Beam> {
        let mut scores = scores.iter();
        // Place of the beam, token (none for a finished one), sum.
        let mut candidates: Vec<(usize, Option<usize>, f64)> = Vec::new();
        for (place, beam) in beams.iter().enumerate() {
            if beam.finished {
                candidates.push((place, None, beam.logp));
            } else if let Some(row) = scores.next() {
                let each = row.iter().enumerate().filter(|(_, lp)| **lp > f64::NEG_INFINITY);
                candidates.extend(each.map(|(token, lp)| (place, Some(token), beam.logp + lp)));
            }
        }
        // Stable, and pushed by place and token.
        candidates.sort_by(|a, b| b.2.total_cmp(&a.2));
        candidates.truncate(self.width);
        let beam = |(place, token, logp): (usize, Option<usize>, f64)| {
            let mut tokens = beams[place].tokens.clone();
            tokens.extend(token);
            Beam { tokens, logp, finished: token.is_none_or(|t| t == self.end) }
        };
        candidates.into_iter().map(beam).collect()
    }
}

/// Fails unless there is a row of log-probabilities per prefix, all of one length that holds the end token.
fn check<E: std::error::Error>(scores: &[Vec<f64>], prefixes: usize, end: usize) -> Result<(), SearchError<E>> {
    let problem = if scores.len() != prefixes {
        "does not have one list for each prefix"
    } else if scores.iter().any(|row| row.len() != scores[0].len()) {
        "has lists of different lengths"
    } else if scores[0].len() <= end {
        "has lists too short for the token that ends answers"
    } else if scores.iter().flatten().any(|lp| lp.is_nan() || *lp == f64::INFINITY) {
        "holds NaN or infinity"
    } else {
        return Ok(());
    };
    Err(SearchError::Scores { problem })
}
