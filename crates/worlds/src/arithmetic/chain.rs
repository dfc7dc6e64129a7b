//! Chains: sums of several steps in three difficulties, whose answers can be reasoned step by step.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tropism_data::stream::Stream;

use super::task::spell;
use super::{ArithmeticConfig, Operation, Task};
use crate::Difficulty;

/// Draws per task before the tasks of a difficulty are taken to be all found.
const MOST_DRAWS: usize = 50;

/// Tasks of several steps in place of those of one: "What is seven plus five minus three?"
///
/// Operands and operations are drawn; no result on the way is below 0. The operations are worked out from left to right.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Chains {
    /// Operands of easy, medium and hard tasks, 2 to 9, none fewer than the one before. Default: 2, 3, 5.
    pub operands: [usize; 3],
    /// Most tasks of each difficulty; there may be fewer where so many do not exist. Default: 600.
    pub tasks: usize,
}

impl Default for Chains {
    fn default() -> Self {
        Self { operands: [2, 3, 5], tasks: 600 }
    }
}

/// A further step of a task.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Step {
    /// The operation.
    pub operation: Operation,
    /// Its right operand.
    pub operand: i64,
}

impl Task {
    /// All steps, the first one included.
    fn steps(&self) -> impl Iterator<Item = Step> {
        std::iter::once(Step { operation: self.operation, operand: self.right }).chain(self.rest.iter().copied())
    }

    /// Number of steps.
    pub(super) fn depth(&self) -> usize {
        1 + self.rest.len()
    }

    /// Each step with its right result, in lower case: "seven plus five is twelve".
    pub(super) fn worked(&self) -> Vec<String> {
        let mut value = self.left;
        let step = |step: Step| {
            let (before, after) = (value, step.operation.apply(value, step.operand));
            value = after;
            let told = format!("{} {} {} is {}", spell(before), step.operation.word(), spell(step.operand), spell(after));
            told.to_lowercase()
        };
        self.steps().map(step).collect()
    }

    /// The steps one by one: "Seven plus five is twelve. Twelve minus three is nine." A result that is wrong by `offset`
    /// is so from step `at` on.
    pub(super) fn reasoning(&self, offset: i64, at: usize) -> String {
        let (mut told, mut value) = (Vec::new(), self.left);
        for (i, step) in self.steps().enumerate() {
            let slip = if i == at { offset } else { 0 };
            let result = step.operation.apply(value, step.operand).saturating_add(slip);
            let sentence =
                format!("{} {} {} is {}.", spell(value), step.operation.word(), spell(step.operand), spell(result));
            told.push(super::answer::capitalised(&sentence));
            value = result;
        }
        told.join(" ")
    }
}

/// The tasks of a world of chains, by difficulty and in the order in which they are drawn.
pub(super) fn all(config: &ArithmeticConfig, chains: &Chains) -> Vec<Task> {
    let mut operations = config.operations.clone();
    let mut templates = config.templates.clone();
    operations.sort_unstable();
    templates.sort_unstable();
    let mut stream = Stream::new(0, "arithmetic/chains");
    let (mut tasks, mut seen): (Vec<Task>, BTreeSet<String>) = Default::default();
    for (difficulty, operands) in Difficulty::ALL.into_iter().zip(chains.operands) {
        let mut found = 0;
        for _ in 0..MOST_DRAWS * chains.tasks {
            if found == chains.tasks {
                break;
            }
            let operand = |stream: &mut Stream| 1 + stream.below(config.max_operand as usize) as i64;
            let left = operand(&mut stream);
            let step = |stream: &mut Stream| Step {
                operation: operations[stream.below(operations.len())],
                operand: operand(stream),
            };
            let steps: Vec<Step> = (1..operands).map(|_| step(&mut stream)).collect();
            let template = templates[stream.below(templates.len())];
            let results = steps.iter().scan(left, |value, s| {
                *value = s.operation.apply(*value, s.operand);
                Some(*value)
            });
            if results.clone().any(|r| r < 0) {
                continue;
            }
            let task = Task::chain(tasks.len(), difficulty, template, left, &steps);
            if seen.insert(task.prompt.clone()) {
                tasks.push(task);
                found += 1;
            }
        }
    }
    tasks
}
