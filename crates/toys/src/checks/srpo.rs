//! SRPO: a minimum that does not depend on how the pairs were sampled, and revisions by the second role.

use dfdx::prelude::{Cpu, Tape, Tensor, WithEmptyTape};
use tropism_core::RevisionLogps;
use tropism_core::numerics::sigmoid_scalar;
use tropism_objectives::{Dpo, Ipo, Labels, Objective, Srpo, srpo};

use crate::worlds::{Descent, PairBatch, Policy, descend};
use crate::{Chance, Figures, Relation, Toy, ToyError};

/// `P(row ≻ column)`.
const GAME: [[f64; 3]; 3] = [[0.5, 0.9, 0.2], [0.1, 0.5, 0.8], [0.8, 0.2, 0.5]];
/// Two ways to sample the answers of a pair.
const SAMPLED: [[f64; 3]; 2] = [[0.8, 0.15, 0.05], [0.05, 0.15, 0.8]];
/// Actions of the world of revisions.
const ACTIONS: usize = 6;
const STEPS: usize = 20_000;

/// Exact losses over all ordered pairs with soft labels; nothing is drawn. (a) Cyclic preferences among three actions,
/// uniform reference in both roles, β = 0.5, pairs sampled from (0.8, 0.15, 0.05) or its reverse: "variation" is the total
/// variation between the two solutions, "distance" that of SRPO's to the closed form `π ∝ π_ref/Z†`; below 10⁻⁶ they are
/// the same. (b) Bradley–Terry preferences among six actions of rewards 0, 0.6, …, 3, reference `∝ e^{−r}`, β = 0.3, pairs
/// sampled uniformly: the exact reward of the reference's answers, of their revisions by the trained second role, and of
/// the trained policy's answers. "Most of the gain" is more than half of what many revisions gain.
pub(super) const TOY: Toy = Toy {
    row: "srpo",
    title: "Self-Improving Robust Preference Optimization",
    arxiv: "2406.01660",
    claim: "SRPO's solution does not depend on how the pairs were sampled, IPO's does and DPO's even more; most of the \
            gain of revisions comes from the first one.",
    chance: Chance::None,
    relations: &[
        Relation::below_value("variation(srpo)", 1e-6),
        Relation::below_value("distance(srpo)", 1e-6),
        Relation::above("variation(ipo)", "variation(srpo)"),
        Relation::above("variation(dpo)", "variation(ipo)"),
        Relation::above("variation(srpo, alpha 0)", "variation(srpo)"),
        Relation::above("reward(1 revision)", "reward(reference)"),
        Relation::above("reward(trained)", "reward(reference)"),
        Relation::above_value("share of the gain(1 revision)", 0.5),
    ],
    run,
};

fn run(_seed: u64) -> Result<Figures, ToyError> {
    let mut figures = Figures::default();
    sampling(&mut figures)?;
    revisions(&mut figures)?;
    Ok(figures)
}

fn sampling(figures: &mut Figures) -> Result<(), ToyError> {
    let [one, other] = SAMPLED;
    let games = [Roles::new(&GAME, &[0.0; 3], &one)?, Roles::new(&GAME, &[0.0; 3], &other)?];
    type Solve<'s> = &'s dyn Fn(&Roles<3>) -> Result<[f64; 3], ToyError>;
    let both = |solve: Solve| -> Result<_, ToyError> { Ok((solve(&games[0])?, solve(&games[1])?)) };
    let config = Srpo::default().with_beta(0.5).with_labels(Labels::Column);
    let (a, b) = both(&|game| Ok(game.train(&config, 4.0)?.0))?;
    // π†* ∝ e^{p/β} after each shown answer, and π* ∝ 1/Z†
    let optimum = normalized([0, 1, 2].map(|shown| 1.0 / GAME.iter().map(|row| (row[shown] / 0.5).exp()).sum::<f64>()));
    figures.push("variation(srpo)", "", variation(&a, &b));
    figures.push("distance(srpo)", "", variation(&a, &optimum).max(variation(&b, &optimum)));
    let pairwise: [(&str, Objective, f64); 2] =
        [("ipo", Ipo::default().with_beta(0.5).into(), 0.5), ("dpo", Dpo::default().with_beta(0.5).into(), 10.0)];
    for (name, objective, rate) in &pairwise {
        let (a, b) = both(&|game| game.train_pairs(objective, *rate))?;
        figures.push(format!("variation({name})"), "", variation(&a, &b));
    }
    let (a, b) = both(&|game| Ok(game.train(&config.clone().with_alpha(0.0), 4.0)?.0))?;
    figures.push("variation(srpo, alpha 0)", "", variation(&a, &b));
    Ok(())
}

