//! Small tasks with known truth, generated on the spot.
//!
//! A world makes prompts, answers of mixed quality, supervised corpora and preference pairs, and
//! gives the exact reward of *any* answer, so that a whole training run can be judged without a
//! person or a learnt judge. Everything drawn at random follows from a seed and is the same on every machine.
//!
//! - [`Arithmetic`]: worded sums with a written answer;
//! - [`Sokoban`]: a box to be pushed onto a goal, a move a turn;
//! - [`Lookup`]: questions over a table that is read with a search, then answered.
//!
//! The last two answer back, see [`AgentWorld`].
//!
//! ```
//! use tropism_worlds::{Arithmetic, ArithmeticConfig};
//!
//! # fn main() -> Result<(), tropism_worlds::WorldError> {
//! let world = Arithmetic::new(ArithmeticConfig::default())?;
//! let (train, test) = world.split(0.2, 1)?;
//! let corpus = world.sft(&train, 1000, 2)?;
//! let pairs = world.pairs(&train, 500, 0.05, 3)?;
//! assert_eq!((corpus.len(), pairs.len()), (1000, 500));
//!
//! let task = &test[0];
//! let right = world.reward(task, &format!("{}.", task.truth));
//! let wrong = world.reward(task, &format!("{}.", task.truth + 1));
//! assert!(right.total > wrong.total);
//! # Ok(())
//! # }
//! ```

pub mod agents;
pub mod arithmetic;
pub mod difficulty;
mod draw;
pub mod error;

pub use agents::{AgentTask, AgentWorld, Lookup, LookupConfig, Move, Slips, Sokoban, SokobanConfig};
pub use arithmetic::{
    ASPECTS, AnswerKind, Arithmetic, ArithmeticConfig, Aspects, Chains, Mix, Operation, Rated, RewardConfig, RewardParts,
    Step, Task, Template,
};
pub use difficulty::Difficulty;
pub use error::WorldError;
