//! Both orders of a pair: how two verdicts become one, and what they say about the judge.
use super::verdict::{Choice, Verdict};
use serde::{Deserialize, Serialize};

/// How the verdicts on both orders of a pair become one score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SwapRule {
    /// an answer wins when both verdicts say so; anything else is a tie (FastChat's rule for MT-bench)
    #[default]
    Agree,
    /// the mean of both scores, so that probabilities count
    Mean,
}

/// Which orders of a pair are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Orders {
    /// as given: half the cost, and position bias cannot be seen
    One,
    /// as given and exchanged
    Both(SwapRule),
}

impl Default for Orders {
    fn default() -> Self {
        Orders::Both(SwapRule::default())
    }
}

impl SwapRule {
    /// The score of the pair's first answer, from the verdict as given and the one on the exchanged question.
    ///
    /// ```
    /// use tropism_evaluation::judge::{Choice, SwapRule, Verdict};
    /// let first = Verdict::plain(Choice::A); // whichever comes first
    /// assert_eq!(SwapRule::Agree.combine(first, first), 0.5);
    /// assert_eq!(SwapRule::Agree.combine(first, first.swapped()), 1.0);
    /// ```
    pub fn combine(self, given: Verdict, exchanged: Verdict) -> f64 {
        let back = exchanged.swapped();
        match self {
            SwapRule::Mean => (given.score() + back.score()) / 2.0,
            SwapRule::Agree if given.choice == back.choice => Verdict::plain(given.choice).score(),
            SwapRule::Agree => 0.5,
        }
    }
}

/// Where the winners of a judge's verdicts stood, for its position bias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PositionCounts {
    /// verdicts for the answer shown first
    pub first: usize,
    /// verdicts for the answer shown second
    pub second: usize,
    /// ties
    pub ties: usize,
    /// pairs whose two orders got the same verdict
    pub consistent: usize,
    /// pairs with verdicts on both orders
    pub both: usize,
}

impl PositionCounts {
    /// Counts the verdicts on both orders of one pair.
    pub fn add(&mut self, given: Verdict, exchanged: Verdict) {
        for verdict in [given, exchanged] {
            match verdict.choice {
                Choice::A => self.first += 1,
                Choice::B => self.second += 1,
                Choice::Tie => self.ties += 1,
            }
        }
        self.both += 1;
        self.consistent += usize::from(given.choice == exchanged.choice.swapped());
    }

    /// `P(first wins) − ½` over both orders, ties by half: 0 for a judge that does not look at the order. Nothing without
    /// pairs that were judged in both orders.
    pub fn bias(&self) -> Option<f64> {
        let n = (self.first + self.second + self.ties) as f64;
        (self.both > 0).then(|| (self.first as f64 + 0.5 * self.ties as f64) / n - 0.5)
    }

    /// Share of pairs whose two orders got the same verdict.
    pub fn consistency(&self) -> Option<f64> {
        (self.both > 0).then(|| self.consistent as f64 / self.both as f64)
    }
}
