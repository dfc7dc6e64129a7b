//! LN-DPO: lengths between DPO's and SimPO's at the same quality, and less to tune.

use tropism_objectives::{Dpo, LnDpo, Objective, Simpo};

use crate::worlds::LengthBias;
use crate::{Chance, Figures, Relation, Toy, ToyError};

/// Values of β that are tried for robustness, at a fixed number of normalised steps.
const DPO_GRID: [f64; 5] = [0.01, 0.05, 0.1, 0.3, 0.5];
const LN_DPO_GRID: [f64; 6] = [1.0, 1.5, 2.0, 2.5, 3.0, 3.5];
const GRID_STEPS: usize = 100;

/// Bigram policies at an exact KL of half a nat to the start, on labels with and without a length bias. The spread over
/// β is the standard deviation of the quality over the grid. "Equal quality" means within 0.02.
pub(super) const TOY: Toy = Toy {
    row: "ln-dpo",
    title: "The Hitchhiker's Guide to Human Alignment with *PO",
    arxiv: "2407.15229",
    claim: "At equal divergence LN-DPO's completions are shorter than DPO's and longer than SimPO's, at equal quality, \
            and its quality depends less on beta.",
    chance: Chance::Seeds(10),
    relations: &[
        Relation::above("length(dpo)", "length(ln_dpo)"),
        Relation::above("length(ln_dpo)", "length(simpo)"),
        Relation::near("quality(ln_dpo)", "quality(dpo)", 0.02),
        Relation::near("quality(ln_dpo)", "quality(simpo)", 0.02),
        Relation::above("length(dpo, no bias)", "length(ln_dpo, no bias)"),
        Relation::above("spread over beta(dpo)", "spread over beta(ln_dpo)"),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let (biased, fair) = (LengthBias::draw(seed, 0.05)?, LengthBias::draw(seed, 0.0)?);
    let mut figures = Figures::default();
    let simpo = Simpo::default().with_gamma_beta_ratio(0.5);
    let methods: [(&str, Objective); 3] =
        [("dpo", Dpo::default().into()), ("ln_dpo", LnDpo::default().into()), ("simpo", simpo.into())];
    for (name, objective) in &methods {
        let policy = biased.at_equal_kl(objective)?;
        figures.push(format!("length({name})"), "tokens", policy.length);
        figures.push(format!("quality({name})"), "", policy.quality());
    }
    for (name, objective) in &methods[..2] {
        figures.push(format!("length({name}, no bias)"), "tokens", fair.at_equal_kl(objective)?.length);
    }
    let dpo = DPO_GRID.map(|beta| Dpo::default().with_beta(beta).into());
    let ln_dpo = LN_DPO_GRID.map(|beta| LnDpo::default().with_beta(beta).into());
    figures.push("spread over beta(dpo)", "", spread(&biased, &dpo)?);
    figures.push("spread over beta(ln_dpo)", "", spread(&biased, &ln_dpo)?);
    Ok(figures)
}

/// Standard deviation of the quality over settings.
fn spread(world: &LengthBias, settings: &[Objective]) -> Result<f64, ToyError> {
    let quality = |o| Ok(world.after_steps(o, GRID_STEPS)?.quality());
    let found: Vec<f64> = settings.iter().map(quality).collect::<Result<_, ToyError>>()?;
    let mean = found.iter().sum::<f64>() / found.len() as f64;
    Ok((found.iter().map(|q| (q - mean).powi(2)).sum::<f64>() / (found.len() - 1) as f64).sqrt())
}
