//! Columns of scored pairs.
use crate::experiment::PairRow;

/// The columns of a stage's `pairs.jsonl`.
pub(super) struct PairColumns {
    pub(super) chosen: Vec<f64>,
    pub(super) rejected: Vec<f64>,
    pub(super) chosen_tokens: Vec<usize>,
    pub(super) rejected_tokens: Vec<usize>,
    /// log-probabilities under the reference, chosen and rejected; nothing for the model at the start
    pub(super) reference: Option<[Vec<f64>; 2]>,
    /// rewards of chosen and rejected by the stage's objective
    pub(super) rewards: Option<[Vec<f64>; 2]>,
}

impl PairColumns {
    pub(super) fn of<'a>(rows: impl Iterator<Item = &'a PairRow> + Clone) -> Self {
        let both = |a: fn(&PairRow) -> Option<f64>, b: fn(&PairRow) -> Option<f64>| {
            let side = |f: fn(&PairRow) -> Option<f64>| rows.clone().map(f).collect::<Option<Vec<f64>>>();
            side(a).zip(side(b)).map(|(a, b)| [a, b])
        };
        PairColumns {
            chosen: rows.clone().map(|r| r.chosen_logps).collect(),
            rejected: rows.clone().map(|r| r.rejected_logps).collect(),
            chosen_tokens: rows.clone().map(|r| r.chosen_tokens).collect(),
            rejected_tokens: rows.clone().map(|r| r.rejected_tokens).collect(),
            reference: both(|r| r.ref_chosen_logps, |r| r.ref_rejected_logps),
            rewards: both(|r| r.chosen_reward, |r| r.rejected_reward),
        }
    }

    /// Chosen minus rejected log-probability.
    pub(super) fn margins(&self) -> Vec<f64> {
        difference(&self.chosen, &self.rejected)
    }

    /// The same per token of each completion.
    pub(super) fn margins_per_token(&self) -> Vec<f64> {
        let mean = |l: &[f64], n: &[usize]| l.iter().zip(n).map(|(l, n)| l / (*n).max(1) as f64).collect::<Vec<_>>();
        difference(&mean(&self.chosen, &self.chosen_tokens), &mean(&self.rejected, &self.rejected_tokens))
    }

    /// Chosen minus rejected reward.
    pub(super) fn reward_margins(&self) -> Option<Vec<f64>> {
        self.rewards.as_ref().map(|[won, lost]| difference(won, lost))
    }
}

pub(super) fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}
