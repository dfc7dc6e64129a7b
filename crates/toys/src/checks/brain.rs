//! BRAIn: an estimator whose variance does not grow with the distance of the proposal, and that learns in the end.

use std::f64::consts::TAU;

use dfdx::prelude::*;
use tropism_core::{CoreError, ListLogps, numerics};
use tropism_objectives::{Brain, Proposal, brain};

use crate::worlds::{Descent, Loss, Policy, Stream, Traced, gradient};
use crate::{Chance, Figures, Relation, Toy, ToyError};

/// Samples of a list.
const SAMPLES: usize = 8;
/// Lists by which mean and variance of BRAIn's estimate are measured.
const LISTS: usize = 20_000;
const PROBLEMS: usize = 40;
const OUTPUTS: usize = 20;
const GAMMA: f64 = 0.5;
const STEPS: usize = 600;

/// (a) Estimates of the slope of −KL in the mean of a Gaussian policy N(1, 1) towards the posterior N(0, 1), which is −1,
/// from 8 samples of a proposal N(μ, 1). Variances of DPG and GDC++ (weights `p/np'` and `(p − q)/np'`) are exact by
/// quadrature, BRAIn's and its mean are those of 20,000 lists (the sheet has 400,000). "Flat" means within 0.05 of one
/// another. (b) Softmax policies over 20 outputs, prior logits and rewards standard normal, γ = 0.5, 8 samples of the
/// prior per step, rate 0.1, 600 steps, 40 problems a seed: medians of KL(posterior‖policy), and the share of problems in
/// which BRAIn is the slowest after 50 steps ("every problem" of the sheet counts as more than 95 %). All three see the
/// same samples.
pub(super) const TOY: Toy = Toy {
    row: "brain",
    title: "BRAIn: Bayesian Reward-conditioned Amortized Inference for Natural Language Generation from Feedback",
    arxiv: "2402.02479",
    claim: "The variance of BRAIn's estimate does not depend on the proposal and is the lowest once the proposal is far \
            from the posterior, at the price of a bias towards 0; it starts slowest and ends ten times closer to the \
            posterior.",
    chance: Chance::Seeds(10),
    relations: &[
        Relation::near("variance(brain, mu 0)", "variance(brain, mu 0.5)", 0.05),
        Relation::near("variance(brain, mu 0)", "variance(brain, mu 1)", 0.05),
        Relation::above("variance(dpg, mu 0.5)", "variance(brain, mu 0.5)"),
        Relation::above("variance(gdc++, mu 0.5)", "variance(brain, mu 0.5)"),
        Relation::above("variance(dpg, mu 1)", "variance(brain, mu 1)"),
        Relation::above("variance(gdc++, mu 1)", "variance(brain, mu 1)"),
        Relation::above_value("mean(brain, mu 0)", -1.0),
        Relation::above_value("mean(brain, mu 0.5)", -1.0),
        Relation::above_value("mean(brain, mu 1)", -1.0),
        Relation::above_value("fall(brain)", 10.0),
        Relation::above_value("fall(dpg)", 10.0),
        Relation::above_value("fall(gdc++)", 10.0),
        Relation::above_value("share slowest early(brain)", 0.95),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let mut figures = Figures::default();
    for mu in [0.0, 0.5, 1.0] {
        estimators(seed, mu, &mut figures)?;
    }
    learning(seed, &mut figures)?;
    Ok(figures)
}

/// Logarithm of the density of N(mean, 1).
fn density(y: f64, mean: f64) -> f64 {
    -0.5 * ((y - mean).powi(2) + TAU.ln())
}

fn estimators(seed: u64, mu: f64, figures: &mut Figures) -> Result<(), ToyError> {
    let (posterior, policy) = (|y| density(y, 0.0), |y| density(y, 1.0));
    // E w² ∇² and E w ∇ of one sample, by the trapezoid rule on ±20
    let exact = |weight: &dyn Fn(f64) -> f64| {
        let cells = (-2000..=2000).map(|k| f64::from(k) * 0.01);
        let moments = cells.map(|y| (density(y, mu).exp() * 0.01, weight(y) * (y - 1.0)));
        let (mean, square) = moments.fold((0.0, 0.0), |(m, s), (mass, g)| (m + mass * g, s + mass * g * g));
        (square - mean * mean) / SAMPLES as f64
    };
    let ratio = |of: f64, y: f64| (of - density(y, mu)).exp();
    figures.push(format!("variance(dpg, mu {mu})"), "", exact(&|y| ratio(posterior(y), y)));
    figures.push(format!("variance(gdc++, mu {mu})"), "", exact(&|y| ratio(posterior(y), y) - ratio(policy(y), y)));
    // the same numbers for each μ
    let samples: Vec<f64> = Stream::new(seed, 0).normals(LISTS * SAMPLES).iter().map(|z| mu + z).collect();
    let each = |of: &dyn Fn(f64) -> f64| samples.iter().map(|&y| of(y)).collect::<Vec<_>>();
    let lists = Lists { prior: each(&posterior), proposal: each(&|y| density(y, mu)), rewards: vec![0.0; samples.len()] };
    let slopes = lists.slopes(&each(&policy), 1.0)?;
    let estimate = |rows: (&[f64], &[f64])| -rows.0.iter().zip(rows.1).map(|(s, y)| s * (y - 1.0)).sum::<f64>();
    let found: Vec<f64> = slopes.chunks(SAMPLES).zip(samples.chunks(SAMPLES)).map(estimate).collect();
    let mean = found.iter().sum::<f64>() / LISTS as f64;
    let variance = found.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / (LISTS - 1) as f64;
    figures.push(format!("variance(brain, mu {mu})"), "", variance);
    figures.push(format!("mean(brain, mu {mu})"), "", mean);
    Ok(())
}

/// Lists of eight samples, one after the other.
struct Lists {
    prior: Vec<f64>,
    proposal: Vec<f64>,
    rewards: Vec<f64>,
}

impl Lists {
    /// Sum of BRAIn's losses of log-probabilities on the tape.
    fn loss(&self, logps: Traced, gamma: f64) -> Result<Loss, ToyError> {
        let rows = self.prior.len() / SAMPLES;
        let (mask, lengths) = (vec![true; rows * SAMPLES], vec![1; rows * SAMPLES]);
        let logps = logps.try_reshape_like(&(rows, SAMPLES)).map_err(|e| CoreError::device(format!("{e:?}")))?;
        let prior = numerics::from_f64(&Cpu::default(), &self.prior, (rows, SAMPLES))?;
        let config = Brain::default().with_gamma(gamma).with_proposal(Proposal::Column);
        let (policy, prior) = (ListLogps::new(logps, &mask, &lengths)?, ListLogps::new(prior, &mask, &lengths)?);
        Ok(brain(policy, prior, &self.rewards, Some(&self.proposal), &config)?.sum()?)
    }

    /// Slopes of the losses in the policy's log-probabilities.
    fn slopes(&self, logps: &[f64], gamma: f64) -> Result<Vec<f64>, ToyError> {
        Ok(gradient(logps, |x| self.loss(x, gamma))?.1)
    }
}

const RULES: [&str; 3] = ["brain", "gdc++", "dpg"];

fn learning(seed: u64, figures: &mut Figures) -> Result<(), ToyError> {
    let (mut world, mut random) = (Stream::new(seed, 1), Stream::new(seed, 2));
    // divergences at the start, after 50 steps and at the end, of each rule
    let mut found: [[Vec<f64>; 3]; 3] = Default::default();
    let mut slowest = 0.0;
    for _ in 0..PROBLEMS {
        let problem = Problem::draw(&mut world)?;
        let prior: Vec<f64> = problem.prior.iter().map(|l| l.exp()).collect();
        let samples: Vec<[usize; SAMPLES]> = (0..STEPS).map(|_| [0; SAMPLES].map(|_| random.pick(&prior))).collect();
        let mut early = [0.0; 3];
        for (rule, found) in found.iter_mut().enumerate() {
            let passed = problem.train(RULES[rule], &samples)?;
            early[rule] = passed[1];
            found.iter_mut().zip(passed).for_each(|(all, kl)| all.push(kl));
        }
        slowest += f64::from(early[0] > early[1].max(early[2])) / PROBLEMS as f64;
    }
    for (rule, found) in RULES.iter().zip(found) {
        let [start, early, end] = found.map(median);
        figures.push(format!("divergence({rule}, start)"), "nats", start);
        figures.push(format!("divergence({rule}, step 50)"), "nats", early);
        figures.push(format!("divergence({rule}, end)"), "nats", end);
        figures.push(format!("fall({rule})"), "", start / end);
    }
    figures.push("share slowest early(brain)", "", slowest);
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    0.5 * (values[(values.len() - 1) / 2] + values[middle])
}

/// One prompt.
struct Problem {
    policy: Policy,
    start: Vec<f64>,
    prior: Vec<f64>,
    posterior: Vec<f64>,
    rewards: Vec<f64>,
}

impl Problem {
    fn draw(random: &mut Stream) -> Result<Self, ToyError> {
        let policy = Policy::tabular(1, OUTPUTS);
        let (start, rewards) = (random.normals(OUTPUTS), random.normals(OUTPUTS));
        let prior = policy.table(&start)?;
        let tilted: Vec<f64> = prior.iter().zip(&rewards).map(|(l, r)| l + r / GAMMA).collect();
        let posterior = policy.table(&tilted)?;
        Ok(Self { policy, start, prior, posterior, rewards })
    }

    /// Divergence of the policy from the posterior at the start, after 50 steps and at the end.
    fn train(&self, rule: &str, samples: &[[usize; SAMPLES]]) -> Result<[f64; 3], ToyError> {
        let (mut logits, mut descent) = (self.start.clone(), Descent::plain(0.1));
        let mut passed = [self.divergence(&logits)?; 3];
        for (step, drawn) in samples.iter().enumerate() {
            let slopes = self.slopes(rule, drawn, &logits)?;
            descent.step(&mut logits, &slopes)?;
            if step + 1 == 50 {
                passed[1] = self.divergence(&logits)?;
            }
        }
        passed[2] = self.divergence(&logits)?;
        Ok(passed)
    }

    fn divergence(&self, logits: &[f64]) -> Result<f64, ToyError> {
        let logps = self.policy.table(logits)?;
        Ok(self.posterior.iter().zip(&logps).map(|(p, q)| p.exp() * (p - q)).sum())
    }

    /// Slopes in the logits: `Σ_i w_i ∂log q_i`, with the weights of the rule.
    fn slopes(&self, rule: &str, drawn: &[usize; SAMPLES], logits: &[f64]) -> Result<Vec<f64>, ToyError> {
        let logps = self.policy.table(logits)?;
        let of = |table: &[f64]| drawn.iter().map(|&y| table[y]).collect::<Vec<_>>();
        let weights = match rule {
            "brain" => {
                let lists = Lists { prior: of(&self.prior), proposal: of(&self.prior), rewards: of(&self.rewards) };
                lists.slopes(&of(&logps), GAMMA)?
            }
            _ => {
                let policy = |y: usize| if rule == "dpg" { 0.0 } else { logps[y].exp() };
                let weight = |&y: &usize| policy(y) - self.posterior[y].exp();
                drawn.iter().map(|y| weight(y) / (SAMPLES as f64 * self.prior[*y].exp())).collect()
            }
        };
        // ∂log q_i/∂logit_k = [i = k] − q_k
        let total: f64 = weights.iter().sum();
        let mut slopes: Vec<f64> = logps.iter().map(|l| -total * l.exp()).collect();
        drawn.iter().zip(&weights).for_each(|(&y, w)| slopes[y] += w);
        Ok(slopes)
    }
}
