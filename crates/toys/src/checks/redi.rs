//! REDI: negatives that count for less than positives.

use dfdx::prelude::Cpu;
use tropism_core::PairLogps;
use tropism_objectives::{Averaging, ChosenNll, Objective, Redi};

use crate::worlds::{Chain, Descent, PairBatch, Policy, Sequence, Stream, descend, gradient};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const ALPHAS: [f64; 5] = [0.0, 0.2, 0.5, 0.8, 1.0];
const PAIRS: usize = 800;
/// Tokens at which a completion is cut.
const CAP: usize = 40;
const STEPS: [usize; 3] = [100, 500, 5000];

/// A bigram policy, fitted to 800 chosen completions of one chain (mean over completions of token means) and then trained
/// against 800 of a worse one; plain descent at rate 1. Quality is the exact share of good minus bad tokens within 40
/// tokens (the sheet has samples), "chosen" the mean log-probability of a token of the chosen completions (mean over
/// completions). The loss is bounded below where no transition is more than 1/α times as frequent in rejected completions
/// as in chosen ones; "least ratio" is the smallest such quotient (0 in a seed where only a rejected completion ends at
/// once; at α = 0.2 that leaves a slope of 0.2/800). A gradient below 10⁻³ counts as none. "Clearly likelier" is by 1 nat,
/// "similar quality" within 0.1.
pub(super) const TOY: Toy = Toy {
    row: "redi",
    title: "Harnessing Negative Signals: Reinforcement Distillation from Teacher Data for LLM Reasoning",
    arxiv: "2505.24850",
    claim: "Heavier negatives raise quality faster and lower the chosen completions faster, without end beyond a \
            threshold; at 0.8 the chosen ones stay clearly likelier than at 1, at similar quality.",
    chance: Chance::Seeds(10),
    relations: &[
        Relation::above("quality(alpha 0.5, step 100)", "quality(alpha 0, step 100)"),
        Relation::above("quality(alpha 0.8, step 100)", "quality(alpha 0.5, step 100)"),
        Relation::above("quality(alpha 1, step 100)", "quality(alpha 0.8, step 100)"),
        Relation::above("quality(alpha 0.5, step 5000)", "quality(alpha 0.2, step 5000)"),
        Relation::above("quality(alpha 0.8, step 5000)", "quality(alpha 0.5, step 5000)"),
        Relation::above("chosen(alpha 0, step 500)", "chosen(alpha 0.2, step 500)"),
        Relation::above("chosen(alpha 0.2, step 500)", "chosen(alpha 0.5, step 500)"),
        Relation::above("chosen(alpha 0.5, step 500)", "chosen(alpha 0.8, step 500)"),
        Relation::above_by("chosen(alpha 0.8, step 500)", "chosen(alpha 1, step 500)", 1.0),
        Relation::above_by("chosen(alpha 0.8, step 5000)", "chosen(alpha 1, step 5000)", 1.0),
        Relation::near("quality(alpha 0.8, step 5000)", "quality(alpha 1, step 5000)", 0.1),
        Relation::below_value("gradient(alpha 0.2)", 1e-3),
        Relation::above_value("gradient(alpha 0.5)", 1e-3),
        Relation::above("gradient(alpha 0.8)", "gradient(alpha 0.5)"),
        Relation::above("gradient(alpha 1)", "gradient(alpha 0.8)"),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let world = Distillation::draw(seed)?;
    let mut figures = Figures::default();
    figures.push("least ratio", "", world.least_ratio());
    figures.push("quality(fitted)", "", Chain::quality_within(&world.policy.table(&world.fitted)?, CAP));
    figures.push("chosen(fitted)", "nats", world.chosen(&world.fitted)?);
    for alpha in ALPHAS {
        let objective = Redi::default().with_alpha(alpha).into();
        let (mut at, mut done) = (world.fitted.clone(), 0);
        for steps in STEPS {
            world.train(&objective, &mut at, steps - done)?;
            done = steps;
            let quality = Chain::quality_within(&world.policy.table(&at)?, CAP);
            figures.push(format!("quality(alpha {alpha}, step {steps})"), "", quality);
            figures.push(format!("chosen(alpha {alpha}, step {steps})"), "nats", world.chosen(&at)?);
        }
        let slopes = world.gradient(&objective, &at)?.1;
        figures.push(format!("gradient(alpha {alpha})"), "", slopes.iter().map(|g| g * g).sum::<f64>().sqrt());
    }
    Ok(figures)
}

struct Distillation {
    policy: Policy,
    batch: PairBatch,
    /// a reference that no loss here reads
    unread: PairLogps<usize, f64, Cpu>,
    /// logits after supervised training on the chosen completions
    fitted: Vec<f64>,
    sides: [Vec<Sequence>; 2],
}

impl Distillation {
    fn draw(seed: u64) -> Result<Self, ToyError> {
        let policy = Chain::policy();
        let side = |good, bad, stream| -> Result<_, ToyError> {
            let (logps, mut random) = (policy.table(&Chain::logits(good, bad, -1.2))?, Stream::new(seed, stream));
            Ok((0..PAIRS).map(|_| Chain::sample(&logps, CAP, &mut random)).collect::<Vec<_>>())
        };
        let sides: [Vec<Sequence>; 2] = [side(0.6, -0.2, 0)?, side(0.2, 0.3, 1)?];
        let cells = |k: usize| sides[k].iter().map(|s| s.cells.as_slice()).collect::<Vec<_>>();
        let batch = PairBatch::sequences(Chain::CELLS, &cells(0), &cells(1))?;
        let unread = batch.reference(&[-1.0; Chain::CELLS])?;
        let mut world = Self { policy, batch, unread, fitted: vec![0.0; Chain::CELLS], sides };
        let mut fitted = world.fitted.clone();
        world.train(&ChosenNll::default().with_averaging(Averaging::Sequences).into(), &mut fitted, 2000)?;
        world.fitted = fitted;
        Ok(world)
    }

    fn train(&self, objective: &Objective, at: &mut [f64], steps: usize) -> Result<(), ToyError> {
        descend(at, Descent::plain(1.0), steps, |x| self.batch.loss(objective, self.policy.logps(x)?, &self.unread))
    }

    fn gradient(&self, objective: &Objective, at: &[f64]) -> Result<(f64, Vec<f64>), ToyError> {
        gradient(at, |x| self.batch.loss(objective, self.policy.logps(x)?, &self.unread))
    }

    /// Mean log-probability of a chosen token.
    fn chosen(&self, at: &[f64]) -> Result<f64, ToyError> {
        Ok(-self.gradient(&Redi::default().with_alpha(0.0).into(), at)?.0)
    }

    /// The smallest quotient of a transition's frequency in chosen and in rejected completions, lengths taken out.
    fn least_ratio(&self) -> f64 {
        let [chosen, rejected] = self.sides.each_ref().map(|side| {
            let mut frequencies = vec![0.0; Chain::CELLS];
            side.iter().for_each(|s| s.cells.iter().for_each(|&cell| frequencies[cell] += 1.0 / s.len() as f64));
            frequencies
        });
        let seen = chosen.iter().zip(&rejected).filter(|(_, r)| **r > 0.0);
        seen.map(|(c, r)| c / r).fold(f64::INFINITY, f64::min)
    }
}
