//! Token rewards of a model that preference training made.
use super::batch::Batch;
use super::pass::Model;
use super::run::OnlineRun;
use super::steps::SENTENCE_ENDS;
use crate::error::TrainError;
use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tropism_core::TokenLogps;
use tropism_credit::{Payout, Rto, RtoModels, rto_rewards};
use tropism_lm::{Decoder, Dims};
use tropism_ops::Scalar;

/// Token rewards beside the reward of a completion: the log-ratios between a model that preference training made and the
/// stage's reference, as in RTO. They take the place of `reward_kl`, whose weight is theirs.
///
/// Source: Zhong et al. 2024, arXiv 2404.18922; see [`rto_rewards`]. `reference` of the stage should be the reference of the
/// preference training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRewardOptions {
    /// the stage that ended with that model
    pub model: String,
    /// scale and bound of its log-ratios, weight of the KL penalty, when they are paid
    #[serde(default)]
    pub rto: Rto,
}

impl TokenRewardOptions {
    /// RTO's token rewards of the model that a stage ended with.
    pub fn new(model: impl Into<String>, rto: Rto) -> Self {
        TokenRewardOptions { model: model.into(), rto }
    }
}

impl<M: Dims, E: Scalar> OnlineRun<'_, M, E>
where
    Cpu: Device<E>,
{
    /// Gives the stage the model whose log-ratios to the reference are its token rewards.
    ///
    /// # Errors
    /// When the stage has no `token_rewards`.
    pub fn with_guide(mut self, mut guide: Decoder<M, E>) -> Result<Self, TrainError> {
        if self.stage.objective.token_rewards.is_none() {
            let problem = "is not set, but there is a model for it".to_owned();
            return Err(TrainError::Config { stage: self.stage.name.clone(), key: "token_rewards", problem });
        }
        guide.precision = self.stage.precision.into();
        self.guide = Some(guide);
        Ok(self)
    }

    /// Puts the token rewards of a step into its batch, where the stage has any; their figures.
    pub(super) fn shape(&self, batch: &mut Batch) -> Result<Map<String, Value>, TrainError> {
        let mut figures = Map::new();
        let Some(options) = &self.stage.objective.token_rewards else { return Ok(figures) };
        let (Some(guide), Some(old), Some(reference)) = (&self.guide, &batch.old, &batch.reference) else {
            let problem = format!("needs the model of `{}`, which is not at hand; see with_guide", options.model);
            return Err(TrainError::Config { stage: self.stage.name.clone(), key: "token_rewards", problem });
        };
        let all: Vec<usize> = (0..batch.members.len()).collect();
        let (lengths, temperature) = (batch.lengths(&all), self.stage.objective.rollout.temperature);
        let model = Model { trunk: guide, critic: None, temperature };
        let parts = (lengths.as_slice(), batch.members.as_slice());
        let [guided, _] = model.score(&batch.samples, parts, self.stage.micro_batch_tokens)?;
        let mask = batch.mask();
        let table = |values: &[Vec<f64>]| -> Result<TokenLogps<usize, usize, f64, Cpu>, TrainError> {
            let cells = Cpu::default().try_tensor_from_vec(batch.spread(values), (batch.rows(), batch.width()))?;
            Ok(TokenLogps::new(cells, &mask)?)
        };
        let (old, reference, guided) = (table(old)?, table(reference)?, table(&guided)?);
        let models = RtoModels { old: &old, reference: &reference, dpo: Some(&guided) };
        let scores: Vec<f64> = batch.sums.iter().map(|r| if r.is_nan() { 0.0 } else { *r }).collect();
        let ends = match options.rto.payout {
            Payout::Sentences => {
                let rows = batch.ends(&self.environment, &SENTENCE_ENDS.map(str::to_owned))?;
                let numbers: Vec<Vec<f64>> =
                    rows.iter().map(|r| r.iter().map(|e| f64::from(u8::from(*e))).collect()).collect();
                Some(batch.spread(&numbers).iter().map(|v| *v == 1.0).collect::<Vec<bool>>())
            }
            _ => None,
        };
        let found = rto_rewards(&models, &scores, ends.as_deref(), &options.rto)?;
        let per_row = |cells: &[f64]| cells.iter().sum::<f64>() / batch.rows() as f64;
        let tokens = mask.iter().filter(|m| **m).count().max(1) as f64;
        let clipped = found.clipped.iter().sum::<usize>() as f64 / tokens;
        for (name, value) in [
            ("objective/kl", per_row(&found.kl)),
            ("objective/rlhf_reward", per_row(&found.rewards)),
            ("token_rewards/sum", per_row(&found.dpo)),
            ("token_rewards/clip_ratio", clipped),
        ] {
            figures.insert(name.into(), value.into());
        }
        batch.shaped = Some(batch.gather(&found.rewards));
        Ok(figures)
    }
}
