//! Settings of the world of arithmetic.

use serde::{Deserialize, Serialize};
use tropism_rewards::{LengthPenalty, Unit};

use super::{AnswerKind, Chains, Operation, Template, WORLD};
use crate::WorldError;

/// Largest `max_operand`: above it the tasks become too many to be held one by one.
const MOST_OPERAND: i64 = 99;

/// Most chains of a difficulty.
const MOST_CHAINS: usize = 20_000;

/// Settings of [`Arithmetic`](super::Arithmetic).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArithmeticConfig {
    /// Operands go from 1 to this number. From 1 to 99, default 9.
    pub max_operand: i64,
    /// Operations asked for. Default: plus and minus.
    pub operations: Vec<Operation>,
    /// Wordings of the prompts. Default: all.
    pub templates: Vec<Template>,
    /// Whether differences may be negative. Never in stories. Default: no.
    pub negative_results: bool,
    /// Tasks of several steps in place of those of one. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chains: Option<Chains>,
    /// How answers of corpora and pairs are mixed.
    pub mix: Mix,
    /// How answers are rewarded.
    pub reward: RewardConfig,
}

impl Default for ArithmeticConfig {
    fn default() -> Self {
        Self {
            max_operand: 9,
            operations: vec![Operation::Plus, Operation::Minus],
            templates: vec![Template::Question, Template::Request, Template::Story],
            negative_results: false,
            chains: None,
            mix: Mix::default(),
            reward: RewardConfig::default(),
        }
    }
}

impl ArithmeticConfig {
    /// Checks all settings.
    ///
    /// # Errors
    ///
    /// Names the first key with a bad value: `max_operand` out of range, empty or repeating
    /// `operations` or `templates`, chains of products or below 0, and those of [`Mix::check`] and [`RewardConfig::check`].
    pub fn check(&self) -> Result<(), WorldError> {
        if !(1..=MOST_OPERAND).contains(&self.max_operand) {
            return bad("max_operand", self.max_operand, "from 1 to 99");
        }
        let listed = "a list of at least one, without repetitions";
        if !all_different(&self.operations) {
            return bad("operations", format!("{:?}", self.operations), listed);
        }
        if !all_different(&self.templates) {
            return bad("templates", format!("{:?}", self.templates), listed);
        }
        if let Some(chains) = &self.chains {
            self.check_chains(chains)?;
        }
        self.mix.check()?;
        self.reward.check()
    }

    fn check_chains(&self, chains: &Chains) -> Result<(), WorldError> {
        let sound = chains.operands.is_sorted() && chains.operands.iter().all(|n| (2..=9).contains(n));
        if !sound {
            return bad("chains.operands", format!("{:?}", chains.operands), "three numbers from 2 to 9 that do not fall");
        }
        if !(1..=MOST_CHAINS).contains(&chains.tasks) {
            return bad("chains.tasks", chains.tasks, "from 1 to 20000");
        }
        if self.operations.contains(&Operation::Times) {
            return bad("operations", format!("{:?}", self.operations), "plus and minus, or one of them, in chains");
        }
        if self.negative_results {
            return bad("negative_results", true, "false in chains");
        }
        Ok(())
    }
}

fn all_different<T: PartialEq>(items: &[T]) -> bool {
    let repeated = |index: usize| items[..index].contains(&items[index]);
    !items.is_empty() && !(1..items.len()).any(repeated)
}

fn bad<T>(key: &'static str, value: impl ToString, expected: &'static str) -> Result<T, WorldError> {
    Err(WorldError::BadValue { world: WORLD, key, value: value.to_string(), expected })
}

/// Relative weights of the kinds of answer, and the share of wrong ones.
///
/// The default is mediocre on purpose, so that preference training has something to improve.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mix {
    /// Weight of [`AnswerKind::Terse`]. Default 0.10.
    pub terse: f64,
    /// Weight of [`AnswerKind::Sentence`]. Default 0.30.
    pub sentence: f64,
    /// Weight of [`AnswerKind::Polite`]. Default 0.10.
    pub polite: f64,
    /// Weight of [`AnswerKind::Hedging`]. Default 0.15.
    pub hedging: f64,
    /// Weight of [`AnswerKind::Rambling`]. Default 0.25.
    pub rambling: f64,
    /// Weight of [`AnswerKind::Evasive`]. Default 0.10.
    pub evasive: f64,
    /// Weight of [`AnswerKind::Reasoned`]. Default 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub reasoned: f64,
    /// Weight of [`AnswerKind::Checked`]. Default 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub checked: f64,
    /// Weight of [`AnswerKind::Courteous`]. Default 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub courteous: f64,
    /// Probability that an answer that states a number states a near miss. Default 0.25.
    pub wrong: f64,
}

