//! LD-DPO: the less the tokens beyond the shorter completion count, the shorter the completions.

use tropism_objectives::{LdDpo, Objective};

use crate::worlds::{LengthBias, Moments, TokenPairs, gradient};
use crate::{Chance, Figures, Relation, Toy, ToyError};

/// Weights of the tokens beyond the shorter completion; at 1 it is DPO.
const ALPHAS: [f64; 3] = [1.0, 0.5, 0.0];
/// Groups of pairs of about the same width.
const GROUPS: usize = 12;

/// Bigram policies at an exact KL of half a nat to the start, β = 0.1, on labels with and without a length bias. "No
/// worse" means a quality that is at most 0.01 lower; without the bias lengths are equal within 0.2 tokens.
pub(super) const TOY: Toy = Toy {
    row: "ld-dpo",
    title: "Length Desensitization in Direct Preference Optimization",
    arxiv: "2409.06411",
    claim: "At equal divergence completions become shorter as the weight of the tokens beyond the shorter completion \
            falls, and no worse; without a length bias in the labels the weight does not matter.",
    chance: Chance::Seeds(10),
    relations: &[
        Relation::above("length(alpha 1)", "length(alpha 0.5)"),
        Relation::above("length(alpha 0.5)", "length(alpha 0)"),
        Relation::above_by("quality(alpha 0.5)", "quality(alpha 1)", -0.01),
        Relation::above_by("quality(alpha 0)", "quality(alpha 1)", -0.01),
        Relation::near("length(alpha 0.5, no bias)", "length(alpha 1, no bias)", 0.2),
        Relation::near("length(alpha 0, no bias)", "length(alpha 1, no bias)", 0.2),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let mut figures = Figures::default();
    for (bias, name) in [(0.05, ""), (0.0, ", no bias")] {
        let world = LengthBias::draw(seed, bias)?;
        let pairs: Vec<_> = world.pairs().iter().map(|(w, l)| (w.cells.as_slice(), l.cells.as_slice())).collect();
        let pairs = TokenPairs::new(&pairs, GROUPS)?;
        for alpha in ALPHAS {
            let found = at_equal_kl(&world, &pairs, &LdDpo::default().with_alpha(alpha).into())?;
            figures.push(format!("length(alpha {alpha}{name})"), "tokens", found.length);
            figures.push(format!("quality(alpha {alpha}{name})"), "", found.quality());
        }
    }
    Ok(figures)
}

fn at_equal_kl(world: &LengthBias, pairs: &TokenPairs, objective: &Objective) -> Result<Moments, ToyError> {
    let (policy, reference) = world.policy();
    world.follow(|at| Ok(gradient(at, |x| pairs.loss(objective, policy.logps(x)?, reference))?.1))
}
