//! All pairs of several models on the same prompts, with corrections for the number of tests.
use crate::error::{EvaluationError, same_length};
use crate::stats::{Test, benjamini_hochberg, holm, paired_t, sign_flip_test, sign_test, wilcoxon_signed_rank};
use serde::{Deserialize, Serialize};

/// The test of a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum PairedTest {
    /// [`paired_t`]
    #[default]
    T,
    /// [`sign_test`]
    Sign,
    /// [`wilcoxon_signed_rank`]
    Wilcoxon,
    /// [`sign_flip_test`]
    SignFlip {
        /// random flips where not all are tried
        draws: usize,
        /// their seed
        seed: u64,
    },
}

impl PairedTest {
    /// Runs the test on `a − b`.
    ///
    /// # Errors
    /// Those of the test.
    pub fn run(self, a: &[f64], b: &[f64]) -> Result<Test, EvaluationError> {
        match self {
            Self::T => paired_t(a, b),
            Self::Sign => sign_test(a, b),
            Self::Wilcoxon => wilcoxon_signed_rank(a, b),
            Self::SignFlip { draws, seed } => sign_flip_test(a, b, draws, seed),
        }
    }
}

/// One pair of models.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compared {
    /// a model, by number
    pub a: usize,
    /// the other
    pub b: usize,
    /// the test of `a − b`, p not corrected
    pub test: Test,
    /// p corrected by Holm over all pairs: the chance of any false claim stays below the level
    pub holm: f64,
    /// p corrected by Benjamini and Hochberg over all pairs: the share of false claims does
    pub benjamini_hochberg: f64,
}

/// Compares every two of several models on the prompts they share, `scores[model][prompt]`.
///
/// # Errors
/// Fewer than two models, columns of different lengths, the errors of the test.
///
/// ```
/// use tropism_evaluation::{PairedTest, compare_all};
/// let scores = [[0.9, 0.7, 0.8, 0.9], [0.5, 0.4, 0.4, 0.5], [0.5, 0.5, 0.3, 0.5]];
/// let pairs = compare_all(&scores.each_ref().map(|s| s.as_slice()), PairedTest::T)?;
/// assert_eq!(pairs.len(), 3);
/// assert!(pairs[0].holm < 0.05 && pairs[2].holm > 0.5);
/// # Ok::<(), tropism_evaluation::EvaluationError>(())
/// ```
pub fn compare_all(scores: &[&[f64]], test: PairedTest) -> Result<Vec<Compared>, EvaluationError> {
    let pairs: Vec<(usize, usize)> = (0..scores.len()).flat_map(|a| (a + 1..scores.len()).map(move |b| (a, b))).collect();
    compare_pairs(scores, &pairs, test)
}

/// Compares every model with one of them, the baseline, which comes second.
///
/// # Errors
/// As [`compare_all`]; a baseline that is not among them.
pub fn compare_with(scores: &[&[f64]], baseline: usize, test: PairedTest) -> Result<Vec<Compared>, EvaluationError> {
    if baseline >= scores.len() {
        return Err(EvaluationError::Range { what: "baseline", value: baseline, expected: "a model's number is expected" });
    }
    let pairs: Vec<(usize, usize)> = (0..scores.len()).filter(|m| *m != baseline).map(|m| (m, baseline)).collect();
    compare_pairs(scores, &pairs, test)
}

fn compare_pairs(scores: &[&[f64]], pairs: &[(usize, usize)], test: PairedTest) -> Result<Vec<Compared>, EvaluationError> {
    if pairs.is_empty() {
        let expected = "at least two are needed for a comparison";
        return Err(EvaluationError::Range { what: "models", value: scores.len(), expected });
    }
    scores.iter().try_for_each(|s| same_length("scores of a model", scores[0].len(), s.len()))?;
    let tests = pairs.iter().map(|&(a, b)| test.run(scores[a], scores[b])).collect::<Result<Vec<_>, _>>()?;
    let p: Vec<f64> = tests.iter().map(|t| t.p).collect();
    let (holm, bh) = (holm(&p)?, benjamini_hochberg(&p)?);
    let row =
        |(i, &(a, b)): (usize, &(usize, usize))| Compared { a, b, test: tests[i], holm: holm[i], benjamini_hochberg: bh[i] };
    Ok(pairs.iter().enumerate().map(row).collect())
}
