//! From rewards to advantages, for a whole step.
use super::batch::Batch;
use crate::error::TrainError;
use serde::{Deserialize, Serialize};
use tropism_policy_gradient::{
    Advantages, Estimator, Gae, GroupNormalized, Groups, LeaveOneOut, NormalizeThenSum, PolicyGradient, PolicyGradientError,
    Reinforce, ReinforceBaseline, RewardTable, ScaleRewards, Shift, TokenRewards, TurnMixture, Variance, gae,
    group_normalized, leave_one_out, normalize_then_sum, reinforce, reinforce_baseline, sequence_penalty, token_rewards,
    turn_mixture, whiten,
};

/// How rewards become advantages. In a configuration file the name stands in `method`, options stand beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
#[non_exhaustive]
pub enum AdvantageOptions {
    /// against the group; see [`group_normalized`]
    GroupNormalized(GroupNormalized),
    /// each reward against the group, then the sum over the batch; see [`normalize_then_sum`]
    NormalizeThenSum(NormalizeThenSum),
    /// against the others of the group; see [`leave_one_out`]
    LeaveOneOut(LeaveOneOut),
    /// rewards to go, whitened over the tokens of the batch; see [`reinforce`]
    ReinforcePlusPlus(Reinforce),
    /// against the group, whitened over the batch; see [`reinforce_baseline`]
    ReinforcePlusPlusBaseline(ReinforceBaseline),
    /// against a critic, whitened over the tokens of the batch; see [`gae`]
    Gae(Gae),
    /// of episodes: the outcome against the group, and up to the first reply of the world also the world's reward of the first turn;
    /// see [`turn_mixture`]. In episodes of one turn, of both rewards' sum
    TurnMixture(TurnMixture),
}

/// KL to the reference in the reward: `coefficient · estimate`, by token where advantages are made by token, and summed
/// over the completion where they are not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardKl {
    /// its weight
    pub coefficient: f64,
    /// the estimate; k1 by default
    #[serde(default = "k1")]
    pub estimator: Estimator,
}

fn k1() -> Estimator {
    Estimator::K1
}

impl RewardKl {
    pub(crate) fn problem(&self) -> Option<String> {
        let sound = self.coefficient > 0.0 && self.coefficient.is_finite();
        (!sound).then(|| format!("has the coefficient {}; it must be above 0, or leave the table out", self.coefficient))
    }
}

/// Credit for the tokens of a step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Credit {
    /// one advantage for all tokens of a completion
    Rows(Vec<f64>),
    /// one for each token, by completion
    Tokens(Vec<Vec<f64>>),
}

/// What rewards were turned into.
pub(crate) struct Credited {
    pub(crate) credit: Credit,
    /// completions that the loss keeps
    pub(crate) kept: Vec<bool>,
    /// what a critic should predict, by completion and token
    pub(crate) returns: Option<Vec<Vec<f64>>>,
}

impl AdvantageOptions {
    /// What belongs to a loss.
    pub fn of(loss: &PolicyGradient) -> Self {
        match loss {
            PolicyGradient::DrGrpo(_) => {
                Self::GroupNormalized(GroupNormalized::default().with_scale_rewards(ScaleRewards::None))
            }
            PolicyGradient::Rloo(_) => Self::LeaveOneOut(LeaveOneOut::default()),
            PolicyGradient::ReinforcePlusPlus(_) => Self::ReinforcePlusPlus(Reinforce::default()),
            PolicyGradient::Ppo(ppo) if ppo.value_coefficient != 0.0 => Self::Gae(Gae::default()),
            _ => Self::GroupNormalized(GroupNormalized::default()),
        }
    }

