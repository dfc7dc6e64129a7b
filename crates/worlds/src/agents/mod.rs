//! Worlds in which a policy acts by turns.
//!
//! [`Sokoban`] is a puzzle with a sparse outcome: a move a turn, a box on its goal in the end. [`Lookup`] is a world of questions
//! over a table that is read with a tool: several searches, then an answer. Both are [`Reward`]s, so that they stand wherever a
//! reward does, and [`Episodes`], so that a sampler can play them turn by turn. A single completion is judged as an episode of that
//! one turn. A turn of more than [`tropism_rewards::JUDGED_CHARACTERS`] characters is unreadable, whatever it begins with.

/// [`Reward`] of a world of episodes: a completion is judged as an episode of that one turn; the truth is the world's own.
macro_rules! single_turn {
    ($world:ident) => {
        impl tropism_rewards::Reward for $world {
            fn name(&self) -> &str {
                WORLD
            }

            fn score(&self, prompt: &str, completion: &str, _truth: Option<&str>) -> Result<Option<f64>, RewardError> {
                Episodes::score(self, prompt, &[completion.to_owned()])
            }

            fn judge(&self, prompt: &str, completion: &str, _truth: Option<&str>) -> Result<Option<Verdict>, RewardError> {
                self.verdict(prompt, &[completion.to_owned()]).map(Some)
            }

            fn aspects(&self) -> &[&str] {
                &ASPECTS
            }

            fn aspect(&self, name: &str, prompt: &str, completion: &str) -> Result<Option<f64>, RewardError> {
                Episodes::aspect(self, name, prompt, &[completion.to_owned()])
            }

            fn episodes(&self) -> Option<&dyn Episodes> {
                Some(self)
            }
        }
    };
}

mod lookup;
mod sokoban;
mod task;

pub use lookup::{Lookup, LookupConfig, Slips};
pub use sokoban::{Move, Sokoban, SokobanConfig};
pub use task::AgentTask;

use tropism_data::record::{Message, Sample, Text};
use tropism_rewards::{Episodes, Reward, judged};

use crate::WorldError;
use crate::draw::{file, source};

/// A world whose tasks are done in several turns.
pub trait AgentWorld: Reward + Episodes + std::fmt::Debug {
    /// All tasks, each prompt once, in a fixed order. A task's [`id`](AgentTask::id) is its index here.
    fn tasks(&self) -> &[AgentTask];

    /// Splits all tasks at random into training and test tasks, each in the order of [`tasks`](Self::tasks): no prompt stands
    /// on both sides. The test side has `test_fraction` of the tasks, rounded to the nearest whole number.
    ///
    /// # Errors
    ///
    /// When the fraction is not between 0 and 1, or a side would be empty.
    fn split(&self, test_fraction: f64, seed: u64) -> Result<(Vec<AgentTask>, Vec<AgentTask>), WorldError>;

    /// A supervised corpus of `n` episodes, mediocre on purpose, so that training on rewards has something to improve.
    ///
    /// A sample's completion is a chat: what the policy does (`assistant`), what the world says to it (`user`), and so on, with
    /// a turn of the policy at its end. Tasks come in shuffled rounds, so each is drawn as often as any other, give or take
    /// one; a sample's source is `world:` and the name of the world, with its 1-based row.
    ///
    /// # Errors
    ///
    /// When there are no tasks, or one of them is none of this world's.
    fn demonstrations(&self, tasks: &[AgentTask], n: usize, seed: u64) -> Result<Vec<Sample>, WorldError>;
}

/// A turn without white space at its ends; nothing where it is longer than what is [`judged()`], since part of it would not be
/// looked at.
fn readable(turn: &str) -> Option<&str> {
    (judged(turn).len() == turn.len()).then(|| turn.trim())
}

/// A demonstration of these turns, each with what the world says to it, up to the one to which it says nothing.
fn demonstration(world: &str, row: usize, task: &AgentTask, turns: Vec<(String, Option<String>)>) -> Sample {
    let mut messages = Vec::with_capacity(2 * turns.len());
    for (turn, said) in turns {
        messages.push(Message::new("assistant", turn));
        match said {
            Some(said) => messages.push(Message::new("user", said)),
            None => break,
        }
    }
    Sample {
        source: source(&file(world), row),
        prompt: task.conversation(),
        tools: Default::default(),
        completion: Text::Chat(messages),
    }
}
