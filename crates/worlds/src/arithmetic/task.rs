//! The tasks: two operands, an operation and a wording.

use serde::{Deserialize, Serialize};
use tropism_data::record::Text;
use tropism_rewards::number;

use super::{ArithmeticConfig, Difficulty, Step};
use crate::draw::message;

const NAMES: [&str; 4] = ["Tom", "Ann", "Ben", "Eva"];
const THINGS: [&str; 4] = ["apple", "coin", "pen", "book"];

/// What is to be worked out.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// A sum.
    Plus,
    /// A difference.
    Minus,
    /// A product.
    Times,
}

impl Operation {
    /// The result for two operands.
    pub fn apply(self, left: i64, right: i64) -> i64 {
        match self {
            Self::Plus => left.saturating_add(right),
            Self::Minus => left.saturating_sub(right),
            Self::Times => left.saturating_mul(right),
        }
    }

    /// The word between the operands: "plus", "minus" or "times".
    pub fn word(self) -> &'static str {
        match self {
            Self::Plus => "plus",
            Self::Minus => "minus",
            Self::Times => "times",
        }
    }
}

/// Wording of a prompt.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Template {
    /// "What is seven plus five?"
    Question,
    /// "Please work out seven plus five."
    Request,
    /// "Tom has seven apples and gets five more. How many apples does Tom have?" and the like.
    Story,
}

/// A prompt with its truth.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Task {
    /// Index in [`Arithmetic::tasks`](super::Arithmetic::tasks).
    pub id: usize,
    /// What is asked.
    pub prompt: String,
    /// The right number.
    pub truth: i64,
    /// The operation.
    pub operation: Operation,
    /// The wording.
    pub template: Template,
    /// First operand.
    pub left: i64,
    /// Second operand.
    pub right: i64,
    /// Steps after the first, in a chain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rest: Vec<Step>,
    /// How hard a chain is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difficulty: Option<Difficulty>,
}

impl Task {
    fn new(id: usize, operation: Operation, template: Template, left: i64, right: i64) -> Self {
        let (prompt, truth) = (String::new(), operation.apply(left, right));
        let mut task = Self { id, prompt, truth, operation, template, left, right, rest: Vec::new(), difficulty: None };
        task.prompt = task.worded();
        task
    }

    /// A chain of at least one step.
    pub(super) fn chain(id: usize, difficulty: Difficulty, template: Template, left: i64, steps: &[Step]) -> Self {
        let (operation, right) = steps.first().map_or((Operation::Plus, 0), |s| (s.operation, s.operand));
        let mut task = Self::new(id, operation, template, left, right);
        task.rest = steps.iter().skip(1).copied().collect();
        task.difficulty = Some(difficulty);
        task.truth = task.rest.iter().fold(task.truth, |value, s| s.operation.apply(value, s.operand));
        task.prompt = task.worded();
        task
    }

    /// The prompt as a conversation of one user message.
    pub fn conversation(&self) -> Text {
        message("user", &self.prompt)
    }

    fn worded(&self) -> String {
        match self.template {
            Template::Question => format!("What is {}?", self.expression()),
            Template::Request => format!("Please work out {}.", self.expression()),
            Template::Story => self.story(),
        }
    }

    /// "seven plus five".
    pub(super) fn expression(&self) -> String {
        let (left, right) = (spell(self.left), spell(self.right));
        let rest = self.rest.iter().map(|s| format!(" {} {}", s.operation.word(), spell(s.operand)));
        format!("{left} {} {right}{}", self.operation.word(), rest.collect::<String>())
    }

    fn story(&self) -> String {
        if !self.rest.is_empty() {
            return self.long_story();
        }
        let (name, things) = (self.person(), self.things(2));
        let right = spell(self.right);
        match self.operation {
            Operation::Plus => {
                let owned = self.counted(self.left);
                format!("{name} has {owned} and gets {right} more. How many {things} does {name} have?")
            }
            Operation::Minus => {
                let owned = self.counted(self.left);
                format!("{name} has {owned} and gives away {right}. How many {things} does {name} have left?")
            }
            Operation::Times => {
                let held = self.counted(self.right);
                let boxes = match self.left {
                    1 => format!("There is one box with {held} in it."),
                    left => format!("There are {} boxes with {held} in each.", spell(left)),
                };
                format!("{boxes} How many {things} are there?")
            }
        }
    }

    /// A story of several steps, sums and differences only.
    fn long_story(&self) -> String {
        let (name, things) = (self.person(), self.things(2));
        let first = Step { operation: self.operation, operand: self.right };
        let told = std::iter::once(&first).chain(&self.rest).map(|s| match s.operation {
            Operation::Minus => format!("gives away {}", spell(s.operand)),
            _ => format!("gets {} more", spell(s.operand)),
        });
        let told = told.collect::<Vec<_>>().join(", then ");
        format!("{name} has {} and {told}. How many {things} does {name} have now?", self.counted(self.left))
    }

    /// The person of a story; the operands choose, so that a task needs no further number.
    pub(super) fn person(&self) -> &'static str {
        NAMES[pick(self.left + 3 * self.right, NAMES.len())]
    }

    /// The thing of a story, in the plural unless there is one of it.
    pub(super) fn things(&self, count: i64) -> String {
        let thing = THINGS[pick(self.left + 2 * self.right, THINGS.len())];
        match count {
            1 => thing.to_owned(),
            _ => format!("{thing}s"),
        }
    }

    /// "seven apples".
    pub(super) fn counted(&self, count: i64) -> String {
        format!("{} {}", spell(count), self.things(count))
    }
}

/// One of some things, chosen by a number.
pub(super) fn pick(value: i64, among: usize) -> usize {
    value.unsigned_abs() as usize % among
}

/// A number in words, or in digits where it is too large for words.
pub(super) fn spell(value: i64) -> String {
    number::words(value).unwrap_or_else(|| value.to_string())
}

/// All tasks of a world.
pub(super) fn all(config: &ArithmeticConfig) -> Vec<Task> {
    if let Some(chains) = &config.chains {
        return super::chain::all(config, chains);
    }
    let mut operations = config.operations.clone();
    let mut templates = config.templates.clone();
    // The order in the settings means nothing, so it must not change ids.
    operations.sort_unstable();
    templates.sort_unstable();
    let mut tasks = Vec::new();
    for operation in operations {
        for &template in &templates {
            for left in 1..=config.max_operand {
                for right in 1..=config.max_operand {
                    let negative = operation.apply(left, right) < 0;
                    if negative && (!config.negative_results || template == Template::Story) {
                        continue;
                    }
                    tasks.push(Task::new(tasks.len(), operation, template, left, right));
                }
            }
        }
    }
    tasks
}
