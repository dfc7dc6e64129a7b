//! The options of a stage that distils.
use crate::error::TrainError;
use crate::online::RolloutOptions;
use crate::stage::Stage;
use serde::{Deserialize, Serialize};
use tropism_credit::{AlignDistil, Alignment};

/// A stage that brings the policy's distribution at each token nearer to a teacher's, which is made of two earlier models.
///
/// Off policy the completions are those that the data prefer, on policy (with `rollout`) they are the policy's own, sampled
/// anew in each step. Sampled tokens are constants. AlignDistil's `favoured` was trained on the data's pairs, its `other` on
/// the same pairs with the sides swapped ([`Stage::swap_pairs`]); its student starts where these started.
///
/// Source: Zhang et al. 2025, arXiv 2503.02832; see [`aligndistil()`](tropism_credit::aligndistil()). A stage of
/// `epochs` passes learns from each row, or prompt, once a pass.
///
/// Of each step's distilled tokens the metrics tell the means of `strength`, `total_variation` of the two models,
/// `expected_reward`, `teacher_distance` (the loss's distance without its weight), and the reverse KL of the policy in nats: to
/// the composed teacher (`kl/teacher`, at the loss's temperature), and to the two models that it is made of (`kl/favoured`,
/// `kl/other`, without it).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DistilOptions {
    /// how the teacher is made, and how far the policy is from it
    #[serde(default)]
    pub loss: AlignDistil,
    /// the stage whose model the teacher moves towards; `model` for the model that the run started from
    pub favoured: String,
    /// the stage whose model the teacher moves away from
    pub other: String,
    /// which logits belong to a completion: `"predictions"` of its tokens (the default), or as the authors' code takes them
    #[serde(default)]
    pub alignment: Alignment,
    /// sample completions with the policy, in place of those of the data
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutOptions>,
}

impl DistilOptions {
    /// Distillation from the models of two stages, on the completions of the data.
    pub fn new(loss: AlignDistil, favoured: impl Into<String>, other: impl Into<String>) -> Self {
        let (favoured, other) = (favoured.into(), other.into());
        DistilOptions { loss, favoured, other, alignment: Alignment::default(), rollout: None }
    }

    /// Whether it samples completions.
    pub fn on_policy(&self) -> bool {
        self.rollout.is_some()
    }
}

impl Stage<DistilOptions> {
    /// Checks every option.
    ///
    /// # Errors
    /// Names the stage, the option and what would do.
    pub fn check(&self) -> Result<(), TrainError> {
        let o = &self.objective;
        o.loss.check()?;
        self.check_shared(("distil", false))?;
        let refuse = |key, problem: String| Err(TrainError::Config { stage: self.name.clone(), key, problem });
        if o.favoured == o.other {
            return refuse("other", format!("is `{}` as `favoured` is; a teacher is made of two models", o.other));
        }
        if o.rollout.as_ref().is_some_and(|r| r.engine.is_some()) {
            return refuse("rollout.engine", "is set, but a stage that distils samples by itself; remove it".into());
        }
        if o.rollout.as_ref().is_some_and(|r| r.turn_tokens.is_some()) {
            let problem = "is set, but a stage that distils learns from completions of one turn; remove it";
            return refuse("rollout.turn_tokens", problem.into());
        }
        match o.rollout.as_ref().and_then(RolloutOptions::problem) {
            Some((key, problem)) => refuse(key, problem),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_option_is_named() {
        let problem = |toml: &str| {
            let options: DistilOptions = toml::from_str(&format!("favoured = 'dpo'\n{toml}")).unwrap();
            Stage::of("d", options, 1e-3).check().map_err(|e| e.to_string())
        };
        assert_eq!(problem("other = 'reverse'"), Ok(()));
        assert!(problem("other = 'dpo'").unwrap_err().contains("`other` is `dpo`"));
        assert!(problem("other = 'r'\nloss = { beta = 0.0 }").unwrap_err().contains("beta"));
        let engine = "other = 'r'\nrollout.engine = { type = 'openai', url = 'http://h', model = 'm', folder = '/tmp/p' }";
        assert!(problem(engine).unwrap_err().contains("`rollout.engine` is set"));
        assert!(problem("other = 'r'\nrollout = { group = 0 }").unwrap_err().contains("`rollout.group` is 0"));
        assert!(toml::from_str::<DistilOptions>("favoured = 'dpo'").unwrap_err().to_string().contains("other"));
    }
}
