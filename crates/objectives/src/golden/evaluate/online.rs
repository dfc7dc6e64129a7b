//! Samples of the policy and of the reference.

use std::collections::BTreeMap;

use dfdx::prelude::*;
use tropism_core::numerics::{from_f64, to_f64};
use tropism_core::{Columns, PairLogps, SequenceLogps};

use super::{Fallible, Outcome, Plan, Side, Sums, Taped, backward, column, named};
use crate::{Batch, Input, Objective};
use tropism_golden::Inputs;

type FileBatch<E> = Batch<usize, usize, E, Cpu, Taped<E>>;

/// Losses of samples.
pub(super) fn online<E: Dtype>(plan: &Plan, inputs: &Inputs<'_>) -> Fallible<Outcome>
where
    Cpu: Device<E>,
{
    match plan.objective {
        Objective::NashMd(_) => nash_md::<E>(plan, inputs),
        Objective::A2po(_) => a2po::<E>(plan, inputs),
        _ => xpo::<E>(plan, inputs),
    }
}

/// A sample of the policy and one of the reference, of which the file says which won.
fn xpo<E: Dtype>(plan: &Plan, inputs: &Inputs<'_>) -> Fallible<Outcome>
where
    Cpu: Device<E>,
{
    let read =
        |model: &str, data: &str| Side::<E>::read(inputs, model, &format!("{data}_data"), &format!("{data}_data_mask"));
    let ((model, own), (other, theirs)) = (read("policy", "model")?, read("policy", "other")?);
    let won: Vec<bool> = inputs.vector("model_data_chosen")?.iter().map(|&w| w != 0.0).collect();
    let policy = pairs(own.sums, theirs.sums, &won, [&model.counts, &other.counts])?;
    let (own, theirs) = (read("ref", "model")?.1.sums.detach()?, read("ref", "other")?.1.sums.detach()?);
    let reference = pairs(own, theirs, &won, [&model.counts, &other.counts])?;
    let columns = Columns::default().with("policy_sample_chosen", inputs.vector("model_data_chosen")?)?;
    let terms = plan.objective.loss(FileBatch::pairs(policy, Some(reference)).with_columns(columns))?;
    let parts = terms.part_values();
    let (loss, grads) = backward(terms)?;
    let mut found = BTreeMap::new();
    model.grads(&grads, false, &mut found);
    other.grads(&grads, false, &mut found);
    let [dpo, xpo] = [parts[0].clone(), parts[1].clone()];
    Ok(Outcome {
        figures: named([("loss", loss), ("dpo_losses", dpo), ("xpo_losses", xpo)]),
        grads: found,
        ..Outcome::default()
    })
}

/// Chosen and rejected out of two samples per row.
fn pairs<E: Dtype, T: Tape<E, Cpu>>(
    model: SequenceLogps<usize, E, Cpu, T>,
    other: SequenceLogps<usize, E, Cpu, T>,
    won: &[bool],
    counts: [&[usize]; 2],
) -> Fallible<PairLogps<usize, E, Cpu, T>>
where
    Cpu: Device<E>,
{
    let pick = |won: &[bool]| -> Tensor<(usize,), bool, Cpu> { Cpu::default().tensor_from_vec(won.to_vec(), (won.len(),)) };
    let lost: Vec<bool> = won.iter().map(|w| !w).collect();
    let lengths = |won: &[bool]| {
        let rows = won.iter().zip(counts[0]).zip(counts[1]);
        rows.map(|((&w, &m), &o)| if w { m } else { o }).collect::<Vec<usize>>()
    };
    let (m, o): (Sums<E, T>, Sums<E, T>) = (model.logps.with_empty_tape(), other.logps.with_empty_tape());
    let rejected = pick(&lost).choose(m, o);
    let chosen = pick(won).choose(model.logps, other.logps);
    Ok(PairLogps::new(chosen, rejected, &lengths(won), &lengths(&lost))?)
}

/// Samples of the policy by token.
fn nash_md<E: Dtype>(plan: &Plan, inputs: &Inputs<'_>) -> Fallible<Outcome>
where
    Cpu: Device<E>,
{
    let read = |model: &str| Side::<E>::read(inputs, model, "model_data", "model_data_mask");
    let ((side, policy), (_, reference)) = (read("policy")?, read("ref")?);
    let columns = Columns::default().with("preference_probability", inputs.vector("probability")?)?;
    let input = Input::CompletionTokens(policy.tokens, Some(reference.tokens.detach()?));
    let terms = plan.objective.loss(FileBatch::from(input).with_columns(columns))?;
    let (score, kl) = (column(&terms, "score"), column(&terms, "kl"));
    let (loss, grads) = backward(terms)?;
    let mut found = BTreeMap::new();
    side.grads(&grads, true, &mut found);
    Ok(Outcome { figures: named([("loss", loss), ("score", score), ("kl", kl)]), grads: found, ..Outcome::default() })
}

/// Samples of the policy with rewards.
fn a2po<E: Dtype>(plan: &Plan, inputs: &Inputs<'_>) -> Fallible<Outcome>
where
    Cpu: Device<E>,
{
    let (side, policy) = Side::<E>::read(inputs, "policy", "model_data", "model_data_mask")?;
    let reference = inputs.vector("seq_ref_logps")?;
    let reference = from_f64::<(usize,), E, Cpu>(&Cpu::default(), &reference, (reference.len(),))?;
    let reference = SequenceLogps::new(reference, &side.counts)?;
    let columns = Columns::default();
    let columns = columns.with("reward", inputs.vector("rewards")?)?.with("optimal_value", inputs.vector("v_star")?)?;
    let terms = plan.objective.loss(FileBatch::completions(policy.sums, Some(reference)).with_columns(columns))?;
    let (loss, grads) = backward(terms)?;
    let grads = named([("policy_model_data_logps", to_f64(&grads.get(&side.key)))]);
    Ok(Outcome { figures: named([("loss", loss)]), grads, ..Outcome::default() })
}
