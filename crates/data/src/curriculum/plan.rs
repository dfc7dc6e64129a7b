//! The order of rows, and its stages.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Difficulty;
use super::difficulty::check;
use crate::DataError;
use crate::stream::Stream;

/// Which way the order goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Easy rows first.
    #[default]
    EasyToHard,
    /// Hard rows first.
    HardToEasy,
    /// In random order; stages are then random parts of equal size.
    Shuffled,
}

/// The order inside a stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Within {
    /// As the whole order.
    #[default]
    Sorted,
    /// At random.
    Shuffled,
}

/// A curriculum as a configuration file gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Curriculum {
    /// What makes a row hard.
    pub by: Difficulty,
    /// Which way the order goes.
    pub order: Direction,
    /// Stages of equal size by quantiles; with `by = "stage"`, rows of one given stage stand together and this stays 1.
    pub stages: usize,
    /// The order inside a stage.
    pub within: Within,
}

impl Default for Curriculum {
    fn default() -> Self {
        Self { by: Difficulty::default(), order: Direction::default(), stages: 1, within: Within::default() }
    }
}

impl Curriculum {
    /// Checks the values.
    ///
    /// # Errors
    /// No stage, or a number of stages where the construction gives them.
    pub fn check(&self) -> Result<(), DataError> {
        if self.stages == 0 {
            return Err(DataError::config("curriculum.stages", 0, "must be at least 1"));
        }
        if self.by == Difficulty::Stage && self.stages != 1 {
            return Err(DataError::config(
                "curriculum.stages",
                self.stages,
                "the construction gives the stages; leave it out",
            ));
        }
        Ok(())
    }
}

/// An order of rows, cut into stages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Row indices, each once, the first to learn first.
    pub order: Vec<usize>,
    /// Ranges of `order`, without gaps, none empty.
    pub stages: Vec<Range<usize>>,
}

impl Plan {
    /// The stage of each place of the order.
    pub fn stage_of_places(&self) -> Vec<usize> {
        self.stages.iter().enumerate().flat_map(|(stage, range)| range.clone().map(move |_| stage)).collect()
    }
}

/// Orders rows by their difficulty.
///
/// The order is a permutation; difficulties do not fall along it (rise, for hard to easy) unless rows are shuffled within
/// stages, and even then no stage holds an easier row than the one before. Equally hard rows keep their order in the data. Stages
/// cut the order into [`quantiles`] of equal size, and with [`Difficulty::Stage`] where the given stage changes.
///
/// # Errors
/// As [`Curriculum::check`]; a difficulty that is not finite; more stages than rows.
pub fn arrange(difficulty: &[f64], curriculum: &Curriculum, seed: u64) -> Result<Plan, DataError> {
    curriculum.check()?;
    check(difficulty)?;
    let rows = difficulty.len();
    if rows < curriculum.stages {
        let reason = format!("there are only {rows} rows; take fewer stages");
        return Err(DataError::config("curriculum.stages", curriculum.stages, reason));
    }
    let mut order: Vec<usize> = (0..rows).collect();
    let mut stream = Stream::new(seed, "curriculum/order");
    match curriculum.order {
        Direction::EasyToHard => order.sort_by(|&a, &b| difficulty[a].total_cmp(&difficulty[b])),
        Direction::HardToEasy => order.sort_by(|&a, &b| difficulty[b].total_cmp(&difficulty[a])),
        Direction::Shuffled => stream.shuffle(&mut order),
    }
    let given = curriculum.by == Difficulty::Stage && curriculum.order != Direction::Shuffled;
    let stages = if given { runs(&order, difficulty) } else { quantiles(rows, curriculum.stages) };
    if curriculum.within == Within::Shuffled {
        for (stage, range) in stages.iter().enumerate() {
            Stream::new(seed, &format!("curriculum/within/{stage}")).shuffle(&mut order[range.clone()]);
        }
    }
    Ok(Plan { order, stages })
}