fn revisions(figures: &mut Figures) -> Result<(), ToyError> {
    let rewards: [f64; ACTIONS] = std::array::from_fn(|i| 0.6 * i as f64);
    let preferences = rewards.map(|r| rewards.map(|other| sigmoid_scalar(r - other)));
    let roles = Roles::new(&preferences, &rewards.map(|r| -r), &[1.0 / ACTIONS as f64; ACTIONS])?;
    let (trained, revised) = roles.train(&Srpo::default().with_beta(0.3).with_labels(Labels::Column), 15.0)?;
    let reward = |p: &[f64; ACTIONS]| p.iter().zip(rewards).map(|(p, r)| p * r).sum::<f64>();
    let into = |p: &[f64; ACTIONS], to: usize| (0..ACTIONS).map(|shown| p[shown] * revised[shown][to]).sum();
    let revise = |p: &[f64; ACTIONS]| std::array::from_fn(|to| into(p, to));
    let mut answers: [f64; ACTIONS] = normalized(rewards.map(|r| (-r).exp()));
    let (start, mut gains) = (reward(&answers), Vec::new());
    figures.push("reward(reference)", "", start);
    for revision in 1..=50 {
        answers = revise(&answers);
        gains.push(reward(&answers) - start);
        if revision <= 3 {
            let name = format!("reward({revision} revision{})", if revision == 1 { "" } else { "s" });
            figures.push(name, "", reward(&answers));
        }
    }
    figures.push("reward(trained)", "", reward(&trained));
    figures.push("share of the gain(1 revision)", "", gains[0] / gains[gains.len() - 1]);
    Ok(())
}

/// Total variation between two distributions.
fn variation<const N: usize>(a: &[f64; N], b: &[f64; N]) -> f64 {
    0.5 * a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>()
}

fn normalized<const N: usize>(weights: [f64; N]) -> [f64; N] {
    let total: f64 = weights.iter().sum();
    weights.map(|w| w / total)
}

/// A policy and its reviser over `N` actions, as one table: row 0 answers the prompt, row 1 + a revises the answer a.
struct Roles<const N: usize> {
    policy: Policy,
    start: Vec<f64>,
    reference: Vec<f64>,
    /// all ordered pairs as answers, after the rejected and after the chosen one is shown
    batches: [PairBatch; 3],
    /// how often each pair is sampled
    weights: Vec<f64>,
    /// probability that its first answer is preferred
    shares: Vec<f64>,
}

impl<const N: usize> Roles<N> {
    /// Preferences `P(row ≻ column)`, logits of the reference in both roles, and how answers are sampled.
    fn new(preferences: &[[f64; N]; N], logits: &[f64; N], sampled: &[f64; N]) -> Result<Self, ToyError> {
        let policy = Policy::tabular(N + 1, N);
        let start = logits.repeat(N + 1);
        let reference = policy.table(&start)?;
        let pairs: Vec<_> = (0..N).flat_map(|i| (0..N).filter(move |&j| j != i).map(move |j| (i, j))).collect();
        let cells = |row: fn(usize, usize) -> usize| {
            let cells: Vec<_> = pairs.iter().map(|&(i, j)| (row(i, j) * N + i, row(i, j) * N + j)).collect();
            PairBatch::cells((N + 1) * N, &cells)
        };
        let batches = [cells(|_, _| 0)?, cells(|_, rejected| 1 + rejected)?, cells(|chosen, _| 1 + chosen)?];
        let weights = pairs.iter().map(|&(i, j)| sampled[i] * sampled[j]).collect();
        let shares = pairs.iter().map(|&(i, j)| preferences[i][j]).collect();
        Ok(Self { policy, start, reference, batches, weights, shares })
    }

    fn logps<T: Tape<f64, Cpu>>(
        &self,
        cells: Tensor<(usize,), f64, Cpu, T>,
    ) -> Result<RevisionLogps<usize, f64, Cpu, T>, ToyError> {
        let [plain, after_rejected, after_chosen] = &self.batches;
        let (rejected, chosen) = (cells.with_empty_tape(), cells.with_empty_tape());
        Ok(RevisionLogps::new(plain.logps(cells)?, after_rejected.logps(rejected)?, after_chosen.logps(chosen)?)?)
    }

    /// The policy and its revisions of each answer at the minimum of SRPO's loss.
    fn train(&self, config: &Srpo, rate: f64) -> Result<([f64; N], [[f64; N]; N]), ToyError> {
        let mut logits = self.start.clone();
        let frozen = tropism_core::numerics::from_f64(&Cpu::default(), &self.reference, (self.reference.len(),))?;
        let frozen = self.logps(frozen)?;
        descend(&mut logits, Descent::plain(rate), STEPS, |x| {
            let terms = srpo(self.logps(self.policy.logps(x)?)?, frozen.clone(), Some(&self.shares), config)?;
            Ok(terms.times_rows(&self.weights)?.sum()?)
        })?;
        let table = self.policy.table(&logits)?;
        let row = |k: usize| std::array::from_fn(|a| table[k * N + a].exp());
        Ok((row(0), std::array::from_fn(|shown| row(1 + shown))))
    }

    /// The policy at the minimum of the expected loss of labelled pairs.
    fn train_pairs(&self, objective: &Objective, rate: f64) -> Result<[f64; N], ToyError> {
        let [plain, ..] = &self.batches;
        let weights: Vec<f64> = self.weights.iter().zip(&self.shares).map(|(w, p)| w * p).collect();
        let (mut logits, frozen) = (self.start.clone(), plain.reference(&self.reference)?);
        descend(&mut logits, Descent::plain(rate), STEPS, |x| {
            let logps = plain.logps(self.policy.logps(x)?)?;
            // each unordered pair stands there twice, once for each label
            Ok(objective.pair_loss(logps, Some(frozen.clone()))?.times_rows(&weights)?.times(2.0)?.sum()?)
        })?;
        let table = self.policy.table(&logits)?;
        Ok(std::array::from_fn(|a| table[a].exp()))
    }
}
