//! Advantages of an entry.

use std::collections::BTreeMap;

use tropism_golden::{Fallible, Inputs, Outcome};

use super::plan::AdvantagePlan;
use crate::*;

/// Computes the advantages.
pub(super) fn evaluate(plan: &AdvantagePlan, inputs: &Inputs<'_>) -> Fallible<Outcome> {
    let rewards = inputs.array("rewards_per_func")?;
    let table = RewardTable::new(&rewards.values, &inputs.vector("reward_weights")?)?;
    let groups = Groups::of_size(rewards.rows, inputs.number("num_generations")? as usize)?;
    let found = match plan {
        AdvantagePlan::Group(config) => group_normalized(&table, &groups, config)?,
        AdvantagePlan::Several(config) => normalize_then_sum(&table, &groups, config)?,
        AdvantagePlan::LeaveOneOut { config, beta } => {
            let kl = inputs.array("kl_token")?;
            let mask: Vec<bool> = inputs.array("mask")?.values.iter().map(|&m| m != 0.0).collect();
            // The file has old minus reference.
            let reference: Vec<f64> = kl.values.iter().map(|k| -k).collect();
            let zeros = vec![0.0; mask.len()];
            let penalty = sequence_penalty(&zeros, &reference, &mask, kl.columns, *beta, Estimator::K1)?;
            leave_one_out(&table, &penalty, &groups, config)?
        }
    };
    Ok(Outcome { figures: BTreeMap::from([("advantages".to_owned(), found.values)]), ..Outcome::default() })
}
