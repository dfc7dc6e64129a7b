//! Figures and gradients of a plan on its inputs, in one dtype.

use std::collections::BTreeMap;
use std::error::Error;

use dfdx::prelude::*;
use tropism_core::numerics::{from_f64, to_f64};
use tropism_core::{LossTerms, PairLogps, SequenceLogps, TokenLogps};

use super::plan::Plan;
use super::schema::Inputs;
use crate::Objective;

type Tokens<E> = Tensor<(usize, usize), E, Cpu>;
type Sums<E, T> = Tensor<(usize,), E, Cpu, T>;
type Owned<E> = OwnedTape<E, Cpu>;
type Fallible<T> = Result<T, Box<dyn Error>>;

/// What this crate computes for an entry, under the names of the file.
pub(super) struct Outcome {
    /// Scalars as one number, the others one number per row.
    pub(super) figures: BTreeMap<String, Vec<f64>>,
    /// Gradients of the mean loss, in row-major order.
    pub(super) grads: BTreeMap<String, Vec<f64>>,
}

/// One side of the pairs: tokens, their sums, and the tape that joins them.
struct Side<E: Dtype>
where
    Cpu: Device<E>,
{
    tokens: Tokens<E>,
    sums: Sums<E, NoneTape>,
    traced: Sums<E, Owned<E>>,
    counts: Vec<usize>,
}

impl<E: Dtype> Side<E>
where
    Cpu: Device<E>,
{
    fn read(inputs: &Inputs<'_>, model: &str, side: &str) -> Fallible<Self> {
        let logps = inputs.array(&format!("{model}_{side}_token_logps"))?;
        let mask = inputs.array(&format!("{side}_mask"))?;
        let mask: Vec<bool> = mask.values.iter().map(|&m| m != 0.0).collect();
        let tokens: Tokens<E> = from_f64(&Cpu::default(), &logps.values, (logps.rows, logps.columns))?;
        let counted = TokenLogps::new(tokens.leaky_trace(), &mask)?;
        let counts = counted.counts().to_vec();
        let traced = counted.sum()?.logps;
        Ok(Self { tokens, sums: traced.retaped(), traced, counts })
    }
}

/// Computes figures and gradients.
pub(super) fn evaluate<E: Dtype>(plan: &Plan, inputs: &Inputs<'_>) -> Fallible<Outcome>
where
    Cpu: Device<E>,
{
    let chosen = Side::<E>::read(inputs, "policy", "chosen")?;
    let rejected = Side::<E>::read(inputs, "policy", "rejected")?;
    if let Objective::Sft(_) = plan.objective {
        return supervised(plan, chosen, &rejected);
    }
    let policy = PairLogps::new(chosen.traced, rejected.traced, &chosen.counts, &rejected.counts)?;
    let reference = if plan.objective.needs_reference() { Some(reference(inputs)?) } else { None };
    let terms = plan.objective.pair_loss(policy, reference)?;
    let mut figures = diagnostics(plan, &terms);
    figures.insert("per_example_loss".into(), terms.values());
    let loss = terms.mean()?;
    figures.insert("loss".into(), to_f64(&loss));
    let grads = loss.try_backward().map_err(|e| e.to_string())?;
    let grads = named([
        ("policy_chosen_token_logps", to_f64(&grads.get(&chosen.tokens))),
        ("policy_rejected_token_logps", to_f64(&grads.get(&rejected.tokens))),
        ("policy_chosen_logps", to_f64(&grads.get(&chosen.sums))),
        ("policy_rejected_logps", to_f64(&grads.get(&rejected.sums))),
    ]);
    Ok(Outcome { figures, grads })
}

/// The supervised loss of the chosen side; the rejected side has no part in it.
fn supervised<E: Dtype>(plan: &Plan, chosen: Side<E>, rejected: &Side<E>) -> Fallible<Outcome>
where
    Cpu: Device<E>,
{
    let policy = SequenceLogps::new(chosen.traced, &chosen.counts)?;
    let terms = plan.objective.sequence_loss(policy)?;
    let logps = terms.diagnostics.get("logps").unwrap_or_default().to_vec();
    let loss = terms.mean()?;
    let mean = to_f64(&loss);
    let grads = loss.try_backward().map_err(|e| e.to_string())?;
    let zeros = |n: usize| vec![0.0; n];
    Ok(Outcome {
        figures: named([
            // The file repeats the token mean for each example.
            ("per_example_loss", mean.repeat(logps.len())),
            ("loss", mean),
            ("logps_chosen", logps),
        ]),
        grads: named([
            ("policy_chosen_token_logps", to_f64(&grads.get(&chosen.tokens))),
            ("policy_chosen_logps", to_f64(&grads.get(&chosen.sums))),
            ("policy_rejected_token_logps", zeros(rejected.tokens.shape().num_elements())),
            ("policy_rejected_logps", zeros(rejected.counts.len())),
        ]),
    })
}

/// The reference's sums over the same masks.
fn reference<E: Dtype>(inputs: &Inputs<'_>) -> Fallible<PairLogps<usize, E, Cpu>>
where
    Cpu: Device<E>,
{
    let chosen = Side::<E>::read(inputs, "ref", "chosen")?;
    let rejected = Side::<E>::read(inputs, "ref", "rejected")?;
    Ok(PairLogps::new(chosen.sums, rejected.sums, &chosen.counts, &rejected.counts)?)
}

/// Figures that the loss reports per row.
fn diagnostics<E: Dtype>(plan: &Plan, terms: &LossTerms<usize, E, Cpu, Owned<E>>) -> BTreeMap<String, Vec<f64>>
where
    Cpu: Device<E>,
{
    let column = |name: &str| terms.diagnostics.get(name).unwrap_or_default().to_vec();
    let mut figures = named([
        ("rewards_chosen", column("rewards/chosen")),
        ("rewards_rejected", column("rewards/rejected")),
        ("margins", column("rewards/margins")),
        ("accuracies", column("rewards/accuracies")),
        ("logps_chosen", column(plan.logps[0])),
        ("logps_rejected", column(plan.logps[1])),
    ]);
    if let Objective::Simpo(_) = plan.objective {
        // Only entries without a likelihood term are planned, and the file gives 0 for it then.
        figures.insert("nll_loss".into(), vec![0.0]);
    }
    figures
}

/// A map with owned keys.
fn named<const N: usize>(items: [(&str, Vec<f64>); N]) -> BTreeMap<String, Vec<f64>> {
    items.into_iter().map(|(name, values)| (name.to_string(), values)).collect()
}
