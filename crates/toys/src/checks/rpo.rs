//! RPO: the likelihood of chosen arms against overoptimisation.

use tropism_objectives::Rpo;

use crate::worlds::{Behaviour, CoveredArms};
use crate::{Chance, Figures, Relation, Toy, ToyError};

/// Weights of the likelihood; at 0 it is DPO.
const ETAS: [f64; 5] = [0.0, 0.005, 0.05, 0.2, 1.0];
const BETA: f64 = 0.1;
/// Step along the gradient divided by β.
const RATE: f64 = 0.5 / BETA;

/// A log-linear bandit of 12 arms, of which 60 noisy pairs cover six; the others are rare in the reference and worth 1.5
/// less. Cumulative form, plain descent. Rewards, log-probabilities of chosen arms and mass on uncovered arms are exact.
/// "Moderate" weights are 0.05 and 0.2; "keeps the reward" means within 0.1 of its value at step 300; the chosen arms
/// "collapse" when they lose more than 3 nats after step 300; "approaches imitation": of all weights, 1 leaves the chosen
/// arms likeliest and at a lower reward than 0.2 does.
pub(super) const TOY: Toy = Toy {
    row: "rpo",
    title: "Provably Mitigating Overoptimization in RLHF: Your SFT Loss is Implicitly an Adversarial Regularizer",
    arxiv: "2405.16436",
    claim: "After long training DPO loses reward to arms that no pair covers; a moderate weight of the likelihood keeps \
            the reward and the chosen arms, a large one only imitates.",
    chance: Chance::Seeds(40),
    relations: &[
        Relation::above("reward(eta 0, step 300)", "reward(eta 0, step 3000)"),
        Relation::above("uncovered(eta 0, step 3000)", "uncovered(eta 0, step 300)"),
        Relation::above_by("chosen(eta 0, step 300)", "chosen(eta 0, step 3000)", 3.0),
        Relation::above_by("reward(eta 0.05, step 3000)", "reward(eta 0.05, step 300)", -0.1),
        Relation::above_by("reward(eta 0.2, step 3000)", "reward(eta 0.2, step 300)", -0.1),
        Relation::above("reward(eta 0.05, step 3000)", "reward(eta 0, step 3000)"),
        Relation::above("reward(eta 0.2, step 3000)", "reward(eta 0, step 3000)"),
        Relation::above("uncovered(eta 0, step 3000)", "uncovered(eta 0.05, step 3000)"),
        Relation::above("uncovered(eta 0.05, step 3000)", "uncovered(eta 0.2, step 3000)"),
        Relation::above("chosen(eta 0.05, step 3000)", "chosen(eta 0, step 3000)"),
        Relation::above("chosen(eta 1, step 3000)", "chosen(eta 0.2, step 3000)"),
        Relation::above("reward(eta 0.2, step 3000)", "reward(eta 1, step 3000)"),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let world = CoveredArms::draw(seed, -3.0, 1.5)?;
    let mut figures = Figures::default();
    push(&mut figures, "reference", &world.before());
    for eta in ETAS {
        let objective = Rpo::default().with_beta(BETA).with_eta(eta).into();
        let steps = [300, 3000];
        for (step, found) in steps.iter().zip(world.after(&objective, RATE, steps)?) {
            push(&mut figures, &format!("eta {eta}, step {step}"), &found);
        }
    }
    Ok(figures)
}

fn push(figures: &mut Figures, of: &str, found: &Behaviour) {
    figures.push(format!("reward({of})"), "", found.reward);
    figures.push(format!("chosen({of})"), "nats", found.chosen);
    figures.push(format!("uncovered({of})"), "", found.uncovered);
}
