//! Arena-Hard: five-way verdicts of two games with positions swapped, against one baseline.
use super::battles::Battle;
use crate::error::EvaluationError;
use crate::stats::{Bootstrap, Figure, mean};
use serde::{Deserialize, Serialize};

/// A judge's verdict on answers A and B.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArenaVerdict {
    /// A is significantly better
    #[serde(rename = "A>>B", alias = "B<<A")]
    AMuchBetter,
    /// A is slightly better
    #[serde(rename = "A>B", alias = "B<A")]
    ABetter,
    /// a tie
    #[serde(rename = "A=B", alias = "B=A")]
    Tie,
    /// B is slightly better
    #[serde(rename = "B>A", alias = "A<B")]
    BBetter,
    /// B is significantly better
    #[serde(rename = "B>>A", alias = "A<<B")]
    BMuchBetter,
}

impl ArenaVerdict {
    /// A's score, and how many copies of it count: 1 for A, ½ for a tie, 0 for B; `strong` copies where the verdict is strong.
    pub fn copies(self, strong: usize) -> (f64, usize) {
        match self {
            Self::AMuchBetter => (1.0, strong),
            Self::ABetter => (1.0, 1),
            Self::Tie => (0.5, 1),
            Self::BBetter => (0.0, 1),
            Self::BMuchBetter => (0.0, strong),
        }
    }
}

/// Both games of a model on one prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArenaGame {
    /// the first game: the baseline is A
    pub baseline_first: ArenaVerdict,
    /// the second game: the model is A
    pub model_first: ArenaVerdict,
}

/// What a resample draws.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArenaUnit {
    /// Copies of verdicts, as the authors' code does: a strong verdict counts as three independent ones, so intervals are too narrow.
    Copies,
    /// Prompts with all their copies.
    #[default]
    Prompts,
}

/// How to score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArenaHard {
    /// copies of a strong verdict; 3
    pub strong: usize,
    /// what a resample draws; prompts
    pub unit: ArenaUnit,
    /// resampling; 100 resamples and 5 % to 95 %, as published
    pub bootstrap: Bootstrap,
}

impl Default for ArenaHard {
    fn default() -> Self {
        let bootstrap = Bootstrap { resamples: 100, level: 0.9, ..Bootstrap::default() };
        Self { strong: 3, unit: ArenaUnit::default(), bootstrap }
    }
}

impl ArenaHard {
    /// The model's scores of one prompt, copies written out: the second game's, then the first's, inverted.
    pub fn copies(&self, game: &ArenaGame) -> Vec<f64> {
        let (score, count) = game.model_first.copies(self.strong);
        let (inverted, other) = game.baseline_first.copies(self.strong);
        [vec![score; count], vec![1.0 - inverted; other]].concat()
    }

    /// Battles against the baseline for [`super::bradley_terry`], as Arena-Hard v0.1 expands them. The predicted win rate against the baseline is
    /// [`super::BradleyTerryFit::win_probability`].
    pub fn battles(&self, games: &[ArenaGame], model: usize, baseline: usize) -> Vec<Battle> {
        games.iter().flat_map(|g| self.copies(g)).map(|score| Battle { a: model, b: baseline, score }).collect()
    }
}

/// Arena-Hard's score of a model: the mean of all copies, in 0..=1. (v2 prints the mean of the resampled means instead, which
/// differs by the noise of the resampling.)
///
/// # Errors
/// No games, strong verdicts that count nothing, the errors of [`Bootstrap::mean`].
///
/// # Source
/// `lmarena/arena-hard-auto`, `show_result.py`; v0.1: `show_result_bt.py`.
pub fn arena_hard(games: &[ArenaGame], options: &ArenaHard) -> Result<Figure, EvaluationError> {
    if games.is_empty() {
        return Err(EvaluationError::Empty { what: "games" });
    }
    if options.strong == 0 {
        return Err(EvaluationError::Range { what: "strong", value: 0, expected: "a strong verdict counts at least once" });
    }
    let by_prompt: Vec<Vec<f64>> = games.iter().map(|g| options.copies(g)).collect();
    let copies = by_prompt.concat();
    match options.unit {
        ArenaUnit::Copies => options.bootstrap.mean(&copies),
        ArenaUnit::Prompts => {
            let sums: Vec<[f64; 2]> = by_prompt.iter().map(|c| [c.iter().sum(), c.len() as f64]).collect();
            let ratio = |rows: &[usize]| {
                let [sum, count] = rows.iter().fold([0.0; 2], |[s, n], &r| [s + sums[r][0], n + sums[r][1]]);
                sum / count
            };
            Ok(Figure { value: mean(&copies)?, ..options.bootstrap.rows(games.len(), ratio)? })
        }
    }
}