    /// The name in configuration files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::GroupNormalized(_) => "group_normalized",
            Self::NormalizeThenSum(_) => "normalize_then_sum",
            Self::LeaveOneOut(_) => "leave_one_out",
            Self::ReinforcePlusPlus(_) => "reinforce_plus_plus",
            Self::ReinforcePlusPlusBaseline(_) => "reinforce_plus_plus_baseline",
            Self::Gae(_) => "gae",
            Self::TurnMixture(_) => "turn_mixture",
        }
    }

    /// Checks the options.
    pub(crate) fn check(&self) -> Result<(), PolicyGradientError> {
        match self {
            Self::GroupNormalized(c) => c.check(),
            Self::NormalizeThenSum(c) => c.check(),
            Self::LeaveOneOut(c) => c.check(),
            Self::ReinforcePlusPlus(c) => c.check(),
            Self::ReinforcePlusPlusBaseline(c) => c.check(),
            Self::Gae(c) => c.check(),
            Self::TurnMixture(c) => c.check(),
        }
    }

    /// Whether a critic's values are read.
    pub(crate) fn reads_values(&self) -> bool {
        matches!(self, Self::Gae(_))
    }

    /// Whether completions of one prompt are compared.
    pub(crate) fn compares(&self) -> bool {
        !matches!(self, Self::Gae(_) | Self::ReinforcePlusPlus(_))
    }

    /// Whether the world's rewards of turns are read.
    pub(crate) fn reads_turns(&self) -> bool {
        matches!(self, Self::TurnMixture(_))
    }

    /// Whether advantages are made by token, of rewards by token.
    pub(crate) fn by_token(&self) -> bool {
        matches!(self, Self::Gae(_) | Self::ReinforcePlusPlus(_))
    }

    /// Whether a KL penalty can be taken off the reward.
    pub(crate) fn takes_penalty(&self) -> bool {
        !matches!(self, Self::NormalizeThenSum(_) | Self::TurnMixture(_))
    }

    /// Advantages of a step; the world's rewards of turns count by `turn_weight` where advantages are made by token.
    pub(super) fn credit(&self, batch: &Batch, kl: Option<&RewardKl>, turn_weight: f64) -> Result<Credited, TrainError> {
        let rows = |found: Advantages| Credited { credit: Credit::Rows(found.values), kept: found.kept, returns: None };
        Ok(match self {
            Self::GroupNormalized(c) => rows(group_normalized(&batch.penalised(kl)?, &batch.groups, c)?),
            Self::NormalizeThenSum(c) => rows(normalize_then_sum(&batch.table, &batch.groups, c)?),
            Self::LeaveOneOut(c) => {
                let penalty = batch.penalty(kl)?.unwrap_or_default();
                rows(leave_one_out(&batch.table, &penalty, &batch.groups, c)?)
            }
            Self::ReinforcePlusPlusBaseline(c) => {
                let (width, mask) = (batch.width(), batch.mask());
                rows(reinforce_baseline(&batch.penalised(kl)?, &batch.groups, &mask, width, c)?)
            }
            Self::ReinforcePlusPlus(c) => {
                let (kept, mask) = batch.scored();
                let found = reinforce(&batch.token_rewards(kl, turn_weight)?, &mask, batch.width(), c)?;
                Credited { credit: Credit::Tokens(batch.gather(&found)), kept, returns: None }
            }
            Self::Gae(c) => {
                let (kept, mask) = batch.scored();
                let values = batch.spread(batch.values.as_deref().unwrap_or_default());
                let found = gae(&batch.token_rewards(kl, turn_weight)?, &values, &mask, batch.width(), c)?;
                let white = whiten(&found.advantages, &mask, Variance::Unbiased, Shift::ToZero)?;
                let returns = Some(batch.gather(&found.returns));
                Credited { credit: Credit::Tokens(batch.gather(&white)), kept, returns }
            }
            Self::TurnMixture(c) => batch.mixed_turns(c)?,
        })
    }
}

impl Batch {
    /// Advantages of tokens from the first turn's reward and the outcome, among the completions that have both.
    fn mixed_turns(&self, options: &TurnMixture) -> Result<Credited, TrainError> {
        let mut credit: Vec<Vec<f64>> = self.written.iter().map(|w| vec![0.0; w.len()]).collect();
        let kept: Vec<bool> = self.sums.iter().map(|r| !r.is_nan()).collect();
        let rows: Vec<usize> = (0..self.rows()).filter(|&r| kept[r]).collect();
        if let (Some(turns), false) = (&self.turn_rewards, rows.is_empty()) {
            let (width, mask) = (self.width(), self.mask());
            let pick = |of: &dyn Fn(usize) -> f64| rows.iter().map(|&r| of(r)).collect::<Vec<f64>>();
            let (first, outcome) = (pick(&|r| turns[r].first().copied().unwrap_or(0.0)), pick(&|r| self.sums[r]));
            let replied: Vec<Option<usize>> =
                rows.iter().map(|&r| self.turns[r].get(1).map(|second| second.start)).collect();
            let mask: Vec<bool> = rows.iter().flat_map(|&r| mask[r * width..(r + 1) * width].iter().copied()).collect();
            let groups = Groups::new(&rows.iter().map(|&r| self.groups.of(r)).collect::<Vec<_>>())?;
            let found = turn_mixture(&first, &outcome, &replied, &mask, width, &groups, options)?;
            for (&row, cells) in rows.iter().zip(found.chunks(width)) {
                let len = credit[row].len();
                credit[row].copy_from_slice(&cells[..len]);
            }
        }
        Ok(Credited { credit: Credit::Tokens(credit), kept, returns: None })
    }

