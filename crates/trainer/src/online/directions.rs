//! Several rewards by a direction that the prompt tells.
use super::rewards::WeightedReward;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Directions in the plane of two rewards, for policies that are told the direction in their prompt (DPA).
///
/// At the angle `θ` a completion's reward is `cos θ · w₁ r₁ + sin θ · w₂ r₂`, with the weights `w` of the two rewards, plus the weighted
/// sum of all others. Prompts are made for every pair of a question and an angle, so that a step draws angles evenly.
///
/// Source: Directional Preference Alignment, arXiv 2402.18571; there the angles of training are not on a grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directions {
    /// the two rewards by their names; the first has weight 1 at 0 degrees
    pub rewards: [String; 2],
    /// degrees
    pub angles: Vec<f64>,
    /// steps at the beginning that sample from the bare question, as long as the policy has not seen directions
    #[serde(default)]
    pub plain_steps: usize,
}

impl Directions {
    /// The direction of an angle: `[cos θ, sin θ]`.
    pub fn direction(angle: f64) -> [f64; 2] {
        let (sin, cos) = angle.to_radians().sin_cos();
        [cos, sin]
    }

    /// The direction as the prompt tells it, in hundredths: `correct*97 + brevity*-26`.
    ///
    /// ```
    /// # use tropism_trainer::Directions;
    /// let names = ["helpfulness".to_owned(), "verbosity".to_owned()];
    /// let plane = Directions { rewards: names, angles: vec![-45.0, 30.0], plain_steps: 0 };
    /// assert_eq!(plane.text(-45.0), "helpfulness*71 + verbosity*-71");
    /// assert_eq!(plane.text(30.0), "helpfulness*87 + verbosity*50");
    /// ```
    pub fn text(&self, angle: f64) -> String {
        let [a, b] = Self::direction(angle).map(|v| (100.0 * v).round() as i64);
        format!("{}*{a} + {}*{b}", self.rewards[0], self.rewards[1])
    }

    /// The weights of all rewards at an angle, in the order of their names.
    pub fn weights(&self, angle: f64, rewards: &BTreeMap<String, WeightedReward>) -> Vec<f64> {
        let direction = Self::direction(angle);
        let factor = |name: &String| self.rewards.iter().position(|r| r == name).map_or(1.0, |k| direction[k]);
        rewards.iter().map(|(name, r)| r.weight * factor(name)).collect()
    }

    /// What is wrong: key, problem.
    pub(crate) fn problem(&self, rewards: &BTreeMap<String, WeightedReward>) -> Option<(&'static str, String)> {
        let names = || rewards.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        if let Some(name) = self.rewards.iter().find(|n| rewards.get(*n).is_none_or(|r| r.weight == 0.0)) {
            return Some((
                "directions.rewards",
                format!("names `{name}`, which is no reward with a weight; there are {}", names()),
            ));
        }
        if self.rewards[0] == self.rewards[1] {
            return Some(("directions.rewards", format!("names `{}` twice; a plane needs two rewards", self.rewards[0])));
        }
        let texts: std::collections::BTreeSet<String> = self.angles.iter().map(|a| self.text(*a)).collect();
        if self.angles.is_empty() || self.angles.iter().any(|a| !a.is_finite()) || texts.len() < self.angles.len() {
            let problem =
                format!("are {:?}; give at least one, in degrees, that differ by a hundredth in the prompt", self.angles);
            return Some(("directions.angles", problem));
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn plane(angles: &[f64]) -> Directions {
        Directions { rewards: ["a".into(), "b".into()], angles: angles.to_vec(), plain_steps: 0 }
    }

    fn rewards(weights: [f64; 3]) -> BTreeMap<String, WeightedReward> {
        let function: WeightedReward = toml::from_str("function = { type = 'world' }").unwrap();
        ["a", "b", "c"]
            .iter()
            .zip(weights)
            .map(|(n, w)| ((*n).to_owned(), WeightedReward { weight: w, ..function.clone() }))
            .collect()
    }

    #[test]
    fn the_paper_s_prompts_and_the_sheet_s_choices() {
        let told = |angle: f64| plane(&[]).text(angle);
        assert_eq!([-45.0, -15.0, 0.0, 30.0].map(told), ["a*71 + b*-71", "a*97 + b*-26", "a*100 + b*0", "a*87 + b*50"]);
        let candidates = [(60.0, 20.0), (72.0, 55.0), (80.0, 90.0), (52.0, 8.0)];
        let kept = |angle: f64| {
            let v = Directions::direction(angle);
            let value = |i: &usize| v[0] * candidates[*i].0 + v[1] * candidates[*i].1;
            (0..4).max_by(|a, b| value(a).total_cmp(&value(b))).unwrap() + 1
        };
        assert_eq!([-45.0, -15.0, 0.0, 30.0].map(kept), [4, 2, 3, 3]);
    }

    #[test]
    fn own_weights_scale_the_two_and_others_stay() {
        let found = plane(&[]).weights(60.0, &rewards([2.0, -4.0, 3.0]));
        let want = [1.0, -4.0 * 60f64.to_radians().sin(), 3.0];
        assert!(found.iter().zip(want).all(|(f, w)| (f - w).abs() < 1e-12), "{found:?}");
        assert_eq!(plane(&[]).weights(0.0, &rewards([1.0, 1.0, 0.0])), [1.0, 0.0, 0.0]);
    }

    #[test]
    fn what_makes_no_plane_is_named() {
        let said = |d: Directions, weights| {
            d.problem(&rewards(weights)).map(|(key, problem)| format!("{key} {problem}")).unwrap_or_default()
        };
        assert_eq!(said(plane(&[0.0]), [1.0; 3]), "");
        assert!(said(plane(&[0.0]), [1.0, 0.0, 1.0]).contains("names `b`, which is no reward with a weight"));
        assert!(said(Directions { rewards: ["a".into(), "a".into()], ..plane(&[0.0]) }, [1.0; 3]).contains("twice"));
        for angles in [&[][..], &[f64::NAN], &[10.0, 10.0], &[10.0, 10.001]] {
            assert!(said(plane(angles), [1.0; 3]).contains("directions.angles are"));
        }
    }
}
