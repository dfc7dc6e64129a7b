//! How hard a row is.

use serde::{Deserialize, Serialize};

use crate::DataError;

/// What makes a row hard; the number is higher for harder rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Difficulty {
    /// Minus the gap between the scores of the sides (column `score_gap`): close calls are hard.
    #[default]
    ScoreGap,
    /// Minus the gap between rewards (columns `reward/chosen` and `reward/rejected`). The gap is signed: pairs that the reward
    /// model ranks the other way round are the hardest.
    RewardGap,
    /// [`reference_log_ratio`] of the columns `reference_logps/chosen` and `reference_logps/rejected`.
    ReferenceLogRatio,
    /// The same with the log-probability per token: the columns `reference_lengths/chosen` and `reference_lengths/rejected`
    /// hold the tokens.
    ReferenceLogRatioPerToken,
    /// Characters of the prompt and the longest completion.
    Length,
    /// The stage that the construction gave (column `stage`).
    Stage,
    /// Any column; low numbers are easy.
    Column(String),
    /// Any column; high numbers are easy.
    ColumnDown(String),
}

impl Difficulty {
    /// The columns that it reads.
    pub fn columns(&self) -> Vec<&str> {
        match self {
            Self::ScoreGap => vec!["score_gap"],
            Self::RewardGap => vec!["reward/chosen", "reward/rejected"],
            Self::ReferenceLogRatio => vec!["reference_logps/chosen", "reference_logps/rejected"],
            Self::ReferenceLogRatioPerToken => vec![
                "reference_logps/chosen",
                "reference_logps/rejected",
                "reference_lengths/chosen",
                "reference_lengths/rejected",
            ],
            Self::Length => Vec::new(),
            Self::Stage => vec!["stage"],
            Self::Column(name) | Self::ColumnDown(name) => vec![name],
        }
    }

    /// The difficulty of a row from the values of its [`columns`](Self::columns()), in their order; none for
    /// [`Difficulty::Length`], which reads texts, and for a wrong number of values.
    pub fn of(&self, values: &[f64]) -> Option<f64> {
        match (self, values) {
            (Self::ScoreGap | Self::ColumnDown(_), [value]) => Some(-value),
            (Self::RewardGap, [chosen, rejected]) => Some(rejected - chosen),
            (Self::ReferenceLogRatio, &[chosen, rejected]) => Some(reference_log_ratio(chosen, rejected)),
            (Self::ReferenceLogRatioPerToken, [chosen, rejected, long, short]) => {
                Some(reference_log_ratio(chosen / long, rejected / short))
            }
            (Self::Stage | Self::Column(_), [value]) => Some(*value),
            _ => None,
        }
    }
}

/// How far the reference ranks a pair the wrong way: `c = log π_ref(y_l) − log π_ref(y_w)`, in nats. Above 0 it prefers the
/// rejected side, and the policy has to make up for it.
///
/// Source: Chen et al. 2024, arXiv 2405.19534.
///
/// ```
/// use tropism_data::curriculum::reference_log_ratio;
/// assert_eq!(reference_log_ratio(-45.0, -38.0), 7.0);
/// ```
pub fn reference_log_ratio(chosen: f64, rejected: f64) -> f64 {
    rejected - chosen
}

/// The loss below which DPO with `β` ranks a pair rightly: `−log σ(βc)`, with `c` the [`reference_log_ratio`]. At the start
/// every pair has `log 2`, so that `c ≤ 0` is right from the beginning.
///
/// Source: Chen et al. 2024, arXiv 2405.19534, theorem 4.1.
///
/// ```
/// use tropism_data::curriculum::required_loss;
/// for (c, loss) in [(7.0, 0.403186), (-2.0, 0.798139), (42.0, 0.014884), (-6.0, 1.037488)] {
///     assert!((required_loss(c, 0.1) - loss).abs() < 1e-6);
/// }
/// ```
pub fn required_loss(log_ratio: f64, beta: f64) -> f64 {
    let x = -beta * log_ratio;
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Fails on the first difficulty that is not a number.
pub(super) fn check(difficulty: &[f64]) -> Result<(), DataError> {
    match difficulty.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(row) => {
            let reason = format!("row {} of the set has no finite difficulty; fix its columns or order by another", row + 1);
            Err(DataError::config("curriculum.by", difficulty[row], reason))
        }
    }
}
