//! Figures and gradients of a loss, in one dtype.

use std::collections::BTreeMap;

use dfdx::prelude::*;
use serde_json::Value;
use tropism_core::numerics::{from_f64, to_f64};
use tropism_core::{Diagnostics, ScoreTable, TokenLogps};
use tropism_golden::{Array, Entry, Fallible, Inputs, Outcome};

use super::plan::LossPlan;
use crate::surrogates::clip::clipped_by_token;
use crate::surrogates::common::{Evaluated, evaluate as evaluate_surrogate};
use crate::*;

type Taped<E> = OwnedTape<E, Cpu>;
type FileRollout<E> = Rollout<usize, usize, E, Cpu, Taped<E>>;

/// Computes figures and gradients.
pub(super) fn evaluate<E: Dtype>(entry: &Entry, plan: &LossPlan, inputs: &Inputs<'_>) -> Fallible<Outcome>
where
    Cpu: Device<E>,
{
    let mask: Vec<bool> = inputs.array("mask")?.values.iter().map(|&m| m != 0.0).collect();
    let logps = inputs.array("policy_token_logps")?;
    let leaf = table::<E>(&logps)?;
    let policy = TokenLogps::new(leaf.leaky_trace(), &mask)?;
    let rollout = fill(Rollout::new(policy), plan, inputs, &mask)?;
    let Evaluated { terms, per_token } = by_token(&plan.method, rollout)?;
    let (rows, diagnostics) = (terms.values(), terms.diagnostics.clone());
    let denominators = plan.items.map_or_else(|| terms.denominators(), |items| vec![items]);
    let loss = terms.into_scaled(&denominators)?;
    let value = to_f64(&loss);
    let grads = loss.try_backward().map_err(|e| e.to_string())?;
    let mut outcome = Outcome::default();
    outcome.grads.insert("policy_token_logps".into(), to_f64(&grads.get(&leaf)));
    outcome.figures.insert("loss".into(), value);
    outcome.figures.insert("metrics".into(), named_metrics(entry, &diagnostics));
    outcome.figures.insert("per_example_loss".into(), rows);
    per_token_loss(entry, &per_token, &mask, logps.columns, &mut outcome);
    Ok(outcome)
}

/// The rollout with what the method reads.
fn fill<E: Dtype>(rollout: FileRollout<E>, plan: &LossPlan, inputs: &Inputs<'_>, mask: &[bool]) -> Fallible<FileRollout<E>>
where
    Cpu: Device<E>,
{
    let entropies = ScoreTable::new(table::<E>(&inputs.array("entropies")?)?.retaped(), mask)?;
    let mut rollout = rollout.with_advantages(&inputs.vector("advantages")?)?.with_entropies(entropies)?;
    let read = |key: &str| -> Fallible<TokenLogps<usize, usize, E, Cpu>> {
        Ok(TokenLogps::new(table::<E>(&inputs.array(key)?)?, mask)?)
    };
    let reads = |field: Field| plan.method.reads().iter().any(|(f, _)| *f == field);
    if reads(Field::Reference) {
        rollout = rollout.with_reference(read("ref_token_logps")?)?;
    }
    if plan.old {
        rollout = rollout.with_old(read("old_token_logps")?)?;
    }
    if reads(Field::Sampler) {
        let (mut sampler, ratios) = (inputs.array("old_token_logps")?, inputs.array("importance_sampling_ratio")?);
        sampler.values.iter_mut().zip(&ratios.values).for_each(|(lp, ratio)| *lp -= ratio.ln());
        rollout = rollout.with_sampler(TokenLogps::new(table::<E>(&sampler)?, mask)?)?;
    }
    Ok(rollout)
}

/// The loss with its losses per token.
fn by_token<E: Dtype>(
    method: &PolicyGradient,
    rollout: FileRollout<E>,
) -> Result<Evaluated<usize, E, Cpu, Taped<E>>, PolicyGradientError>
where
    Cpu: Device<E>,
{
    let name = method.name();
    match method {
        PolicyGradient::Grpo(config) => clipped_by_token(name, rollout, config),
        PolicyGradient::DrGrpo(config) => clipped_by_token(name, rollout, config),
        PolicyGradient::Bnpo(config) => clipped_by_token(name, rollout, config),
        PolicyGradient::Dapo(config) => clipped_by_token(name, rollout, config),
        PolicyGradient::Luspo(config) => clipped_by_token(name, rollout, config),
        PolicyGradient::Rloo(config) => clipped_by_token(name, rollout, config),
        PolicyGradient::Cispo(config) => evaluate_surrogate(name, rollout, &config.formula(), &config.shared()),
        PolicyGradient::Sapo(config) => evaluate_surrogate(name, rollout, &config.formula(), &config.shared()),
        PolicyGradient::Vespo(config) => evaluate_surrogate(name, rollout, &config.formula(), &config.shared()),
        PolicyGradient::Gmpo(config) => evaluate_surrogate(name, rollout, &config.formula(), &config.shared()),
        other => Ok(Evaluated { terms: other.loss(rollout)?, per_token: Vec::new() }),
    }
}

/// The scalars that the file has, in the order of their names.
fn named_metrics(entry: &Entry, diagnostics: &Diagnostics) -> Vec<f64> {
    let found: BTreeMap<&str, f64> = metrics(diagnostics).into_iter().collect();
    let wanted: BTreeMap<&String, &Value> =
        entry.expected.get("metrics").and_then(Value::as_object).into_iter().flatten().collect();
    wanted.keys().map(|name| found.get(name.as_str()).copied().unwrap_or(f64::NAN)).collect()
}

/// Losses per token; the file has one column where a completion has one ratio, and values in masked cells.
fn per_token_loss(entry: &Entry, per_token: &[f64], mask: &[bool], columns: usize, outcome: &mut Outcome) {
    let first = |row: usize| (row * columns..(row + 1) * columns).find(|&i| mask[i]);
    let width = entry.expected.get("per_token_loss").and_then(|v| v.get(0)).and_then(Value::as_array).map_or(0, Vec::len);
    let name = "per_token_loss".to_owned();
    if width == 1 && columns > 1 {
        let rows = mask.len() / columns;
        outcome.figures.insert(name.clone(), (0..rows).map(|row| first(row).map_or(0.0, |i| per_token[i])).collect());
        outcome.counted.insert(name, (0..rows).map(|row| first(row).is_some()).collect());
    } else {
        outcome.figures.insert(name.clone(), per_token.to_vec());
        outcome.counted.insert(name, mask.to_vec());
    }
}

/// A table of the file.
fn table<E: Dtype>(array: &Array) -> Fallible<Tensor<(usize, usize), E, Cpu>>
where
    Cpu: Device<E>,
{
    Ok(from_f64(&Cpu::default(), &array.values, (array.rows, array.columns))?)
}
