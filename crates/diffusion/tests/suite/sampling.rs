//! Samplers: worked numbers, marginals, log-densities, guidance.

use dfdx::prelude::*;
use tropism_core::numerics::to_f64;
use tropism_diffusion::prediction::{Prediction, noised};
use tropism_diffusion::sample::*;
use tropism_diffusion::schedule::*;
use tropism_diffusion::{DiffusionError, Stream};

use crate::common::{Rows, close, rows};

fn linear() -> NoiseSchedule {
    NoiseSchedule::new(BetaSchedule::Linear, 1000).unwrap()
}

#[test]
fn ddim_worked_numbers() {
    let (x, eps) = (rows(&[&[0.7602853992, -1.1000695542]]), rows(&[&[0.3, -0.7]]));
    let step = |eta| ddim_moves(&linear(), Prediction::Noise, &[499, 399], &Ddim::default().with_eta(eta)).unwrap()[0];
    let (plain, full) = (step(0.0), step(1.0));
    assert_eq!((plain.t, plain.kernel.std), (499.0, 0.0));
    close(&plain.kernel.mean(&x, &eps).unwrap().as_vec(), &[1.0134198129, -1.3026599680], 1e-9);
    close(&full.kernel.mean(&x, &eps).unwrap().as_vec(), &[0.9039060542, -1.0471278642], 1e-9);
    close(&[full.kernel.std * full.kernel.std], &[0.5217333129], 1e-9);
}

#[test]
fn ddim_with_eta_1_is_ancestral_and_with_0_has_no_noise() {
    let schedule = linear();
    for (times, prediction) in [(vec![499, 498], Prediction::Noise), (vec![999, 600, 30, 0], Prediction::V)] {
        let ddim = ddim_moves(&schedule, prediction, &times, &Ddim::default().with_eta(1.0)).unwrap();
        let ddpm = ddpm_moves(&schedule, prediction, &times, DdpmVariance::Posterior).unwrap();
        for (a, b) in ddim.iter().zip(&ddpm) {
            let parts = |m: &Move| [m.t, m.kernel.state, m.kernel.output, m.kernel.std];
            close(&parts(a), &parts(b), 1e-9);
        }
    }
    let adjacent = ddim_moves(&schedule, Prediction::Noise, &[499, 498], &Ddim::default().with_eta(1.0)).unwrap()[0];
    close(&[adjacent.kernel.std.powi(2)], &[schedule.posterior(499, Some(498)).unwrap().variance], 1e-14);
    let forward = ddpm_moves(&schedule, Prediction::Noise, &[499, 498, 0], DdpmVariance::Forward).unwrap();
    close(&[forward[0].kernel.std.powi(2)], &[schedule.betas()[499]], 1e-12);
    assert_eq!(forward[2].kernel.std, 0.0);
}

#[test]
fn ddim_returns_a_single_sample_in_one_step() {
    let schedule = linear();
    let (x0, eps) = (rows(&[&[1.0, -0.5]]), rows(&[&[0.5, -1.0]]));
    for t in [0, 10, 499, 999] {
        let x = noised(&x0, &eps, &[schedule.level(t).unwrap()]).unwrap();
        let one = ddim_moves(&schedule, Prediction::Noise, &[t], &Ddim::default()).unwrap();
        let model = |_: &Rows, _: &[f64]| Ok::<_, DiffusionError>(eps.clone());
        let found = sample(model, &one, &x, &mut Stream::new(0, 0)).unwrap();
        close(&found.as_vec(), &[1.0, -0.5], 1e-9);
    }
}

#[test]
fn ddim_may_end_at_the_level_of_time_0() {
    let schedule = linear();
    let options = Ddim::default().with_eta(1.0).with_to_data(false);
    let moves = ddim_moves(&schedule, Prediction::Noise, &[500, 0], &options).unwrap();
    // From time 0 to its own level nothing moves and nothing is drawn.
    let last = moves[1].kernel;
    close(&[last.state, last.output, last.std], &[1.0, 0.0, 0.0], 1e-12);
    assert!(ddim_moves(&schedule, Prediction::Noise, &[500], &options).unwrap()[0].kernel.std > 0.0);
}

#[test]
fn zero_terminal_snr_needs_another_prediction_than_noise() {
    let schedule = linear().with_zero_terminal_snr().unwrap();
    let error = ddim_moves(&schedule, Prediction::Noise, &[999, 0], &Ddim::default()).unwrap_err();
    assert!(error.to_string().contains("says nothing about Data"), "{error}");
    assert!(ddim_moves(&schedule, Prediction::Noise, &[998, 0], &Ddim::default()).is_ok());
    for prediction in [Prediction::V, Prediction::Data] {
        let moves = ddim_moves(&schedule, prediction, &[999, 500, 0], &Ddim::default().with_eta(1.0)).unwrap();
        assert!(moves.iter().all(|m| m.kernel.state.is_finite() && m.kernel.output.is_finite() && m.kernel.std.is_finite()));
    }
}

