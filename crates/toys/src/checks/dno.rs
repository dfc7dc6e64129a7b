//! DNO: the average policy of a cyclic game, and margins against a noisy judge.

use tropism_core::numerics::sigmoid_scalar;
use tropism_objectives::{Dno, Dpo, Objective, dno};

use crate::worlds::{Descent, PairBatch, Policy, Stream, descend};
use crate::{Chance, Figures, Relation, Toy, ToyError};

/// `P(row ≻ column)`.
const GAME: [[f64; 3]; 3] = [[0.5, 0.9, 0.2], [0.1, 0.5, 0.8], [0.8, 0.2, 0.5]];
/// Weight of the KL penalty in the game.
const ETA: f64 = 2.0;
const ITERATIONS: usize = 400;

/// Two worlds. (a) The game in which each of three actions beats one and loses to another, start (0.8, 0.1, 0.1), η = 2;
/// each iteration minimises the exact loss over all pairs. Exploitability is `max_a P(a ≻ π) − ½`; "average" is the mean
/// of the policies so far, the start included; "late" means iterations 200 to 400. The average counts as settled below
/// 0.05, the last policy as cycling where it is above 0.05 throughout. "Slack" is the least `P(π_{t+1} ≻ π_t) − ½ − η KL`.
/// (b) DNO-Prct on 20 arms with a judge of six points whose error has a standard deviation of one point, η = 0.1: five
/// samples of the policy and one of a teacher per draw, 100 draws and 100 updates in each of three iterations, on pairs by
/// the paper's margins or on all pairs with different scores. The sheet expects (b) and has no figures for it; the world
/// is ours. Win rates are exact and against the start.
pub(super) const TOY: Toy = Toy {
    row: "dno",
    title: "Direct Nash Optimization: Teaching Language Models to Self-Improve with General Preferences",
    arxiv: "2404.03715",
    claim: "With cyclic preferences the average policy becomes hard to exploit while the last one cycles, each step \
            gains at least eta KL, and against a noisy judge pairs with large margins teach more than all pairs.",
    chance: Chance::Seeds(20),
    relations: &[
        Relation::above("exploitability(average, T 1)", "exploitability(average, T 50)"),
        Relation::above("exploitability(average, T 50)", "exploitability(average, T 200)"),
        Relation::below_value("most exploitability(average, late)", 0.05),
        Relation::above_value("least exploitability(last, late)", 0.05),
        Relation::above_value("least slack", 0.0),
        Relation::above("win rate(large margins)", "win rate(all pairs)"),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let mut figures = Figures::default();
    cycle(&mut figures)?;
    let judged = Judged::draw(seed);
    figures.push("win rate(start)", "", 0.5);
    figures.push("win rate(large margins)", "", judged.train(seed, large_margin)?);
    figures.push("win rate(all pairs)", "", judged.train(seed, |better, worse| better.score > worse.score)?);
    Ok(figures)
}

/// Exact steps in the game.
fn cycle(figures: &mut Figures) -> Result<(), ToyError> {
    let game = Game::new()?;
    let mut logits = [0.8, 0.1, 0.1].map(f64::ln).to_vec();
    let (mut sum, mut slack) = ([0.0; 3], f64::INFINITY);
    let (mut averages, mut lasts) = (Vec::new(), Vec::new());
    for _ in 0..ITERATIONS {
        let before = game.policy.table(&logits)?;
        let policy = probabilities(&before);
        sum.iter_mut().zip(&policy).for_each(|(s, p)| *s += p);
        lasts.push(exploitability(&policy));
        averages.push(exploitability(&sum.map(|s| s / (lasts.len() as f64))));
        game.step(&mut logits, &before)?;
        let after = game.policy.table(&logits)?;
        let kl: f64 = after.iter().zip(&before).map(|(a, b)| a.exp() * (a - b)).sum();
        let gain: f64 = probabilities(&after).iter().zip(win_rates(&policy)).map(|(p, w)| p * w).sum();
        slack = slack.min(gain - 0.5 - ETA * kl);
    }
    for t in [1, 50, 200, 400] {
        figures.push(format!("exploitability(average, T {t})"), "", averages[t - 1]);
    }
    let least = |of: &[f64]| of.iter().copied().fold(f64::INFINITY, f64::min);
    let most = |of: &[f64]| of.iter().copied().fold(0.0, f64::max);
    figures.push("least exploitability(average, late)", "", least(&averages[199..]));
    figures.push("most exploitability(average, late)", "", most(&averages[199..]));
    figures.push("least exploitability(last, late)", "", least(&lasts[199..]));
    figures.push("most exploitability(last, late)", "", most(&lasts[199..]));
    figures.push("least slack", "", slack);
    Ok(())
}

fn probabilities(logps: &[f64]) -> Vec<f64> {
    logps.iter().map(|l| l.exp()).collect()
}

/// `P(a ≻ π)` of each action.
fn win_rates(policy: &[f64]) -> [f64; 3] {
    GAME.map(|row| row.iter().zip(policy).map(|(p, q)| p * q).sum())
}

fn exploitability(policy: &[f64]) -> f64 {
    win_rates(policy).into_iter().fold(0.0, f64::max) - 0.5
}

struct Game {
    policy: Policy,
    pairs: Vec<(usize, usize)>,
    batch: PairBatch,
}

impl Game {
    fn new() -> Result<Self, ToyError> {
        let pairs = vec![(0, 1), (1, 2), (2, 0)];
        Ok(Self { policy: Policy::tabular(1, 3), batch: PairBatch::cells(3, &pairs)?, pairs })
    }

    /// The minimum of the loss against the policy `before`, from there on.
    fn step(&self, logits: &mut [f64], before: &[f64]) -> Result<(), ToyError> {
        let rates = win_rates(&probabilities(before));
        let chosen: Vec<f64> = self.pairs.iter().map(|p| rates[p.0]).collect();
        let rejected: Vec<f64> = self.pairs.iter().map(|p| rates[p.1]).collect();
        let (reference, config) = (self.batch.reference(before)?, Dno::default().with_eta(ETA));
        // the Hessian is close to the unit matrix: η²/4 for each of three pairs of a third
        descend(logits, Descent::plain(1.0), 60, |x| {
            let logps = self.batch.logps(self.policy.logps(x)?)?;
            Ok(dno(logps, reference.clone(), [&chosen, &rejected], &config)?.mean()?)
        })
    }
}

const ARMS: usize = 20;
const SAMPLES: usize = 5;
const DRAWS: usize = 100;
const UPDATES: usize = 100;

/// A completion with the judge's points.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    arm: usize,
    score: f64,
    /// written by the policy, not by the teacher
    own: bool,
}

