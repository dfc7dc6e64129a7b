//! Diffusion-DRO: margins and how often the policy is copied.

use std::collections::VecDeque;

use dfdx::prelude::*;
use tropism_diffusion::DiffusionError;
use tropism_diffusion::denoiser::{Condition, DenoiserError};
use tropism_diffusion::objectives::{DiffusionDro, PairErrors, diffusion_dro};
use tropism_diffusion::sample::{Trajectory, trajectory};
use tropism_diffusion::train::{Noised, Training, denoising, errors_at};

use crate::worlds::ring::{MOVES, Net, Points, Ring, Traced, batch, picked, points, say};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const ROWS: usize = 128;
const STEPS: u64 = 800;
/// Trajectories in the buffer.
const BUFFER: usize = 4;

/// RING-8: experts are the 500 of 8000 samples of the base with the largest first coordinate; 800 steps of Adam at 1e-4, gradients
/// clipped to 1, batches of 128. Every step adds 128 trajectories of DDIM in 20 moves from the lagged policy to a buffer of four such
/// batches (times of the grid, without the authors' jitter) and draws a state for each row from it; the policy is copied every M steps.
/// Figures after 800 steps. "Better than training on the experts" is not visible here and not claimed.
pub(super) const TOY: Toy = Toy {
    row: "diffusion-dro",
    title: "Ranking-based Preference Optimization for Diffusion Models from Implicit User Feedback",
    arxiv: "2510.18353",
    claim: "Experts ranked above the policy's own samples raise the reward, further with a larger margin, and the hinge stops by itself \
            before the samples collapse.",
    chance: Chance::Seeds(5),
    relations: &[
        Relation::above_value("gain(margin 1, M 16)", 0.0),
        Relation::above_value("gain(margin 0.1, M 16)", 0.0),
        Relation::above_value("gain(margin 0.001, M 16)", 0.0),
        Relation::above_value("gain(margin 0.1, M 1)", 0.0),
        Relation::above_value("gain(margin 0.001, M 1)", 0.0),
        Relation::above("reward(margin 0.1, M 1)", "reward(margin 0.001, M 1)"),
        Relation::above("entropy(margin 1, M 16)", "entropy(sft)"),
        Relation::above("entropy(margin 0.1, M 16)", "entropy(sft)"),
        Relation::above("entropy(margin 0.1, M 1)", "entropy(sft)"),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let ring = Ring::diffusion(seed)?;
    let samples = ring.drawn(8000)?;
    let mut order: Vec<usize> = (0..8000).collect();
    order.sort_by(|&a, &b| samples[2 * b].total_cmp(&samples[2 * a]));
    let experts = picked(&samples, &order[..500]);
    let mut figures = Figures::default();
    let base = ring.report(&mut figures, "base", &ring.base)?;
    let mut config = ring.config(STEPS, 1e-4);
    config.max_grad_norm = Some(1.0);
    let mut sft = Training::new(ring.base.clone(), config.clone())?;
    sft.run(
        |model, stream, tape| {
            let data = points(&picked(&experts, &batch(500, ROWS, stream)))?;
            denoising(model, &ring.process, (&data, &Condition::none()), stream, tape)
        },
        |_| (),
    )?;
    ring.report(&mut figures, "sft", sft.model())?;
    for (margin, every) in [(1.0, 16), (0.1, 16), (0.001, 16), (0.1, 1), (0.001, 1)] {
        let training = Training::new(ring.base.clone(), config.clone())?;
        let (model, steps) = train(&ring, &experts, training, margin, every)?;
        let name = format!("margin {margin}, M {every}");
        figures.push(format!("steps({name})"), "", steps as f64);
        let judged = ring.report(&mut figures, &name, &model)?;
        figures.push(format!("gain({name})"), "", judged.reward - base.reward);
    }
    Ok(figures)
}

/// The model, and how many steps it took: training ends where a sample or a gradient leaves the numbers, and a step that does changes no
/// weight.
fn train(
    ring: &Ring,
    experts: &[f64],
    mut training: Training<Net, f32>,
    margin: f64,
    every: u64,
) -> Result<(Net, u64), ToyError> {
    let config = DiffusionDro::default().with_margin(margin);
    let (moves, mut stream) = (ring.process.moves(MOVES)?, ring.stream(5));
    let (mut policy, mut buffer) = (ring.base.clone(), VecDeque::new());
    while !training.is_done() {
        if training.done().is_multiple_of(every) {
            policy = training.model().clone();
        }
        let start = points(&stream.normals(2 * ROWS))?;
        match trajectory(say(&ring.process, &policy), &moves, &start, &mut stream) {
            Err(DiffusionError::NotFinite { .. }) => break,
            way => buffer.push_back(way?),
        }
        if buffer.len() > BUFFER {
            buffer.pop_front();
        }
        let drawn: Vec<[usize; 2]> = (0..ROWS).map(|_| [stream.below(buffer.len()), stream.below(MOVES)]).collect();
        let times: Vec<f64> = drawn.iter().map(|d| moves[d[1]].t).collect();
        let own = states(&buffer, &drawn, &times, ring.process.scale())?;
        let data = points(&picked(experts, &batch(experts.len() / 2, ROWS, &mut stream)))?;
        let expert = ring.process.noise(&data, &points(&stream.normals(2 * ROWS))?, &times)?;
        let taken = training.step(|model, _, tape| {
            let none = Condition::none();
            let frozen = |at| errors_at(&ring.base, at, &none, NoneTape);
            let learner =
                PairErrors::new(errors_at(model, &expert, &none, tape)?, errors_at(model, &own, &none, Traced::default())?)?;
            let reference = PairErrors::new(frozen(&expert)?, frozen(&own)?)?;
            Ok(diffusion_dro(learner, reference, &config)?)
        });
        match taken {
            Err(DenoiserError::NotFinite { .. }) => break,
            taken => taken.map(drop)?,
        }
    }
    let steps = training.done();
    Ok((training.into_model(), steps))
}

/// A state of the buffer for each row, with what the policy said there.
fn states(
    buffer: &VecDeque<Trajectory<usize, usize, f32>>,
    drawn: &[[usize; 2]],
    times: &[f64],
    scale: f64,
) -> Result<Noised<f32>, DenoiserError> {
    let gather = |part: fn(&Trajectory<usize, usize, f32>) -> &Vec<Points>| {
        let tables: Vec<Vec<Vec<f32>>> = buffer.iter().map(|t| part(t).iter().map(|x| x.as_vec()).collect()).collect();
        let one = |(row, d): (usize, &[usize; 2])| tables[d[0]][d[1]][2 * row..2 * row + 2].to_vec();
        let numbers: Vec<f64> = drawn.iter().enumerate().flat_map(one).map(f64::from).collect();
        points(&numbers)
    };
    let times = times.iter().map(|t| t / scale).collect();
    Ok(Noised { x: gather(|t| &t.states)?, target: gather(|t| &t.outputs)?, times })
}
