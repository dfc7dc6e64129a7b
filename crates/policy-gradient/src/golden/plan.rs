//! Which of this crate's functions an entry asks for, if any.

use tropism_golden::{Entry, Params};

use crate::*;

/// What an entry asks for.
pub(super) enum Plan {
    Loss(Box<LossPlan>),
    Advantages(AdvantagePlan),
}

/// A loss and its inputs.
pub(super) struct LossPlan {
    pub(super) method: PolicyGradient,
    /// Whether the old policy's log-probabilities are those of the file.
    pub(super) old: bool,
    /// What the file divides by, where it is not the weights' sum.
    pub(super) items: Option<f64>,
}

/// Advantages and their options.
pub(super) enum AdvantagePlan {
    Group(GroupNormalized),
    Several(NormalizeThenSum),
    LeaveOneOut { config: LeaveOneOut, beta: f64 },
}

impl Plan {
    /// The plan for `entry`; `None` when method or options are not implemented.
    pub(super) fn of(entry: &Entry) -> Option<Self> {
        let mut params = Params::of(entry);
        let plan = match entry.family.as_str() {
            "grpo" => Self::Loss(Box::new(grpo_family(&mut params)?)),
            "gmpo" => Self::Loss(Box::new(gmpo_family(&mut params)?)),
            "rloo" => Self::Loss(Box::new(rloo_family(&mut params)?)),
            "grpo_advantages" => Self::Advantages(grpo_advantages(&mut params)?),
            "rloo_advantages" => Self::Advantages(rloo_advantages(&mut params)?),
            _ => return None,
        };
        let sound = match &plan {
            Self::Loss(plan) => plan.method.check().is_ok(),
            Self::Advantages(_) => true,
        };
        (params.all_read() && sound).then_some(plan)
    }
}

/// Options that all loss types of the GRPO trainer share.
struct Shared {
    kl: KlPenalty,
    sampler: Option<SamplerCorrection>,
    quantile: f64,
    off_policy: Option<f64>,
    epsilon: [f64; 2],
    delta: Option<f64>,
    ratio: RatioLevel,
}

impl Shared {
    fn read(params: &mut Params) -> Option<Self> {
        let weighting = if params.flag("use_bias_correction_kl")? { KlWeighting::Ratio } else { KlWeighting::None };
        // The file's factors are bounded already.
        let sampler = params.flag("sampler_correction")?.then(|| SamplerCorrection { cap: 1e3, ..Default::default() });
        Some(Self {
            kl: KlPenalty { weighting, ..KlPenalty::of(params.number("beta")?) },
            sampler,
            quantile: params.optional("top_entropy_quantile")?.unwrap_or(1.0),
            off_policy: params.optional("off_policy_mask_threshold")?,
            epsilon: [params.number("epsilon_low")?, params.number("epsilon_high")?],
            delta: params.optional("delta")?,
            ratio: match params.name("importance_sampling_level")? {
                "token" => RatioLevel::Token,
                "sequence" => RatioLevel::Sequence,
                "sequence_token" => RatioLevel::SequenceToken,
                _ => return None,
            },
        })
    }

    /// Fails unless the clip family's options are at the values at which the others' entries have them.
    fn not_clipped(&self) -> Option<()> {
        (self.delta.is_none() && self.ratio == RatioLevel::Token).then_some(())
    }
}

/// Sets the options that all surrogates share.
macro_rules! shared {
    ($config:expr, $shared:expr) => {
        $config
            .with_kl($shared.kl)
            .with_sampler($shared.sampler)
            .with_top_entropy_quantile($shared.quantile)
            .with_off_policy_mask_threshold($shared.off_policy)
    };
}

/// Sets all options of a method of the clip family.
macro_rules! clipped {
    ($config:expr, $shared:expr) => {
        shared!($config, $shared)
            .with_epsilon_low($shared.epsilon[0])
            .with_epsilon_high($shared.epsilon[1])
            .with_delta($shared.delta)
            .with_ratio($shared.ratio)
            .into()
    };
}

