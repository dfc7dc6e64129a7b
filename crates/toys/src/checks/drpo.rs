//! DRPO: shorter answers without pushing right ones down.

use tropism_policy_gradient::{
    Drpo, GroupNormalized, Grpo, Groups, KlPenalty, RewardTable, drpo, group_normalized, grpo,
};

use crate::worlds::{Completions, Descent, Loss, Policy, Stream, TracedRollout, gradient};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const GROUP: usize = 8;
/// Lengths of (a): `len / LONGEST` stands for a uniform share of the capacity.
const LONGEST: usize = 20;
const QUESTIONS: usize = 16;
const LENGTHS: usize = 8;
const UPDATES: usize = 400;
const PENALTIES: [f64; 4] = [0.0, 0.1, 0.5, 1.0];
const LAMBDAS: [(&str, f64); 5] = [("inf", 1e9), ("0.5", 0.5), ("0.3", 0.3), ("0.2", 0.2), ("0.1", 0.1)];

/// (a) 500 groups of eight for each success rate 1/4, 1/2, 3/4, 0.9, lengths uniform from 1 to 20: the share of right
/// answers that a step pushes down, under GRPO with rewards `r (1 − a · len / 20)` (its advantage) and under DRPO (its
/// gradient). Shares have to come within 0.02 of 0.11, 0.20 and 0.35.
///
/// (b) Sixteen questions of difficulty `d` from 0 to 8; an answer is its length 1 … 8 and right with `0.95 σ(1.5 (len − d))`.
/// Each token of an answer carries the log-probability of its length, so that a score is that of a bandit. The start is
/// `0.2 · len`; 400 updates on fresh groups of eight, plain steps of 0.2 per question. Figures are exact expectations.
/// "Jump" is the largest step in length between neighbouring settings; accuracy at λ = 0.2 may fall by 0.03.
pub(super) const TOY: Toy = Toy {
    row: "drpo",
    title: "DRPO: Efficient Reasoning via Decoupled Reward Policy Optimization",
    arxiv: "2510.04474",
    claim: "Length penalties in GRPO's rewards push right answers down, DRPO's weights never do; its temperature trades \
            accuracy against length smoothly.",
    chance: Chance::Seeds(10),
    relations: &[
        Relation::near_value("pushed down(grpo 0.2)", 0.11, 0.02),
        Relation::near_value("pushed down(grpo 0.5)", 0.20, 0.02),
        Relation::near_value("pushed down(grpo 1)", 0.35, 0.02),
        Relation::near_value("pushed down(drpo)", 0.0, 1e-12),
        Relation::above("length(drpo inf)", "length(drpo 0.5)"),
        Relation::above("length(drpo 0.5)", "length(drpo 0.3)"),
        Relation::above("length(drpo 0.3)", "length(drpo 0.2)"),
        Relation::above("length(drpo 0.2)", "length(drpo 0.1)"),
        Relation::above_by("accuracy(drpo 0.2)", "accuracy(drpo inf)", -0.03),
        Relation::above("accuracy(drpo 0.2)", "accuracy(grpo 0.1)"),
        Relation::above("jump(grpo)", "jump(drpo)"),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let mut figures = Figures::default();
    pushed_down(seed, &mut figures)?;
    let bandit = Bandit::new();
    let grpo = PENALTIES.map(|a| (a.to_string(), Method::Grpo(a)));
    let drpo = LAMBDAS.map(|(name, lambda)| (name.to_owned(), Method::Drpo(lambda)));
    for (family, settings) in [("grpo", grpo.to_vec()), ("drpo", drpo.to_vec())] {
        let mut lengths = Vec::new();
        for (name, method) in settings {
            let table = bandit.train(method, seed)?;
            let (accuracy, length) = bandit.means(&table);
            figures.push(format!("accuracy({family} {name})"), "", accuracy);
            figures.push(format!("length({family} {name})"), "tokens", length);
            lengths.push(length);
        }
        let jump = lengths.windows(2).map(|w| w[0] - w[1]).fold(f64::NEG_INFINITY, f64::max);
        figures.push(format!("jump({family})"), "tokens", jump);
    }
    Ok(figures)
}

/// What is trained with, and how much it cares for lengths.
#[derive(Clone, Copy)]
enum Method {
    Grpo(f64),
    Drpo(f64),
}

impl Method {
    /// The loss of groups of eight, given which answers are right and their lengths as shares.
    fn loss(self, rollout: TracedRollout, right: &[f64], lengths: &[usize], longest: usize) -> Result<Loss, ToyError> {
        let groups = Groups::of_size(right.len(), GROUP)?;
        Ok(match self {
            Method::Grpo(a) => {
                let advantages = advantages(a, right, lengths, longest)?;
                grpo(rollout.with_advantages(&advantages)?, &Grpo::default().with_kl(KlPenalty::none()))?.mean()?
            }
            Method::Drpo(lambda) => {
                let config = Drpo::default().with_lambda(lambda).with_capacity(longest as f64);
                drpo(rollout.with_rewards(right)?.with_groups(groups)?, &config)?.mean()?
            }
        })
    }
}

/// GRPO's advantages of rewards that lengths are taken from.
fn advantages(a: f64, right: &[f64], lengths: &[usize], longest: usize) -> Result<Vec<f64>, ToyError> {
    let penalised = |(r, &n): (&f64, &usize)| r * (1.0 - a * n as f64 / longest as f64);
    let rewards: Vec<f64> = right.iter().zip(lengths).map(penalised).collect();
    let groups = Groups::of_size(rewards.len(), GROUP)?;
    Ok(group_normalized(&RewardTable::single(&rewards)?, &groups, &GroupNormalized::default())?.values)
}

/// Part (a).
fn pushed_down(seed: u64, figures: &mut Figures) -> Result<(), ToyError> {
    let mut random = Stream::new(seed, 0);
    let (mut right, mut lengths) = (Vec::new(), Vec::new());
    for rate in [0.25, 0.5, 0.75, 0.9] {
        for _ in 0..500 * GROUP {
            right.push(f64::from(u8::from(random.chance(rate))));
            lengths.push(1 + random.below(LONGEST));
        }
    }
    let all: f64 = right.iter().sum();
    let share = |down: &dyn Fn(usize) -> bool| (0..right.len()).filter(|&i| right[i] == 1.0 && down(i)).count() as f64 / all;
    for a in [0.2, 0.5, 1.0] {
        let advantages = advantages(a, &right, &lengths, LONGEST)?;
        figures.push(format!("pushed down(grpo {a})"), "", share(&|i| advantages[i] < 0.0));
    }
    // every answer has a cell of its own
    let answers = Completions::new(&(0..lengths.len()).map(|i| vec![(i, true); lengths[i]]).collect::<Vec<_>>());
    let logps = vec![-1.0; lengths.len()];
    let old = answers.frozen(&logps)?;
    let (_, slopes) = gradient(&logps, |cells| {
        Method::Drpo(0.1).loss(answers.rollout(cells)?.with_old(old)?, &right, &lengths, LONGEST)
    })?;
    figures.push("pushed down(drpo)", "", share(&|i| slopes[i] > 0.0));
    Ok(())
}

/// Part (b): lengths of answers to questions.
struct Bandit {
    policy: Policy,
    /// by cell
    right: Vec<f64>,
}

impl Bandit {
    fn new() -> Self {
        let at = |cell: usize| {
            let (question, length) = (cell / LENGTHS, 1 + cell % LENGTHS);
            let difficulty = 8.0 * question as f64 / (QUESTIONS - 1) as f64;
            0.95 * tropism_core::numerics::sigmoid_scalar(1.5 * (length as f64 - difficulty))
        };
        let right = (0..QUESTIONS * LENGTHS).map(at).collect();
        Self { policy: Policy::tabular(QUESTIONS, LENGTHS), right }
    }

    /// Log-probabilities after training.
    fn train(&self, method: Method, seed: u64) -> Result<Vec<f64>, ToyError> {
        let mut random = Stream::new(seed, 1);
        let mut logits: Vec<f64> = (0..self.right.len()).map(|cell| 0.2 * (1 + cell % LENGTHS) as f64).collect();
        let mut rule = Descent::plain(0.2 * QUESTIONS as f64);
        for _ in 0..UPDATES {
            let table = self.policy.table(&logits)?;
            let (mut cells, mut right) = (Vec::new(), Vec::new());
            for question in 0..QUESTIONS {
                let first = question * LENGTHS;
                let odds: Vec<f64> = table[first..first + LENGTHS].iter().map(|l| l.exp()).collect();
                for _ in 0..GROUP {
                    let cell = first + random.pick(&odds);
                    right.push(f64::from(u8::from(random.chance(self.right[cell]))));
                    cells.push(cell);
                }
            }
            let lengths: Vec<usize> = cells.iter().map(|cell| 1 + cell % LENGTHS).collect();
            let rows: Vec<_> = cells.iter().zip(&lengths).map(|(&cell, &n)| vec![(cell, true); n]).collect();
            let answers = Completions::new(&rows);
            let old = answers.frozen(&table)?;
            let (_, slopes) = gradient(&logits, |x| {
                let rollout = answers.rollout(self.policy.logps(x)?)?.with_old(old)?;
                method.loss(rollout, &right, &lengths, LENGTHS)
            })?;
            rule.step(&mut logits, &slopes)?;
        }
        self.policy.table(&logits)
    }

    /// Expected accuracy and length.
    fn means(&self, table: &[f64]) -> (f64, f64) {
        let mean = |of: &dyn Fn(usize) -> f64| {
            table.iter().enumerate().map(|(cell, l)| l.exp() * of(cell)).sum::<f64>() / QUESTIONS as f64
        };
        (mean(&|cell| self.right[cell]), mean(&|cell| (1 + cell % LENGTHS) as f64))
    }
}
