//! Diffusion-DPO: reward against distance from the modes, over β.

use tropism_diffusion::objectives::{DiffusionDpo, diffusion_dpo};
use tropism_diffusion::train::Training;

use crate::worlds::ring::{BATCH, Ring, batch, pair_errors, pairs_by_reward, picked};
use crate::{Chance, Figures, Relation, Toy, ToyError};

/// RING-8: 4000 pairs of the base, labelled by the first coordinate, 1500 steps of Adam at 1e-4 on batches of 256 for each β, time and
/// noise shared in a pair. Judged by 4000 new samples; `change` is how far the errors of chosen samples have moved from the
/// reference's in the last 100 steps.
pub(super) const TOY: Toy = Toy {
    row: "diffusion-dpo",
    title: "Diffusion Model Alignment Using Direct Preference Optimization",
    arxiv: "2311.12908",
    claim: "Differences of denoising errors in place of log-ratios raise the reward; a small β over-optimises and leaves the modes.",
    chance: Chance::Seeds(5),
    relations: &[
        Relation::above_value("reward(beta 1000)", 0.5),
        Relation::below_value("lost(beta 1000)", 0.1),
        Relation::above("modedist(beta 250)", "modedist(beta 1000)"),
        Relation::above("modedist(beta 50)", "modedist(beta 250)"),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let ring = Ring::diffusion(seed)?;
    let [chosen, rejected] = pairs_by_reward(&ring.drawn(8000)?);
    let mut figures = Figures::default();
    let base = ring.report(&mut figures, "base", &ring.base)?;
    for beta in [1000.0, 250.0, 50.0] {
        let config = DiffusionDpo::default().with_beta(beta);
        let mut training = Training::new(ring.base.clone(), ring.config(1500, 1e-4))?;
        let (mut changes, mut steps) = ([0.0; 2], 0.0);
        training.run(
            |model, stream, tape| {
                let at = batch(chosen.len() / 2, BATCH, stream);
                let sides = [&picked(&chosen, &at)[..], &picked(&rejected, &at)[..]];
                let (ours, theirs) = pair_errors((model, &ring.base), &ring.process, sides, true, stream, tape)?;
                Ok(diffusion_dpo(ours, theirs, &config)?)
            },
            |step| {
                if step.step >= 1400 {
                    steps += 1.0;
                    for (sum, side) in changes.iter_mut().zip(["error_changes/chosen", "error_changes/rejected"]) {
                        let found = step.diagnostics.iter().find(|(name, _)| *name == side);
                        *sum += found.map_or(0.0, |(_, value)| *value);
                    }
                }
            },
        )?;
        let name = format!("beta {beta}");
        let judged = ring.report(&mut figures, &name, training.model())?;
        figures.push(format!("lost({name})"), "", judged.modedist - base.modedist);
        figures.push(format!("change of chosen({name})"), "", changes[0] / steps);
        figures.push(format!("change of rejected({name})"), "", changes[1] / steps);
    }
    Ok(figures)
}
