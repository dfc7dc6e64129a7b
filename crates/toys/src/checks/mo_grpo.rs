//! Multi-objective GRPO: several scores in one reward, and the reward model that gives them.

use dfdx::prelude::*;
use tropism_core::numerics::{from_f64, sigmoid_scalar};
use tropism_core::ScoreTable;
use tropism_policy_gradient::{
    GroupNormalized, Groups, Grpo, LabelRegression, NormalizeThenSum, RewardTable, group_normalized, grpo,
    label_regression, normalize_then_sum,
};

use crate::worlds::{Completions, Descent, Policy, Stream, Traced, descend, device, gradient};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const AXES: [&str; 4] = ["polite", "meaningful", "actionable", "safe"];
const RESPONSES: usize = 32;
const FEATURES: usize = 8;
const GROUP: usize = 8;
const ROWS: usize = 8 * GROUP;
const UPDATES: usize = 300;
const LABELLED: [usize; 4] = [4, 16, 64, 256];
const TEST_ROWS: usize = 200;

/// 32 responses of one prompt with eight normal features; the four scores are sigmoids of linear functions of them. The
/// spread of politeness is smallest, about 0.07; the logits of actionability and safety have a correlation of −0.7. A table
/// of logits is trained from uniform by 300 plain steps of rate 1 on eight groups of eight, with GRPO's defaults (0.04 · k3)
/// and scores that are off by N(0, 0.05), once for each response. Figures are exact means of the true scores.
///
/// A reward model (a linear head with biases, Adam 0.05, 300 steps) is fitted to 4, 16, 64 or 256 other responses, whose
/// labels are off by N(0, 0.1), and the policy is trained with its mean score. "Rank" is the rank correlation of that score
/// with the truth over the responses, "gain" the policy's gain in the true mean score, "tracking" the rank correlation of
/// both over the four models. 120 seeds, for what can be improved differs much between draws of responses.
pub(super) const TOY: Toy = Toy {
    row: "mo-grpo",
    title: "Optimizing Safe and Aligned Language Generation: A Multi-Objective GRPO Approach",
    arxiv: "2503.21819",
    claim: "GRPO on the mean of several scores improves all of them where one alone costs another; normalising each first \
            helps the one with the smallest spread; better reward models make better policies.",
    chance: Chance::Seeds(120),
    relations: &[
        Relation::above("polite(equal)", "polite(uniform)"),
        Relation::above("meaningful(equal)", "meaningful(uniform)"),
        Relation::above("actionable(equal)", "actionable(uniform)"),
        Relation::above("safe(equal)", "safe(uniform)"),
        Relation::above("safe(uniform)", "safe(actionable only)"),
        Relation::above("polite(normalized)", "polite(equal)"),
        Relation::above("mse(polite, 0 labels)", "mse(polite, 256 labels)"),
        Relation::above("mse(meaningful, 0 labels)", "mse(meaningful, 256 labels)"),
        Relation::above("mse(actionable, 0 labels)", "mse(actionable, 256 labels)"),
        Relation::above("mse(safe, 0 labels)", "mse(safe, 256 labels)"),
        Relation::above("gain(256 labels)", "gain(4 labels)"),
        Relation::above_value("tracking", 0.0),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let mut figures = Figures::default();
    let mut random = Stream::new(seed, 0);
    let responses = Labelled::draw(RESPONSES, 0.0, &mut random);
    let noisy: Vec<f64> = responses.scores.iter().map(|s| s + 0.05 * random.normal()).collect();
    let uniform = responses.means(&[-(RESPONSES as f64).ln(); RESPONSES]);
    let runs = [
        ("equal", [0.25; 4], Advantage::SumThenNormalize),
        ("actionable only", [0.0, 0.0, 1.0, 0.0], Advantage::SumThenNormalize),
        ("normalized", [0.25; 4], Advantage::NormalizeThenSum),
    ];
    push(&mut figures, "uniform", &uniform);
    for (name, weights, advantage) in runs {
        push(&mut figures, name, &responses.means(&train(&noisy, &weights, advantage, seed)?));
    }
    reward_models(seed, &responses, &mut figures)?;
    Ok(figures)
}

fn push(figures: &mut Figures, name: &str, means: &[f64]) {
    AXES.iter().zip(means).for_each(|(axis, &mean)| figures.push(format!("{axis}({name})"), "", mean));
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Policies trained with reward models of different quality.
fn reward_models(seed: u64, responses: &Labelled, figures: &mut Figures) -> Result<(), ToyError> {
    let mut random = Stream::new(seed, 2);
    let rows = Labelled::draw(LABELLED[LABELLED.len() - 1], 0.1, &mut random);
    let test = Labelled::draw(TEST_ROWS, 0.0, &mut random);
    let uniform = mean(&responses.scores);
    let averages = |scores: &[f64]| scores.chunks(AXES.len()).map(mean).collect::<Vec<f64>>();
    let (mut ranks, mut gains) = (Vec::new(), Vec::new());
    test.errors(&[0.0; AXES.len() * (FEATURES + 1)], 0, figures);
    for labels in LABELLED {
        let head = rows.first(labels).fit()?;
        test.errors(&head, labels, figures);
        let scores = responses.predictions(&head);
        let table = train(&scores, &[0.25; 4], Advantage::SumThenNormalize, seed)?;
        ranks.push(rank_correlation(&averages(&scores), &averages(&responses.scores)));
        gains.push(mean(&responses.means(&table)) - uniform);
        figures.push(format!("rank({labels} labels)"), "", ranks[ranks.len() - 1]);
        figures.push(format!("gain({labels} labels)"), "", gains[gains.len() - 1]);
    }
    figures.push("tracking", "", rank_correlation(&ranks, &gains));
    Ok(())
}

/// Spearman's rank correlation of values without ties.
fn rank_correlation(a: &[f64], b: &[f64]) -> f64 {
    let ranks = |v: &[f64]| v.iter().map(|x| v.iter().filter(|y| *y < x).count() as f64).collect::<Vec<_>>();
    let squares: f64 = ranks(a).iter().zip(ranks(b)).map(|(x, y)| (x - y).powi(2)).sum();
    let n = a.len() as f64;
    1.0 - 6.0 * squares / (n * (n * n - 1.0))
}

/// How several scores become one advantage.
#[derive(Clone, Copy)]
enum Advantage {
    SumThenNormalize,
    NormalizeThenSum,
}

/// Log-probabilities of the responses after training with their scores.
fn train(scores: &[f64], weights: &[f64], advantage: Advantage, seed: u64) -> Result<Vec<f64>, ToyError> {
    let (policy, mut random) = (Policy::tabular(1, RESPONSES), Stream::new(seed, 1));
    let mut logits = vec![0.0; RESPONSES];
    let reference = policy.table(&logits)?;
    let (mut rule, groups) = (Descent::plain(1.0), Groups::of_size(ROWS, GROUP)?);
    for _ in 0..UPDATES {
        let odds: Vec<f64> = policy.table(&logits)?.iter().map(|l| l.exp()).collect();
        let cells: Vec<usize> = (0..ROWS).map(|_| random.pick(&odds)).collect();
        let rewards: Vec<f64> = cells.iter().flat_map(|c| &scores[c * AXES.len()..][..AXES.len()]).copied().collect();
        let rewards = RewardTable::new(&rewards, weights)?;
        let advantages = match advantage {
            Advantage::SumThenNormalize => group_normalized(&rewards, &groups, &GroupNormalized::default())?,
            Advantage::NormalizeThenSum => normalize_then_sum(&rewards, &groups, &NormalizeThenSum::default())?,
        };
        let rows = Completions::single(&cells);
        let (_, slopes) = gradient(&logits, |x| {
            let rollout = rows.rollout(policy.logps(x)?)?.with_reference(rows.frozen(&reference)?)?;
            Ok(grpo(rollout.with_advantages(&advantages.values)?, &Grpo::default())?.mean()?)
        })?;
        rule.step(&mut logits, &slopes)?;
    }
    policy.table(&logits)
}

/// Responses with features and scores, row by row.
struct Labelled {
    features: Vec<f64>,
    scores: Vec<f64>,
}

impl Labelled {
    /// Scores that are off by `noise`.
    fn draw(rows: usize, noise: f64, random: &mut Stream) -> Self {
        let features = random.normals(rows * FEATURES);
        let mut scores = Vec::new();
        for h in features.chunks(FEATURES) {
            let conflict = -0.7 * h[2] + 0.51f64.sqrt() * h[3];
            for logit in [0.3 * h[0], 0.6 * h[1], 0.8 * h[2], 0.8 * conflict] {
                scores.push((sigmoid_scalar(logit) + noise * random.normal()).clamp(0.0, 1.0));
            }
        }
        Self { features, scores }
    }

    fn first(&self, rows: usize) -> Self {
        let (features, scores) = (&self.features[..rows * FEATURES], &self.scores[..rows * AXES.len()]);
        Self { features: features.to_vec(), scores: scores.to_vec() }
    }

    /// Expected scores under log-probabilities of the responses.
    fn means(&self, table: &[f64]) -> Vec<f64> {
        let of = |axis| table.iter().zip(self.scores.chunks(AXES.len())).map(|(l, s)| l.exp() * s[axis]).sum();
        (0..AXES.len()).map(of).collect()
    }

    /// What a head's weight stands for: by weight, then by row and axis.
    fn design(&self) -> Vec<f64> {
        let weight = |w: usize, row: usize, axis: usize| match (w / AXES.len(), w % AXES.len() == axis) {
            (_, false) => 0.0,
            (FEATURES, true) => 1.0,
            (feature, true) => self.features[row * FEATURES + feature],
        };
        let rows = self.scores.len() / AXES.len();
        let cells = |w| (0..rows).flat_map(move |row| (0..AXES.len()).map(move |axis| (w, row, axis)));
        (0..AXES.len() * (FEATURES + 1)).flat_map(cells).map(|(w, row, axis)| weight(w, row, axis)).collect()
    }

    /// A head fitted to the scores.
    fn fit(&self) -> Result<Vec<f64>, ToyError> {
        let (weights, rows) = (AXES.len() * (FEATURES + 1), self.scores.len() / AXES.len());
        let design: Tensor<(usize, usize), f64, Cpu> = from_f64(&Cpu::default(), &self.design(), (weights, self.scores.len()))?;
        let mut head = vec![0.0; weights];
        let there = vec![true; self.scores.len()];
        descend(&mut head, Descent::adam(0.05), 300, |x: Traced| {
            let logits = x.try_matmul(design.clone()).map_err(device)?;
            let logits = logits.try_reshape_like(&(rows, AXES.len())).map_err(device)?;
            let table = ScoreTable::new(logits, &there)?;
            Ok(label_regression(table, &self.scores, &LabelRegression::default())?.mean()?)
        })?;
        Ok(head)
    }

    /// What a head says about the rows.
    fn predictions(&self, head: &[f64]) -> Vec<f64> {
        let logit = |h: &[f64], axis: usize| {
            let slopes = h.iter().enumerate().map(|(f, x)| x * head[f * AXES.len() + axis]);
            slopes.sum::<f64>() + head[FEATURES * AXES.len() + axis]
        };
        let row = |h| (0..AXES.len()).map(move |axis| sigmoid_scalar(logit(h, axis)));
        self.features.chunks(FEATURES).flat_map(row).collect()
    }

    /// Mean squared errors of a head by axis.
    fn errors(&self, head: &[f64], labels: usize, figures: &mut Figures) {
        let gaps: Vec<f64> = self.predictions(head).iter().zip(&self.scores).map(|(f, y)| (f - y).powi(2)).collect();
        for (axis, name) in AXES.iter().enumerate() {
            let of: Vec<f64> = gaps.iter().skip(axis).step_by(AXES.len()).copied().collect();
            figures.push(format!("mse({name}, {labels} labels)"), "", mean(&of));
        }
    }
}
