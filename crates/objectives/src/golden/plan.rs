//! Which of this crate's losses an entry asks for, if any.

use serde_json::{Value, json};
use tropism_golden::{Entry, Params};

use crate::*;

/// The loss of an entry and how its figures are named.
pub(super) struct Plan {
    /// Method and options.
    pub(super) objective: Objective,
    /// Which inputs the entry has.
    pub(super) inputs: InputSet,
    /// Whether the trainer behind the figures logs rewards against a reference that the loss does not read.
    pub(super) other_rewards: bool,
}

/// The kinds of input sets in the file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum InputSet {
    Pairs,
    Triples,
    Unpaired,
    Rewards,
    Online,
}

impl Plan {
    /// The plan for `entry`; `None` when method or options are not implemented.
    pub(super) fn of(entry: &Entry) -> Option<Self> {
        let mut params = Params::of(entry);
        neutral().into_iter().for_each(|(key, value)| params.neutral(key, value));
        let (objective, inputs) = match entry.family.as_str() {
            "dpo" => (dpo_family(&mut params)?, InputSet::Pairs),
            "dpo_legacy" => (legacy_family(&mut params)?, InputSet::Pairs),
            "cpo" => (cpo_family(&mut params)?, InputSet::Pairs),
            "orpo" => (Orpo::default().with_lambda(params.number("beta")?).into(), InputSet::Pairs),
            "tpo" => tpo_family(&mut params)?,
            "kto" => (kto_family(&mut params)?, InputSet::Unpaired),
            "bco" => (bco_family(&mut params)?, InputSet::Unpaired),
            "reward" => (reward_family(&mut params)?, InputSet::Rewards),
            "xpo" => (xpo_family(&mut params)?, InputSet::Online),
            "nash_md" => (NashMd::default().with_beta(params.number("beta")?).into(), InputSet::Online),
            "a2po" => (A2po::default().with_beta(params.number("beta2")?).into(), InputSet::Online),
            _ => return None,
        };
        let whole = params.all_read() && objective.check().is_ok();
        let other_rewards = entry.family == "dpo_legacy" && !objective.needs_reference();
        whole.then_some(Self { objective, inputs, other_rewards })
    }
}

