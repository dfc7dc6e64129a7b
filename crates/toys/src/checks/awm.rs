//! AWM: the variance of its policy gradient against that of Flow-GRPO.

use dfdx::prelude::*;
use tropism_core::numerics::to_f64;
use tropism_diffusion::Stream;
use tropism_diffusion::denoiser::{Condition, DenoiserError};
use tropism_diffusion::objectives::{
    Awm, FlowGrpo, GroupAdvantages, MatchErrors, Proxy, SampledSteps, awm, flow_grpo, group_advantages,
};
use tropism_diffusion::prediction::Prediction;
use tropism_diffusion::sample::{euler_moves, sample, sde_moves, step_logps, trajectory};
use tropism_diffusion::schedule::flow_times;
use tropism_diffusion::train::{Loss, errors_at};
use tropism_ops::{Grads, Params, Visit, alloc_grads, tape_into};

use crate::worlds::ring::{Points, Ring, Traced, outputs, points, say};
use crate::{Chance, Figures, Relation, Toy, ToyError};

const SAMPLES: usize = 192;
const GRADIENTS: usize = 120;
/// Times at which the network is asked for each sample.
const TIMES: usize = 9;

/// RING-8 as a flow, rewarded by the first coordinate, the policy fixed at the base. 120 independent gradients, each of one group of 192
/// samples and 9 network times a sample: AWM (uniform weights, samples of the ODE or of the SDE, times even in strata of 0.1 to 1) and
/// Flow-GRPO (SDE with a = 0.7, 9 of the sampler's steps but the last). `snr` is the squared norm of the mean gradient over the mean
/// squared distance from it, without bias. How training curves compare is not claimed: the speed-up does not show with Adam and an
/// unbounded reward.
pub(super) const TOY: Toy = Toy {
    row: "awm",
    title: "Advantage Weighted Matching: Aligning RL with Pretraining in Diffusion Models",
    arxiv: "2509.25050",
    claim: "Matching weighted by advantages is a policy gradient of far less variance than one on the steps of a sampler, the more so \
            with more steps.",
    chance: Chance::Seeds(5),
    relations: &[
        Relation::above_value("ratio(awm to flow-grpo, S 10)", 3.0),
        Relation::above_value("ratio(awm to flow-grpo, S 40)", 20.0),
    ],
    run,
};

#[derive(Clone, Copy)]
enum Method {
    FlowGrpo,
    AwmOde,
    AwmSde,
}

fn run(seed: u64) -> Result<Figures, ToyError> {
    let ring = Ring::flow(seed, None)?;
    let mut figures = Figures::default();
    for steps in [10, 40] {
        let mut found = Vec::new();
        for (name, method) in
            [("flow-grpo", Method::FlowGrpo), ("awm, ode", Method::AwmOde), ("awm, sde", Method::AwmSde)]
        {
            let mut stream = ring.stream(10 + steps as u64);
            let one = |_| gradient(&ring, method, steps, &mut stream);
            let snr = ratio(&(0..GRADIENTS).map(one).collect::<Result<Vec<_>, ToyError>>()?);
            figures.push(format!("snr({name}, S {steps})"), "", snr);
            found.push(snr);
        }
        figures.push(format!("ratio(awm to flow-grpo, S {steps})"), "", found[1] / found[0]);
    }
    Ok(figures)
}

/// `‖mean g‖² / E‖g − mean g‖²`, both without bias.
fn ratio(gradients: &[Vec<f64>]) -> f64 {
    let n = gradients.len() as f64;
    let (mut signal, mut noise) = (0.0, 0.0);
    for i in 0..gradients[0].len() {
        let mean = gradients.iter().map(|g| g[i]).sum::<f64>() / n;
        signal += mean * mean;
        noise += gradients.iter().map(|g| (g[i] - mean) * (g[i] - mean)).sum::<f64>() / (n - 1.0);
    }
    (signal - noise / n) / noise
}

