//! The options of a stage that trains a reward model.
use crate::error::TrainError;
use crate::rows::Rows;
use crate::stage::Stage;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tropism_objectives::{BradleyTerry, RewardMargin};

/// A stage that trains heads on the model's states, and the model below them, to score the preferred completion of a pair
/// higher.
///
/// With the score `r_a` of head `a`, the pairs `P_a` that it has an opinion on, and weights `w_a`:
///
/// ```text
/// loss = Σ_a w_a / |P_a| Σ_{P_a} −log σ(r_a(won) − r_a(lost) − m) + c (r_a(won) + r_a(lost))²
/// ```
///
/// `m` and `c` are the options of [`bradley_terry`](tropism_objectives::bradley_terry()). The stage ends with a folder that
/// [`RewardModel::load`](crate::RewardModel::load) reads. A head's name is what a reward's `head` asks for.
///
/// Source: Ouyang et al. 2022, arXiv 2203.02155; TRL's reward trainer, whose scores are those of a head without a bias at the
/// last token, and whose figures have the same names here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RewardModelOptions {
    /// margin and centring of the loss
    pub loss: BradleyTerry,
    /// the heads; one of the name `reward` when left out
    pub heads: BTreeMap<String, Aspect>,
    /// where a completion's score is read
    pub pooling: Pooling,
}

impl Default for RewardModelOptions {
    fn default() -> Self {
        let heads = BTreeMap::from([("reward".to_owned(), Aspect::default())]);
        RewardModelOptions { loss: BradleyTerry::default(), heads, pooling: Pooling::default() }
    }
}

/// One head: an aspect that pairs are compared by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Aspect {
    /// column of the data that says by how much the chosen side is better in this aspect: below 0 the rejected side won, at 0
    /// the pair says nothing. Left out, the chosen side won.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// weight of the head's loss
    pub weight: f64,
}

impl Default for Aspect {
    fn default() -> Self {
        Aspect { column: None, weight: 1.0 }
    }
}

/// Where a completion's score is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// at its last token
    #[default]
    Last,
    /// as the mean over all of its tokens: a reward for each token, learnt from pairs of whole completions
    Mean,
}

impl RewardModelOptions {
    /// Names of the columns that the heads and the margin read.
    pub fn columns(&self) -> Vec<String> {
        let margin = (self.loss.margin == RewardMargin::Column).then(|| "margin".to_owned());
        self.heads.values().filter_map(|a| a.column.clone()).chain(margin).collect()
    }

    fn problem(&self) -> Option<(&'static str, String)> {
        if self.heads.is_empty() {
            return Some(("heads", "is empty; leave it out for one head of the name `reward`".into()));
        }
        for (name, aspect) in &self.heads {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if name.is_empty() || !name.chars().all(plain) {
                return Some(("heads", format!("has an entry `{name}`; a name is made of letters, digits, `_` and `-`")));
            }
            if !(aspect.weight > 0.0 && aspect.weight.is_finite()) {
                return Some(("heads", format!("has an entry `{name}` of weight {}; it must be above 0", aspect.weight)));
            }
        }
        None
    }
}

impl Stage<RewardModelOptions> {
    /// Checks every option.
    ///
    /// # Errors
    /// Names the stage, the option and what would do.
    pub fn check(&self) -> Result<(), TrainError> {
        self.objective.loss.check()?;
        self.check_shared(("reward_model", false))?;
        match self.objective.problem() {
            None => Ok(()),
            Some((key, problem)) => Err(TrainError::Config { stage: self.name.clone(), key, problem }),
        }
    }

    /// Checks every option, and whether the heads can learn from these rows.
    ///
    /// # Errors
    /// As [`check`](Self::check); rows that are no pairs, no rows, a column that not all of them have, a head that no row says
    /// anything about.
    pub fn check_rows(&self, rows: &Rows) -> Result<(), TrainError> {
        self.check()?;
        let refuse = |key, problem: String| Err(TrainError::Config { stage: self.name.clone(), key, problem });
        if !matches!(rows, Rows::Pairs(_)) || rows.is_empty() {
            return refuse("reward_model", "has no pairs to learn from; look at the audit of the data".into());
        }
        for column in self.objective.columns() {
            if rows.numbers(&column).is_none() {
                return refuse("heads", format!("reads the column `{column}`, which not all rows have"));
            }
        }
        let gaps = |a: &Aspect| a.column.as_ref().and_then(|c| rows.numbers(c));
        for (name, aspect) in &self.objective.heads {
            if gaps(aspect).is_some_and(|g| g.iter().all(|v| *v == 0.0 || v.is_nan())) {
                return refuse("heads", format!("has an entry `{name}` that no row says anything about"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_option_is_named() {
        let problem = |toml: &str| {
            let options: RewardModelOptions = toml::from_str(toml).unwrap();
            Stage::of("r", options, 1e-3).check().map_err(|e| e.to_string())
        };
        assert_eq!(problem(""), Ok(()));
        assert!(problem("heads = {}").unwrap_err().contains("`heads` is empty"));
        assert!(problem("heads = { 'a b' = {} }").unwrap_err().contains("`a b`"));
        assert!(problem("heads = { a = { weight = 0.0 } }").unwrap_err().contains("of weight 0"));
        assert!(problem("loss = { centring = -1.0 }").unwrap_err().contains("centring"));
        assert!(toml::from_str::<RewardModelOptions>("poolign = 'last'").is_err());
    }
}
