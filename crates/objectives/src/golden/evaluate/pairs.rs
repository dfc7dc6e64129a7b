//! Pairs, triples and pairs of rewards.

use std::collections::BTreeMap;

use dfdx::prelude::*;
use tropism_core::numerics::{from_f64, to_f64};
use tropism_core::{Columns, PairLogps, PairScores, PairTokens, TripleLogps};

use super::{Fallible, Outcome, Plan, Side, Taped, Terms, Traced, backward, column, mean, named};
use crate::{Batch, Input, InputKind, Objective};
use tropism_golden::Inputs;

/// A batch of the file, with the second axis at run time.
type FileBatch<E> = Batch<usize, usize, E, Cpu, Taped<E>>;

/// Losses of pairs.
pub(super) fn pairs<E: Dtype>(plan: &Plan, inputs: &Inputs<'_>) -> Fallible<Outcome>
where
    Cpu: Device<E>,
{
    let (chosen, won) = Side::<E>::read(inputs, "policy", "chosen", "chosen_mask")?;
    let (rejected, lost) = Side::<E>::read(inputs, "policy", "rejected", "rejected_mask")?;
    let by_token = plan.objective.input() == InputKind::PairTokens;
    let terms = plan.objective.loss(batch(plan, inputs, won, lost)?)?;
    let mut figures = pair_figures(plan, &terms);
    let (loss, grads) = backward(terms)?;
    if let Objective::ChosenNll(_) = plan.objective {
        // The file repeats the token mean for each example.
        figures.insert("per_example_loss".into(), loss.repeat(chosen.counts.len()));
    }
    figures.insert("loss".into(), loss);
    let mut found = BTreeMap::new();
    chosen.grads(&grads, by_token, &mut found);
    rejected.grads(&grads, by_token, &mut found);
    // The file's losses are in the order of the sorted margins.
    let transported = matches!(plan.objective, Objective::Aot(_) | Objective::AotUnpaired(_));
    let sorted = if transported { vec!["per_example_loss"] } else { vec![] };
    Ok(Outcome { figures, grads: found, sorted, ..Outcome::default() })
}

/// The batch, by sequence or by token.
fn batch<E: Dtype>(plan: &Plan, inputs: &Inputs<'_>, won: Traced<E>, lost: Traced<E>) -> Fallible<FileBatch<E>>
where
    Cpu: Device<E>,
{
    let reference = if plan.objective.needs_reference() {
        let side = |side: &str| Side::<E>::read(inputs, "ref", side, &format!("{side}_mask"));
        Some((side("chosen")?.1, side("rejected")?.1))
    } else {
        None
    };
    if plan.objective.input() == InputKind::PairTokens {
        let reference = reference.map(|(c, r)| PairTokens::new(c.tokens.detach()?, r.tokens.detach()?)).transpose()?;
        let input = Input::PairTokens(PairTokens::new(won.tokens, lost.tokens)?, reference);
        let mut columns = Columns::default();
        for column in plan.objective.columns() {
            let side = column.name.rsplit('/').next().unwrap_or_default();
            let key = format!("policy_{side}_log_sum_sq_probs");
            columns = columns.with(column.name, inputs.array(&key)?.values)?;
        }
        return Ok(Batch::from(input).with_columns(columns));
    }
    let reference = reference.map(|(c, r)| PairLogps::from_sequences(c.sums.detach()?, r.sums.detach()?)).transpose()?;
    Ok(Batch::pairs(PairLogps::from_sequences(won.sums, lost.sums)?, reference))
}

/// The file's figures of a loss of pairs.
fn pair_figures<E: Dtype>(plan: &Plan, terms: &Terms<E>) -> BTreeMap<String, Vec<f64>>
where
    Cpu: Device<E>,
{
    let averaged = terms.diagnostics.get("mean_logps/chosen").is_some();
    let logps = if averaged { ["mean_logps/chosen", "mean_logps/rejected"] } else { ["logps/chosen", "logps/rejected"] };
    let mut figures = named([
        ("rewards_chosen", column(terms, "rewards/chosen")),
        ("rewards_rejected", column(terms, "rewards/rejected")),
        ("margins", column(terms, "rewards/margins")),
        ("accuracies", column(terms, "rewards/accuracies")),
        ("logps_chosen", column(terms, logps[0])),
        ("logps_rejected", column(terms, logps[1])),
        ("weights_chosen", column(terms, "weights/chosen")),
        ("weights_rejected", column(terms, "weights/rejected")),
        ("per_example_loss", terms.values()),
    ]);
    if plan.other_rewards {
        figures.retain(|name, _| !["rewards_chosen", "rewards_rejected", "margins", "accuracies"].contains(&name.as_str()));
    }
    let nll = match &plan.objective {
        Objective::Simpo(_) | Objective::Alphapo(_) => vec![0.0],
        // The file has the term without its weight.
        Objective::Cpo(_) | Objective::Sum(_) | Objective::ChosenNll(_) => {
            let sum = |name: &str| column(terms, name).iter().sum::<f64>();
            vec![-sum("logps/chosen") / sum("lengths/chosen")]
        }
        _ => Vec::new(),
    };
    figures.extend(named([("nll_loss", nll)]));
    if let Objective::Orpo(_) = &plan.objective {
        // There it is subtracted.
        figures.insert("per_example_loss".into(), terms.values().iter().map(|l| -l).collect());
        let parts = terms.part_values();
        figures.insert("nll_loss".into(), vec![parts[1].iter().sum::<f64>() / terms.denominators()[1]]);
        for name in ["log_odds_ratio", "log_odds_chosen"] {
            figures.insert(name.into(), mean(&column(terms, name)));
        }
    }
    figures
}

/// Losses of pairs with a gold answer, which the file calls the reference branch.
pub(super) fn triples<E: Dtype>(plan: &Plan, inputs: &Inputs<'_>) -> Fallible<Outcome>
where
    Cpu: Device<E>,
{
    let side = |side: &str| Side::<E>::read(inputs, "policy", side, &format!("{side}_mask"));
    let ((chosen, won), (rejected, lost), (gold, third)) = (side("chosen")?, side("rejected")?, side("reference")?);
    let policy = TripleLogps::new(PairLogps::from_sequences(won.sums, lost.sums)?, third.sums)?;
    let terms = plan.objective.loss(FileBatch::from(Input::Triples(policy, None)))?;
    let mut figures = pair_figures(plan, &terms);
    let sum = |name: &str| column(&terms, name).iter().sum::<f64>();
    figures.insert("nll_loss".into(), vec![-sum("logps") / sum("lengths")]);
    let (loss, grads) = backward(terms)?;
    figures.insert("loss".into(), loss);
    let mut found = BTreeMap::new();
    for side in [&chosen, &rejected, &gold] {
        side.grads(&grads, false, &mut found);
    }
    Ok(Outcome { figures, grads: found, ..Outcome::default() })
}

/// Losses of reward models.
pub(super) fn rewards<E: Dtype>(plan: &Plan, inputs: &Inputs<'_>) -> Fallible<Outcome>
where
    Cpu: Device<E>,
{
    let leaf = |key: &str| -> Fallible<Tensor<(usize,), E, Cpu>> {
        let values = inputs.vector(key)?;
        Ok(from_f64(&Cpu::default(), &values, (values.len(),))?)
    };
    let (chosen, rejected) = (leaf("reward_chosen")?, leaf("reward_rejected")?);
    let scores = PairScores::new(chosen.leaky_trace(), rejected.retaped())?;
    let mut columns = Columns::default();
    for column in plan.objective.columns() {
        columns = columns.with(column.name, inputs.vector(column.name)?)?;
    }
    let terms = plan.objective.loss(FileBatch::from(Input::Scores(scores)).with_columns(columns))?;
    let (accuracy, margin) = (mean(&column(&terms, "rewards/accuracies")), mean(&column(&terms, "rewards/margins")));
    let (loss, grads) = backward(terms)?;
    let grad = |t| to_f64(&grads.get(t));
    Ok(Outcome {
        figures: named([("loss", loss), ("accuracy", accuracy), ("mean_margin", margin)]),
        grads: named([("reward_chosen", grad(&chosen)), ("reward_rejected", grad(&rejected))]),
        ..Outcome::default()
    })
}
