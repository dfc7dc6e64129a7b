//! ASFT: chosen arms rise where DPO lets both sides fall.

use tropism_objectives::{Asft, Dpo, Likelihood, Orpo};

use crate::worlds::{CoveredArms, TokenPairs};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const BETA: f64 = 0.1;
const RATE: f64 = 0.5;
const STEPS: [usize; 2] = [100, 600];

/// A log-linear bandit of 12 arms, of which 60 noisy pairs cover six; completions of one token, plain descent, DPO's
/// gradient divided by β. "Chosen" and "rejected" are mean changes of log-probabilities since the start, "uncovered" is
/// the mass on arms that no pair covers. More seeds than the sheet has, for rewards vary much between them. That DPO's
/// reward is higher at these budgets is the sheet's observation, not the paper's claim; "imitation" is ASFT at λ = 0.
pub(super) const TOY: Toy = Toy {
    row: "asft",
    title: "ASFT: Aligned Supervised Fine-Tuning through Absolute Likelihood",
    arxiv: "2409.10571",
    claim: "ASFT makes chosen completions likelier where DPO makes both sides unlikelier, the rejected one more; it \
            stays close to imitation.",
    chance: Chance::Seeds(100),
    relations: &[
        Relation::above_value("chosen(asft, step 100)", 0.0),
        Relation::above_value("chosen(asft, step 600)", 0.0),
        Relation::below_value("chosen(dpo, step 100)", 0.0),
        Relation::below_value("chosen(dpo, step 600)", 0.0),
        Relation::below_value("rejected(dpo, step 600)", 0.0),
        Relation::above("chosen(dpo, step 100)", "rejected(dpo, step 100)"),
        Relation::above("chosen(dpo, step 600)", "rejected(dpo, step 600)"),
        Relation::above("uncovered(dpo, step 600)", "uncovered(asft, step 600)"),
        Relation::above("reward(dpo, step 600)", "reward(asft, step 600)"),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let world = CoveredArms::draw(seed, -1.0, 0.0)?;
    let before = world.before();
    let dpo = world.after(&Dpo::default().with_beta(BETA).into(), RATE / BETA, STEPS)?;
    let asft = world.after(&Asft::default().into(), RATE, STEPS)?;
    let imitation = world.after(&Asft::default().with_lambda(0.0).into(), RATE, STEPS)?;
    let pairs: Vec<_> = world.pairs().iter().map(|(w, l)| (std::slice::from_ref(w), std::slice::from_ref(l))).collect();
    let (pairs, reference) = (TokenPairs::new(&pairs, 1)?, world.reference());
    let objective = Orpo::default().with_lambda(1.0).with_likelihood(Likelihood::Completion).into();
    let orpo = world.follow(RATE, STEPS, |x| pairs.loss(&objective, world.policy().logps(x)?, reference))?;
    let mut figures = Figures::default();
    figures.push("reward(reference)", "", before.reward);
    for (name, found) in [("dpo", dpo), ("orpo", orpo), ("asft", asft), ("imitation", imitation)] {
        for (step, found) in STEPS.iter().zip(found) {
            figures.push(format!("chosen({name}, step {step})"), "nats", found.chosen - before.chosen);
            figures.push(format!("rejected({name}, step {step})"), "nats", found.rejected - before.rejected);
            figures.push(format!("uncovered({name}, step {step})"), "", found.uncovered);
            figures.push(format!("reward({name}, step {step})"), "", found.reward);
        }
    }
    Ok(figures)
}
