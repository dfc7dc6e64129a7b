//! RTO: a DPO model's token rewards make PPO faster.

use tropism_credit::Rto;

use crate::worlds::{Descent, Policy, Positions, Stream, TokenPpo, TokenRewards};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const TOKENS: usize = 12;
const VOCABULARY: usize = 6;
const ROLLOUTS: usize = 16;
const NOISE: f64 = 0.3;
const MEASURED: [usize; 4] = [10, 20, 40, 59];
/// Step sizes of policy and critic: a loss is a mean over positions, so that a row's share is one in twelve.
const ACTOR: f64 = TOKENS as f64;
const CRITIC: f64 = 0.5 * TOKENS as f64;

/// Twelve positions with six tokens each, values of tokens and logits of the reference standard normal. The sentence reward is
/// the sum of the values over `√12`, paid at the last token. The DPO model is the reference tilted by each token's value and
/// noise of standard deviation 0.3. Per iteration 16 completions, a critic with a value for each position, one step each;
/// `ppo` has no DPO model, `rto` pays its log-ratios times `β₁` without a bound, as in the paper. `reward` is the exact expected
/// sentence reward after a number of iterations. "The same plateau" means less than 0.2 apart at iteration 59.
///
/// No step sizes are recorded; ours are 1 for the policy and 0.5 for the critic, of the mean loss at each position.
pub(super) const TOY: Toy = Toy {
    row: "rto",
    title: "DPO Meets PPO: Reinforced Token Optimization for RLHF",
    arxiv: "2404.18922",
    claim: "Token rewards of a DPO model make PPO faster and lead to the same plateau.",
    chance: Chance::Seeds(20),
    relations: &[
        Relation::above("reward(rto 0.05, iteration 10)", "reward(ppo, iteration 10)"),
        Relation::above("reward(rto 0.2, iteration 10)", "reward(ppo, iteration 10)"),
        Relation::above("reward(rto 0.05, iteration 20)", "reward(ppo, iteration 20)"),
        Relation::above("reward(rto 0.2, iteration 20)", "reward(ppo, iteration 20)"),
        Relation::near("reward(rto 0.05, iteration 59)", "reward(ppo, iteration 59)", 0.2),
        Relation::near("reward(rto 0.2, iteration 59)", "reward(ppo, iteration 59)", 0.2),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let mut random = Stream::new(seed, 0);
    let world = Positions::draw(TOKENS, VOCABULARY, &mut random)?;
    let tilt = world.values.iter().map(|value| value + NOISE * random.normal());
    let logits: Vec<f64> = world.reference.iter().zip(tilt).map(|(lp, tilt)| lp + tilt).collect();
    let dpo = Policy::tabular(TOKENS, VOCABULARY).table(&logits)?;
    let score_scale = 1.0 / (TOKENS as f64).sqrt();
    let config = Rto::default().with_dpo_clip(f64::INFINITY);
    let mut figures = Figures::default();
    for (name, scale) in [("ppo", None), ("rto 0.05", Some(0.05)), ("rto 0.2", Some(0.2))] {
        let config = scale.map_or(config.clone(), |scale| config.clone().with_dpo_scale(scale));
        let rewards = TokenRewards { dpo: scale.map(|_| dpo.as_slice()), config, score_scale };
        let mut ppo = TokenPpo::new(&world, Descent::plain(ACTOR), Descent::plain(CRITIC));
        let mut rollouts = Stream::new(seed, 1);
        for iteration in 1..=59 {
            ppo.iterate(ROLLOUTS, &rewards, &mut rollouts)?;
            if MEASURED.contains(&iteration) {
                let reward = score_scale * world.expected_reward(&ppo.table()?);
                figures.push(format!("reward({name}, iteration {iteration})"), "", reward);
            }
        }
    }
    Ok(figures)
}