/// The values at which an option does nothing.
fn neutral() -> [(&'static str, Value); 8] {
    [
        ("loss_weights", Value::Null),
        ("label_smoothing", json!(0.0)),
        ("ld_alpha", Value::Null),
        ("use_weighting", json!(false)),
        ("reference_free", json!(false)),
        ("f_divergence_type", json!("reverse_kl")),
        ("f_alpha_divergence_coef", json!(0.5)),
        ("discopop_tau", json!(0.05)),
    ]
}

/// Losses of the current DPO trainer.
fn dpo_family(params: &mut Params) -> Option<Objective> {
    let types = params.names("loss_type")?;
    let weights = params.numbers("loss_weights", types.len(), 1.0)?;
    let objectives = types.iter().map(|name| dpo_type(name, params)).collect::<Option<Vec<_>>>()?;
    // The rewards that the trainer logs beside any loss.
    params.ignore("beta");
    let objective = match <[Objective; 1]>::try_from(objectives) {
        Ok([single]) => (weights == [1.0]).then_some(single)?,
        Err(several) => {
            let terms = several.into_iter().zip(weights).map(|(objective, weight)| Term { weight, objective });
            Sum { terms: terms.collect() }.into()
        }
    };
    let objective = match params.optional("ld_alpha")? {
        Some(alpha) => LdDpo::default().with_alpha(alpha).with_base(Box::new(objective)).into(),
        None => objective,
    };
    let weighted = params.flag("use_weighting")?;
    Some(if weighted { Wpo::default().with_base(Box::new(objective)).into() } else { objective })
}

/// One loss type of the current DPO trainer.
fn dpo_type(name: &str, params: &mut Params) -> Option<Objective> {
    let beta = params.number("beta")?;
    Some(match name {
        "sigmoid" => Dpo::default().with_beta(beta).with_divergence(divergence(params)?).into(),
        "hinge" => Hinge::default().with_beta(beta).with_divergence(divergence(params)?).into(),
        "ipo" => Ipo::default().with_beta(beta).with_divergence(divergence(params)?).into(),
        "sigmoid_norm" => LnDpo::default().with_beta(beta).with_divergence(divergence(params)?).into(),
        "nca_pair" => Nca::default().with_beta(beta).with_divergence(divergence(params)?).into(),
        "bco_pair" => BcoPair::default().with_beta(beta).with_divergence(divergence(params)?).into(),
        "sppo_hard" => Sppo::default().with_beta(beta).with_divergence(divergence(params)?).into(),
        "discopop" => {
            let tau = params.number("discopop_tau")?;
            Discopop::default().with_beta(beta).with_tau(tau).with_divergence(divergence(params)?).into()
        }
        "robust" => {
            let epsilon = params.number("label_smoothing")?;
            Robust::default().with_beta(beta).with_label_smoothing(epsilon).with_divergence(divergence(params)?).into()
        }
        "exo_pair" => {
            let epsilon = params.number("label_smoothing")?;
            Exo::default().with_beta(beta).with_label_smoothing(epsilon).with_divergence(divergence(params)?).into()
        }
        "aot" => Aot { beta, label_smoothing: params.number("label_smoothing")? }.into(),
        "aot_unpaired" => AotUnpaired { beta, label_smoothing: params.number("label_smoothing")? }.into(),
        "apo_zero" => ApoZero { beta }.into(),
        "apo_down" => ApoDown { beta }.into(),
        "sft" => ChosenNll::default().into(),
        _ => return None,
    })
}

/// The divergence of the current DPO trainer.
fn divergence(params: &mut Params) -> Option<Divergence> {
    Some(match params.name("f_divergence_type")? {
        "reverse_kl" => Divergence::ReverseKl,
        "forward_kl" => Divergence::ForwardKl,
        "js_divergence" => Divergence::Js,
        "alpha_divergence" => Divergence::Alpha(params.number("f_alpha_divergence_coef")?),
        _ => return None,
    })
}

/// Losses of older DPO trainers, on sums.
fn legacy_family(params: &mut Params) -> Option<Objective> {
    let beta = params.number("beta")?;
    let free = params.flag("reference_free")?;
    let reference = if free { Reference::Uniform } else { Reference::Model };
    let divergence = match params.name("f_divergence_type") {
        Some("(1 - u^-alpha) / alpha") => Divergence::Alpha(1.0 - params.number("alpha")?),
        Some("reverse_kl") | None => Divergence::ReverseKl,
        Some(_) => return None,
    };
    match params.names("loss_type")?.as_slice() {
        ["sigmoid"] => {
            let epsilon = params.optional("label_smoothing")?.unwrap_or(0.0);
            Some(Cdpo { beta, label_smoothing: epsilon, reference, divergence }.into())
        }
        ["ipo"] => Some(Ipo { beta, normalization: Normalization::Sum, reference, divergence }.into()),
        _ => None,
    }
}

/// Losses of the CPO trainer.
fn cpo_family(params: &mut Params) -> Option<Objective> {
    let beta = params.number("beta")?;
    // Left out, the weight of the likelihood term is 1 in that trainer; a file must say it.
    let weight = params.number("cpo_alpha")?;
    let alpha = params.optional("alpha")?.unwrap_or(0.0);
    let base: Objective = match params.names("loss_type")?.as_slice() {
        ["sigmoid"] if alpha == 0.0 => {
            let label_smoothing = params.optional("label_smoothing")?.unwrap_or(0.0);
            params.neutral("simpo_gamma", Value::from(0.5));
            return Some(Cpo { beta, label_smoothing, nll_weight: weight, averaging: Averaging::Tokens }.into());
        }
        ["sigmoid"] => {
            params.neutral("simpo_gamma", Value::from(0.5));
            let label_smoothing = params.optional("label_smoothing")?.unwrap_or(0.0);
            Alphapo { beta, gamma_beta_ratio: 0.0, alpha, normalization: Normalization::Sum, label_smoothing }.into()
        }
        ["hinge"] if alpha == 0.0 => {
            params.neutral("simpo_gamma", Value::from(0.5));
            Hinge::default().with_beta(beta).with_reference(Reference::Uniform).into()
        }
        ["ipo"] if alpha == 0.0 => {
            params.neutral("simpo_gamma", Value::from(0.5));
            Ipo::default().with_beta(beta).with_reference(Reference::Uniform).into()
        }
        ["simpo"] => simpo_types(params, beta, alpha)?,
        _ => return None,
    };
    if weight == 0.0 {
        return Some(base);
    }
    let likelihood = Term { weight, objective: ChosenNll::default().into() };
    Some(Sum { terms: vec![Term { weight: 1.0, objective: base }, likelihood] }.into())
}

/// SimPO, bent or not.
fn simpo_types(params: &mut Params, beta: f64, alpha: f64) -> Option<Objective> {
    let gamma_beta_ratio = params.number("simpo_gamma")? / beta;
    let label_smoothing = params.optional("label_smoothing")?.unwrap_or(0.0);
    Some(if alpha == 0.0 {
        Simpo { beta, gamma_beta_ratio, label_smoothing }.into()
    } else {
        Alphapo { beta, gamma_beta_ratio, alpha, normalization: Normalization::Mean, label_smoothing }.into()
    })
}

/// Losses of the TPO trainer.
fn tpo_family(params: &mut Params) -> Option<(Objective, InputSet)> {
    let (beta, reference) = (params.number("beta")?, Reference::Uniform);
    let base: Objective = match params.names("loss_type")?.as_slice() {
        ["sigmoid"] => {
            let epsilon = params.number("label_smoothing")?;
            Cdpo::default().with_beta(beta).with_label_smoothing(epsilon).with_reference(reference).into()
        }
        ["hinge"] => Hinge::default().with_beta(beta).with_reference(reference).into(),
        ["ipo"] => Ipo::default().with_beta(beta).with_reference(reference).into(),
        ["tpo-l"] => {
            let (ratio, epsilon) = (params.number("tpo_l_gamma")? / beta, params.number("label_smoothing")?);
            Simpo { beta, gamma_beta_ratio: ratio, label_smoothing: epsilon }.into()
        }
        _ => return None,
    };
    params.neutral("tpo_l_gamma", Value::from(0.5));
    let nll_weight = params.number("tpo_alpha")?;
    if nll_weight == 0.0 {
        // The file gives such entries pairs, without the gold branch.
        return Some((base, InputSet::Pairs));
    }
    Some((Tpo { nll_weight, base: Box::new(base) }.into(), InputSet::Triples))
}

/// Losses of the KTO trainer.
fn kto_family(params: &mut Params) -> Option<Objective> {
    let beta = params.number("beta")?;
    let (desirable_weight, undesirable_weight) = (params.number("desirable_weight")?, params.number("undesirable_weight")?);
    match params.names("loss_type")?.as_slice() {
        ["kto"] => Some(Kto { beta, desirable_weight, undesirable_weight }.into()),
        ["apo_zero_unpaired"] => Some(ApoZeroUnpaired { beta, desirable_weight, undesirable_weight }.into()),
        _ => None,
    }
}

/// Losses of the BCO trainer.
fn bco_family(params: &mut Params) -> Option<Objective> {
    let beta = params.number("beta")?;
    // Read where the inputs are made.
    params.ignore("running_before");
    params.ignore("rejected_prob_desirable");
    let (min, max) = (params.optional("min_density_ratio")?, params.optional("max_density_ratio")?);
    let density_ratio = match (min, max) {
        (Some(min), Some(max)) => Some(DensityRatio { min, max }),
        (None, None) => None,
        _ => return None,
    };
    Some(Bco { beta, density_ratio }.into())
}

/// Losses of the reward trainer.
fn reward_family(params: &mut Params) -> Option<Objective> {
    let margin = if params.flag("use_margin")? { RewardMargin::Column } else { RewardMargin::None };
    let centring = params.optional("center_rewards_coefficient")?.unwrap_or(0.0);
    Some(BradleyTerry { margin, centring }.into())
}

/// Losses of the XPO trainer.
fn xpo_family(params: &mut Params) -> Option<Objective> {
    let beta = params.number("beta")?;
    let base: Objective = match params.names("loss_type")?.as_slice() {
        ["sigmoid"] => Dpo::default().with_beta(beta).into(),
        ["ipo"] => Ipo::default().with_beta(beta).with_normalization(Normalization::Sum).into(),
        _ => return None,
    };
    Some(Xpo { alpha: params.number("alpha")?, base: Box::new(base) }.into())
}
