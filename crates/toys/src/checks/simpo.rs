//! SimPO: shorter completions at the same divergence and quality.

use tropism_objectives::{Dpo, Simpo};

use crate::worlds::LengthBias;
use crate::{Chance, Figures, Relation, Toy, ToyError};

/// Bigram policies trained on labels with a length bias, compared where their exact KL to the start is half a nat: DPO
/// with β = 0.1, SimPO with β = 2 and γ/β = 0.5. "No worse" means a quality that is at most 0.01 lower.
pub(super) const TOY: Toy = Toy {
    row: "simpo",
    title: "SimPO: Simple Preference Optimization with a Reference-Free Reward",
    arxiv: "2405.14734",
    claim: "At equal divergence SimPO's completions are shorter than DPO's and no worse.",
    chance: Chance::Seeds(10),
    relations: &[
        Relation::above("length(dpo)", "length(simpo)"),
        Relation::above_by("quality(simpo)", "quality(dpo)", -0.01),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let world = LengthBias::draw(seed, 0.05)?;
    let mut figures = Figures::default();
    let start = world.before()?;
    let dpo = world.at_equal_kl(&Dpo::default().into())?;
    let simpo = world.at_equal_kl(&Simpo::default().with_gamma_beta_ratio(0.5).into())?;
    for (name, policy) in [("reference", start), ("dpo", dpo), ("simpo", simpo)] {
        figures.push(format!("length({name})"), "tokens", policy.length);
        figures.push(format!("quality({name})"), "", policy.quality());
    }
    Ok(figures)
}
