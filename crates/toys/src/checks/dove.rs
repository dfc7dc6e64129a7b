//! DOVE: comparisons across instructions teach a policy, though less than those within one.

use dfdx::prelude::*;
use tropism_core::numerics::{from_f64, sigmoid_scalar};
use tropism_core::{PairTokens, TokenLogps};
use tropism_objectives::{Batch, Dove, Dpo, Input, Objective};

use crate::worlds::{Descent, Policy, Stream, Traced, descend, device, dot, pick};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const INSTRUCTIONS: usize = 30;
const TEST_INSTRUCTIONS: usize = 200;
const RESPONSES: usize = 6;
const DIM: usize = 20;
const BETA: f64 = 0.1;
const RATE: f64 = 2.0;
const STEPS: usize = 400;

/// Thirty instructions with six responses of twenty features; the reward is linear in them, the policy has a linear
/// softmax over an instruction's responses and a softmax over instructions. Forty comparisons of two responses of one
/// instruction (conditional), forty of instances of different instructions (joint, judged with an offset per instruction),
/// both, and eighty conditional ones. Figures are exact expectations over 200 new instructions: the reward, and the
/// probability of being preferred to a uniform policy.
///
/// That joint comparisons add to the same conditional ones takes many more seeds to be seen; the figures are there, and no
/// relation says so. All policies are trained with DOVE on whole instances, which is DPO where the instruction is the same.
pub(super) const TOY: Toy = Toy {
    row: "dove",
    title: "Comparing Bad Apples to Good Oranges: Aligning Large Language Models via Joint Preference Optimization",
    arxiv: "2404.00530",
    claim: "Comparisons of instances of different instructions teach the policy what is better; per pair, comparisons \
            within an instruction are worth more.",
    chance: Chance::Seeds(30),
    relations: &[
        Relation::above("reward(40 joint)", "reward(uniform)"),
        Relation::above("reward(40 conditional)", "reward(40 joint)"),
        Relation::above("reward(80 conditional)", "reward(40 conditional, 40 joint)"),
        Relation::above("wins(40 conditional)", "wins(40 joint)"),
        Relation::above("wins(80 conditional)", "wins(40 conditional, 40 joint)"),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let mut random = Stream::new(seed, 0);
    let truth: Vec<f64> = random.normals(DIM).iter().map(|w| w * (4.0 / DIM as f64).sqrt()).collect();
    let [train, test] = [INSTRUCTIONS, TEST_INSTRUCTIONS].map(|n| Instances::draw(n, &truth, &mut random));
    let offsets = random.normals(INSTRUCTIONS);
    let conditional = train.compare(80, None, seed, 1);
    let joint = train.compare(40, Some(&offsets), seed, 2);
    let mut figures = Figures::default();
    test.report(&mut figures, "uniform", &[0.0; DIM])?;
    let sets = [
        ("40 conditional", conditional[..40].to_vec()),
        ("40 joint", joint.clone()),
        ("40 conditional, 40 joint", [&conditional[..40], &joint].concat()),
        ("80 conditional", conditional),
    ];
    for (name, pairs) in &sets {
        let parameters = train.train(pairs)?;
        test.report(&mut figures, name, &parameters[INSTRUCTIONS..])?;
    }
    Ok(figures)
}

/// Responses to instructions, cell by cell.
struct Instances {
    instructions: usize,
    features: Vec<f64>,
    rewards: Vec<f64>,
}

impl Instances {
    fn draw(instructions: usize, truth: &[f64], random: &mut Stream) -> Self {
        let features = random.normals(instructions * RESPONSES * DIM);
        let rewards = features.chunks(DIM).map(|x| dot(x, truth)).collect();
        Self { instructions, features, rewards }
    }

    /// Labelled pairs of cells, chosen first, `σ(2 Δ)`: of one instruction, or of two with offsets on their rewards.
    fn compare(&self, pairs: usize, offsets: Option<&[f64]>, seed: u64, stream: u64) -> Vec<(usize, usize)> {
        let mut random = Stream::new(seed, stream);
        let other = |i: usize, of: usize, random: &mut Stream| (i + 1 + random.below(of - 1)) % of;
        let mut pair = || {
            let (a, i) = (random.below(self.instructions), random.below(RESPONSES));
            let (b, j) = match offsets {
                Some(_) => (other(a, self.instructions, &mut random), random.below(RESPONSES)),
                None => (a, other(i, RESPONSES, &mut random)),
            };
            let (s, t) = (a * RESPONSES + i, b * RESPONSES + j);
            let shift = offsets.map_or(0.0, |o| o[a] - o[b]);
            let first = random.chance(sigmoid_scalar(2.0 * (self.rewards[s] - self.rewards[t] + shift)));
            if first { (s, t) } else { (t, s) }
        };
        (0..pairs).map(|_| pair()).collect()
    }

    fn policy(&self) -> Result<Policy, ToyError> {
        Policy::log_linear(self.instructions, vec![0.0; self.rewards.len()], &self.features)
    }

    /// Logits of the instructions, then weights of the features.
    fn train(&self, pairs: &[(usize, usize)]) -> Result<Vec<f64>, ToyError> {
        let objective: Objective = Dove::default().with_base(Box::new(Dpo::default().with_beta(BETA).into())).into();
        let policies = [Policy::tabular(1, self.instructions), self.policy()?];
        let mut parameters = vec![0.0; self.instructions + DIM];
        let start = from_f64(&Cpu::default(), &parameters, (parameters.len(),))?;
        let reference = self.tokens::<NoneTape>(&policies, start, pairs)?;
        descend(&mut parameters, Descent::plain(RATE), STEPS, |x: Traced| {
            let input = Input::PairTokens(self.tokens(&policies, x, pairs)?, Some(reference.clone()));
            Ok(objective.loss(Batch::from(input))?.mean()?)
        })?;
        Ok(parameters)
    }

    /// Each instance as two tokens: its instruction and its response.
    fn tokens<T: Tape<f64, Cpu>>(
        &self,
        policies: &[Policy; 2],
        x: Tensor<(usize,), f64, Cpu, T>,
        pairs: &[(usize, usize)],
    ) -> Result<PairTokens<usize, usize, f64, Cpu, T>, ToyError> {
        let [instructions, weights] = [0..self.instructions, self.instructions..x.shape().0].map(Vec::from_iter);
        let weights = pick(x.with_empty_tape(), &weights)?;
        let instructions = policies[0].logps(pick(x, &instructions)?)?;
        let all = (instructions, policies[1].logps(weights)?).try_concat_along(Axis::<0>).map_err(device)?;
        let side = |all, cells: Vec<usize>| {
            let at = |c: usize| [c / RESPONSES, self.instructions + c];
            let tokens = pick(all, &cells.iter().flat_map(|&c| at(c)).collect::<Vec<_>>())?;
            let tokens = tokens.try_reshape_like(&(cells.len(), 2)).map_err(device)?;
            let mask = |m: [bool; 2]| vec![m; cells.len()].concat();
            Ok::<_, ToyError>(TokenLogps::new(tokens, &mask([false, true]))?.with_prompt(&mask([true, false]))?)
        };
        let (chosen, rejected) = pairs.iter().copied().unzip();
        let again = all.with_empty_tape();
        Ok(PairTokens::new(side(all, chosen)?, side(again, rejected)?)?)
    }

    /// Expected reward, and probability of being preferred to a uniform policy.
    fn report(&self, figures: &mut Figures, name: &str, weights: &[f64]) -> Result<(), ToyError> {
        let table = self.policy()?.table(weights)?;
        let (mut reward, mut wins) = (0.0, 0.0);
        for (cells, rewards) in table.chunks(RESPONSES).zip(self.rewards.chunks(RESPONSES)) {
            for (l, r) in cells.iter().zip(rewards) {
                reward += l.exp() * r;
                let won: f64 = rewards.iter().map(|other| sigmoid_scalar(2.0 * (r - other))).sum();
                wins += l.exp() * won / RESPONSES as f64;
            }
        }
        figures.push(format!("reward({name})"), "", reward / self.instructions as f64);
        figures.push(format!("wins({name})"), "", wins / self.instructions as f64);
        Ok(())
    }
}
