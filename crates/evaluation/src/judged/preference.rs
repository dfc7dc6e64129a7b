//! Win rates from verdicts.
use crate::error::{EvaluationError, finite, share};
use crate::stats::{Bootstrap, Figure, mean, standard_error, wilson_at};
use serde::{Deserialize, Serialize};

/// The score of the evaluated model from AlpacaEval's stored `preference` p: `p − 1` for p in 1..=2 (1: the baseline is better, 2: the
/// model is better, 1.5: tie, between: a judge's probability), and 0.5 for 0, an older mark of a tie.
///
/// # Errors
/// Any other number. Files of the first AlpacaEval hold null preferences: leave those rows out.
///
/// # Source
/// `tatsu-lab/alpaca_eval`, `metrics/glm_winrate.py` and `metrics/helpers.py`.
pub fn preference_score(preference: f64) -> Result<f64, EvaluationError> {
    match preference {
        0.0 => Ok(0.5),
        p if (1.0..=2.0).contains(&p) => Ok(p - 1.0),
        value => Err(EvaluationError::Value { what: "preference", value, expected: "0 or a number in 1..=2 is expected" }),
    }
}

/// How often the evaluated model wins, from scores in 0..=1: 1 won, 0.5 tied, 0 lost, between: the judge's probability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WinRate {
    /// mean score, ties by half, with a bootstrap interval over rows
    pub rate: Figure,
    /// standard error of the mean, `sd / √n` with divisor n − 1
    pub standard_error: f64,
    /// rows with a score above 0.5
    pub wins: usize,
    /// rows with a score of 0.5
    pub ties: usize,
    /// rows with a score below 0.5
    pub losses: usize,
    /// mean of the rounded scores, ties by half: AlpacaEval's `discrete_win_rate`
    pub discrete: f64,
    /// `wins / (wins + losses)` with Wilson's interval, another number than the rate; `None` when all rows are ties
    pub decided: Option<Figure>,
}

impl WinRate {
    /// Rows independent; for several rows per prompt see [`WinRate::by_prompt`].
    ///
    /// # Errors
    /// No scores, scores outside 0..=1, the errors of [`Bootstrap::mean`].
    pub fn of(scores: &[f64], bootstrap: &Bootstrap) -> Result<Self, EvaluationError> {
        finite("scores", scores)?;
        scores.iter().try_for_each(|&s| share("score", s))?;
        let wins = scores.iter().filter(|s| **s > 0.5).count();
        let losses = scores.iter().filter(|s| **s < 0.5).count();
        let ties = scores.len() - wins - losses;
        let decided = wins + losses;
        Ok(Self {
            rate: bootstrap.mean(scores)?,
            standard_error: standard_error(scores)?,
            wins,
            ties,
            losses,
            discrete: (wins as f64 + 0.5 * ties as f64) / scores.len() as f64,
            decided: (decided > 0).then(|| wilson_at(wins, decided, bootstrap.level)).transpose()?,
        })
    }

    /// [`WinRate::of`] where rows of one prompt are not independent: rate and standard error are over the prompts' means. Counts and
    /// the decided rate are still of rows.
    ///
    /// # Errors
    /// As [`WinRate::of`]; prompts of another number.
    pub fn by_prompt(scores: &[f64], prompts: &[usize], bootstrap: &Bootstrap) -> Result<Self, EvaluationError> {
        let means = crate::stats::cluster_means(scores, prompts)?;
        let (rate, standard_error) = (bootstrap.mean(&means)?, standard_error(&means)?);
        Ok(Self { rate, standard_error, ..Self::of(scores, bootstrap)? })
    }

    /// FastChat's three rates of pairwise comparisons: won, lost, and won with ties by half (`win_rate_adjusted`).
    pub fn fastchat_rates(&self) -> [f64; 3] {
        let n = (self.wins + self.ties + self.losses) as f64;
        [self.wins as f64 / n, self.losses as f64 / n, self.discrete]
    }
}

/// Mean length of answers in Unicode characters, as leaderboards print it: cut to an integer.
///
/// # Errors
/// No lengths.
pub fn published_length(characters: &[usize]) -> Result<usize, EvaluationError> {
    Ok(mean(&characters.iter().map(|&c| c as f64).collect::<Vec<_>>())?.floor() as usize)
}
