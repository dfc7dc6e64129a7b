//! Inversion-DPO: the released form against the form with a target.

use dfdx::prelude::*;
use tropism_diffusion::denoiser::{Denoiser, DenoiserError};
use tropism_diffusion::objectives::{InversionDpo, InversionForm, PairErrors, TrajectoryPoint, inversion_dpo, trajectory_deviations};
use tropism_diffusion::prediction::Prediction;
use tropism_diffusion::sample::{Inversion, invert};
use tropism_diffusion::schedule::{Level, inversion_times};
use tropism_diffusion::train::{Errors, Training};
use tropism_ops::{Params, VisitMut};

use super::smpo::inverted_errors;
use crate::worlds::ring::{BATCH, Net, Points, Ring, Traced, batch, outputs, pairs_by_reward, picked, points, say, schedule};
use crate::{Chance, Figures, Relation, Toy, ToyError};

/// Points of the released form's trajectory.
const STEPS: usize = 8;
const BETA: f64 = 200.0;
/// Largest weights 1/(2ᾱ) belong to a level that holds nothing of the data.
const FLOOR: f64 = 0.01;

/// RING-8: 4000 pairs of the base by the first coordinate, 400 steps of Adam at 1e-4 on batches of 256, β = 200. The released form visits
/// 8 points of the reference's inversion, ᾱ in its weights at least 0.01, and starts from the reference plus noise of 1e-3 in every
/// weight, for at the reference its gradient is 0; `reversed` has its sign turned round. The form with a target inverts each member with
/// the policy in 5 moves to a time of its own.
pub(super) const TOY: Toy = Toy {
    row: "inversion-dpo",
    title: "Inversion-DPO: Precise and Efficient Post-Training for Diffusion Models",
    arxiv: "2507.11554",
    claim: "Inverted points with their recovered noise as target raise the reward; the released form has no direction to go.",
    chance: Chance::Seeds(5),
    relations: &[
        Relation::above_value("reward(target)", 0.5),
        Relation::near_value("reward(released)", 0.0, 0.3),
        Relation::near_value("gradient(released, at reference)", 0.0, 1e-12),
    ],
    run,
};

/// Points of a side's trajectories, the reference's predictions there, and levels and times of each move.
struct Way {
    points: Vec<Vec<f64>>,
    said: Vec<Vec<f64>>,
}

fn run(seed: u64) -> Result<Figures, ToyError> {
    let ring = Ring::diffusion(seed)?;
    let sides = pairs_by_reward(&ring.drawn(8000)?);
    let mut figures = Figures::default();
    ring.report(&mut figures, "base", &ring.base)?;
    let target = InversionDpo::default().with_beta(BETA);
    let mut training = Training::new(ring.base.clone(), ring.config(400, 1e-4))?;
    training.run(
        |model, stream, tape| {
            let at = batch(sides[0].len() / 2, BATCH, stream);
            let members = [&picked(&sides[0], &at)[..], &picked(&sides[1], &at)[..]];
            let (ours, theirs) = inverted_errors((model, &ring.base), &ring, members, 0, stream, tape)?;
            Ok(inversion_dpo(ours, Some(theirs), &target)?)
        },
        |_| (),
    )?;
    ring.report(&mut figures, "target", training.model())?;
    let ways = [way(&ring, &sides[0])?, way(&ring, &sides[1])?];
    let moved = nudged(&ring)?;
    for (name, start, steps, order) in
        [("released, at reference", &ring.base, 1, [0, 1]), ("released", &moved, 400, [0, 1]), ("reversed", &moved, 400, [1, 0])]
    {
        let (model, gradient) = released(&ring, start, [&ways[order[0]], &ways[order[1]]], steps)?;
        if steps == 1 {
            figures.push(format!("gradient({name})"), "", gradient);
        } else {
            ring.report(&mut figures, name, &model)?;
        }
    }
    Ok(figures)
}

/// Times of the released form's points.
fn times() -> Result<Vec<usize>, ToyError> {
    Ok(inversion_times(crate::worlds::ring::TIMES - 1, STEPS)?)
}

/// Inverts all samples of a side with the reference.
fn way(ring: &Ring, side: &[f64]) -> Result<Way, ToyError> {
    let (schedule, times) = (schedule()?, times()?);
    let (data, rows) = (points(side)?, side.len() / 2);
    let grids = vec![times.clone(); rows];
    let mut model = say(&ring.process, &ring.base);
    let found = invert(&mut model, &schedule, Prediction::Noise, &data, &grids, &Inversion::default())?;
    let numbers = |x: &Points| tropism_core::numerics::to_f64(x);
    let said = times.iter().zip(&found).map(|(&t, x)| Ok(numbers(&model(x, &vec![t as f64; rows])?)));
    Ok(Way { said: said.collect::<Result<_, ToyError>>()?, points: found.iter().map(numbers).collect() })
}

/// Trains on the released form; the trained network and the first gradient's norm.
fn released(ring: &Ring, start: &Net, ways: [&Way; 2], steps: u64) -> Result<(Net, f64), ToyError> {
    let (schedule, times) = (schedule()?, times()?);
    let levels = schedule.levels(&times)?;
    let config = InversionDpo::default().with_beta(BETA).with_form(InversionForm::Released);
    let mut training = Training::new(start.clone(), ring.config(steps, 1e-4))?;
    let mut first = f64::NAN;
    training.run(
        |model, stream, tape| {
            let at = batch(ways[0].points[0].len() / 2, BATCH, stream);
            let along = |way: &Way, tape: Traced| deviations(ring, model, way, (&times[..], &levels[..]), &at, tape);
            let deviations = PairErrors::new(along(ways[0], tape)?, along(ways[1], Traced::default())?)?;
            Ok(inversion_dpo(deviations, None, &config)?)
        },
        |step| {
            if step.step == 0 {
                first = step.grad_norm;
            }
        },
    )?;
    Ok((training.into_model(), first))
}

/// Weighted deviations of the policy along some of the trajectories.
fn deviations(
    ring: &Ring,
    model: &Net,
    way: &Way,
    (times, levels): (&[usize], &[Level]),
    at: &[usize],
    tape: Traced,
) -> Result<Errors<f32, Traced>, DenoiserError> {
    let (mut tapes, mut visited) = (Some(tape), Vec::new());
    for (i, &t) in times.iter().enumerate() {
        let x = points(&picked(&way.points[i], at))?;
        let tape = tapes.take().unwrap_or_default();
        visited.push(TrajectoryPoint {
            policy: outputs(model, &ring.process, &x, &vec![t as f64; at.len()], tape)?,
            reference: points(&picked(&way.said[i], at))?,
            levels: vec![levels[i]; at.len()],
        });
    }
    Ok(trajectory_deviations(visited, FLOOR)?)
}

/// The base with noise of 1e-3 in every weight.
fn nudged(ring: &Ring) -> Result<Net, ToyError> {
    struct Nudge(tropism_diffusion::Stream);
    impl VisitMut<f32> for Nudge {
        type Error = DenoiserError;
        fn tensor<S: Shape>(&mut self, _: &str, t: &mut Tensor<S, f32, Cpu>) -> Result<(), DenoiserError> {
            let moved: Vec<f32> = t.as_vec().iter().map(|v| v + 1e-3 * self.0.normal() as f32).collect();
            t.copy_from(&moved);
            Ok(())
        }
    }
    let mut model = ring.base.clone();
    debug_assert_eq!(model.width(), 2);
    model.visit_mut(&mut Nudge(ring.stream(3)))?;
    Ok(model)
}
