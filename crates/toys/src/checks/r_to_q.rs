//! From r to Q*: a DPO policy's log-ratios are optimal advantages, and its likelihood guides search.

use std::convert::Infallible;

use tropism_core::numerics::sigmoid_scalar;
use tropism_credit::{
    Action, BeamSearch, NextTokens, SoftTree, TokenDpo, TreeValues, drift, token_credits, token_dpo,
};

use crate::worlds::{TokenRows, Descent, Policy, PositionPairs, Stream, descend, logps_of};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const BETA: f64 = 0.5;
/// Tokens and depth of the trees whose credits are learnt.
const LEARNT: [usize; 2] = [3, 3];
const PAIRS: [usize; 3] = [200, 2_000, 20_000];
const STEPS: usize = 1500;
/// Step size of Adam.
const RATE: f64 = 0.05;
/// Tokens and depth of the trees that are searched, and their number for each seed.
const SEARCHED: [usize; 2] = [4, 4];
const TREES: usize = 200;

/// Trees of prefixes whose rewards and logits of the reference are standard normal, `β = 0.5`.
///
/// Credits: three tokens, depth three; pairs of the reference's answers labelled by Bradley and Terry on the sum of rewards; a
/// table of logits is fitted with 1500 steps of Adam on the whole batch, from the reference. `correlation` of the credits
/// `β log(π / π_ref)` with `r + V*(s') − V*(s)` over tokens, weighted by the reference's visits; `drift` the reference's exact
/// mean sum of credits of an answer; `margin` the pairs' mean difference of these sums.
///
/// Search: 200 trees of four tokens and depth four for each seed, with the exact optimal policy. `found` is the share in which
/// the beam finds the answer that maximises `R + β log π_ref`, `gap` the mean of what its answer lacks. Five beams "find all" if
/// the share is within 0.02 of 1.
///
/// The fit's optimiser is not recorded. A table stands in for the tiny language model whose drift is asked for.
pub(super) const TOY: Toy = Toy {
    row: "r-to-q",
    title: "From r to Q*: Your Language Model is Secretly a Q-Function",
    arxiv: "2404.12358",
    claim: "Credits of a DPO policy approach optimal advantages with more data, its likelihood guides search to the optimum, and \
            implicit rewards of the reference's answers fall while the margin grows.",
    chance: Chance::Seeds(10),
    relations: &[
        Relation::above("correlation(2000 pairs)", "correlation(200 pairs)"),
        Relation::above("correlation(20000 pairs)", "correlation(2000 pairs)"),
        Relation::below_value("drift(20000 pairs)", 0.0),
        Relation::above_value("margin(20000 pairs)", 0.0),
        Relation::above("found(2 beams)", "found(1 beam)"),
        Relation::above("found(5 beams)", "found(2 beams)"),
        Relation::near_value("found(5 beams)", 1.0, 0.02),
        Relation::above("gap(1 beam)", "gap(2 beams)"),
        Relation::above("gap(2 beams)", "gap(5 beams)"),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let mut figures = Figures::default();
    let world = World::draw(LEARNT, &mut Stream::new(seed, 0))?;
    for (stream, pairs) in PAIRS.into_iter().enumerate() {
        learn(&world, pairs, &mut Stream::new(seed, 2 + stream as u64), &mut figures)?;
    }
    let mut random = Stream::new(seed, 1);
    let worlds: Vec<World> = (0..TREES).map(|_| World::draw(SEARCHED, &mut random)).collect::<Result<_, _>>()?;
    for (name, width) in [("1 beam", 1), ("2 beams", 2), ("5 beams", 5)] {
        let gaps: Vec<f64> = worlds.iter().map(|world| world.gap(width)).collect::<Result<_, _>>()?;
        let found = gaps.iter().filter(|gap| gap.abs() < 1e-9).count();
        figures.push(format!("found({name})"), "", found as f64 / TREES as f64);
        figures.push(format!("gap({name})"), "", gaps.iter().sum::<f64>() / TREES as f64);
    }
    Ok(figures)
}

/// A tree in which all answers have the same number of tokens, with its optimum.
///
/// Cell `state · tokens + token`; token `a` of state `s` leads to state `s · tokens + 1 + a`.
struct World {
    tokens: usize,
    depth: usize,
    rewards: Vec<f64>,
    reference: Vec<f64>,
    optimum: TreeValues,
}

impl World {
    fn draw([tokens, depth]: [usize; 2], random: &mut Stream) -> Result<Self, ToyError> {
        let states: usize = (0..depth as u32).map(|d| tokens.pow(d)).sum();
        let rewards = random.normals(states * tokens);
        let reference = Policy::tabular(states, tokens).table(&random.normals(states * tokens))?;
        let action = |cell: usize| {
            let next = Some(cell + 1).filter(|&next| next < states);
            Action { reward: rewards[cell], reference_logp: reference[cell], next }
        };
        let tree = (0..states).map(|s| (s * tokens..(s + 1) * tokens).map(action).collect()).collect();
        let optimum = SoftTree::new(tree)?.solve(BETA)?;
        Ok(Self { tokens, depth, rewards, reference, optimum })
    }

    fn policy(&self) -> Policy {
        Policy::tabular(self.reference.len() / self.tokens, self.tokens)
    }

    /// The cells of all answers.
    fn answers(&self) -> Vec<Vec<usize>> {
        let mut answers = vec![Vec::new()];
        for _ in 0..self.depth {
            let longer = |answer: &Vec<usize>| {
                let first = answer.last().map_or(0, |cell| cell + 1) * self.tokens;
                let answer = answer.clone();
                (first..first + self.tokens).map(move |cell| answer.iter().copied().chain([cell]).collect())
            };
            answers = answers.iter().flat_map(longer).collect();
        }
        answers
    }

    fn sum(of: &[f64], answer: &[usize]) -> f64 {
        answer.iter().map(|&cell| of[cell]).sum()
    }

    /// `R + β log π_ref` of an answer.
    fn worth(&self, answer: &[usize]) -> f64 {
        Self::sum(&self.rewards, answer) + BETA * Self::sum(&self.reference, answer)
    }

    /// What the best of `width` beams lacks.
    fn gap(&self, width: usize) -> Result<f64, ToyError> {
        let search = BeamSearch { width, end: self.tokens, max_tokens: self.depth };
        let found = search.best(&mut Optimal(self)).map_err(|_| ToyError::NotReached { what: "an answer", steps: self.depth })?;
        let best = self.answers().iter().map(|answer| self.worth(answer)).fold(f64::NEG_INFINITY, f64::max);
        Ok(best - self.worth(&self.cells(&found.tokens)))
    }

    /// The cells of a prefix that is given as tokens.
    fn cells(&self, prefix: &[usize]) -> Vec<usize> {
        let step = |state: &mut usize, &token: &usize| {
            let cell = *state * self.tokens + token;
            *state = cell + 1;
            Some(cell)
        };
        prefix.iter().scan(0, step).collect()
    }
}

/// The optimal policy; no answer ends before the depth of the tree.
struct Optimal<'a>(&'a World);