impl Default for Mix {
    fn default() -> Self {
        let (terse, sentence, polite, hedging, rambling, evasive) = (0.10, 0.30, 0.10, 0.15, 0.25, 0.10);
        Self {
            terse,
            sentence,
            polite,
            hedging,
            rambling,
            evasive,
            reasoned: 0.0,
            checked: 0.0,
            courteous: 0.0,
            wrong: 0.25,
        }
    }
}

fn is_zero(weight: &f64) -> bool {
    *weight == 0.0
}

impl Mix {
    /// Checks the weights.
    ///
    /// # Errors
    ///
    /// When a weight is negative or not finite, all weights are 0 or their sum overflows, or
    /// `wrong` is no probability.
    pub fn check(&self) -> Result<(), WorldError> {
        const KEYS: [&str; 9] = [
            "mix.terse",
            "mix.sentence",
            "mix.polite",
            "mix.hedging",
            "mix.rambling",
            "mix.evasive",
            "mix.reasoned",
            "mix.checked",
            "mix.courteous",
        ];
        for (key, weight) in KEYS.into_iter().zip(self.weights()) {
            if !(weight.is_finite() && weight >= 0.0) {
                return bad(key, weight, "a finite number, 0 or more");
            }
        }
        let sum: f64 = self.weights().iter().sum();
        if !(sum.is_finite() && sum > 0.0) {
            return bad("mix", sum, "weights with a finite sum above 0");
        }
        if !(0.0..=1.0).contains(&self.wrong) {
            return bad("mix.wrong", self.wrong, "a probability from 0 to 1");
        }
        Ok(())
    }

    /// The weights in the order of [`AnswerKind::ALL`].
    pub(super) fn weights(&self) -> [f64; 9] {
        AnswerKind::ALL.map(|kind| match kind {
            AnswerKind::Terse => self.terse,
            AnswerKind::Sentence => self.sentence,
            AnswerKind::Polite => self.polite,
            AnswerKind::Hedging => self.hedging,
            AnswerKind::Rambling => self.rambling,
            AnswerKind::Evasive => self.evasive,
            AnswerKind::Reasoned => self.reasoned,
            AnswerKind::Checked => self.checked,
            AnswerKind::Courteous => self.courteous,
        })
    }
}

/// Sizes of the terms of the reward; the formula stands at [`RewardParts`](super::RewardParts).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RewardConfig {
    /// Reward of the right number. Default 1.
    pub correct: f64,
    /// Taken off where no number is stated. Default 0.1.
    pub unreadable: f64,
    /// Words that cost nothing. Default 6.
    pub target_words: usize,
    /// Taken off for each word over the target. Default 0.03.
    pub per_word: f64,
    /// Most that the length takes off. Default 0.4.
    pub most_length: f64,
    /// Taken off for each hedging word. Default 0.05.
    pub per_hedge: f64,
    /// Most hedging words that are counted. Default 3.
    pub most_hedges: usize,
    /// Given for a single full stop at the end. Default 0.05.
    pub full_stop: f64,
}

impl Default for RewardConfig {
    fn default() -> Self {
        Self {
            correct: 1.0,
            unreadable: 0.1,
            target_words: 6,
            per_word: 0.03,
            most_length: 0.4,
            per_hedge: 0.05,
            most_hedges: 3,
            full_stop: 0.05,
        }
    }
}

impl RewardConfig {
    /// Checks the sizes.
    ///
    /// # Errors
    ///
    /// When a size is negative or not finite, or when correctness does not dominate: `correct` must
    /// be above `most_length + per_hedge · most_hedges + full_stop`, so that every right answer
    /// has a higher reward than every other.
    pub fn check(&self) -> Result<(), WorldError> {
        let sizes = [
            ("reward.correct", self.correct),
            ("reward.unreadable", self.unreadable),
            ("reward.per_word", self.per_word),
            ("reward.most_length", self.most_length),
            ("reward.per_hedge", self.per_hedge),
            ("reward.full_stop", self.full_stop),
        ];
        for (key, value) in sizes {
            if !(value.is_finite() && value >= 0.0) {
                return bad(key, value, "a finite number, 0 or more");
            }
        }
        let others = self.most_length + self.most_hedging() + self.full_stop;
        let spread = self.correct + self.unreadable + others;
        if !(self.correct > others && spread.is_finite()) {
            let expected = "finite and above the sum of `most_length`, `per_hedge` times `most_hedges`, and `full_stop`";
            return bad("reward.correct", self.correct, expected);
        }
        Ok(())
    }

    pub(super) fn most_hedging(&self) -> f64 {
        self.per_hedge * self.most_hedges as f64
    }

    pub(super) fn length_penalty(&self) -> LengthPenalty {
        LengthPenalty { unit: Unit::Words, target: self.target_words, slope: self.per_word, floor: -self.most_length }
    }
}
