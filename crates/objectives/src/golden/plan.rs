//! Which of this crate's losses an entry asks for, if any.

use serde_json::{Value, json};

use super::schema::Entry;
use crate::{Dpo, Ipo, Normalization, Objective, Sft, Simpo};

/// The loss of an entry and how its figures are named.
pub(super) struct Plan {
    /// Method and options.
    pub(super) objective: Objective,
    /// Diagnostics behind `logps_chosen` and `logps_rejected`: the log-probabilities as the loss used them.
    pub(super) logps: [&'static str; 2],
}

/// The sums, as most losses use them.
const SUMS: [&str; 2] = ["logps/chosen", "logps/rejected"];
/// The means per token.
const MEANS: [&str; 2] = ["mean_logps/chosen", "mean_logps/rejected"];

impl Plan {
    /// The plan for `entry`; `None` when method or options are not implemented.
    pub(super) fn of(entry: &Entry) -> Option<Self> {
        let plan = match entry.family.as_str() {
            "dpo" => dpo_family(entry),
            "dpo_legacy" => legacy_family(entry),
            "cpo" => cpo_family(entry),
            _ => None,
        }?;
        plan.objective.check().is_ok().then_some(plan)
    }
}

/// Losses of the current DPO trainer.
fn dpo_family(entry: &Entry) -> Option<Plan> {
    let neutral = [
        ("loss_weights", Value::Null),
        ("label_smoothing", json!(0.0)),
        ("ld_alpha", Value::Null),
        ("use_weighting", json!(false)),
        ("f_divergence_type", json!("reverse_kl")),
        ("f_alpha_divergence_coef", json!(0.5)),
        ("discopop_tau", json!(0.05)),
    ];
    only(entry, &["loss_type", "beta"], &neutral)?;
    let beta = number(entry, "beta");
    let objective = match single_type(entry)? {
        "sigmoid" => Objective::Dpo(Dpo { beta: beta? }),
        "ipo" => Objective::Ipo(Ipo { beta: beta?, normalization: Normalization::Mean }),
        // Its beta scales the rewards that the trainer logs beside it; they are not compared.
        "sft" => Objective::Sft(Sft {}),
        _ => return None,
    };
    Some(Plan { objective, logps: SUMS })
}

/// Losses of older DPO trainers, on sums.
fn legacy_family(entry: &Entry) -> Option<Plan> {
    let neutral =
        [("label_smoothing", json!(0.0)), ("reference_free", json!(false)), ("f_divergence_type", json!("reverse_kl"))];
    only(entry, &["loss_type", "beta"], &neutral)?;
    let beta = number(entry, "beta")?;
    let objective = match single_type(entry)? {
        "sigmoid" => Objective::Dpo(Dpo { beta }),
        "ipo" => Objective::Ipo(Ipo { beta, normalization: Normalization::Sum }),
        _ => return None,
    };
    Some(Plan { objective, logps: SUMS })
}

/// Losses of the CPO trainer; only SimPO without its likelihood term and without a transformed reward.
fn cpo_family(entry: &Entry) -> Option<Plan> {
    let read = ["loss_type", "beta", "simpo_gamma", "label_smoothing"];
    only(entry, &read, &[("cpo_alpha", json!(0.0)), ("alpha", json!(0.0))])?;
    // Left out, the weight of the likelihood term is 1 in that trainer.
    entry.params.get("cpo_alpha")?;
    if entry.params.get("loss_type")?.as_str()? != "simpo" {
        return None;
    }
    let (beta, gamma) = (number(entry, "beta")?, number(entry, "simpo_gamma")?);
    let label_smoothing = match entry.params.get("label_smoothing") {
        Some(value) => value.as_f64()?,
        None => 0.0,
    };
    let objective = Objective::Simpo(Simpo { beta, gamma_beta_ratio: gamma / beta, label_smoothing });
    Some(Plan { objective, logps: MEANS })
}

/// `Some` if each option of the entry is read, or stands at its neutral value.
fn only(entry: &Entry, read: &[&str], neutral: &[(&str, Value)]) -> Option<()> {
    let fits = |(key, value): (&String, &Value)| {
        read.contains(&key.as_str()) || neutral.iter().any(|(k, v)| k == key && same(v, value))
    };
    entry.params.iter().all(fits).then_some(())
}

/// Equality in which 0 and 0.0 are the same number.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// A numeric option.
fn number(entry: &Entry, key: &str) -> Option<f64> {
    entry.params.get(key)?.as_f64()
}

/// The loss type, when there is exactly one.
fn single_type(entry: &Entry) -> Option<&str> {
    match entry.params.get("loss_type")? {
        Value::String(name) => Some(name),
        Value::Array(names) if names.len() == 1 => names[0].as_str(),
        _ => None,
    }
}