impl NextTokens for Optimal<'_> {
    type Error = Infallible;

    fn next_logps(&mut self, prefixes: &[&[usize]]) -> Result<Vec<Vec<f64>>, Infallible> {
        let row = |prefix: &&[usize]| {
            let state = self.0.cells(prefix).last().map_or(0, |cell| cell + 1);
            self.0.optimum.logps[state].iter().copied().chain([f64::NEG_INFINITY]).collect()
        };
        Ok(prefixes.iter().map(row).collect())
    }
}

/// Fits a policy to labelled pairs and measures its credits.
fn learn(world: &World, pairs: usize, random: &mut Stream, figures: &mut Figures) -> Result<(), ToyError> {
    let answers = world.answers();
    let visits: Vec<f64> = answers.iter().map(|answer| World::sum(&world.reference, answer).exp()).collect();
    let labelled = Labelled::draw(world, &answers, &visits, pairs, random)?;
    let (policy, mut at) = (world.policy(), world.reference.clone());
    descend(&mut at, Descent::adam(RATE), STEPS, |x| {
        let terms = token_dpo(labelled.batch.logps(policy.logps(x)?)?, labelled.batch.reference(), &config())?;
        Ok(terms.times_rows(&labelled.weights)?.mean()?)
    })?;
    let (table, all) = (policy.table(&at)?, TokenRows::new(&answers, world.depth)?);
    let credits = token_credits(&logps_of(&all, &table)?, &logps_of(&all, &world.reference)?, BETA)?;
    let truth = world.optimum.credits.concat();
    let points = answers.iter().zip(&visits).enumerate().flat_map(|(row, (answer, &visit))| {
        answer.iter().zip(credits.row(row)).map(|(&cell, &credit)| (visit, credit, truth[cell])).collect::<Vec<_>>()
    });
    figures.push(format!("correlation({pairs} pairs)"), "", correlation(&points.collect::<Vec<_>>()));
    figures.push(format!("drift({pairs} pairs)"), "", world.drift(&table)?);
    let margin = |(i, j): &(usize, usize)| credits.total(*i) - credits.total(*j);
    let margins = labelled.pairs.iter().zip(&labelled.weights).map(|(pair, w)| w * margin(pair));
    figures.push(format!("margin({pairs} pairs)"), "", margins.sum::<f64>() / labelled.pairs.len() as f64);
    Ok(())
}

