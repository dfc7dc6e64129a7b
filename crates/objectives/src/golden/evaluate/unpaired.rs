//! Single completions with a verdict.

use std::collections::BTreeMap;

use dfdx::prelude::*;
use tropism_core::numerics::to_f64;
use tropism_core::{Columns, SequenceLogps};

use super::{Entry, Fallible, Outcome, Plan, Side, Taped, Traced, backward, column, named};
use crate::{Batch, Objective, RunningMoments, kl_baseline};
use tropism_golden::{Inputs, numbers};

/// Losses of completions with a verdict.
pub(super) fn unpaired<E: Dtype>(entry: &Entry, plan: &Plan, inputs: &Inputs<'_>) -> Fallible<Outcome>
where
    Cpu: Device<E>,
{
    let (side, policy) = Side::<E>::read(inputs, "policy", "", "mask")?;
    let (_, reference) = Side::<E>::read(inputs, "ref", "", "mask")?;
    let label: Vec<bool> = inputs.vector("label")?.iter().map(|&l| l != 0.0).collect();
    let (columns, mut figures) = constants::<E>(entry, plan, inputs, &label, (&policy, &reference))?;
    let reference: SequenceLogps<usize, E, Cpu> = reference.sums.detach()?;
    let batch: Batch<usize, usize, E, Cpu, Taped<E>> = Batch::completions(policy.sums, Some(reference));
    let terms = plan.objective.loss(batch.with_columns(columns))?;
    let of = |good: bool, values: &[f64]| {
        values.iter().zip(&label).filter(|(_, l)| **l == good).map(|(v, _)| *v).collect::<Vec<f64>>()
    };
    let (losses, rewards) = (terms.values(), column(&terms, "rewards"));
    figures.insert("losses_chosen_then_rejected".into(), [of(true, &losses), of(false, &losses)].concat());
    figures.insert("rewards_chosen".into(), of(true, &rewards));
    figures.insert("rewards_rejected".into(), of(false, &rewards));
    let (loss, grads) = backward(terms)?;
    figures.insert("loss".into(), loss);
    let mut found = BTreeMap::new();
    side.grads(&grads, false, &mut found);
    Ok(Outcome { figures, grads: found, ..Outcome::default() })
}

/// Constants of the step, and the figures that they are.
fn constants<E: Dtype>(
    entry: &Entry,
    plan: &Plan,
    inputs: &Inputs<'_>,
    label: &[bool],
    (policy, reference): (&Traced<E>, &Traced<E>),
) -> Fallible<(Columns, BTreeMap<String, Vec<f64>>)>
where
    Cpu: Device<E>,
{
    let rows = label.len();
    let labels = label.iter().map(|&l| f64::from(u8::from(l))).collect();
    let columns = Columns::default().with("desirable", labels)?;
    match &plan.objective {
        Objective::Kto(_) => {
            let sums = |model: &str| Side::<E>::read(inputs, model, "KL", "").map(|(_, t)| to_f64(&t.sums.logps));
            let baseline = kl_baseline(&sums("policy")?, &sums("ref")?)?;
            Ok((columns.with("kl_baseline", vec![baseline; rows])?, named([("kl", vec![baseline])])))
        }
        Objective::Bco(config) => {
            let mut moments = before(entry)?;
            let (policy, reference) = (to_f64(&policy.sums.logps), to_f64(&reference.sums.logps));
            let reward = |good: bool| {
                let rows = policy.iter().zip(&reference).zip(label).filter(move |(_, l)| **l == good);
                rows.map(|((p, r), _)| config.beta * (p - r))
            };
            moments.update(&reward(true).chain(reward(false)).collect::<Vec<f64>>());
            let after = vec![moments.count, moments.mean, moments.deviation(), moments.variance];
            let figures = named([("delta", vec![moments.mean]), ("running_after", after)]);
            let columns = columns.with("reward_shift", vec![moments.mean; rows])?;
            Ok((with_probability(entry, columns, label)?, figures))
        }
        // The trainer behind the figures logs a baseline of 0.
        _ => Ok((columns, named([("kl", vec![0.0])]))),
    }
}

/// The running moments before the step.
fn before(entry: &Entry) -> Fallible<RunningMoments> {
    let state = entry.params.get("running_before").ok_or("running_before is missing")?;
    let figure = |key: &str| state.get(key).and_then(serde_json::Value::as_f64).ok_or("running_before is incomplete");
    Ok(RunningMoments { mean: figure("mean")?, variance: figure("var")?, count: figure("count")? })
}

/// Adds the probabilities that the entry gives for undesirable rows; those of desirable rows are not read.
fn with_probability(entry: &Entry, columns: Columns, label: &[bool]) -> Fallible<Columns> {
    let Some(given) = entry.params.get("rejected_prob_desirable") else { return Ok(columns) };
    let mut given = numbers(given).into_iter();
    let rows = label.iter().map(|&l| if l { Some(0.5) } else { given.next() }).collect::<Option<Vec<f64>>>();
    Ok(columns.with("desirable_probability", rows.ok_or("too few probabilities")?)?)
}
