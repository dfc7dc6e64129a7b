//! The exact reward of any answer.

use serde::{Deserialize, Serialize};
use tropism_rewards::{Numeric, Reward, RewardError, Verdict, judged, number};

use super::{ASPECTS, Arithmetic, RewardConfig, Task, WORLD};

/// Words that take the edge off a statement.
const HEDGES: [&str; 8] = ["maybe", "perhaps", "possibly", "probably", "might", "think", "guess", "suppose"];

/// The reward of an answer and its terms.
///
/// ```text
/// total       = correctness + length + style
/// correctness = correct        if the last number stated is the truth
///               0              if it is another number
///               −unreadable    if no number is stated
/// length      = −min(most_length, per_word · max(0, words − target_words))
/// style       = full_stop · [ends with a single full stop]
///               − per_hedge · min(most_hedges, hedging words)
/// ```
///
/// The sizes are those of [`RewardConfig`]; numbers are found as described at
/// [`tropism_rewards::number`], words counted as by [`tropism_rewards::length::words`]. Hedging words
/// are maybe, perhaps, possibly, probably, might, think, guess and suppose. Defined for every
/// string; text past [`tropism_rewards::JUDGED_CHARACTERS`] characters is not looked at. The total
/// lies within [`Arithmetic::reward_range`], and every right answer has a higher total than every
/// other answer.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct RewardParts {
    /// The verdict on the number: correct, wrong or unreadable.
    pub correct: Verdict,
    /// Term of the verdict.
    pub correctness: f64,
    /// Term of the length, at most 0.
    pub length: f64,
    /// Term of the style.
    pub style: f64,
    /// The reward: the sum of the three terms.
    pub total: f64,
}

impl RewardConfig {
    fn parts(&self, answer: &str, truth: i64) -> RewardParts {
        let correct = Numeric::default().verdict(answer, truth);
        let correctness = match correct {
            Verdict::Correct => self.correct,
            Verdict::Wrong | Verdict::Abstained => 0.0,
            Verdict::Unreadable => -self.unreadable,
        };
        let length = self.length_penalty().penalty(answer);
        let style = self.style(answer);
        RewardParts { correct, correctness, length, style, total: correctness + length + style }
    }

    fn style(&self, answer: &str) -> f64 {
        let text = judged(answer).trim_end();
        let stops = text.ends_with('.') && !text.ends_with("..");
        let hedges = hedges(text).min(self.most_hedges) as f64;
        let bonus = if stops { self.full_stop } else { 0.0 };
        bonus - self.per_hedge * hedges
    }
}

fn hedges(text: &str) -> usize {
    text.split(|char: char| !char.is_alphabetic())
        .filter(|word| HEDGES.iter().any(|hedge| hedge.eq_ignore_ascii_case(word)))
        .count()
}

impl Arithmetic {
    /// The reward of any text as an answer to a task; reads nothing of the task but its truth.
    pub fn reward(&self, task: &Task, answer: &str) -> RewardParts {
        self.config.reward.parts(answer, task.truth)
    }

    /// Least and greatest total reward that any text can have; −0.65 and 1.05 by default.
    pub fn reward_range(&self) -> (f64, f64) {
        let sizes = &self.config.reward;
        // Summed in the order of the terms of a total, so that rounding cannot cross the bounds.
        let low = -sizes.unreadable + -sizes.most_length + (0.0 - sizes.most_hedging());
        (low, sizes.correct + sizes.full_stop)
    }
}

impl Reward for Arithmetic {
    fn name(&self) -> &str {
        WORLD
    }

    /// The total reward. The truth is the one given, as a number in digits or words, or else that of
    /// the world's own task with this prompt; `None` when there is neither.
    ///
    /// # Errors
    ///
    /// When the truth given is not a whole number.
    fn score(&self, prompt: &str, completion: &str, truth: Option<&str>) -> Result<Option<f64>, RewardError> {
        let truth = self.truth(prompt, truth)?;
        Ok(truth.map(|truth| self.config.reward.parts(completion, truth).total))
    }

    /// The verdict on the number that is stated last.
    fn judge(&self, prompt: &str, completion: &str, truth: Option<&str>) -> Result<Option<Verdict>, RewardError> {
        let truth = self.truth(prompt, truth)?;
        Ok(Some(truth.map_or(Verdict::Abstained, |truth| Numeric::default().verdict(completion, truth))))
    }

    fn aspects(&self) -> &[&str] {
        &ASPECTS
    }

    /// One of the [`Aspects`](super::Aspects) of an answer to the world's own task with this prompt; `None` where there is
    /// no such task.
    fn aspect(&self, name: &str, prompt: &str, completion: &str) -> Result<Option<f64>, RewardError> {
        Ok(self.task_of(prompt).and_then(|task| self.aspects(task, completion).get(name)))
    }
}

impl Arithmetic {
    /// The truth given, or that of the world's own task.
    fn truth(&self, prompt: &str, truth: Option<&str>) -> Result<Option<i64>, RewardError> {
        let Some(text) = truth else {
            return Ok(self.task_of(prompt).map(|task| task.truth));
        };
        number::parse(text).map(Some).ok_or_else(|| RewardError::BadTruth {
            reward: WORLD.to_owned(),
            truth: text.chars().take(60).collect(),
            expected: "a whole number in digits or English words",
        })
    }
}