#[test]
fn samplers_refuse_times_that_do_not_descend() {
    let times = |times: &[usize]| ddim_moves(&linear(), Prediction::Noise, times, &Ddim::default()).unwrap_err().to_string();
    assert_eq!(times(&[5, 5]), "ddim: times must descend, and 5 follows 5");
    assert!(times(&[]).contains("no times") && times(&[1000]).contains("0 to 999"));
    assert!(ddpm_moves(&linear(), Prediction::Noise, &[1, 2], DdpmVariance::Forward).is_err());
    assert!(euler_moves(Prediction::Velocity, &[0.0, 1.0]).is_err() && euler_moves(Prediction::Velocity, &[1.0]).is_err());
    assert!(euler_moves(Prediction::Velocity, &[1.5, 0.0]).is_err());
    assert!(sde_moves(Prediction::Velocity, &[1.0, 0.0], 0.0).is_err() && sde_level(0.0, 0.0, 0.7).is_err());
    assert!(ddim_moves(&linear(), Prediction::Noise, &[5], &Ddim::default().with_eta(1.5)).is_err());
}

#[test]
fn flow_worked_numbers() {
    let (x, u) = (rows(&[&[0.8, -0.7]]), rows(&[&[-0.3, -0.7]]));
    let euler = euler_moves(Prediction::Velocity, &[0.4, 0.3]).unwrap()[0];
    close(&euler.kernel.mean(&x, &u).unwrap().as_vec(), &[0.83, -0.63], 1e-12);
    let sde = sde_moves(Prediction::Velocity, &[0.8, 0.6], 0.7).unwrap()[0];
    close(&[sde_level(0.8, 0.6, 0.7).unwrap(), sde.kernel.std], &[1.4, 0.6260990337], 1e-10);
    close(&sde.kernel.mean(&x, &u).unwrap().as_vec(), &[0.6787, -0.3542], 1e-12);
    let next = sde.kernel.next(&x, &u, &rows(&[&[0.5, -0.25]])).unwrap();
    close(&next.as_vec(), &[0.9917495168, -0.5107247584], 1e-10);
    let logps = step_logps(&[sde.kernel], &x, u.leaky_trace(), &next).unwrap();
    close(&to_f64(&logps), &[-0.5288168136], 1e-10);
    close(&logps.sum().backward().get(&u).as_vec(), &[-0.0994251654, 0.0497125827], 1e-10);
    let deviation = |variances: Option<&[f64]>| {
        let found = step_deviations(&[sde.kernel], u.clone(), &rows(&[&[-0.2, -0.6]]), variances);
        to_f64(&found.unwrap())
    };
    close(&deviation(Some(&[1.96])), &[1.5816581633e-4], 1e-13);
    close(&deviation(None), &[7.9082908163e-4], 1e-13);
    assert!(step_deviations(&[sde.kernel], u.clone(), &u, Some(&[0.0])).is_err());
}

#[test]
fn step_log_density_worked_numbers() {
    // A kernel whose mean is the output itself.
    let kernel = [Kernel { state: 0.0, output: 1.0, std: 0.2 }];
    let (state, next) = (rows(&[&[7.0, 7.0]]), rows(&[&[0.9, -0.4]]));
    let logp = |mean: &[f64]| to_f64(&step_logps(&kernel, &state, rows(&[mean]), &next).unwrap())[0];
    close(&[logp(&[0.8, -0.5]), logp(&[0.7, -0.45])], &[0.5654993792, 0.4248743792], 1e-10);
    close(&[logp(&[0.8, -0.5]) - logp(&[0.7, -0.45])], &[0.140625], 1e-12);
    let flat = [Kernel { state: 1.0, output: 0.0, std: 0.0 }];
    let error = step_logps(&flat, &state, state.clone(), &next).unwrap_err();
    assert!(error.to_string().contains("has no density"), "{error}");
}

/// With the exact velocity of standard normal data every kernel is linear in the state, so variances follow without sampling.
#[test]
fn flow_ode_and_sde_keep_the_marginals() {
    let times = flow_times(2000).unwrap();
    let variance = |moves: &[Move]| {
        moves.iter().fold(1.0, |variance: f64, m| {
            let t = m.t;
            let slope = (t - (1.0 - t)) / ((1.0 - t) * (1.0 - t) + t * t);
            let factor = m.kernel.state + m.kernel.output * slope;
            factor * factor * variance + m.kernel.std * m.kernel.std
        })
    };
    close(&[variance(&euler_moves(Prediction::Velocity, &times).unwrap())], &[1.0], 2e-3);
    for a in [0.3, 0.7, 1.0] {
        close(&[variance(&sde_moves(Prediction::Velocity, &times, a).unwrap())], &[1.0], 2e-2);
    }
}

