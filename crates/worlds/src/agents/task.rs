//! The tasks of agents' worlds, and how they are found by their prompts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tropism_data::record::Text;
use tropism_rewards::RewardError;

use crate::draw::message;
use crate::{Difficulty, WorldError};

/// Characters of a prompt that are shown in a message.
const SHOWN: usize = 60;

/// A task of an agents' world.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AgentTask {
    /// Index in [`AgentWorld::tasks`](super::AgentWorld::tasks).
    pub id: usize,
    /// What the policy reads first.
    pub prompt: String,
    /// How hard it is.
    pub difficulty: Difficulty,
}

impl AgentTask {
    /// The prompt as a conversation of one user message.
    pub fn conversation(&self) -> Text {
        message("user", &self.prompt)
    }
}

/// The tasks of a world, found by prompt.
#[derive(Clone, Debug)]
pub(super) struct Catalogue {
    world: &'static str,
    tasks: Vec<AgentTask>,
    by_prompt: BTreeMap<String, usize>,
}

impl Catalogue {
    /// Tasks of these prompts, each once.
    pub(super) fn new(world: &'static str, prompts: impl IntoIterator<Item = (String, Difficulty)>) -> Self {
        let task = |(id, (prompt, difficulty))| AgentTask { id, prompt, difficulty };
        let tasks: Vec<AgentTask> = prompts.into_iter().enumerate().map(task).collect();
        let by_prompt = tasks.iter().map(|task| (task.prompt.clone(), task.id)).collect();
        Self { world, tasks, by_prompt }
    }

    pub(super) fn tasks(&self) -> &[AgentTask] {
        &self.tasks
    }

    /// The index of a prompt, white space at its ends ignored.
    pub(super) fn position(&self, prompt: &str) -> Option<usize> {
        self.by_prompt.get(prompt.trim()).copied()
    }

    /// As [`position`](Self::position), or an error that says so.
    pub(super) fn index(&self, prompt: &str) -> Result<usize, RewardError> {
        let unknown = || RewardError::UnknownPrompt { reward: self.world.to_owned(), prompt: shown(prompt) };
        self.position(prompt).ok_or_else(unknown)
    }

    /// The index of a task that came from outside.
    pub(super) fn index_of(&self, task: &AgentTask) -> Result<usize, WorldError> {
        let unknown = || WorldError::UnknownTask { world: self.world, prompt: shown(&task.prompt) };
        self.position(&task.prompt).ok_or_else(unknown)
    }
}

fn shown(prompt: &str) -> String {
    prompt.chars().take(SHOWN).collect()
}