/// One gradient at the base.
fn gradient(ring: &Ring, method: Method, steps: usize, stream: &mut Stream) -> Result<Vec<f64>, ToyError> {
    let model = &ring.base;
    let tape = tape_into(&Cpu::default(), alloc_grads(model).map_err(DenoiserError::from)?);
    let terms = match method {
        Method::FlowGrpo => by_steps(ring, steps, stream, tape)?,
        Method::AwmOde | Method::AwmSde => by_matching(ring, method, steps, stream, tape)?,
    };
    let mut grads = terms.mean()?.backward();
    let mut flat = Flat(Vec::new(), &mut grads);
    model.visit(&mut flat)?;
    Ok(flat.0)
}

struct Flat<'g>(Vec<f64>, &'g mut Grads<f32>);

impl Visit<f32> for Flat<'_> {
    type Error = ToyError;
    fn tensor<S: Shape>(&mut self, _: &str, t: &Tensor<S, f32, Cpu>) -> Result<(), ToyError> {
        self.0.extend(to_f64(&self.1.get(t)));
        Ok(())
    }
}

/// Advantages of one group's samples.
fn advantages(samples: &Points, options: &GroupAdvantages) -> Result<Vec<f64>, DenoiserError> {
    let rewards: Vec<f64> = to_f64(samples).chunks(2).map(|x| x[0]).collect();
    Ok(group_advantages(&rewards, &[0; SAMPLES], options)?)
}

/// Steps of the SDE, weighted by advantages.
fn by_steps(ring: &Ring, steps: usize, stream: &mut Stream, tape: Traced) -> Result<Loss<f32>, ToyError> {
    let moves = sde_moves(Prediction::Velocity, &flow_times(steps)?, 0.7)?;
    let start = points(&stream.normals(2 * SAMPLES))?;
    let kept = trajectory(say(&ring.process, &ring.base), &moves, &start, stream)?;
    let adv = advantages(&kept.states[steps], &GroupAdvantages::default())?;
    let states: Vec<Vec<f64>> = kept.states.iter().map(to_f64).collect();
    let chosen: Vec<usize> = stream.order(steps - 1).into_iter().take(TIMES).collect();
    let gather = |shift: usize| chosen.iter().flat_map(|&s| states[s + shift].clone()).collect::<Vec<f64>>();
    let kernels: Vec<_> = chosen.iter().flat_map(|&s| vec![moves[s].kernel; SAMPLES]).collect();
    let times: Vec<f64> = chosen.iter().flat_map(|&s| vec![moves[s].t; SAMPLES]).collect();
    let (state, next) = (points(&gather(0))?, points(&gather(1))?);
    let said = outputs(&ring.base, &ring.process, &state, &times, tape)?;
    let logps = step_logps(&kernels, &state, said, &next)?;
    let old = to_f64(&logps);
    let config = FlowGrpo::default().with_beta(0.0);
    Ok(flow_grpo(SampledSteps::new(logps, None)?, &adv.repeat(TIMES), &old, &config)?)
}

/// Matching errors at fresh noise, weighted by advantages.
fn by_matching(ring: &Ring, method: Method, steps: usize, stream: &mut Stream, tape: Traced) -> Result<Loss<f32>, ToyError> {
    let grid = flow_times(steps)?;
    let moves = match method {
        Method::AwmSde => sde_moves(Prediction::Velocity, &grid, 0.7)?,
        _ => euler_moves(Prediction::Velocity, &grid)?,
    };
    let start = points(&stream.normals(2 * SAMPLES))?;
    let samples = sample(say(&ring.process, &ring.base), &moves, &start, stream)?;
    let adv = advantages(&samples, &GroupAdvantages::awm())?;
    let strata: Vec<f64> = (0..TIMES).map(|k| 0.1 + 0.9 * (k as f64 + stream.uniform()) / TIMES as f64).collect();
    let times: Vec<f64> = strata.iter().flat_map(|&t| vec![t; SAMPLES]).collect();
    let data = points(&to_f64(&samples).repeat(TIMES))?;
    let noised = ring.process.noise(&data, &points(&stream.normals(2 * SAMPLES * TIMES))?, &times)?;
    let errors = errors_at(&ring.base, &noised, &Condition::none(), tape)?;
    let config = Awm::default().with_proxy(Proxy::Uniform).with_beta(0.0).with_beta_ema(0.0);
    Ok(awm(MatchErrors::new(errors, None, None)?, &adv.repeat(TIMES), &times, None, &config)?)
}
