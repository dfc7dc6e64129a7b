//! Supervised corpora, rated answers and preference pairs.

use serde::{Deserialize, Serialize};
use tropism_data::record::{Pair, Sample, Text};
use tropism_data::stream::Stream;

use super::{AnswerKind, Arithmetic, RewardParts, Task, Template, WORLD};
use crate::WorldError;
use crate::draw::{file, message, rounds, source};

/// Rewards that differ by less than this are a tie: sums of the same terms in another order.
const TIE: f64 = 1e-9;

/// Draws for one pair before the mix is taken to hold no contrast.
const MOST_DRAWS: usize = 1000;

/// An answer with its exact reward.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Rated {
    /// What was asked.
    pub task: Task,
    /// Kind of the answer.
    pub kind: AnswerKind,
    /// The answer.
    pub answer: String,
    /// Its reward.
    pub reward: RewardParts,
}

impl Arithmetic {
    /// A supervised corpus of `n` samples whose answers follow the [`Mix`](super::Mix).
    ///
    /// Tasks come in shuffled rounds, so each is drawn as often as any other, give or take one.
    /// Prompts and completions are conversations of one message; a sample's source is
    /// `world:arithmetic` with its 1-based row.
    ///
    /// # Errors
    ///
    /// When there are no tasks.
    pub fn sft(&self, tasks: &[Task], n: usize, seed: u64) -> Result<Vec<Sample>, WorldError> {
        let mut stream = Stream::new(seed, "arithmetic/sft");
        let file = file(WORLD);
        let order = rounds(WORLD, tasks, n, &mut stream)?;
        let sample = |(index, task): (usize, &Task)| Sample {
            source: source(&file, index),
            prompt: task.conversation(),
            tools: Default::default(),
            completion: reply(&self.draw(task, &mut stream).1),
        };
        Ok(order.into_iter().enumerate().map(sample).collect())
    }

    /// `per_task` answers to each task, drawn from the [`Mix`](super::Mix), with their rewards; in
    /// the order of `tasks`.
    ///
    /// # Errors
    ///
    /// When there are no tasks.
    pub fn rated(&self, tasks: &[Task], per_task: usize, seed: u64) -> Result<Vec<Rated>, WorldError> {
        if tasks.is_empty() {
            return Err(WorldError::NoTasks { world: WORLD });
        }
        let mut stream = Stream::new(seed, "arithmetic/rated");
        let repeated = tasks.iter().flat_map(|task| std::iter::repeat_n(task, per_task));
        let rate = |task: &Task| {
            let (kind, answer) = self.draw(task, &mut stream);
            let reward = self.reward(task, &answer);
            Rated { task: task.clone(), kind, answer, reward }
        };
        Ok(repeated.map(rate).collect())
    }

    /// `n` preference pairs: two answers from the [`Mix`](super::Mix) to one task with different
    /// exact rewards, chosen being the one with the higher; each pair swapped with probability
    /// `noise`.
    ///
    /// The noise has a random stream of its own: with the same seed, pairs differ between two
    /// levels of noise only in which of them are swapped, and more noise swaps those of less noise
    /// too. Rounds and sources are as for [`sft`](Self::sft).
    ///
    /// # Errors
    ///
    /// When `noise` is no probability, when there are no tasks, or when the mix has no two answers
    /// of different reward.
    pub fn pairs(&self, tasks: &[Task], n: usize, noise: f64, seed: u64) -> Result<Vec<Pair>, WorldError> {
        if !(0.0..=1.0).contains(&noise) {
            return Err(WorldError::BadValue {
                world: WORLD,
                key: "noise",
                value: noise.to_string(),
                expected: "a probability from 0 to 1",
            });
        }
        let mut stream = Stream::new(seed, "arithmetic/pairs");
        let mut swaps = Stream::new(seed, "arithmetic/noise");
        let order = rounds(WORLD, tasks, n, &mut stream)?;
        let (file, mut pairs) = (file(WORLD), Vec::with_capacity(n));
        for (index, task) in order.into_iter().enumerate() {
            let (mut chosen, mut rejected) = self.contrast(task, &mut stream)?;
            if swaps.uniform() < noise {
                std::mem::swap(&mut chosen, &mut rejected);
            }
            pairs.push(Pair {
                source: source(&file, index),
                prompt: task.conversation(),
                tools: Default::default(),
                chosen: reply(&chosen),
                rejected: reply(&rejected),
                numbers: Default::default(),
            });
        }
        Ok(pairs)
    }

    /// Two answers of different reward, the better one first.
    fn contrast(&self, task: &Task, stream: &mut Stream) -> Result<(String, String), WorldError> {
        let first = self.draw(task, stream).1;
        let reward = self.reward(task, &first).total;
        for _ in 0..MOST_DRAWS {
            let second = self.draw(task, stream).1;
            let gap = self.reward(task, &second).total - reward;
            if gap > TIE {
                return Ok((second, first));
            }
            if gap < -TIE {
                return Ok((first, second));
            }
        }
        Err(WorldError::NoContrast { world: WORLD, prompt: task.prompt.clone() })
    }

    /// An answer from the mix.
    fn draw(&self, task: &Task, stream: &mut Stream) -> (AnswerKind, String) {
        let mix = &self.config.mix;
        let kind = AnswerKind::ALL[stream.weighted(&mix.weights())];
        let wrong = kind.states_a_number() && stream.uniform() < mix.wrong;
        let value = if wrong { self.near_miss(task, stream) } else { task.truth };
        let wording = stream.below(kind.wordings());
        (kind, task.answer(kind, value, wording))
    }

    /// One or two off the truth; below zero only where such results occur.
    fn near_miss(&self, task: &Task, stream: &mut Stream) -> i64 {
        let signed = self.config.negative_results && task.template != Template::Story;
        // Tasks of another world may have a truth below zero here.
        let signed = signed || task.truth < 0;
        let values: Vec<i64> = [-2, -1, 1, 2]
            .into_iter()
            .map(|offset| task.truth.saturating_add(offset))
            .filter(|&value| signed || value >= 0)
            .collect();
        values[stream.below(values.len())]
    }
}

fn reply(answer: &str) -> Text {
    message("assistant", answer)
}
