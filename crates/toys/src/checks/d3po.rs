//! D3PO: with and without the bound of the ratio.

use dfdx::prelude::*;
use tropism_core::numerics::to_f64;
use tropism_diffusion::denoiser::DenoiserError;
use tropism_diffusion::objectives::{D3po, StepPairs, d3po};
use tropism_diffusion::prediction::Prediction;
use tropism_diffusion::sample::{Ddim, Move, Trajectory, ddim_moves, step_logps, trajectory};
use tropism_diffusion::schedule::sampling_times;
use tropism_diffusion::train::Training;
use tropism_diffusion::{DiffusionError, Stream};

use crate::worlds::ring::{MOVES, Net, Ring, TIMES, Traced, outputs, points, say, schedule};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const PAIRS: usize = 128;
/// The step to the data has no noise and is not trained.
const STEPS: usize = MOVES - 1;

/// RING-8: an epoch samples 128 pairs with DDIM in 20 moves and η = 1 from shared noise, labels them by the first coordinate of the final
/// samples, shuffles the steps of each pair and takes an optimiser step (Adam at 1e-4, gradients clipped to 1) for each of the 19 steps
/// that have noise; β = 0.1, the bound 0.1 or none, where training ends early when a
/// gradient leaves the numbers. Judged by 4000 samples of 20 deterministic moves.
pub(super) const TOY: Toy = Toy {
    row: "d3po",
    title: "Using Human Feedback to Fine-tune Diffusion Models without Any Reward Model",
    arxiv: "2311.13231",
    claim: "DPO on single denoising steps raises the reward without a reward model; the bound of the ratio keeps it near the modes while \
            the loss stays at ln 2.",
    chance: Chance::Seeds(5),
    relations: &[
        Relation::above_value("reward(d3po, 30)", 0.5),
        Relation::below_value("modedist(d3po, 30)", 0.3),
        Relation::near_value("loss - ln 2(d3po)", 0.0, 0.005),
        Relation::above("modedist(no bound, 20)", "modedist(d3po, 20)"),
    ],
    run,
};

fn run(seed: u64) -> Result<Figures, ToyError> {
    let ring = Ring::diffusion(seed)?;
    let mut figures = Figures::default();
    ring.report(&mut figures, "base", &ring.base)?;
    for (name, clip, epochs) in [("d3po", Some(0.1), vec![10, 20, 30]), ("no bound", None, vec![10, 20])] {
        let mut config = ring.config(u64::MAX, 1e-4);
        config.max_grad_norm = Some(1.0);
        let mut training = Training::new(ring.base.clone(), config)?;
        let (mut losses, mut stream, mut done) = (Vec::new(), ring.stream(6), 0);
        for until in epochs {
            while done < until {
                let Some(found) = epoch(&ring, &mut training, &D3po::default().with_clip(clip), &mut stream)? else {
                    break;
                };
                losses.extend(found);
                done += 1;
            }
            ring.report(&mut figures, &format!("{name}, {until}"), training.model())?;
        }
        let mean = losses.iter().sum::<f64>() / losses.len() as f64;
        figures.push(format!("loss - ln 2({name})"), "nats", mean - std::f64::consts::LN_2);
        figures.push(format!("epochs({name})"), "", f64::from(done));
    }
    Ok(figures)
}

/// Samples pairs and learns from each of their steps; the losses, or none where a sample or a gradient leaves the numbers. A step that
/// does changes no weight.
fn epoch(
    ring: &Ring,
    training: &mut Training<Net, f32>,
    config: &D3po,
    stream: &mut Stream,
) -> Result<Option<Vec<f64>>, ToyError> {
    let times = sampling_times(TIMES, MOVES)?;
    let moves = ddim_moves(&schedule()?, Prediction::Noise, &times, &Ddim::default().with_eta(1.0))?;
    let start = points(&stream.normals(2 * PAIRS))?;
    let mut draw = || trajectory(say(&ring.process, training.model()), &moves, &start, stream);
    let members = match (draw(), draw()) {
        (Err(DiffusionError::NotFinite { .. }), _) | (_, Err(DiffusionError::NotFinite { .. })) => return Ok(None),
        (one, other) => [one?, other?],
    };
    let last = members.each_ref().map(|m| to_f64(&m.states[MOVES]));
    let prefer = |i: usize| (last[0][2 * i] - last[1][2 * i]).partial_cmp(&0.0).map_or(0.0, |o| f64::from(o as i8));
    let preferences: Vec<f64> = (0..PAIRS).map(prefer).collect();
    let orders: Vec<Vec<usize>> = (0..PAIRS).map(|_| stream.order(STEPS)).collect();
    let mut losses = Vec::new();
    for step in 0..STEPS {
        let at: Vec<usize> = orders.iter().map(|order| order[step]).collect();
        let [one, other] = members.each_ref().map(|member| Kept::of(member, &moves, &at));
        let taken = training.step(|model, _, tape| {
            let policy = StepPairs::new(one.logps(ring, model, tape)?, other.logps(ring, model, Traced::default())?)?;
            let frozen = |kept: &Kept| -> Result<_, DenoiserError> {
                let traced = kept.logps(ring, &ring.base, Traced::default())?;
                Ok(tropism_core::numerics::detach(&traced)?)
            };
            Ok(d3po(policy, StepPairs::new(frozen(&one)?, frozen(&other)?)?, &preferences, config)?)
        });
        match taken {
            Ok(figures) => losses.push(figures.loss),
            Err(DenoiserError::NotFinite { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(losses))
}

/// A step of each row.
struct Kept {
    moves: Vec<Move>,
    state: Vec<f64>,
    next: Vec<f64>,
}

impl Kept {
    /// The steps `at` of a trajectory's rows.
    fn of(member: &Trajectory<usize, usize, f32>, moves: &[Move], at: &[usize]) -> Self {
        let row = |states: &[Vec<f64>], shift: usize| -> Vec<f64> {
            at.iter().enumerate().flat_map(|(i, &s)| states[s + shift][2 * i..2 * i + 2].to_vec()).collect()
        };
        let states: Vec<Vec<f64>> = member.states.iter().map(to_f64).collect();
        Self { moves: at.iter().map(|&s| moves[s]).collect(), state: row(&states, 0), next: row(&states, 1) }
    }

    /// Log-densities of the kept steps under a network.
    fn logps(
        &self,
        ring: &Ring,
        model: &Net,
        tape: Traced,
    ) -> Result<Tensor<(usize,), f32, Cpu, Traced>, DenoiserError> {
        let state = points(&self.state)?;
        let times: Vec<f64> = self.moves.iter().map(|m| m.t).collect();
        let kernels: Vec<_> = self.moves.iter().map(|m| m.kernel).collect();
        let said = outputs(model, &ring.process, &state, &times, tape)?;
        Ok(step_logps(&kernels, &state, said, &points(&self.next)?)?)
    }
}
