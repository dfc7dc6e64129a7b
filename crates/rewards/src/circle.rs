//! A judge whose preferences among styles of answers go in a circle, so that no reward explains them.

use serde::{Deserialize, Serialize};

use crate::RewardError;
use crate::length::words;

/// Styles of answers: how long they are.
pub const STYLES: [&str; 3] = ["short", "middle", "long"];

/// A judge that looks at nothing but the styles of two answers, with exact probabilities.
///
/// ```text
/// P(a ≻ b) = beats[style(a)][style(b)]     beats[i][j] + beats[j][i] = 1
/// ```
///
/// By default short beats middle, middle beats long, and long beats short (rock, paper, scissors), so that every pure style
/// is beaten by another. As only styles count, the win rate of a policy against another follows exactly from how often each
/// writes in which style.
///
/// ```
/// use tropism_rewards::Circle;
///
/// let judge = Circle::default();
/// assert_eq!(judge.compare("Twelve.", "Seven plus five is twelve."), 0.9);
/// let (short, middle) = ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]);
/// assert_eq!(judge.win_rate(short, middle), 0.9);
/// assert_eq!(judge.win_rate([0.5, 0.5, 0.0], short), 0.3);
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Circle {
    /// Most words of a short and of a middle answer. Default: 2 and 8.
    pub most_words: [usize; 2],
    /// How likely the row's style is preferred to the column's.
    pub beats: [[f64; 3]; 3],
}

impl Default for Circle {
    fn default() -> Self {
        Self { most_words: [2, 8], beats: [[0.5, 0.9, 0.2], [0.1, 0.5, 0.8], [0.8, 0.2, 0.5]] }
    }
}

impl Circle {
    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// Bounds that do not rise; entries that are no probabilities, or of which the two of a pair do not add up to 1.
    pub fn check(&self) -> Result<(), RewardError> {
        let bad = |key, value, expected| Err(RewardError::BadKey { reward: "circle".to_owned(), key, value, expected });
        if self.most_words[0] >= self.most_words[1] {
            return bad("most_words", self.most_words[1] as f64, "two numbers that rise");
        }
        for (i, row) in self.beats.iter().enumerate() {
            for (j, &p) in row.iter().enumerate() {
                if !((0.0..=1.0).contains(&p) && (p + self.beats[j][i] - 1.0).abs() < 1e-9) {
                    return bad("beats", p, "probabilities, which add up to 1 with the one across the diagonal");
                }
            }
        }
        Ok(())
    }

    /// The style of a text, an index of [`STYLES`].
    pub fn style(&self, text: &str) -> usize {
        let n = words(text);
        self.most_words.iter().filter(|&&most| n > most).count()
    }

    /// How likely `a` is preferred to `b`.
    pub fn compare(&self, a: &str, b: &str) -> f64 {
        self.beats[self.style(a)][self.style(b)]
    }

    /// How likely an answer of `a` is preferred to one of `b`, where both are shares of the styles.
    pub fn win_rate(&self, a: [f64; 3], b: [f64; 3]) -> f64 {
        let cell = |i: usize, j: usize| a[i] * b[j] * self.beats[i][j];
        (0..3).flat_map(|i| (0..3).map(move |j| (i, j))).map(|(i, j)| cell(i, j)).sum()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn styles_by_words() {
        let style = |text| STYLES[Circle::default().style(text)];
        assert_eq!(
            ["", "Twelve.", "It is twelve.", "one two three four five six seven eight"].map(style),
            ["short", "short", "middle", "middle"]
        );
        assert_eq!(style("one two three four five six seven eight nine"), "long");
    }

    #[test]
    fn preferences_go_in_a_circle_and_no_reward_explains_them() {
        let judge = Circle::default();
        judge.check().unwrap();
        let pure = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        for a in pure {
            assert!(pure.iter().any(|b| judge.win_rate(*b, a) > 0.5));
            for b in pure {
                assert!((judge.win_rate(a, b) + judge.win_rate(b, a) - 1.0).abs() < 1e-12);
            }
        }
        // a reward would give P(a ≻ b) / P(b ≻ a) as a ratio whose product around the circle is 1
        let odds = |a: usize, b: usize| judge.beats[a][b] / judge.beats[b][a];
        assert!((odds(0, 1) * odds(1, 2) * odds(2, 0) - 1.0).abs() > 1.0);
        // the mixed equilibrium: no style wins against it
        let balance = [0.3, 0.3, 0.4];
        assert!(pure.iter().all(|a| (judge.win_rate(*a, balance) - 0.5).abs() < 1e-12));
    }

    #[test]
    fn what_is_no_game_is_named() {
        let said = |change: fn(&mut Circle)| {
            let mut judge = Circle::default();
            change(&mut judge);
            judge.check().unwrap_err().to_string()
        };
        assert!(said(|j| j.most_words = [8, 8]).contains("most_words"));
        assert!(said(|j| j.beats[0][1] = 0.95).contains("beats"));
        assert!(said(|j| j.beats[0][0] = 0.4).contains("beats"));
        assert!(said(|j| j.beats[1][2] = f64::NAN).contains("beats"));
    }
}
