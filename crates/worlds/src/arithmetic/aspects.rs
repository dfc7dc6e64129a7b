//! Aspects of an answer that pull in different directions, each with an exact score.

use serde::{Deserialize, Serialize};
use tropism_rewards::{Numeric, judged, length::words};

use super::{Arithmetic, Task};

/// Names of the aspects, in the order of [`Aspects::scores`].
pub const ASPECTS: [&str; 4] = ["correct", "brief", "polite", "steps"];

/// Words that cost no brevity.
const FREE_WORDS: usize = 3;

/// Words at which nothing is left of brevity.
const MOST_WORDS: usize = 40;

/// What counts as a courtesy, in lower case.
const COURTESIES: [&str; 5] = ["thank you", "please", "with pleasure", "my friend", "have a nice day"];

/// Courtesies that make an answer as polite as it can be.
const ENOUGH: usize = 2;

/// How good an answer is in four respects, each from 0 to 1.
///
/// ```text
/// correct = 1 if the last number stated is the truth, else 0
/// brief   = 1 − min(1, max(0, words − 3) / 37)
/// polite  = min(1, distinct courtesies / 2)
/// steps   = steps of the task that are worked out right, in their order / steps of the task
/// ```
///
/// Courtesies are "thank you", "please", "with pleasure", "my friend" and "have a nice day", in any case. A step is worked
/// out right where the answer holds the words "seven plus five is twelve" for it; steps are looked for from left to right.
/// Courtesies and steps need words, which brevity takes off: no answer but one of few steps is good in all respects.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Aspects {
    /// The last number is the truth.
    pub correct: f64,
    /// Few words.
    pub brief: f64,
    /// Courtesies.
    pub polite: f64,
    /// Steps worked out.
    pub steps: f64,
}

impl Aspects {
    /// The scores in the order of [`ASPECTS`].
    pub fn scores(&self) -> [f64; 4] {
        [self.correct, self.brief, self.polite, self.steps]
    }

    /// The score of an aspect by its name; nothing where there is no such aspect.
    pub fn get(&self, name: &str) -> Option<f64> {
        let index = ASPECTS.iter().position(|aspect| *aspect == name)?;
        Some(self.scores()[index])
    }
}

impl Arithmetic {
    /// The aspects of any text as an answer to a task. Text past [`tropism_rewards::JUDGED_CHARACTERS`] characters is not
    /// looked at.
    ///
    /// ```
    /// use tropism_worlds::{Arithmetic, ArithmeticConfig};
    ///
    /// # fn main() -> Result<(), tropism_worlds::WorldError> {
    /// let world = Arithmetic::new(ArithmeticConfig::default())?;
    /// let task = world.task_of("What is seven plus five?").expect("a task of the world");
    /// assert_eq!(world.aspects(task, "Twelve.").scores(), [1.0, 1.0, 0.0, 0.0]);
    /// let long = world.aspects(task, "Thank you for asking! Seven plus five is twelve. Have a nice day.");
    /// assert!(long.polite == 1.0 && long.steps == 1.0 && long.brief < 0.8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn aspects(&self, task: &Task, answer: &str) -> Aspects {
        let text = judged(answer).to_lowercase();
        let over = words(&text).saturating_sub(FREE_WORDS) as f64;
        let courtesies = COURTESIES.iter().filter(|courtesy| text.contains(**courtesy)).count();
        Aspects {
            correct: if Numeric::default().verdict(answer, task.truth).is_correct() { 1.0 } else { 0.0 },
            brief: 1.0 - (over / (MOST_WORDS - FREE_WORDS) as f64).min(1.0),
            polite: (courtesies as f64 / ENOUGH as f64).min(1.0),
            steps: worked_out(task, &text) as f64 / task.depth() as f64,
        }
    }
}

/// How many of the task's steps stand in `text`, in their order.
fn worked_out(task: &Task, text: &str) -> usize {
    let (mut rest, mut found) = (text, 0);
    for step in task.worked() {
        // "is twelve" is not "is twelve hundred", nor a part of "is twelvefold"
        let whole = |at: &usize| !rest[at + step.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '-');
        if let Some(at) = rest.match_indices(&step).map(|(at, _)| at).find(whole) {
            rest = &rest[at + step.len()..];
            found += 1;
        }
    }
    found
}