/// The paper's rule: the better one has 5 or 6 points, and 2 more than the other; 1 more where the policy wrote it.
fn large_margin(better: &Candidate, worse: &Candidate) -> bool {
    better.score >= 5.0 && better.score - worse.score >= if better.own { 1.0 } else { 2.0 }
}

/// Arms of a true quality that a judge sees with an error.
struct Judged {
    policy: Policy,
    start: Vec<f64>,
    /// qualities; `P(a ≻ b) = σ(2 Δ)`
    quality: Vec<f64>,
    teacher: Vec<f64>,
}

impl Judged {
    fn draw(seed: u64) -> Self {
        let mut random = Stream::new(seed, 0);
        let (start, quality) = (random.normals(ARMS), random.normals(ARMS));
        let weights: Vec<f64> = quality.iter().map(|q| (2.0 * q).exp()).collect();
        let total: f64 = weights.iter().sum();
        let teacher = weights.iter().map(|w| w / total).collect();
        Self { policy: Policy::tabular(1, ARMS), start, quality, teacher }
    }

    /// Win rate against the start after three iterations on the pairs that `keeps` lets through.
    fn train(&self, seed: u64, keeps: impl Fn(&Candidate, &Candidate) -> bool) -> Result<f64, ToyError> {
        let (mut random, mut logits) = (Stream::new(seed, 1), self.start.clone());
        let objective: Objective = Dpo::default().with_beta(0.1).into();
        for _ in 0..3 {
            let before = self.policy.table(&logits)?;
            let policy = probabilities(&before);
            let mut pairs = Vec::new();
            for _ in 0..DRAWS {
                let drawn = self.candidates(&policy, &mut random);
                let ordered = drawn.iter().flat_map(|a| drawn.iter().map(move |b| (a, b)));
                pairs.extend(ordered.filter(|(a, b)| a.arm != b.arm && keeps(a, b)).map(|(a, b)| (a.arm, b.arm)));
            }
            let batch = PairBatch::cells(ARMS, &pairs)?;
            let reference = batch.reference(&before)?;
            // half a step along the gradient divided by η
            descend(&mut logits, Descent::plain(5.0), UPDATES, |x| {
                batch.loss(&objective, self.policy.logps(x)?, &reference)
            })?;
        }
        Ok(self.win_rate(&probabilities(&self.policy.table(&logits)?), &probabilities(&self.policy.table(&self.start)?)))
    }

    fn candidates(&self, policy: &[f64], random: &mut Stream) -> Vec<Candidate> {
        let mut candidate = |own: bool| {
            let arm = random.pick(if own { policy } else { &self.teacher });
            let seen = 3.5 + self.quality[arm] + random.normal();
            Candidate { arm, score: seen.round().clamp(1.0, 6.0), own }
        };
        (0..SAMPLES).map(|_| true).chain([false]).map(&mut candidate).collect()
    }

    fn win_rate(&self, policy: &[f64], against: &[f64]) -> f64 {
        let beats = |a: usize, b: usize| sigmoid_scalar(2.0 * (self.quality[a] - self.quality[b]));
        let row = |a: usize| against.iter().enumerate().map(|(b, q)| q * beats(a, b)).sum::<f64>();
        policy.iter().enumerate().map(|(a, p)| p * row(a)).sum()
    }
}