fn config() -> TokenDpo {
    TokenDpo::default().with_beta(BETA)
}

impl World {
    /// Mean sum of the credits of an answer that the reference gives.
    fn drift(&self, table: &[f64]) -> Result<f64, ToyError> {
        let (mut sum, mut visits) = (0.0, vec![1.0]);
        for (state, row) in table.chunks(self.tokens).enumerate() {
            let reference = &self.reference[state * self.tokens..(state + 1) * self.tokens];
            sum += visits[state] * drift(row, reference, BETA)?;
            // states are numbered level by level
            visits.extend(reference.iter().map(|lp| visits[state] * lp.exp()).collect::<Vec<_>>());
        }
        Ok(sum)
    }
}

/// Pairs of different answers, each once, with its share of the data times their number.
struct Labelled {
    pairs: Vec<(usize, usize)>,
    weights: Vec<f64>,
    batch: PositionPairs,
}

impl Labelled {
    fn draw(
        world: &World,
        answers: &[Vec<usize>],
        visits: &[f64],
        n: usize,
        random: &mut Stream,
    ) -> Result<Self, ToyError> {
        let rewards: Vec<f64> = answers.iter().map(|answer| World::sum(&world.rewards, answer)).collect();
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..n {
            let (i, j) = (random.pick(visits), random.pick(visits));
            let first = random.chance(sigmoid_scalar(rewards[i] - rewards[j]));
            // a pair of equal answers has no gradient
            if i != j {
                *counts.entry(if first { (i, j) } else { (j, i) }).or_insert(0.0) += 1.0;
            }
        }
        let pairs: Vec<(usize, usize)> = counts.keys().copied().collect();
        let scale = pairs.len() as f64 / n as f64;
        let weights = counts.values().map(|count| count * scale).collect();
        let side = |of: fn(&(usize, usize)) -> usize| {
            TokenRows::new(&pairs.iter().map(|pair| answers[of(pair)].clone()).collect::<Vec<_>>(), world.depth)
        };
        let batch = PositionPairs::new([side(|pair| pair.0)?, side(|pair| pair.1)?], &world.reference)?;
        Ok(Self { pairs, weights, batch })
    }
}

/// Pearson's correlation of points with weights (weight, x, y).
fn correlation(points: &[(f64, f64, f64)]) -> f64 {
    let total: f64 = points.iter().map(|(w, ..)| w).sum();
    let mean = |of: &dyn Fn(f64, f64) -> f64| points.iter().map(|&(w, x, y)| w * of(x, y)).sum::<f64>() / total;
    let (x, y) = (mean(&|x, _| x), mean(&|_, y| y));
    let (xx, yy) = (mean(&|a, _| (a - x) * (a - x)), mean(&|_, b| (b - y) * (b - y)));
    mean(&|a, b| (a - x) * (b - y)) / (xx * yy).sqrt()
}
