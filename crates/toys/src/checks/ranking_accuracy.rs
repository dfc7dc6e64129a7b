//! Ranking accuracy: DPO reaches high reward accuracy and leaves the hard pairs ranked wrongly.

use tropism_core::numerics::sigmoid_scalar;
use tropism_evaluation::Bootstrap;
use tropism_evaluation::likelihood::{
    BETA_GRID, Difficulty, Raters, RankingReport, ScoredPairs, alignment_gap, difficulties, idealised_accuracy, ranking_report,
};
use tropism_objectives::{Dpo, Objective};

use crate::worlds::{Descent, ScorePairs, Stream, dot, gradient};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const DIM: usize = 40;
const PAIRS: [usize; 2] = [300, 100];
const BETA: f64 = 0.1;
const RATE: f64 = 0.5;
const STEPS: usize = 4000;
/// Steps between two looks.
const LOOK: usize = 20;
/// Edges of the difficulties, in nats.
const EDGES: [f64; 6] = [0.0, 2.0, 5.0, 10.0, 20.0, f64::INFINITY];

/// Three hundred pairs to train on and a hundred to validate, of forty features with a linear log-probability; the
/// reference is a random direction, labels follow Bradley and Terry on another. DPO with β = 0.1 by full-batch steps of 0.5,
/// looked at every twentieth step up to 4000; figures of the training pairs at the lowest validation loss.
///
/// Difficulty `c` is by how many nats the reference prefers the wrong side. A violation is a look at a pair that is ranked
/// rightly with a loss above `softplus(−βc)`, or wrongly with one below. The lead is that of reward accuracy over ranking
/// accuracy, the least of all looks after step 0. The alignment gap is the paper's, whose median over β from 0.01 to 10
/// is taken mostly where the ideal follows the reference; the ideal at the β of training is a figure of its own. Lengths of both directions, 1.5 √40 and 0.5 √40 on average, are ours.
pub(super) const TOY: Toy = Toy {
    row: "ranking-accuracy",
    title: "Preference Learning Algorithms Do Not Learn Preference Rankings",
    arxiv: "2405.19534",
    claim: "A pair that the reference ranks wrongly by c nats is ranked rightly exactly when its loss falls below \
            softplus(-βc), so hard pairs stay wrong while reward accuracy is high.",
    chance: Chance::Seeds(20),
    relations: &[
        Relation::near_value("violations", 0.0, 0.5),
        Relation::above_value("least lead of reward accuracy", 0.0),
        Relation::above("reward accuracy", "accuracy"),
        Relation::above("accuracy", "accuracy(reference)"),
        Relation::above("flip rate(c 0 to 2)", "flip rate(c above 20)"),
        Relation::above("flip rate(c 5 to 10)", "flip rate(c above 20)"),
        Relation::above("flip rate(c 10 to 20)", "flip rate(c above 20)"),
        Relation::below_value("unlearnt rate", 0.1),
        Relation::above("ideal accuracy(beta 0.1)", "accuracy"),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let world = World::draw(&mut Stream::new(seed, 0))?;
    let (mut at, mut rule) = (world.start.clone(), Descent::plain(RATE));
    let (mut best, mut best_step, mut best_loss) = (at.clone(), 0, f64::INFINITY);
    let (mut violations, mut lead) = (0, f64::INFINITY);
    for step in 0..=STEPS {
        if step % LOOK == 0 {
            let [train, validation] = &world.sets;
            violations += train.violations(&at)? + validation.violations(&at)?;
            if step > 0 {
                let report = train.report(&at)?;
                lead = lead.min(report.reward_accuracy.map_or(0.0, |a| a.value) - report.accuracy.value);
            }
            let loss = validation.loss(&at)?;
            if loss < best_loss {
                (best, best_step, best_loss) = (at.clone(), step, loss);
            }
        }
        let (_, slopes) = gradient(&at, |x| world.sets[0].pairs.loss(&objective(), x, &world.sets[0].reference))?;
        rule.step(&mut at, &slopes)?;
    }
    let mut figures = Figures::default();
    figures.push("violations", "", violations as f64);
    figures.push("least lead of reward accuracy", "", lead);
    figures.push("best step", "steps", best_step as f64);
    figures.push("validation loss", "nats", best_loss);
    world.sets[0].describe(&mut figures, &best)?;
    Ok(figures)
}

fn objective() -> Objective {
    Dpo::default().with_beta(BETA).into()
}

struct World {
    start: Vec<f64>,
    sets: [Set; 2],
}

/// Labelled pairs with the reference's scores.
struct Set {
    points: [Vec<f64>; 2],
    /// share of raters for the chosen side
    shares: Vec<f64>,
    scores: [Vec<f64>; 2],
    pairs: ScorePairs,
    reference: tropism_core::PairLogps<usize, f64, dfdx::prelude::Cpu>,
}

impl World {
    fn draw(random: &mut Stream) -> Result<Self, ToyError> {
        let mut direction = |size: f64| random.normals(DIM).iter().map(|w| size * w).collect::<Vec<_>>();
        let (start, truth) = (direction(1.5), direction(0.5));
        let mut set = |pairs: usize| Set::draw(pairs, &start, &truth, random);
        let sets = [set(PAIRS[0])?, set(PAIRS[1])?];
        Ok(Self { start, sets })
    }
}

impl Set {
    fn draw(pairs: usize, start: &[f64], truth: &[f64], random: &mut Stream) -> Result<Self, ToyError> {
        let (mut points, mut shares) = ([Vec::new(), Vec::new()], Vec::new());
        for _ in 0..pairs {
            let [a, b] = [random.normals(DIM), random.normals(DIM)];
            let p = sigmoid_scalar(dot(&a, truth) - dot(&b, truth));
            let first = random.chance(p);
            let (chosen, rejected, share) = if first { (a, b, p) } else { (b, a, 1.0 - p) };
            points[0].extend(chosen);
            points[1].extend(rejected);
            shares.push(share);
        }
        let batch = ScorePairs::features(DIM, &points[0], &points[1])?;
        let (reference, scores) = (batch.frozen(start)?, scores(&points, start));
        Ok(Self { points, shares, scores, pairs: batch, reference })
    }

    /// Calls `of` with the pairs as the figures want them.
    fn scored<T>(
        &self,
        at: &[f64],
        of: impl FnOnce(&ScoredPairs<'_>) -> Result<T, tropism_evaluation::EvaluationError>,
    ) -> Result<T, ToyError> {
        let [chosen, rejected] = scores(&self.points, at);
        let pairs = ScoredPairs::new(&chosen, &rejected)?.with_reference(&self.scores[0], &self.scores[1])?;
        Ok(of(&pairs)?)
    }

    fn report(&self, at: &[f64]) -> Result<RankingReport, ToyError> {
        self.scored(at, ranking_report)
    }

    fn difficulties(&self, at: &[f64]) -> Result<Vec<Difficulty>, ToyError> {
        self.scored(at, |pairs| difficulties(pairs, BETA))
    }

    fn loss(&self, at: &[f64]) -> Result<f64, ToyError> {
        let all = self.difficulties(at)?;
        Ok(all.iter().map(|d| d.loss).sum::<f64>() / all.len() as f64)
    }

    fn violations(&self, at: &[f64]) -> Result<usize, ToyError> {
        let [chosen, rejected] = scores(&self.points, at);
        let right = |d: &Difficulty| chosen[d.pair] >= rejected[d.pair];
        Ok(self.difficulties(at)?.iter().filter(|d| d.ranked_rightly() != right(d)).count())
    }

    fn describe(&self, figures: &mut Figures, at: &[f64]) -> Result<(), ToyError> {
        let report = self.report(at)?;
        let value = |f: Option<tropism_evaluation::Figure>| f.map_or(f64::NAN, |f| f.value);
        figures.push("accuracy(reference)", "", value(report.reference_accuracy));
        figures.push("accuracy", "", report.accuracy.value);
        figures.push("reward accuracy", "", value(report.reward_accuracy));
        let bootstrap = Bootstrap { resamples: 100, ..Bootstrap::default() };
        let gap = self.scored(at, |pairs| alignment_gap(pairs, Raters::Shares(&self.shares), &BETA_GRID, bootstrap))?;
        figures.push("alignment gap", "", gap.raw.value);
        let ideal = self.scored(at, |pairs| idealised_accuracy(pairs, Raters::Shares(&self.shares), &[BETA]))?;
        figures.push("ideal accuracy(beta 0.1)", "", ideal.by_beta[0].1.value);
        let flips = report.flips;
        figures.push("flip rate", "", flips.as_ref().map_or(f64::NAN, |f| value(f.flip_rate)));
        figures.push("unlearnt rate", "", flips.as_ref().map_or(f64::NAN, |f| value(f.unlearnt_rate)));
        let all = self.difficulties(at)?;
        for edges in EDGES.windows(2) {
            let hard: Vec<bool> =
                all.iter().filter(|d| d.c > edges[0] && d.c <= edges[1]).map(Difficulty::ranked_rightly).collect();
            let rate = hard.iter().filter(|r| **r).count() as f64 / hard.len() as f64;
            let name = match edges[1].is_finite() {
                true => format!("flip rate(c {} to {})", edges[0], edges[1]),
                false => format!("flip rate(c above {})", edges[0]),
            };
            figures.push(name, "", rate);
        }
        Ok(())
    }
}

fn scores(points: &[Vec<f64>; 2], at: &[f64]) -> [Vec<f64>; 2] {
    points.each_ref().map(|side| side.chunks(DIM).map(|x| dot(x, at)).collect())
}
