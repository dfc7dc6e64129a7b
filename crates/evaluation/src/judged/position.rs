//! Does a judge prefer what it reads first?
use crate::error::{EvaluationError, finite, same_length, share};
use crate::stats::{Bootstrap, Figure, mean_interval, sign_test};
use serde::{Deserialize, Serialize};

/// How two verdicts with exchanged positions become one score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SwapRule {
    /// Won or lost only where both agree, else a tie (FastChat).
    #[default]
    Conservative,
    /// The mean of the two scores.
    Average,
}

impl SwapRule {
    /// One score of a model from its scores when shown first and when shown second.
    pub fn combine(self, shown_first: f64, shown_second: f64) -> f64 {
        match self {
            Self::Average => 0.5 * (shown_first + shown_second),
            Self::Conservative => match (side(shown_first), side(shown_second)) {
                (1, 1) => 1.0,
                (-1, -1) => 0.0,
                _ => 0.5,
            },
        }
    }
}

/// 1 won, 0 tied, −1 lost.
fn side(score: f64) -> i8 {
    i8::from(score > 0.5) - i8::from(score < 0.5)
}

/// What exchanging positions does to verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PositionBias {
    /// mean score of the answer shown first, minus ½: 0 for a judge without bias; Student's interval over pairs
    pub bias: Figure,
    /// share of pairs whose two verdicts agree, ties included, with a bootstrap interval
    pub consistency: Figure,
    /// pairs whose two verdicts together lean to the answer shown first
    pub favours_first: usize,
    /// pairs whose two verdicts together lean to the answer shown second
    pub favours_second: usize,
    /// exact sign test of first against second
    pub p: f64,
}

/// Position bias, from a model's scores on the same pairs when shown first and when shown second.
///
/// # Errors
/// Empty or unequal columns, scores outside 0..=1, the errors of [`Bootstrap::mean`].
///
/// # Source
/// Zheng et al. 2023, "Judging LLM-as-a-judge with MT-Bench and Chatbot Arena", section 3.3 and table 2, which gives consistency and the shares
/// biased towards either position.
pub fn position_bias(
    shown_first: &[f64],
    shown_second: &[f64],
    bootstrap: &Bootstrap,
) -> Result<PositionBias, EvaluationError> {
    finite("shown first", shown_first)?;
    finite("shown second", shown_second)?;
    same_length("shown second", shown_first.len(), shown_second.len())?;
    shown_first.iter().chain(shown_second).try_for_each(|&s| share("score", s))?;
    let pairs = || shown_first.iter().zip(shown_second);
    let agree: Vec<f64> = pairs().map(|(f, s)| f64::from(u8::from(side(*f) == side(*s)))).collect();
    // the other answer is first in the second game and gets 1 − s
    let excess: Vec<f64> = pairs().map(|(f, s)| 0.5 * (f + 1.0 - s) - 0.5).collect();
    let signs: Vec<i8> = pairs().map(|(f, s)| (side(*f) - side(*s)).signum()).collect();
    let favours = |sign: i8| signs.iter().filter(|s| **s == sign).count();
    let leaning: Vec<f64> = signs.iter().map(|s| f64::from(*s)).collect();
    Ok(PositionBias {
        bias: mean_interval(&excess)?,
        consistency: bootstrap.mean(&agree)?,
        favours_first: favours(1),
        favours_second: favours(-1),
        p: sign_test(&leaning, &vec![0.0; leaning.len()])?.p,
    })
}
