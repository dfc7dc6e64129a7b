//! MODPO: one weight vector per policy traces the front of two objectives.

use tropism_core::Columns;
use tropism_core::numerics::sigmoid_scalar;
use tropism_objectives::{Dpo, Modpo, Objective};

use crate::worlds::{Descent, Policy, ScorePairs, Stream, Traced, descend};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const CONTEXTS: usize = 4;
const ARMS: usize = 8;
const BETA: f64 = 0.5;
const WEIGHTS: [f64; 5] = [0.1, 0.3, 0.5, 0.7, 0.9];
const STEPS: usize = 2000;
/// Halvings that find a mixture's strength.
const HALVINGS: usize = 60;

/// Four contexts with eight arms, a random reference, `r1` normal, `r2` minus the length of an arm in units of three tokens
/// (1 to 10 tokens, so that both rewards are of one scale), and the exact loss over all pairs labelled by `r1`. Each MODPO
/// policy is compared with `π_ref exp((w r1 + (1 − w) r2)/β)/Z`; its point is the pair of exact expected rewards.
///
/// Areas are those between a set of points and the worst rewards of all, in units of reward squared. "Mixtures" are five
/// mixtures of the two DPO policies, with the share `w` for the one of `r1`, both sharpened or flattened until the mixture's
/// KL is that of MODPO at `w`. Interpolated logits are measured as well: on a table they are MODPO's policies.
pub(super) const TOY: Toy = Toy {
    row: "modpo",
    title: "Beyond One-Preference-Fits-All Alignment: Multi-Objective Direct Preference Optimization",
    arxiv: "2310.03708",
    claim: "MODPO finds the optimum of multi-objective RLHF for each weight; its front is beyond single DPO policies and \
            their mixtures at equal divergence.",
    chance: Chance::Seeds(10),
    relations: &[
        Relation::below_value("distance(modpo)", 1e-6),
        Relation::above("trade-off(w 0.3)", "trade-off(w 0.1)"),
        Relation::above("trade-off(w 0.5)", "trade-off(w 0.3)"),
        Relation::above("trade-off(w 0.7)", "trade-off(w 0.5)"),
        Relation::above("trade-off(w 0.9)", "trade-off(w 0.7)"),
        Relation::above("area(modpo)", "area(dpo on r1)"),
        Relation::above("area(modpo)", "area(dpo on r2)"),
        Relation::above("area(modpo)", "area(mixtures)"),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let world = World::draw(seed)?;
    let mut figures = Figures::default();
    let [r1, r2] = &world.rewards;
    let (mut points, mut divergences, mut distance) = (Vec::new(), Vec::new(), 0.0f64);
    for w in WEIGHTS {
        let others: Vec<f64> = r2.iter().map(|r| (1.0 - w) * r).collect();
        let objective = Modpo::default().with_beta(BETA).with_weight(w).into();
        let found = world.train(&objective, r1, Some(&others), 10.0 * (w / BETA).powi(2))?;
        distance = distance.max(world.distance(&found, w)?);
        let [a, b] = world.point(&found);
        figures.push(format!("r1(w {w})"), "", a);
        figures.push(format!("r2(w {w})"), "", b);
        figures.push(format!("trade-off(w {w})"), "", a - b);
        points.push([a, b]);
        divergences.push(world.kl(&found));
    }
    figures.push("distance(modpo)", "nats", distance);
    figures.push("area(modpo)", "", world.area(&points));
    let dpo: Objective = Dpo::default().with_beta(BETA).into();
    let train = |labels: &[f64]| world.train(&dpo, labels, None, 10.0 / (BETA * BETA));
    let ends = [train(r1)?, train(r2)?];
    figures.push("area(dpo on r1)", "", world.area(&[world.point(&ends[0])]));
    figures.push("area(dpo on r2)", "", world.area(&[world.point(&ends[1])]));
    let mixtures = WEIGHTS.iter().zip(divergences).map(|(w, kl)| Ok(world.point(&world.mixture(&ends, *w, kl)?)));
    figures.push("area(mixtures)", "", world.area(&mixtures.collect::<Result<Vec<_>, ToyError>>()?));
    let logits = WEIGHTS.iter().map(|&w| Ok(world.point(&world.between(&ends, w)?)));
    figures.push("area(interpolated logits)", "", world.area(&logits.collect::<Result<Vec<_>, ToyError>>()?));
    Ok(figures)
}

struct World {
    policy: Policy,
    start: Vec<f64>,
    reference: Vec<f64>,
    rewards: [Vec<f64>; 2],
    pairs: Vec<(usize, usize)>,
}

impl World {
    fn draw(seed: u64) -> Result<Self, ToyError> {
        let mut random = Stream::new(seed, 0);
        let policy = Policy::tabular(CONTEXTS, ARMS);
        let [start, labels] = [0; 2].map(|_| random.normals(CONTEXTS * ARMS));
        let shorter = (0..CONTEXTS * ARMS).map(|_| -(1.0 + random.below(10) as f64) / 3.0).collect();
        let reference = policy.table(&start)?;
        let arms = |c: usize| c * ARMS..(c + 1) * ARMS;
        let ordered = |i: usize| arms(i / ARMS).filter(move |&j| j != i).map(move |j| (i, j));
        let pairs = (0..CONTEXTS * ARMS).flat_map(ordered).collect();
        Ok(Self { policy, start, reference, rewards: [labels, shorter], pairs })
    }

    /// Log-probabilities at the minimum of the expected loss of a pair that is drawn uniformly and labelled.
    fn train(&self, objective: &Objective, labels: &[f64], others: Option<&[f64]>, rate: f64) -> Result<Vec<f64>, ToyError> {
        let pairs = ScorePairs::cells(&self.pairs);
        let reference = pairs.frozen(&self.reference)?;
        let weights: Vec<f64> = self.pairs.iter().map(|&(i, j)| sigmoid_scalar(labels[i] - labels[j])).collect();
        let mut columns = Columns::default();
        if let Some(others) = others {
            let (chosen, rejected) = self.pairs.iter().map(|&(i, j)| (others[i], others[j])).unzip();
            columns = columns.with("other_rewards/chosen", chosen)?.with("other_rewards/rejected", rejected)?;
        }
        // every pair stands there in both orders, and a rate is that of a context
        let factor = 2.0 * CONTEXTS as f64;
        let mut logits = self.start.clone();
        descend(&mut logits, Descent::plain(rate), STEPS, |x: Traced| {
            let terms = pairs.terms(objective, self.policy.logps(x)?, &reference, columns.clone())?;
            Ok(terms.times_rows(&weights)?.times(factor)?.mean()?)
        })?;
        self.policy.table(&logits)
    }

    /// Largest distance of a log-probability from the optimum's.
    fn distance(&self, logps: &[f64], w: f64) -> Result<f64, ToyError> {
        let [r1, r2] = &self.rewards;
        let collective = r1.iter().zip(r2).map(|(a, b)| (w * a + (1.0 - w) * b) / BETA);
        let optimum = self.policy.table(&self.reference.iter().zip(collective).map(|(l, r)| l + r).collect::<Vec<_>>())?;
        Ok(logps.iter().zip(optimum).map(|(l, o)| (l - o).abs()).fold(0.0, f64::max))
    }

    /// Both expected rewards.
    fn point(&self, logps: &[f64]) -> [f64; 2] {
        let expected = |rewards: &Vec<f64>| logps.iter().zip(rewards).map(|(l, r)| l.exp() * r).sum::<f64>();
        self.rewards.each_ref().map(|rewards| expected(rewards) / CONTEXTS as f64)
    }

    fn kl(&self, logps: &[f64]) -> f64 {
        logps.iter().zip(&self.reference).map(|(l, r)| l.exp() * (l - r)).sum::<f64>() / CONTEXTS as f64
    }

    /// Area between points and the worst rewards there are.
    fn area(&self, points: &[[f64; 2]]) -> f64 {
        let worst = self.rewards.each_ref().map(|rewards| {
            let least = |row: &[f64]| row.iter().copied().fold(f64::INFINITY, f64::min);
            rewards.chunks(ARMS).map(least).sum::<f64>() / CONTEXTS as f64
        });
        let mut points = points.to_vec();
        points.sort_by(|a, b| b[0].total_cmp(&a[0]));
        let (mut area, mut top) = (0.0, worst[1]);
        for [a, b] in points {
            area += (a - worst[0]) * (b - top).max(0.0);
            top = top.max(b);
        }
        area
    }

    /// A policy whose logits are the reference's and `strength` times the log-ratios of another.
    fn sharpened(&self, logps: &[f64], strength: f64) -> Result<Vec<f64>, ToyError> {
        let logits: Vec<f64> = logps.iter().zip(&self.reference).map(|(l, r)| r + strength * (l - r)).collect();
        self.policy.table(&logits)
    }

    /// Mixture with share `w` of the first policy and the divergence `kl`.
    fn mixture(&self, ends: &[Vec<f64>; 2], w: f64, kl: f64) -> Result<Vec<f64>, ToyError> {
        let at = |strength: f64| -> Result<Vec<f64>, ToyError> {
            let [a, b] = [self.sharpened(&ends[0], strength)?, self.sharpened(&ends[1], strength)?];
            Ok(a.iter().zip(b).map(|(a, b)| (w * a.exp() + (1.0 - w) * b.exp()).ln()).collect())
        };
        let (mut low, mut high) = (0.0, 20.0);
        if self.kl(&at(high)?) < kl {
            return Err(ToyError::NotReached { what: "a mixture of equal divergence", steps: HALVINGS });
        }
        for _ in 0..HALVINGS {
            let middle = 0.5 * (low + high);
            if self.kl(&at(middle)?) < kl { low = middle } else { high = middle }
        }
        at(high)
    }

    /// The policy of interpolated logits.
    fn between(&self, ends: &[Vec<f64>; 2], w: f64) -> Result<Vec<f64>, ToyError> {
        self.policy.table(&ends[0].iter().zip(&ends[1]).map(|(a, b)| w * a + (1.0 - w) * b).collect::<Vec<_>>())
    }
}
