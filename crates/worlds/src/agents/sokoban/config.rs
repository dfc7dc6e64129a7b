//! Settings of the world of boxes.

use serde::{Deserialize, Serialize};

use super::WORLD;
use crate::WorldError;

/// Settings of [`Sokoban`](super::Sokoban).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SokobanConfig {
    /// Columns of a board, 3 to 8. Default 4.
    pub width: usize,
    /// Rows of a board, 3 to 8. Default 3.
    pub height: usize,
    /// Cells of a board that are walls, at most half of them. Default 0.
    pub walls: usize,
    /// Most tasks, 1 to 5000; there are fewer where not so many exist (348 at the default size and moves).
    /// Drawing the most of them on the largest boards takes some ten seconds. Default 600.
    pub tasks: usize,
    /// Fewest moves that solve a task, 1 or more. Default 2.
    pub min_moves: usize,
    /// Most moves that the shortest solution of a task has. Default 6.
    pub max_moves: usize,
    /// Turns after which an episode ends, from `max_moves` to 100. Default 8.
    pub max_turns: usize,
    /// Probability that a move of a demonstration is a random one. Default 0.25.
    pub slips: f64,
    /// Whether turns are rewarded for coming nearer to solved. Default: no.
    pub shaped: bool,
    /// Draws the boards. Default 0.
    pub seed: u64,
}

impl Default for SokobanConfig {
    fn default() -> Self {
        let (width, height, walls, tasks, min_moves, max_moves, max_turns) = (4, 3, 0, 600, 2, 6, 8);
        Self { width, height, walls, tasks, min_moves, max_moves, max_turns, slips: 0.25, shaped: false, seed: 0 }
    }
}

impl SokobanConfig {
    /// Checks all settings.
    ///
    /// # Errors
    ///
    /// Names the first key that is out of its range.
    pub fn check(&self) -> Result<(), WorldError> {
        if !(3..=8).contains(&self.width) {
            return bad("width", self.width, "from 3 to 8");
        }
        if !(3..=8).contains(&self.height) {
            return bad("height", self.height, "from 3 to 8");
        }
        if self.walls > self.width * self.height / 2 {
            return bad("walls", self.walls, "at most half of the cells");
        }
        if !(1..=5000).contains(&self.tasks) {
            return bad("tasks", self.tasks, "from 1 to 5000");
        }
        if self.min_moves == 0 {
            return bad("min_moves", self.min_moves, "1 or more");
        }
        if self.max_moves < self.min_moves {
            return bad("max_moves", self.max_moves, "`min_moves` or more");
        }
        if !(self.max_moves..=100).contains(&self.max_turns) {
            return bad("max_turns", self.max_turns, "from `max_moves` to 100");
        }
        if !(0.0..=1.0).contains(&self.slips) {
            return bad("slips", self.slips, "a probability from 0 to 1");
        }
        Ok(())
    }
}

pub(super) fn bad<T>(key: &'static str, value: impl ToString, expected: &'static str) -> Result<T, WorldError> {
    Err(WorldError::BadValue { world: WORLD, key, value: value.to_string(), expected })
}
