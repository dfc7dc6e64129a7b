//! The best response for a direction of rewards (DPA).

use serde::{Deserialize, Serialize};

use super::options::options;
use super::{Scores, TieRule};
use crate::DataError;
use crate::stream::Stream;

/// Which directions a prompt gets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Angles {
    /// So many angles, drawn evenly from the range.
    Drawn(usize),
    /// So many angles, evenly spaced over the range with both ends; a single one is its middle.
    Grid(usize),
}

options! {
    /// Options of [`directions`].
    Directions = "directions" {
        /// The two aspects: the first along 0°, the second along 90°.
        aspects: [String; 2] = [String::new(), String::new()];
        /// Range of the angle, in degrees.
        degrees: [f64; 2] = [-45.0, 45.0];
        /// Which directions each prompt gets.
        angles: Angles = Angles::Drawn(1);
        /// System message that carries the direction; `{first}` and `{second}` stand for its parts in hundredths.
        system: String = SYSTEM.to_owned();
        /// Whether the worst response goes along as the rejected side of a pair.
        pairs: bool = false;
    }
}

/// What the model is told.
const SYSTEM: &str = "You are a helpful assistant. Your response should maximize weighted rating = {first_name}*{first} + \
                      {second_name}*{second}.";

impl Directions {
    /// Checks the values.
    ///
    /// # Errors
    /// Unnamed or equal aspects, a range that is not one, no angle, a system message that does not tell the direction.
    pub fn check(&self) -> Result<(), DataError> {
        let [first, second] = &self.aspects;
        if first.is_empty() || second.is_empty() || first == second {
            let reason = "name two different aspects, as `aspects = [\"helpfulness\", \"verbosity\"]`";
            return Err(DataError::config("aspects", format!("{:?}", self.aspects), reason));
        }
        let [low, high] = self.degrees;
        if !(low <= high && low >= -180.0 && high <= 180.0) {
            return Err(DataError::config("degrees", format!("{:?}", self.degrees), "must rise and lie within ±180"));
        }
        if matches!(self.angles, Angles::Drawn(0) | Angles::Grid(0)) {
            return Err(DataError::config("angles", 0, "must be at least 1"));
        }
        if !(self.system.contains("{first}") && self.system.contains("{second}")) {
            let reason = "must contain {first} and {second}, else the model is not told the direction";
            return Err(DataError::config("system", &self.system, reason));
        }
        Ok(())
    }

    /// The angles of a prompt, in degrees.
    fn degrees(&self, stream: &mut Stream) -> Vec<f64> {
        let [low, high] = self.degrees;
        match self.angles {
            Angles::Drawn(count) => (0..count).map(|_| low + (high - low) * stream.uniform()).collect(),
            Angles::Grid(1) => vec![(low + high) / 2.0],
            Angles::Grid(count) => (0..count).map(|i| low + (high - low) * i as f64 / (count - 1) as f64).collect(),
        }
    }

    /// The system message for a direction.
    ///
    /// ```
    /// use tropism_data::construct::Directions;
    /// let options = Directions { aspects: ["helpfulness".into(), "verbosity".into()], ..Directions::default() };
    /// let angle = (-15.0_f64).to_radians();
    /// assert!(options.told([angle.cos(), angle.sin()]).ends_with("= helpfulness*97 + verbosity*-26."));
    /// ```
    pub fn told(&self, direction: [f64; 2]) -> String {
        let [first, second] = direction.map(|part| format!("{}", (100.0 * part).round() + 0.0));
        let names = [("{first_name}", &self.aspects[0]), ("{second_name}", &self.aspects[1])];
        let text = names.into_iter().fold(self.system.clone(), |text, (mark, name)| text.replace(mark, name));
        text.replace("{first}", &first).replace("{second}", &second)
    }
}

/// The response kept for a direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Directed {
    /// The unit vector `(cos θ, sin θ)`.
    pub direction: [f64; 2],
    /// The response with the largest reward along it; of several, the first.
    pub best: usize,
    /// The one with the smallest reward, the last of several; `best` itself where all are equal.
    pub worst: usize,
    /// `vᵀr` of both.
    pub rewards: [f64; 2],
}

/// For each of a prompt's directions the response with the largest reward along it: rejection sampling for directional
/// preference alignment. `aspects` are both aspects of each response.
///
/// Rows: one per prompt and angle, from prompts with at least one response; with `pairs`, pairs of best and worst where the
/// rewards differ. Selection does not change with the length of `v`, nor with a constant added to all rewards of a prompt.
///
/// Source: Wang et al. 2024, arXiv 2402.18571; the published text tells `100 v`, rounded; drawing the angle evenly is our choice.
///
/// ```
/// use tropism_data::construct::{Angles, Directions, directions};
/// let options = Directions { angles: Angles::Grid(3), degrees: [-45.0, 45.0], ..Directions::default() };
/// let (helpfulness, verbosity) = ([60.0, 72.0, 80.0, 52.0], [20.0, 55.0, 90.0, 8.0]);
/// let kept: Vec<usize> = directions("k", [&helpfulness, &verbosity], &options, 0)?.iter().map(|d| d.best).collect();
/// assert_eq!(kept, [3, 2, 2]); // at −45°, 0° and 45°
/// # Ok::<(), tropism_data::DataError>(())
/// ```
///
/// # Errors
/// An aspect's score that is not finite.
pub fn directions(key: &str, aspects: [&[f64]; 2], options: &Directions, seed: u64) -> Result<Vec<Directed>, DataError> {
    let mut stream = Scores::new(key, aspects[0])?.stream(seed, Directions::NAME);
    let mut out = Vec::new();
    for degrees in options.degrees(&mut stream) {
        let (second, first) = degrees.to_radians().sin_cos();
        let rewards: Vec<f64> = aspects[0].iter().zip(aspects[1]).map(|(a, b)| first * a + second * b).collect();
        let scores = Scores::new(key, &rewards)?;
        let order = scores.order();
        if let (Some(&best), Some(&last)) = (order.first(), order.last()) {
            let worst = if scores.gap(best, last) > TieRule::default().tie_margin { last } else { best };
            out.push(Directed { direction: [first, second], best, worst, rewards: [rewards[best], rewards[worst]] });
        }
    }
    Ok(out)
}
