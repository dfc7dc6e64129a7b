//! Inversion-DPO: worked numbers and identities.

use dfdx::prelude::*;
use tropism_diffusion::objectives::*;
use tropism_diffusion::prediction::Prediction;
use tropism_diffusion::schedule::Level;

use crate::common::pairs::{Traced, frozen, solved};
use crate::common::{Rows, close, rows};

type Point = TrajectoryPoint<usize, usize, f64, Cpu, Traced>;

fn released() -> InversionDpo {
    InversionDpo::default().with_form(InversionForm::Released)
}

fn point(delta: &Rows, alpha: f64) -> Point {
    let level = Level::diffusion(alpha).unwrap();
    TrajectoryPoint { policy: delta.leaky_trace(), reference: rows(&[&[0.0, 0.0]]), levels: vec![level] }
}

/// Loss and its gradients in the deviations at two points of both members.
fn along(w: [&[f64]; 2], l: [&[f64]; 2], config: &InversionDpo) -> (f64, Vec<Vec<f64>>) {
    let leaves: Vec<Rows> = [w, l].concat().iter().map(|d| rows(&[d])).collect();
    let sum = |k: usize| trajectory_deviations(vec![point(&leaves[k], 0.9), point(&leaves[k + 1], 0.5)], 0.0).unwrap();
    let mean = inversion_dpo(PairErrors::new(sum(0), sum(2)).unwrap(), None, config).unwrap().mean().unwrap();
    let (value, grads) = (mean.array(), mean.backward());
    (value, leaves.iter().map(|leaf| grads.get(leaf).as_vec()).collect())
}

const W: [&[f64]; 2] = [&[0.010, -0.020], &[0.030, 0.005]];
const L: [&[f64]; 2] = [&[0.015, 0.010], &[-0.020, 0.025]];

#[test]
fn worked_trajectory_with_its_gradient() {
    let a = |d: [&[f64]; 2]| {
        let leaves: Vec<Rows> = d.iter().map(|d| rows(&[d])).collect();
        trajectory_deviations(vec![point(&leaves[0], 0.9), point(&leaves[1], 0.5)], 0.0).unwrap().as_vec()[0]
    };
    close(&[a(W) * 1e4, a(L) * 1e4], &[3.0069444444, 3.0138888889], 1e-9);
    let (loss, grads) = along(W, L, &released());
    close(&[loss], &[0.6934944631], 1e-10);
    close(&grads[0], &[-1.3893711420, 2.7787422839], 1e-8);
    close(&grads[1], &[-7.5026041666, -1.2504340278], 1e-8);
    close(&grads[2], &[2.0840567129, 1.3893711420], 1e-8);
    close(&grads[3], &[-5.0017361110, 6.2521701388], 1e-8);
    // Swapped members have the opposite margin.
    close(&[along(L, W, &released()).0], &[0.6928000186], 1e-10);
    assert_eq!(along(W, L, &released().with_form(InversionForm::PolicyTrajectory)), along(W, L, &released()));
}

#[test]
fn worked_target_form_is_diffusion_dpo() {
    let config = InversionDpo::default().with_beta(20.0);
    let dpo = DiffusionDpo::default().with_beta(20.0);
    let one = solved(&[0.065], &[0.26], |p| inversion_dpo(p, Some(frozen(&[0.125], &[0.10])), &config));
    close(&[one.0], &[0.1050833198], 1e-10);
    assert_eq!(one, solved(&[0.065], &[0.26], |p| diffusion_dpo(p, frozen(&[0.125], &[0.10]), &dpo)));
}

#[test]
fn deviations_are_stationary_at_the_reference_and_errors_are_not() {
    for form in [InversionForm::Released, InversionForm::PolicyTrajectory] {
        let (loss, grads) = along([&[0.0; 2]; 2], [&[0.0; 2]; 2], &released().with_form(form));
        assert_eq!(loss, 2.0_f64.ln());
        assert!(grads.iter().flatten().all(|g| *g == 0.0), "{grads:?}");
    }
    let (loss, w, _) = solved(&[0.1], &[0.1], |p| inversion_dpo(p, Some(frozen(&[0.1], &[0.1])), &InversionDpo::default()));
    assert_eq!(loss, 2.0_f64.ln());
    assert!(w[0] > 0.0);
}

#[test]
fn deviations_have_no_direction() {
    let negated: Vec<Vec<f64>> = [W, L].concat().iter().map(|d| d.iter().map(|x| -x).collect()).collect();
    let turned = along([&negated[0], &negated[1]], [&negated[2], &negated[3]], &released());
    assert_eq!(turned.0, along(W, L, &released()).0);
}

#[test]
fn weights_are_those_of_the_estimates_of_the_data() {
    let (alpha, delta) = (0.3, [0.2, -0.5]);
    let level = Level::diffusion(alpha).unwrap();
    let found = trajectory_deviations(vec![point(&rows(&[&delta]), alpha)], 0.0).unwrap().as_vec()[0];
    let to = Prediction::Noise.to(Prediction::Data, level).unwrap();
    let data = delta.iter().map(|d| (to.output * d).powi(2)).sum::<f64>();
    close(&[found], &[data / (2.0 * (1.0 - alpha) * 2.0)], 1e-12);
    // One point of weight 1: ᾱ = ½.
    let one = trajectory_deviations(vec![point(&rows(&[&delta]), 0.5)], 0.0).unwrap().as_vec()[0];
    close(&[one], &[0.145], 1e-12);
    let bounded = trajectory_deviations(vec![point(&rows(&[&delta]), 1e-5)], 0.01).unwrap().as_vec()[0];
    close(&[bounded], &[0.145 * 50.0], 1e-12);
}

#[test]
fn inputs_must_fit_the_form() {
    let pair = || frozen(&[0.1], &[0.1]);
    let error = inversion_dpo(pair(), Some(pair()), &released()).unwrap_err();
    assert!(error.to_string().contains("leave the reference out"), "{error}");
    let error = inversion_dpo(pair(), None, &InversionDpo::default()).unwrap_err();
    assert!(error.to_string().contains("needs the errors of a reference"), "{error}");
    assert!(trajectory_deviations::<usize, usize, f64, Cpu, Traced>(vec![], 0.0).is_err());
    assert!(
        trajectory_deviations(vec![point(&rows(&[&[0.1, 0.1]]), 0.0)], 0.0)
            .unwrap_err()
            .to_string()
            .contains("give a floor")
    );
    let objective = DiffusionObjective::from(released());
    let input: DiffusionInput<usize, usize, f64, Cpu> = DiffusionInput::Pairs(pair(), pair());
    let error = objective.loss(input).unwrap_err();
    assert_eq!(
        error.to_string(),
        "inversion_dpo: it reads errors of pairs without a reference and was given errors of pairs"
    );
}
