//! SFT as learning of an implicit reward: small learning rates and other divergences leave more for DPO.

use dfdx::prelude::Cpu;
use tropism_core::SequenceLogps;
use tropism_core::numerics::sigmoid_scalar;
use tropism_objectives::{Batch, Dpo, FSft, Objective, Sft, SftDivergence};

use crate::worlds::{Descent, Loss, Policy, ScorePairs, Stream, Traced, descend, pick};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const CONTEXTS: usize = 40;
const ARMS: usize = 10;
/// Learning rates of SFT; steps of SFT and of DPO.
const RATES: [f64; 4] = [0.05, 0.2, 1.0, 4.0];
const STEPS: [usize; 2] = [60, 200];
/// Pairs that the tuned policy samples per context, and DPO's β.
const PAIRS: usize = 8;
const BETA: f64 = 0.1;

/// Forty contexts with ten arms, a base policy that nearly knows the rewards, and one noisy demonstration per context.
/// SFT at four learning rates, or with another divergence at rate 1 and β = 1 in the form by sequence; then DPO with the
/// tuned policy as reference, on pairs sampled from it. Rewards are exact expectations; the lift is the mean log-ratio of
/// the demonstrations to the base policy.
///
/// A rate is that of a context: losses are means within a context and sums over contexts. "Hardly separated" after SFT
/// means within 0.1. With clean demonstrations (two per context, from `softmax(3 r)`: our choice of a sharper expert) the
/// effect of the rate is expected to be gone or turned: the largest rate is at most 0.05 below the smallest.
pub(super) const TOY: Toy = Toy {
    row: "sft-bridge",
    title: "Implicit Reward as the Bridge: A Unified View of SFT and DPO Connections",
    arxiv: "2507.00018",
    claim: "The learning rate of SFT hardly changes its own result, but a large one harms DPO afterwards; other \
            divergences stay nearer to the base policy and end higher.",
    chance: Chance::Seeds(20),
    relations: &[
        Relation::near("reward(sft 0.05)", "reward(sft 4)", 0.1),
        Relation::above("reward(sft 0.05, dpo)", "reward(sft 0.2, dpo)"),
        Relation::above("reward(sft 0.2, dpo)", "reward(sft 1, dpo)"),
        Relation::above("reward(sft 1, dpo)", "reward(sft 4, dpo)"),
        Relation::above("kl(sft 1)", "kl(chi2 1)"),
        Relation::above("kl(sft 1)", "kl(hellinger 1)"),
        Relation::above("reward(chi2 1, dpo)", "reward(sft 1, dpo)"),
        Relation::above("reward(hellinger 1, dpo)", "reward(sft 1, dpo)"),
        Relation::above_by("reward(clean, sft 4, dpo)", "reward(clean, sft 0.05, dpo)", -0.05),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let world = World::draw(seed)?;
    let mut figures = Figures::default();
    figures.push("reward(base)", "", world.reward(&world.base));
    figures.push("reward(base, dpo)", "", world.reward(&world.prefer(&world.base_logits)?));
    let noisy = world.demonstrate(1.0, 1);
    for rate in RATES {
        world.report(&mut figures, &format!("sft {rate}"), &world.tune(&Sft::default().into(), rate, &noisy)?, &noisy)?;
    }
    for (name, divergence) in [("chi2 1", SftDivergence::ChiSquared), ("hellinger 1", SftDivergence::Hellinger)] {
        let objective = FSft::default().with_beta(1.0).with_divergence(divergence).into();
        world.report(&mut figures, name, &world.tune(&objective, 1.0, &noisy)?, &noisy)?;
    }
    let clean = world.demonstrate(3.0, 2);
    for rate in [RATES[0], RATES[3]] {
        let tuned = world.tune(&Sft::default().into(), rate, &clean)?;
        world.report(&mut figures, &format!("clean, sft {rate}"), &tuned, &clean)?;
    }
    Ok(figures)
}

struct World {
    seed: u64,
    rewards: Vec<f64>,
    policy: Policy,
    base_logits: Vec<f64>,
    /// log-probabilities of the base policy
    base: Vec<f64>,
}

impl World {
    fn draw(seed: u64) -> Result<Self, ToyError> {
        let mut random = Stream::new(seed, 0);
        let [rewards, noise] = [0; 2].map(|_| random.normals(CONTEXTS * ARMS));
        let policy = Policy::tabular(CONTEXTS, ARMS);
        let base_logits: Vec<f64> = rewards.iter().zip(noise).map(|(r, n)| r + 0.5 * n).collect();
        let base = policy.table(&base_logits)?;
        Ok(Self { seed, rewards, policy, base_logits, base })
    }

    /// Cells drawn from `softmax(sharpness · r)`, some per context.
    fn demonstrate(&self, sharpness: f64, per_context: usize) -> Vec<usize> {
        let mut random = Stream::new(self.seed, 1);
        let mut draw = |context: usize| {
            let weights: Vec<f64> = self.row(&self.rewards, context).iter().map(|r| (sharpness * r).exp()).collect();
            let total: f64 = weights.iter().sum();
            context * ARMS + random.pick(&weights.iter().map(|w| w / total).collect::<Vec<_>>())
        };
        (0..CONTEXTS).flat_map(|c| vec![c; per_context]).map(&mut draw).collect()
    }

    fn row<'r>(&self, table: &'r [f64], context: usize) -> &'r [f64] {
        &table[context * ARMS..][..ARMS]
    }

    /// Logits after full-batch steps on demonstrations.
    fn tune(&self, objective: &Objective, rate: f64, demonstrations: &[usize]) -> Result<Vec<f64>, ToyError> {
        let lengths = vec![1; demonstrations.len()];
        let rows = |x| Ok::<_, ToyError>(SequenceLogps::new(pick(self.policy.logps(x)?, demonstrations)?, &lengths)?);
        let base: Vec<f64> = demonstrations.iter().map(|&c| self.base[c]).collect();
        let base = SequenceLogps::new(tropism_core::numerics::from_f64(&Cpu::default(), &base, (base.len(),))?, &lengths)?;
        let loss = |x: Traced| -> Result<Loss, ToyError> {
            let reference = objective.needs_reference().then(|| base.clone());
            let batch = Batch::<usize, usize, f64, Cpu, _>::completions(rows(x)?, reference);
            Ok(objective.loss(batch)?.times(CONTEXTS as f64)?.mean()?)
        };
        let mut logits = self.base_logits.clone();
        descend(&mut logits, Descent::plain(rate), STEPS[0], loss)?;
        Ok(logits)
    }

    /// Log-probabilities after DPO on pairs that the policy at `start` samples, with itself as reference.
    fn prefer(&self, start: &[f64]) -> Result<Vec<f64>, ToyError> {
        let table = self.policy.table(start)?;
        let pairs = ScorePairs::cells(&self.sample(&table));
        let (reference, objective) = (pairs.frozen(&table)?, Dpo::default().with_beta(BETA).into());
        let mut logits = start.to_vec();
        let rate = 2.0 * CONTEXTS as f64;
        descend(&mut logits, Descent::plain(rate), STEPS[1], |x| pairs.loss(&objective, self.policy.logps(x)?, &reference))?;
        self.policy.table(&logits)
    }

    /// Labelled pairs of arms of one context, `P(i ≻ j) = σ(2 (r_i − r_j))`.
    fn sample(&self, table: &[f64]) -> Vec<(usize, usize)> {
        let (mut random, mut labels) = (Stream::new(self.seed, 2), Stream::new(self.seed, 3));
        let mut pair = |context: usize| {
            let probabilities: Vec<f64> = self.row(table, context).iter().map(|l| l.exp()).collect();
            let [i, j] = [0; 2].map(|_| context * ARMS + random.pick(&probabilities));
            let first = labels.chance(sigmoid_scalar(2.0 * (self.rewards[i] - self.rewards[j])));
            if first { (i, j) } else { (j, i) }
        };
        (0..CONTEXTS).flat_map(|c| [c; PAIRS]).map(&mut pair).collect()
    }

    /// Expected reward, averaged over contexts.
    fn reward(&self, logps: &[f64]) -> f64 {
        logps.iter().zip(&self.rewards).map(|(l, r)| l.exp() * r).sum::<f64>() / CONTEXTS as f64
    }

    fn report(&self, figures: &mut Figures, name: &str, tuned: &[f64], shown: &[usize]) -> Result<(), ToyError> {
        let table = self.policy.table(tuned)?;
        let lift: f64 = shown.iter().map(|&c| table[c] - self.base[c]).sum();
        figures.push(format!("lift({name})"), "nats", lift / shown.len() as f64);
        let kl: f64 = table.iter().zip(&self.base).map(|(l, b)| l.exp() * (l - b)).sum();
        figures.push(format!("kl({name})"), "nats", kl / CONTEXTS as f64);
        figures.push(format!("reward({name})"), "", self.reward(&table));
        figures.push(format!("reward({name}, dpo)"), "", self.reward(&self.prefer(tuned)?));
        Ok(())
    }
}
