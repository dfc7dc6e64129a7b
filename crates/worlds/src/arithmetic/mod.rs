//! Worded arithmetic with a written answer.
//!
//! Prompts ask for a sum, a difference or a product of two small numbers in words. Answers differ
//! in correctness (right or a near miss), length (terse, a sentence, rambling) and style (plain,
//! polite, hedging, evasive); the exact reward of any text follows from its parts, see
//! [`RewardParts`]. With [`Chains`] the tasks are sums of several steps in three difficulties, and answers may reason step by
//! step, also longer than is of use. [`Aspects`] scores an answer in four respects that pull in different directions.

mod answer;
mod aspects;
mod chain;
mod config;
mod corpus;
mod reward;
mod task;

use std::collections::BTreeMap;

pub use crate::difficulty::Difficulty;
pub use answer::AnswerKind;
pub use aspects::{ASPECTS, Aspects};
pub use chain::{Chains, Step};
pub use config::{ArithmeticConfig, Mix, RewardConfig};
pub use corpus::Rated;
pub use reward::RewardParts;
pub use task::{Operation, Task, Template};

use crate::{WorldError, draw};

/// Name of the world in messages and in the sources of records (as `world:arithmetic`).
pub(crate) const WORLD: &str = "arithmetic";

/// The world of worded arithmetic.
///
/// ```
/// use tropism_worlds::{Arithmetic, ArithmeticConfig};
///
/// # fn main() -> Result<(), tropism_worlds::WorldError> {
/// let world = Arithmetic::new(ArithmeticConfig { max_operand: 7, ..ArithmeticConfig::default() })?;
/// let task = world.task_of("What is seven plus five?").expect("operands up to seven");
/// assert_eq!(task.truth, 12);
/// let terse = world.reward(task, "Twelve.");
/// let rambling = world.reward(task, "Well, let me think. I guess that it might be, say, twelve.");
/// assert!(terse.total > rambling.total);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Arithmetic {
    config: ArithmeticConfig,
    tasks: Vec<Task>,
    by_prompt: BTreeMap<String, usize>,
}

impl Arithmetic {
    /// Makes the world and all its tasks.
    ///
    /// # Errors
    ///
    /// Those of [`ArithmeticConfig::check`].
    pub fn new(config: ArithmeticConfig) -> Result<Self, WorldError> {
        config.check()?;
        let tasks = task::all(&config);
        let by_prompt = tasks.iter().map(|task| (task.prompt.clone(), task.id)).collect();
        Ok(Self { config, tasks, by_prompt })
    }

    /// The settings of the world.
    pub fn config(&self) -> &ArithmeticConfig {
        &self.config
    }

    /// All tasks, each prompt once, in a fixed order: by operation, template, left and right operand.
    /// A task's [`id`](Task::id) is its index here.
    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// The task with exactly this prompt (white space at its ends ignored).
    pub fn task_of(&self, prompt: &str) -> Option<&Task> {
        let index = *self.by_prompt.get(prompt.trim())?;
        self.tasks.get(index)
    }

    /// Splits all tasks at random into training and test tasks, each in the order of
    /// [`tasks`](Self::tasks): no prompt stands on both sides.
    ///
    /// The test side has `test_fraction` of the tasks, rounded to the nearest whole number. The same
    /// two operands may stand on both sides in different wordings.
    ///
    /// # Errors
    ///
    /// When the fraction is not between 0 and 1, or a side would be empty.
    pub fn split(&self, test_fraction: f64, seed: u64) -> Result<(Vec<Task>, Vec<Task>), WorldError> {
        draw::split(WORLD, &self.tasks, test_fraction, seed)
    }
}
