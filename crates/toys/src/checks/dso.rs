//! DSO: direct reward optimisation against training on good samples and DPO.

use dfdx::prelude::*;
use tropism_core::{Diagnostics, LossTerms};
use tropism_diffusion::Stream;
use tropism_diffusion::objectives::{DsoDpo, DsoDro, dso_dpo, dso_dro};
use tropism_diffusion::train::Training;

use crate::worlds::ring::{BATCH, Ring, batch, pair_errors, picked};
use crate::{Chance, Figures, Relation, Toy, ToyError};

/// RING-8 as a flow; a sample stands when its first coordinate is positive. 8000 samples of the base, batches of 256 pairs of one that
/// stands and one that does not, time shared and drawn as `σ(1 + N(0, 1))`, noise of their own, Adam, gradients clipped to 1. Share of
/// 4000 new samples that stand after 200 and 600 steps; `drift` is the distance to the modes over that of the base.
pub(super) const TOY: Toy = Toy {
    row: "dso",
    title: "DSO: Aligning 3D Generators with Simulation Feedback for Physical Soundness",
    arxiv: "2503.22677",
    claim: "Direct reward optimisation gets to stable samples faster than training on them and than DPO, and over-optimises without an \
            early stop.",
    chance: Chance::Seeds(5),
    relations: &[
        Relation::above("stable(dro, 200)", "stable(sft, 200)"),
        Relation::above("stable(sft, 200)", "stable(dpo, 200)"),
        Relation::above_value("drift(dro, 600)", 3.0),
    ],
    run,
};

#[derive(Clone, Copy)]
enum Objective {
    Sft,
    Dpo,
    Dro,
}

fn run(seed: u64) -> Result<Figures, ToyError> {
    let ring = Ring::flow(seed, Some([1.0, 1.0]))?;
    let samples = ring.drawn(8000)?;
    let side = |stands: bool| -> Vec<usize> { (0..8000).filter(|i| (samples[2 * i] > 0.0) == stands).collect() };
    let (good, bad) = (side(true), side(false));
    let base = ring.judge(&ring.base)?;
    let mut figures = Figures::default();
    figures.push("stable(base)", "", base.right);
    figures.push("modedist(base)", "", base.modedist);
    let settings = [("sft", Objective::Sft, 1e-4), ("dpo", Objective::Dpo, 1e-4), ("dro", Objective::Dro, 1e-4), ("dro, slow", Objective::Dro, 2e-5)];
    for (name, objective, rate) in settings {
        let mut config = ring.config(600, rate);
        config.max_grad_norm = Some(1.0);
        let mut training = Training::new(ring.base.clone(), config)?;
        for until in [200, 600] {
            while training.done() < until {
                training.step(|model, stream, tape| {
                    let of = |all: &[usize], stream: &mut Stream| batch(all.len(), BATCH, stream).iter().map(|&i| all[i]).collect::<Vec<_>>();
                    let (w, l) = (picked(&samples, &of(&good, stream)), picked(&samples, &of(&bad, stream)));
                    let (ours, theirs) = pair_errors((model, &ring.base), &ring.process, [&w, &l], false, stream, tape)?;
                    Ok(match objective {
                        Objective::Sft => plain(ours.chosen, ours.rejected)?,
                        Objective::Dpo => dso_dpo(ours, theirs, &DsoDpo::default().with_beta(50.0))?,
                        Objective::Dro => dso_dro(ours, &DsoDro::default())?,
                    })
                })?;
            }
            let judged = ring.judge(training.model())?;
            figures.push(format!("stable({name}, {until})"), "", judged.right);
            figures.push(format!("drift({name}, {until})"), "", judged.modedist / base.modedist);
        }
    }
    Ok(figures)
}

/// Plain training on good samples; the other errors have no part in it.
fn plain<T: Tape<f32, Cpu>>(
    good: Tensor<(usize,), f32, Cpu, T>,
    bad: Tensor<(usize,), f32, Cpu, T>,
) -> Result<LossTerms<usize, f32, Cpu, T>, tropism_core::CoreError> {
    let rows = good.shape().0;
    drop(bad);
    LossTerms::new(good, vec![1.0; rows], Diagnostics::default())
}