    /// The KL penalty of each completion, where there is one.
    fn penalty(&self, kl: Option<&RewardKl>) -> Result<Option<Vec<f64>>, PolicyGradientError> {
        let (Some(kl), Some(old), Some(reference)) = (kl, &self.old, &self.reference) else { return Ok(None) };
        let (old, reference, mask) = (self.spread(old), self.spread(reference), self.mask());
        sequence_penalty(&old, &reference, &mask, self.width(), kl.coefficient, kl.estimator).map(Some)
    }

    /// The rewards, less the KL penalty.
    fn penalised(&self, kl: Option<&RewardKl>) -> Result<RewardTable, PolicyGradientError> {
        match self.penalty(kl)? {
            None => Ok(self.table.clone()),
            Some(penalty) => {
                let less: Vec<f64> = self.sums.iter().zip(&penalty).map(|(r, p)| r - p).collect();
                RewardTable::single(&less)
            }
        }
    }

    /// Which completions have a reward, and the cells of these.
    fn scored(&self) -> (Vec<bool>, Vec<bool>) {
        let kept: Vec<bool> = self.sums.iter().map(|r| !r.is_nan()).collect();
        let mask = self.mask().iter().enumerate().map(|(i, &m)| m && kept[i / self.width()]).collect();
        (kept, mask)
    }

    /// Rewards by token: the completion's at its last one, those of turns at the last one of each, KL along the way.
    fn token_rewards(&self, kl: Option<&RewardKl>, turn_weight: f64) -> Result<Vec<f64>, PolicyGradientError> {
        if let Some(shaped) = &self.shaped {
            return Ok(self.spread(shaped));
        }
        let scores: Vec<f64> = self.sums.iter().map(|r| if r.is_nan() { 0.0 } else { *r }).collect();
        let old = self.spread(self.old.as_deref().unwrap_or_default());
        let (reference, options) = match (kl, &self.reference) {
            (Some(kl), Some(reference)) => {
                let options = TokenRewards::default().with_kl_coefficient(kl.coefficient).with_estimator(kl.estimator);
                (self.spread(reference), options)
            }
            _ => (old.clone(), TokenRewards::default().with_kl_coefficient(0.0)),
        };
        let mut found = token_rewards(&old, &reference, &self.mask(), &scores, &options)?;
        for (row, rewards) in self.turn_rewards.iter().flatten().enumerate() {
            for (turn, reward) in self.turns[row].iter().zip(rewards) {
                found[row * self.width() + turn.end - 1] += turn_weight * reward;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::single_range_in_vec_init)]
mod tests {
    use super::*;
    use tropism_data::record::Source;
    use tropism_data::tokens::TokenSample;

    /// Two episodes: one of two turns of two and three tokens, one of a single turn of three.
    fn batch() -> Batch {
        let sample =
            |completion: Vec<u32>| TokenSample { source: Source::row("p", 1), prompt: vec![9], completion, given: vec![] };
        Batch {
            samples: vec![sample(vec![1, 2, 3, 4, 5]), sample(vec![1, 2, 3])],
            written: vec![vec![1, 2, 3, 4, 5], vec![1, 2, 3]],
            turns: vec![vec![0..2, 2..5], vec![0..3]],
            turn_rewards: Some(vec![vec![1.0, 10.0], vec![3.0]]),
            groups: Groups::new(&[0, 0]).unwrap(),
            members: vec![0..2],
            table: RewardTable::single(&[1.0, 0.0]).unwrap(),
            sums: vec![1.0, 0.0],
            truncated: vec![false; 2],
            kept: vec![true; 2],
            sampler: vec![vec![0.0; 5], vec![0.0; 3]],
            old: Some(vec![vec![0.0; 5], vec![0.0; 3]]),
            reference: None,
            values: None,
            returns: None,
            shaped: None,
            credit: None,
        }
    }

    #[test]
    fn rewards_of_turns_are_paid_at_the_last_token_of_each() {
        let found = batch().token_rewards(None, 0.5).unwrap();
        assert_eq!(found, [0.0, 0.5, 0.0, 0.0, 1.0 + 5.0, 0.0, 0.0, 1.5, 0.0, 0.0]);
    }

    #[test]
    fn the_first_turn_s_reward_counts_up_to_the_first_reply() {
        let options = TurnMixture::default().with_epsilon(0.0);
        let Credit::Tokens(found) = batch().mixed_turns(&options).unwrap().credit else { panic!() };
        // two values lie sqrt(1/2) of their deviation from their mean; the first turn's rewards are 1 and 3, the sums 2 and 3
        let z = 0.5f64.sqrt();
        let want = [vec![0.0, 0.0, z, z, z], vec![z; 3]];
        let close = found.iter().flatten().zip(want.iter().flatten()).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(close && found[0].len() == 5 && found[1].len() == 3, "{found:?}");
    }
}