/// `rows` cut into `parts` runs whose sizes differ by at most one: `⌊i · rows / parts⌋ .. ⌊(i + 1) · rows / parts⌋`. Fewer rows
/// than parts give as many runs as rows.
///
/// ```
/// use tropism_data::curriculum::quantiles;
/// assert_eq!(quantiles(7, 3), [0..2, 2..4, 4..7]);
/// ```
pub fn quantiles(rows: usize, parts: usize) -> Vec<Range<usize>> {
    let parts = parts.min(rows);
    (0..parts).map(|i| i * rows / parts..(i + 1) * rows / parts).collect()
}

/// Runs of equal difficulty in an order.
fn runs(order: &[usize], difficulty: &[f64]) -> Vec<Range<usize>> {
    let mut ends: Vec<usize> = (1..order.len()).filter(|&i| difficulty[order[i]] != difficulty[order[i - 1]]).collect();
    if !order.is_empty() {
        ends.push(order.len());
    }
    let mut start = 0;
    ends.into_iter().map(|end| std::mem::replace(&mut start, end)..end).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn given_stages_stay_together() {
        let curriculum = Curriculum { by: Difficulty::Stage, within: Within::Shuffled, ..Curriculum::default() };
        let plan = arrange(&[2.0, 0.0, 1.0, 0.0, 2.0, 2.0], &curriculum, 5).unwrap();
        assert_eq!(plan.stages, [0..2, 2..3, 3..6]);
        assert_eq!(plan.stage_of_places(), [0, 0, 1, 2, 2, 2]);
        let error = arrange(&[0.0], &Curriculum { stages: 2, ..curriculum }, 5).unwrap_err().to_string();
        assert!(error.contains("the construction gives the stages"), "{error}");
    }

    #[test]
    fn nonsense_is_refused() {
        let of = |difficulty: &[f64], stages| arrange(difficulty, &Curriculum { stages, ..Curriculum::default() }, 0);
        assert!(of(&[1.0, f64::NAN], 1).unwrap_err().to_string().contains("row 2"));
        assert!(of(&[1.0], 0).is_err() && of(&[1.0], 2).is_err());
        assert!(of(&[], 1).unwrap_err().to_string().contains("only 0 rows"));
    }

    proptest! {
        #[test]
        fn plans_are_permutations_that_rise_by_stage(
            difficulty in prop::collection::vec(-4i32..4, 1..60),
            stages in 1usize..8,
            direction in prop::sample::select(vec![Direction::EasyToHard, Direction::HardToEasy, Direction::Shuffled]),
            shuffled: bool,
            seed in any::<u64>(),
        ) {
            prop_assume!(stages <= difficulty.len());
            let difficulty: Vec<f64> = difficulty.into_iter().map(f64::from).collect();
            let within = if shuffled { Within::Shuffled } else { Within::Sorted };
            let curriculum = Curriculum { by: Difficulty::ScoreGap, order: direction, stages, within };
            let plan = arrange(&difficulty, &curriculum, seed).unwrap();
            let mut sorted = plan.order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..difficulty.len()).collect::<Vec<_>>());
            prop_assert_eq!(plan.stages.len(), stages);
            prop_assert_eq!(plan.stages.iter().map(|s| s.len()).sum::<usize>(), difficulty.len());
            let sizes: Vec<usize> = plan.stages.iter().map(|s| s.len()).collect();
            prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
            let sign = if direction == Direction::HardToEasy { -1.0 } else { 1.0 };
            let along: Vec<f64> = plan.order.iter().map(|&row| sign * difficulty[row]).collect();
            if direction != Direction::Shuffled {
                if !shuffled {
                    prop_assert!(along.windows(2).all(|w| w[0] <= w[1]));
                }
                let high = |r: &Range<usize>| along[r.clone()].iter().copied().fold(f64::MIN, f64::max);
                let low = |r: &Range<usize>| along[r.clone()].iter().copied().fold(f64::MAX, f64::min);
                prop_assert!(plan.stages.windows(2).all(|w| high(&w[0]) <= low(&w[1])));
            }
            prop_assert_eq!(arrange(&difficulty, &curriculum, seed).unwrap(), plan);
        }
    }
}