#[test]
fn flow_sde_samples_have_unit_variance() {
    let (n, moves) = (4000, sde_moves(Prediction::Velocity, &flow_times(100).unwrap(), 0.7).unwrap());
    let mut stream = Stream::new(5, 0);
    let start = Cpu::default().tensor_from_vec(stream.normals(n), (n, 1));
    let model = |x: &Rows, t: &[f64]| {
        let t = t[0];
        Ok::<_, DiffusionError>(x.clone() * ((2.0 * t - 1.0) / ((1.0 - t) * (1.0 - t) + t * t)))
    };
    let kept = trajectory(model, &moves, &start, &mut stream).unwrap();
    let last = kept.states[100].as_vec();
    let mean = last.iter().sum::<f64>() / n as f64;
    let variance = last.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
    // Standard errors 0.016 and 0.022, and a discretisation error below 0.04.
    assert!(mean.abs() < 0.06 && (variance - 1.0).abs() < 0.11, "mean {mean}, variance {variance}");
    assert_eq!((kept.states.len(), kept.outputs.len(), kept.logps.len()), (101, 100, 100));
    // A log-density that was kept is the one of the step.
    let kernels = vec![moves[3].kernel; n];
    let again = step_logps(&kernels, &kept.states[3], kept.outputs[3].clone(), &kept.states[4]).unwrap();
    assert_eq!(kept.logps[3].as_deref(), Some(to_f64(&again).as_slice()));
}

#[test]
fn samples_follow_from_the_seed() {
    let moves = ddim_moves(&linear(), Prediction::Noise, &[900, 400, 0], &Ddim::default().with_eta(1.0)).unwrap();
    let model = |x: &Rows, _: &[f64]| Ok::<_, DiffusionError>(x.clone());
    let start = rows(&[&[0.3, 0.1]]);
    let draw = |seed| sample(model, &moves, &start, &mut Stream::new(seed, 1)).unwrap().as_vec();
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

#[test]
fn a_network_that_leaves_the_numbers_is_named_with_time_and_row() {
    let moves = euler_moves(Prediction::Velocity, &[1.0, 0.5, 0.0]).unwrap();
    let model = |x: &Rows, t: &[f64]| {
        let spoilt = if t[0] < 0.7 { f64::NAN } else { 0.0 };
        Ok::<_, DiffusionError>(Cpu::default().tensor_from_vec(vec![0.0, 0.0, 0.0, spoilt], *x.shape()))
    };
    let error = sample(model, &moves, &rows(&[&[0.0, 1.0], &[2.0, 3.0]]), &mut Stream::new(0, 0)).unwrap_err();
    assert_eq!(error, DiffusionError::NotFinite { what: "sample", t: 0.5, row: 1 });
    let narrow = |_: &Rows, _: &[f64]| Ok::<_, DiffusionError>(rows(&[&[0.0]]));
    assert!(matches!(
        sample(narrow, &moves, &rows(&[&[0.0, 1.0]]), &mut Stream::new(0, 0)),
        Err(DiffusionError::Shape { .. })
    ));
}

#[test]
fn guidance_of_scale_1_is_the_conditional_output() {
    let (plain, given) = (rows(&[&[0.1, 0.7]]), rows(&[&[0.3, -0.2]]));
    assert_eq!(guided_output(plain.clone(), given.clone(), 1.0).unwrap().as_vec(), given.as_vec());
    assert_eq!(guided_output(plain.clone(), given.clone(), 0.0).unwrap().as_vec(), plain.as_vec());
    // Linear in the difference when both share the unconditional branch.
    let two = guided_output(plain.leaky_trace(), given.retaped(), 2.0).unwrap();
    close(&two.as_vec(), &[0.5, -1.1], 1e-12);
    let grads = two.sum().backward();
    assert_eq!((grads.get(&plain).as_vec(), grads.get(&given).as_vec()), (vec![-1.0; 2], vec![2.0; 2]));
    assert!(guided_output(plain, rows(&[&[1.0]]), 2.0).is_err());
}

#[test]
fn single_precision_agrees() {
    let dev = Cpu::default();
    let moves = ddim_moves(&linear(), Prediction::V, &[900, 400, 0], &Ddim::default()).unwrap();
    let model = |x: &tropism_diffusion::Samples<usize, usize, f32>, _: &[f64]| Ok::<_, DiffusionError>(x.clone() * 0.5);
    let start: tropism_diffusion::Samples<usize, usize, f32> = dev.tensor_from_vec(vec![0.3, -0.8], (1, 2));
    let found = to_f64(&sample(model, &moves, &start, &mut Stream::new(0, 0)).unwrap());
    let wide = |x: &Rows, _: &[f64]| Ok::<_, DiffusionError>(x.clone() * 0.5);
    let want = sample(wide, &moves, &rows(&[&[0.3, -0.8]]), &mut Stream::new(0, 0)).unwrap().as_vec();
    close(&found, &want, 1e-6);
}
