//! Samplers against figures of `diffusers`, made by `tests/golden/diffusion.py`.

use dfdx::prelude::*;
use serde::Deserialize;
use tropism_diffusion::prediction::Prediction;
use tropism_diffusion::sample::*;
use tropism_diffusion::schedule::*;

use crate::common::{Rows, close};

#[derive(Deserialize)]
struct Golden {
    rows: usize,
    ddpm: Vec<Case>,
    ddim: Vec<Case>,
    zero_terminal_snr: Vec<Case>,
    euler: Vec<Flow>,
}

#[derive(Deserialize)]
struct Case {
    schedule: BetaSchedule,
    prediction: Prediction,
    zero_terminal_snr: bool,
    eta: f64,
    to_data: bool,
    variance: DdpmVariance,
    alphas_bar: Vec<(usize, f64)>,
    start: Vec<f64>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Flow {
    times: Vec<f64>,
    start: Vec<f64>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    t: f64,
    output: Vec<f64>,
    #[serde(default)]
    noise: Vec<f64>,
    next: Vec<f64>,
}

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/diffusion.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

impl Case {
    fn schedule(&self) -> NoiseSchedule {
        let schedule = NoiseSchedule::new(self.schedule, 1000).unwrap();
        let schedule = if self.zero_terminal_snr { schedule.with_zero_terminal_snr().unwrap() } else { schedule };
        for &(t, want) in &self.alphas_bar {
            close(&[schedule.alpha_bar(t).unwrap()], &[want], 1e-12);
        }
        schedule
    }

    fn times(&self) -> Vec<usize> {
        self.steps.iter().map(|step| step.t as usize).collect()
    }
}

/// Follows the moves with the case's outputs and noise.
fn follow(rows: usize, moves: &[Move], start: &[f64], steps: &[Step]) {
    let table = |values: &[f64]| -> Rows { Cpu::default().tensor_from_vec(values.to_vec(), (rows, values.len() / rows)) };
    assert_eq!(moves.len(), steps.len());
    let mut x = table(start);
    for (one, step) in moves.iter().zip(steps) {
        assert_eq!(one.t, step.t);
        x = match one.kernel.std > 0.0 {
            true => one.kernel.next(&x, &table(&step.output), &table(&step.noise)).unwrap(),
            false => one.kernel.mean(&x, &table(&step.output)).unwrap(),
        };
        close(&x.as_vec(), &step.next, 1e-6);
    }
}

#[test]
fn ddpm_steps() {
    let golden = golden();
    assert_eq!(golden.ddpm.len(), 10);
    for case in &golden.ddpm {
        let moves = ddpm_moves(&case.schedule(), case.prediction, &case.times(), case.variance).unwrap();
        follow(golden.rows, &moves, &case.start, &case.steps);
    }
}

#[test]
fn ddim_steps() {
    let golden = golden();
    assert_eq!(golden.ddim.len(), 10);
    golden.ddim.iter().for_each(|case| ddim(&golden, case));
}

#[test]
fn zero_terminal_snr_steps() {
    let golden = golden();
    assert_eq!(golden.zero_terminal_snr.len(), 10);
    for case in &golden.zero_terminal_snr {
        assert_eq!((case.schedule().alpha_bar(999).unwrap(), case.steps[0].t), (0.0, 999.0));
        ddim(&golden, case);
    }
}

fn ddim(golden: &Golden, case: &Case) {
    let options = Ddim::default().with_eta(case.eta).with_to_data(case.to_data);
    let moves = ddim_moves(&case.schedule(), case.prediction, &case.times(), &options).unwrap();
    follow(golden.rows, &moves, &case.start, &case.steps);
}

#[test]
fn flow_euler_steps() {
    let golden = golden();
    assert_eq!(golden.euler.len(), 10);
    for case in &golden.euler {
        let moves = euler_moves(Prediction::Velocity, &case.times).unwrap();
        follow(golden.rows, &moves, &case.start, &case.steps);
    }
}