/// Losses of the GRPO trainer.
fn grpo_family(params: &mut Params) -> Option<LossPlan> {
    let shared = Shared::read(params)?;
    let (length, items) = (params.number("max_completion_length")?, params.number("num_items_in_batch")?);
    let name = params.name("loss_type")?;
    let method: PolicyGradient = match name {
        "grpo" => clipped!(Grpo::default(), shared),
        "bnpo" => clipped!(Bnpo::default(), shared),
        "dapo" => clipped!(Dapo::default(), shared),
        "dr_grpo" => clipped!(DrGrpo::default().with_aggregation(Aggregation::Constant(length)), shared),
        "luspo" => clipped!(Luspo::default(), shared),
        "cispo" => {
            shared.not_clipped()?;
            shared!(Cispo::default().with_epsilon_high(shared.epsilon[1]), shared).into()
        }
        "sapo" => {
            shared.not_clipped()?;
            let (pos, neg) = (params.number("temperature_pos")?, params.number("temperature_neg")?);
            shared!(Sapo::default().with_temperature_pos(pos).with_temperature_neg(neg), shared).into()
        }
        "vespo" => {
            shared.not_clipped()?;
            let config = Vespo::default().with_k_pos(params.number("k_pos")?).with_k_neg(params.number("k_neg")?);
            let (pos, neg) = (params.number("lambda_pos")?, params.number("lambda_neg")?);
            shared!(config.with_lambda_pos(pos).with_lambda_neg(neg), shared).into()
        }
        _ => return None,
    };
    let items = matches!(name, "dapo" | "cispo" | "vespo").then_some(items);
    Some(LossPlan { method, old: params.flag("use_old_logps")?, items })
}

/// Losses of the GMPO trainer.
fn gmpo_family(params: &mut Params) -> Option<LossPlan> {
    let shared = Shared::read(params)?;
    shared.not_clipped()?;
    for key in ["loss_type", "max_completion_length", "num_items_in_batch"] {
        params.ignore(key);
    }
    let config = Gmpo::default().with_epsilon_low(shared.epsilon[0]).with_epsilon_high(shared.epsilon[1]);
    Some(LossPlan { method: shared!(config, shared).into(), old: params.flag("use_old_logps")?, items: None })
}

/// Losses of the RLOO trainer.
fn rloo_family(params: &mut Params) -> Option<LossPlan> {
    let config = Rloo::default().with_epsilon_low(params.number("epsilon_low")?);
    Some(LossPlan { method: config.with_epsilon_high(params.number("epsilon_high")?).into(), old: true, items: None })
}

/// Advantages of the GRPO trainer.
fn grpo_advantages(params: &mut Params) -> Option<AdvantagePlan> {
    let scale = match params.name("scale_rewards")? {
        "group" => ScaleRewards::Group,
        "batch" => ScaleRewards::Batch,
        "none" => ScaleRewards::None,
        _ => return None,
    };
    match (params.name("multi_objective_aggregation")?, scale) {
        ("sum_then_normalize", scale) => Some(AdvantagePlan::Group(GroupNormalized::default().with_scale_rewards(scale))),
        ("normalize_then_sum", ScaleRewards::Group) => Some(AdvantagePlan::Several(NormalizeThenSum::default())),
        _ => None,
    }
}

/// Advantages of the RLOO trainer.
fn rloo_advantages(params: &mut Params) -> Option<AdvantagePlan> {
    let range = params.numbers("reward_clip_range", 2, f64::NAN)?;
    let range = (!range[0].is_nan()).then(|| ClipRange { low: range[0], high: range[1] });
    let config = LeaveOneOut::default().with_reward_clip_range(range);
    let config = config.with_normalize_advantages(params.flag("normalize_advantages")?);
    Some(AdvantagePlan::LeaveOneOut { config, beta: params.number("beta")? })
}
