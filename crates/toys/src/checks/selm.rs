//! SELM: optimism in iterations finds the arm that the base policy rarely tries.

use dfdx::prelude::{Cpu, Tape, WithEmptyTape};
use tropism_core::{PairLogps, SequenceLogps, TripleLogps};
use tropism_objectives::{Selm, selm};

use crate::worlds::{Descent, PairBatch, Policy, Stream, descend};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const ARMS: usize = 12;
const BEST: usize = ARMS - 1;
const BETA: f64 = 0.2;
const ALPHAS: [f64; 3] = [0.0, 0.05, 0.3];
const ITERATIONS: usize = 3;
const PROMPTS: usize = 40;

/// Twelve arms with rewards from 0 to 2; the base policy has 0.13 on the seven worst, 0.022 on the next four and 0.002 on
/// the best (renormalised). In each of three iterations of 40 draws a sample `y'` of the current reference and two of the
/// base policy are ranked by reward plus 0.3 Gumbel noise; the best and the worst are the pair, and a draw in which they
/// are the same arm is left out. A table of logits is fitted to the iteration's draws (Adam 0.05, 400 steps) and becomes
/// the next reference. β = 0.2. "Shift" is `E_ref[log π/π_ref]` after the first iteration.
pub(super) const TOY: Toy = Toy {
    row: "selm",
    title: "Self-Exploring Language Models: Active Preference Elicitation for Online Alignment",
    arxiv: "2405.19332",
    claim: "A little optimism raises the reward of the first iterations and the final probability of the best arm, a lot \
            hurts; the likelihood of the reference's own samples falls with it.",
    chance: Chance::Seeds(20),
    relations: &[
        Relation::above("best arm(alpha 0.05, iteration 3)", "best arm(alpha 0, iteration 3)"),
        Relation::above("reward(alpha 0.05, iteration 1)", "reward(alpha 0, iteration 1)"),
        Relation::above("reward(alpha 0.05, iteration 3)", "reward(alpha 0, iteration 3)"),
        Relation::above("reward(alpha 0, iteration 1)", "reward(alpha 0.3, iteration 1)"),
        Relation::above("shift(alpha 0)", "shift(alpha 0.05)"),
        Relation::above("shift(alpha 0.05)", "shift(alpha 0.3)"),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let mut figures = Figures::default();
    let mass = |arm| if arm < 7 { 0.13f64 } else if arm < BEST { 0.022 } else { 0.002 };
    let base: Vec<f64> = (0..ARMS).map(|arm| mass(arm).ln()).collect();
    for alpha in ALPHAS {
        let mut world = Iterations::new(seed, &base)?;
        for iteration in 1..=ITERATIONS {
            let before = world.reference()?;
            world.iterate(alpha)?;
            let after = world.reference()?;
            if iteration == 1 {
                let shift = before.iter().zip(&after).map(|(b, a)| b.exp() * (a - b)).sum();
                figures.push(format!("shift(alpha {alpha})"), "nats", shift);
            }
            let reward = after.iter().enumerate().map(|(arm, l)| l.exp() * reward(arm)).sum();
            figures.push(format!("reward(alpha {alpha}, iteration {iteration})"), "", reward);
            figures.push(format!("best arm(alpha {alpha}, iteration {iteration})"), "", after[BEST].exp());
        }
    }
    Ok(figures)
}

fn reward(arm: usize) -> f64 {
    2.0 * arm as f64 / BEST as f64
}

struct Iterations {
    policy: Policy,
    /// probabilities of the base policy
    base: Vec<f64>,
    /// logits of the last iteration's policy
    logits: Vec<f64>,
    random: Stream,
    noise: Stream,
}

impl Iterations {
    fn new(seed: u64, base: &[f64]) -> Result<Self, ToyError> {
        let policy = Policy::tabular(1, ARMS);
        let probabilities = policy.table(base)?.iter().map(|l| l.exp()).collect();
        let (random, noise) = (Stream::new(seed, 0), Stream::new(seed, 1));
        Ok(Self { policy, base: probabilities, logits: base.to_vec(), random, noise })
    }

    /// Log-probabilities of the current policy, the next iteration's reference.
    fn reference(&self) -> Result<Vec<f64>, ToyError> {
        self.policy.table(&self.logits)
    }

    fn iterate(&mut self, alpha: f64) -> Result<(), ToyError> {
        let reference = self.reference()?;
        let current: Vec<f64> = reference.iter().map(|l| l.exp()).collect();
        let drawn: Vec<_> = (0..PROMPTS).filter_map(|_| self.draw(&current)).collect();
        let batch = Triples::new(&drawn)?;
        let frozen = batch.logps(batch.pairs.reference(&reference)?, batch.thirds.reference(&reference)?)?;
        let config = Selm::default().with_beta(BETA).with_alpha(alpha);
        let (policy, logits) = (&self.policy, &mut self.logits);
        descend(logits, Descent::adam(0.05), 400, |x| {
            let cells = policy.logps(x)?;
            let thirds = batch.thirds.logps(cells.with_empty_tape())?;
            Ok(selm(batch.logps(batch.pairs.logps(cells)?, thirds)?, frozen.clone(), &config)?.mean()?)
        })
    }

    /// Best, worst and own sample of one draw; none when best and worst are the same arm.
    fn draw(&mut self, current: &[f64]) -> Option<(usize, usize, usize)> {
        let own = self.random.pick(current);
        let candidates = [own, self.random.pick(&self.base), self.random.pick(&self.base)];
        let scored = candidates.map(|arm| (reward(arm) - 0.3 * (-(1.0 - self.noise.uniform()).ln()).ln(), arm));
        let best = scored.iter().copied().fold(scored[0], |a, b| if b.0 > a.0 { b } else { a }).1;
        let worst = scored.iter().copied().fold(scored[0], |a, b| if b.0 < a.0 { b } else { a }).1;
        (best != worst).then_some((best, worst, own))
    }
}

/// Pairs with a third completion each.
struct Triples {
    pairs: PairBatch,
    /// the third completions, on both sides of pairs
    thirds: PairBatch,
    lengths: Vec<usize>,
}

impl Triples {
    fn new(drawn: &[(usize, usize, usize)]) -> Result<Self, ToyError> {
        let pairs: Vec<_> = drawn.iter().map(|d| (d.0, d.1)).collect();
        let thirds: Vec<_> = drawn.iter().map(|d| (d.2, d.2)).collect();
        let (pairs, thirds) = (PairBatch::cells(ARMS, &pairs)?, PairBatch::cells(ARMS, &thirds)?);
        Ok(Self { pairs, thirds, lengths: vec![1; drawn.len()] })
    }

    fn logps<T: Tape<f64, Cpu>>(
        &self,
        pairs: PairLogps<usize, f64, Cpu, T>,
        thirds: PairLogps<usize, f64, Cpu, T>,
    ) -> Result<TripleLogps<usize, f64, Cpu, T>, ToyError> {
        Ok(TripleLogps::new(pairs, SequenceLogps::new(thirds.chosen, &self.lengths)?)?)
    }
}
