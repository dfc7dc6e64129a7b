//! DisCO: how much a question weighs, by how hard it is.

use tropism_policy_gradient::{
    Aggregation, Deviation, Disco, DrGrpo, GroupNormalized, Groups, Grpo, KlPenalty, RewardTable, ScaleRewards, disco, dr_grpo,
    group_normalized, grpo,
};

use crate::worlds::{Completions, Loss, TracedRollout, gradient};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const N: usize = 8;

/// One question with eight answers of one token, of which `k` = 1 … 7 are right (success rate `p = k/8`), at the policy that
/// sampled. A question's weight is the sum of the slopes of the loss in the scores of its right answers, without sign: for
/// GRPO `√(p(1−p))` (population deviation, nothing added to it), for Dr. GRPO `p(1−p)`, for DisCO 1. "Error" is the largest
/// distance from that over `k`, which may be rounding alone. The sheet's second part, a small trained model, is not here.
pub(super) const TOY: Toy = Toy {
    row: "disco",
    title: "DisCO: Reinforcing Large Reasoning Models with Discriminative Constrained Optimization",
    arxiv: "2505.12366",
    claim: "GRPO weighs a question by √(p(1−p)) and Dr. GRPO by p(1−p), so that easy and hard ones count little; DisCO \
            weighs all the same.",
    chance: Chance::None,
    relations: &[
        Relation::below_value("error(grpo)", 1e-12),
        Relation::below_value("error(dr grpo)", 1e-12),
        Relation::below_value("error(disco)", 1e-12),
        Relation::above("weight(grpo, 4/8)", "weight(grpo, 1/8)"),
        Relation::above("weight(dr grpo, 4/8)", "weight(dr grpo, 1/8)"),
        Relation::above("share of 1/8(grpo)", "share of 1/8(dr grpo)"),
        Relation::near_value("share of 1/8(disco)", 1.0, 1e-12),
    ],
    run,
};

#[derive(Clone, Copy)]
enum Method {
    Grpo,
    DrGrpo,
    Disco,
}

impl Method {
    fn expected(self, p: f64) -> f64 {
        match self {
            Method::Grpo => (p * (1.0 - p)).sqrt(),
            Method::DrGrpo => p * (1.0 - p),
            Method::Disco => 1.0,
        }
    }

    /// The weight of a question with `right` right answers.
    fn weight(self, right: usize) -> Result<f64, ToyError> {
        let rewards: Vec<f64> = (0..N).map(|i| f64::from(u8::from(i < right))).collect();
        let answers = Completions::single(&(0..N).collect::<Vec<_>>());
        // scores are of no matter to GRPO; DisCO's right ones must not see them either
        let logps: Vec<f64> = (0..N).map(|i| -0.5 - 0.3 * i as f64).collect();
        let old = answers.frozen(&logps)?;
        let (_, slopes) = gradient(&logps, |cells| {
            let rollout = answers.rollout(cells)?.with_old(old)?;
            self.loss(rollout, &rewards)
        })?;
        Ok(slopes[..right].iter().map(|s| s.abs()).sum())
    }

    fn loss(self, rollout: TracedRollout, rewards: &[f64]) -> Result<Loss, ToyError> {
        let groups = Groups::of_size(N, N)?;
        let scale = match self {
            Method::DrGrpo => ScaleRewards::None,
            _ => ScaleRewards::Group,
        };
        let config = GroupNormalized::default().with_scale_rewards(scale).with_deviation(Deviation::Population);
        let advantages = group_normalized(&RewardTable::single(rewards)?, &groups, &config.with_epsilon(0.0))?.values;
        Ok(match self {
            Method::Grpo => {
                grpo(rollout.with_advantages(&advantages)?, &Grpo::default().with_kl(KlPenalty::none()))?.mean()?
            }
            Method::DrGrpo => {
                let one_token = Aggregation::Constant(1.0);
                dr_grpo(rollout.with_advantages(&advantages)?, &DrGrpo::default().with_aggregation(one_token))?.mean()?
            }
            Method::Disco => disco(rollout.with_rewards(rewards)?.with_groups(groups)?, &Disco::default())?.mean()?,
        })
    }
}

fn run(_: u64) -> Result<Figures, ToyError> {
    let mut figures = Figures::default();
    for (name, method) in [("grpo", Method::Grpo), ("dr grpo", Method::DrGrpo), ("disco", Method::Disco)] {
        let weights: Vec<f64> = (1..N).map(|right| method.weight(right)).collect::<Result<_, _>>()?;
        let mut error = 0.0f64;
        for (right, weight) in (1..N).zip(&weights) {
            figures.push(format!("weight({name}, {right}/8)"), "", *weight);
            error = error.max((weight - method.expected(right as f64 / N as f64)).abs());
        }
        figures.push(format!("error({name})"), "", error);
        figures.push(format!("share of 1/8({name})"), "", weights[0] / weights[N / 2 - 1]);
    }
    Ok(figures)
}
