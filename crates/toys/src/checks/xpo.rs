//! XPO: a bonus that finds an arm which the reference hardly ever tries.

use tropism_core::numerics::sigmoid_scalar;
use tropism_objectives::{Dpo, Xpo, xpo};

use crate::worlds::{Descent, PairBatch, Policy, Stream, descend};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const ARMS: usize = 10;
const BEST: usize = ARMS - 1;
const BETA: f64 = 0.1;
const ALPHAS: [f64; 3] = [0.0, 0.002, 0.01];
const ROUNDS: usize = 30;
const PAIRS_PER_ROUND: usize = 4;

/// Ten arms with rewards from 0 to 2; the reference has 0.16 on the six worst, 0.0132 on the next three and 0.0004 on the
/// best (renormalised). In each of 30 rounds four pairs, one sample of the policy and one of the reference, are labelled
/// `σ(4 Δr)`, and a table of logits is fitted to all pairs so far (Adam 0.05, 300 steps, from the reference), β = 0.1.
/// "Found" is 1 where the best arm was ever sampled, "labels" how many it took (120 where it was not found). More seeds
/// than the sheet has, for early rewards vary much between them.
pub(super) const TOY: Toy = Toy {
    row: "xpo",
    title: "Exploratory Preference Optimization: Harnessing Implicit Q*-Approximation for Sample-Efficient RLHF",
    arxiv: "2405.21046",
    claim: "With a small bonus the policy finds the best arm, which plain online DPO does not, and is better early on; a \
            large bonus exploits worse in the end.",
    chance: Chance::Seeds(60),
    relations: &[
        Relation::above("found(alpha 0.002)", "found(alpha 0)"),
        Relation::above("reward(alpha 0.002, round 5)", "reward(alpha 0, round 5)"),
        Relation::above("reward(alpha 0.002, round 10)", "reward(alpha 0, round 10)"),
        Relation::above("found(alpha 0.01)", "found(alpha 0)"),
        Relation::above("reward(alpha 0.002, round 30)", "reward(alpha 0.01, round 30)"),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let mut figures = Figures::default();
    let mass = |arm| if arm < 6 { 0.16f64 } else if arm < BEST { 0.0132 } else { 0.0004 };
    let start: Vec<f64> = (0..ARMS).map(|arm| mass(arm).ln()).collect();
    let policy = Policy::tabular(1, ARMS);
    let reference = policy.table(&start)?;
    let bandit = Bandit { policy, start, reference };
    for alpha in ALPHAS {
        let found = bandit.explore(seed, alpha)?;
        figures.push(format!("found(alpha {alpha})"), "", f64::from(found.labels.is_some()));
        let labels = found.labels.unwrap_or(ROUNDS * PAIRS_PER_ROUND);
        figures.push(format!("labels(alpha {alpha})"), "labels", labels as f64);
        for round in [5, 10, 30] {
            figures.push(format!("reward(alpha {alpha}, round {round})"), "", found.rewards[round - 1]);
        }
    }
    Ok(figures)
}

fn reward(arm: usize) -> f64 {
    2.0 * arm as f64 / BEST as f64
}

struct Bandit {
    policy: Policy,
    start: Vec<f64>,
    reference: Vec<f64>,
}

struct Explored {
    /// labels until the best arm was sampled
    labels: Option<usize>,
    /// expected reward after each round
    rewards: Vec<f64>,
}

impl Bandit {
    fn explore(&self, seed: u64, alpha: f64) -> Result<Explored, ToyError> {
        let config = Xpo::default().with_alpha(alpha).with_base(Box::new(Dpo::default().with_beta(BETA).into()));
        let (mut random, mut oracle) = (Stream::new(seed, 0), Stream::new(seed, 1));
        let probabilities = |logps: &[f64]| logps.iter().map(|l| l.exp()).collect::<Vec<_>>();
        let base = probabilities(&self.reference);
        let (mut current, mut pairs, mut won) = (base.clone(), Vec::new(), Vec::new());
        let mut found = Explored { labels: None, rewards: Vec::new() };
        for _ in 0..ROUNDS {
            for _ in 0..PAIRS_PER_ROUND {
                let (ours, theirs) = (random.pick(&current), random.pick(&base));
                let wins = oracle.chance(sigmoid_scalar(4.0 * (reward(ours) - reward(theirs))));
                pairs.push(if wins { (ours, theirs) } else { (theirs, ours) });
                won.push(wins);
                if found.labels.is_none() && (ours == BEST || theirs == BEST) {
                    found.labels = Some(pairs.len());
                }
            }
            current = probabilities(&self.fit(&pairs, &won, &config)?);
            found.rewards.push(current.iter().enumerate().map(|(arm, p)| p * reward(arm)).sum());
        }
        Ok(found)
    }

    /// Log-probabilities of a policy that is fitted to the pairs from the reference on.
    fn fit(&self, pairs: &[(usize, usize)], won: &[bool], config: &Xpo) -> Result<Vec<f64>, ToyError> {
        let batch = PairBatch::cells(ARMS, pairs)?;
        let reference = batch.reference(&self.reference)?;
        let mut logits = self.start.clone();
        descend(&mut logits, Descent::adam(0.05), 300, |x| {
            Ok(xpo(batch.logps(self.policy.logps(x)?)?, reference.clone(), won, config)?.mean()?)
        })?;
        self.policy.table(&logits)
    }
}
