//! TARS: perturbing what does not belong to the image keeps a policy from leaning on it.

use tropism_core::numerics::from_f64;
use tropism_core::{PairLogps, PairScores, ScoredPairs};
use tropism_objectives::{Batch, Input, Objective, Tars, perturbed_tokens};

use dfdx::prelude::*;

use crate::worlds::{Descent, Loss, ScorePairs, Stream, Traced, dot, gradient};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const FEATURES: usize = 2;
/// Relevance for the image of the visual and of the spurious feature, and the scale ω of the selection.
const RELEVANCE: [f64; FEATURES] = [0.3, 0.1];
const OMEGA: f64 = 0.1;
const TRAINING: usize = 200;
const TEST: usize = 2000;
const STEPS: usize = 3000;
const RATE: f64 = 0.1;

/// Pairs that differ in a visual feature (its sign right in 85 %) and in a spurious one (95 % in training, 5 % in the shifted
/// test). Linear scorers trained by the DPO part of TARS; in each step every pair has, with probability 0.8, one of its
/// features replaced by another pair's with a random sign: none, either one, the visual one, or the one that the selection
/// of TARS takes, the less relevant. Accuracies on 2000 pairs like the training ones and on 2000 shifted ones.
///
/// There are no hidden states here, so the spectral part has weight 0. Random targets and DPO without perturbation stand in
/// another order in the paper's ablation than in this world: no relation compares them.
pub(super) const TOY: Toy = Toy {
    row: "tars",
    title: "TARS: MinMax Token-Adaptive Preference Strategy for Hallucination Reduction in MLLMs",
    arxiv: "2507.21584",
    claim: "Perturbing what is least relevant for the image makes the policy robust to a shift; perturbing at random helps \
            less, perturbing what is visual harms.",
    chance: Chance::Seeds(10),
    relations: &[
        Relation::above("shifted accuracy(least relevant)", "shifted accuracy(random)"),
        Relation::above("shifted accuracy(least relevant)", "shifted accuracy(none)"),
        Relation::above("shifted accuracy(random)", "shifted accuracy(visual)"),
        Relation::above("shifted accuracy(none)", "shifted accuracy(visual)"),
    ],
    run,
};

/// Which feature of a pair is perturbed.
#[derive(Clone, Copy)]
enum Target {
    None,
    Random,
    One(usize),
}

fn run(seed: u64) -> Result<Figures, ToyError> {
    let mut random = Stream::new(seed, 0);
    let training = draw(TRAINING, 0.95, &mut random);
    let tests = [("accuracy", draw(TEST, 0.95, &mut random)), ("shifted accuracy", draw(TEST, 0.05, &mut random))];
    let least = perturbed_tokens(&RELEVANCE, OMEGA)?[0];
    let targets =
        [("none", Target::None), ("random", Target::Random), ("visual", Target::One(0)), ("least relevant", Target::One(least))];
    let mut figures = Figures::default();
    for (name, target) in targets {
        let weights = train(&training, target, &mut Stream::new(seed, 1))?;
        for (what, pairs) in &tests {
            let right = pairs.iter().filter(|x| dot(*x, &weights) > 0.0).count();
            figures.push(format!("{what}({name})"), "", right as f64 / TEST as f64);
        }
    }
    Ok(figures)
}

/// Differences chosen − rejected: visual, spurious.
fn draw(pairs: usize, agrees: f64, random: &mut Stream) -> Vec<[f64; FEATURES]> {
    let mut pair = || {
        let visual = (1.0 + 0.8 * random.normal()).abs() * sign(random.chance(0.85));
        [visual, (1.5 + 0.3 * random.normal()) * sign(random.chance(agrees))]
    };
    (0..pairs).map(|_| pair()).collect()
}

fn sign(positive: bool) -> f64 {
    if positive { 1.0 } else { -1.0 }
}

fn train(pairs: &[[f64; FEATURES]], target: Target, random: &mut Stream) -> Result<Vec<f64>, ToyError> {
    let (mut at, mut rule) = (vec![0.0; FEATURES], Descent::plain(RATE));
    let objective: Objective = Tars::default().with_spectral_weight(0.0).into();
    for _ in 0..STEPS {
        let points = perturb(pairs, target, random).concat();
        let batch = ScorePairs::features(FEATURES, &points, &vec![0.0; points.len()])?;
        let (_, slopes) = gradient(&at, |x| loss(&objective, &batch, x))?;
        rule.step(&mut at, &slopes)?;
    }
    Ok(at)
}

/// The pairs with features replaced, from others in random order.
fn perturb(pairs: &[[f64; FEATURES]], target: Target, random: &mut Stream) -> Vec<[f64; FEATURES]> {
    let from = random.order(pairs.len());
    let mut one = |(pair, from): (&[f64; FEATURES], usize)| {
        let mut pair = *pair;
        let feature = match target {
            Target::None => return pair,
            Target::Random => random.below(FEATURES),
            Target::One(feature) => feature,
        };
        if random.chance(0.8) {
            pair[feature] = pairs[from][feature] * sign(random.chance(0.5));
        }
        pair
    };
    pairs.iter().zip(from).map(&mut one).collect()
}

fn loss(objective: &Objective, batch: &ScorePairs, x: Traced) -> Result<Loss, ToyError> {
    let input = Input::ScoredPairs(scored(batch.logps(x)?)?, Some(scored(batch.frozen(&[0.0; FEATURES])?)?));
    Ok(objective.loss::<_, usize, _, _, _>(Batch::from(input))?.mean()?)
}

/// Pairs without hidden states: all energies are the same.
fn scored<T: Tape<f64, Cpu>>(pairs: PairLogps<usize, f64, Cpu, T>) -> Result<ScoredPairs<usize, f64, Cpu, T>, ToyError> {
    let zeros = || -> Result<Tensor<(usize,), f64, Cpu, T>, ToyError> {
        let zeros: Tensor<(usize,), f64, Cpu> = from_f64(&Cpu::default(), &vec![0.0; pairs.rows()], (pairs.rows(),))?;
        Ok(zeros.put_tape(T::default()))
    };
    let scores = PairScores::new(zeros()?, zeros()?)?;
    Ok(ScoredPairs::new(pairs, scores)?)
}
