//! Diffusion-DPO: worked numbers and identities.

use dfdx::prelude::*;
use tropism_diffusion::DiffusionError;
use tropism_diffusion::objectives::*;
use tropism_diffusion::prediction::Prediction;
use tropism_diffusion::schedule::Level;

use crate::common::close;
use crate::common::pairs::{from_outputs, frozen, softplus_of_minus, solved};
use crate::common::vector;

const EPS: [f64; 2] = [0.5, -1.0];
const W: [f64; 2] = [0.3, -0.7];
const L: [f64; 2] = [0.9, -0.4];

fn config() -> DiffusionDpo {
    DiffusionDpo::default().with_beta(20.0)
}

#[test]
fn worked_pair_with_its_gradient() {
    let reference = || frozen(&[0.125], &[0.10]);
    let (loss, w, l) = from_outputs([&W, &L], [&EPS, &EPS], |p| diffusion_dpo(p, reference(), &config()));
    close(&[loss], &[0.1050833198], 1e-10);
    close(&w, &[-0.1995009782, 0.2992514674], 1e-10);
    close(&l, &[-0.3990019565, -0.5985029347], 1e-10);
    let (_, dw, dl) = solved(&[0.065], &[0.26], |p| diffusion_dpo(p, reference(), &config()));
    close(&[dw[0], dl[0]], &[0.9975048912, -0.9975048912], 1e-10);
}

#[test]
fn worked_batch_of_a_pair_and_its_swap() {
    let policy = PairErrors::new(vector(&[0.065, 0.26]), vector(&[0.26, 0.065])).unwrap();
    let terms = diffusion_dpo(policy, frozen(&[0.125, 0.10], &[0.10, 0.125]), &config()).unwrap();
    close(terms.diagnostics.get("rewards/margins").unwrap(), &[2.2, -2.2], 1e-12);
    assert_eq!(terms.diagnostics.mean("rewards/accuracies"), Some(0.5));
    close(terms.diagnostics.get("error_changes/chosen").unwrap(), &[-0.06, 0.16], 1e-12);
    // L(z) − L(−z) = −z.
    let losses = terms.values();
    close(&[losses[0] - losses[1]], &[-2.2], 1e-12);
    close(&[terms.mean().unwrap().array()], &[1.2050833198], 1e-10);
}

#[test]
fn worked_flow_pair() {
    // x0_w = [1, −0.5], x0_l = [−0.2, 0.3] and the same noise; targets ε − x0.
    let (u_w, u_l) = ([-0.5, -0.5], [0.7, -1.3]);
    let reference = || frozen(&[0.05], &[0.01]);
    let (loss, ..) = from_outputs([&[-0.3, -0.7], &[0.5, -1.0]], [&u_w, &u_l], |p| diffusion_dpo(p, reference(), &config()));
    close(&[loss], &[0.4200553357], 1e-10);
}

#[test]
fn at_the_reference_the_loss_is_ln_2_and_the_gradient_a_quarter_of_beta() {
    for errors in [[0.0, 0.0], [0.3, 7.0], [1e6, 1e-6]] {
        let reference = frozen(&errors[..1], &errors[1..]);
        let (loss, w, l) = solved(&errors[..1], &errors[1..], |p| diffusion_dpo(p, reference, &config()));
        assert_eq!((loss, w[0], l[0]), (2.0_f64.ln(), 5.0, -5.0));
    }
}

#[test]
fn only_differences_of_errors_matter() {
    let loss =
        |w: f64, l: f64, rw: f64, rl: f64| solved(&[w], &[l], |p| diffusion_dpo(p, frozen(&[rw], &[rl]), &config())).0;
    let plain = loss(0.065, 0.26, 0.125, 0.10);
    close(&[loss(0.565, 0.76, 0.125, 0.10), loss(0.065, 0.26, 0.625, 0.60)], &[plain; 2], 1e-12);
}

#[test]
fn the_limit_of_small_beta_is_the_difference_of_errors() {
    let d = -0.22;
    for (beta, bound) in [(1.0, 1e-2), (1e-2, 1e-4), (1e-4, 1e-6)] {
        let config = DiffusionDpo::default().with_beta(beta);
        let (loss, ..) = solved(&[0.065], &[0.26], |p| diffusion_dpo(p, frozen(&[0.125], &[0.10]), &config));
        close(&[(loss - 2.0_f64.ln()) / (beta / 4.0)], &[d], bound);
    }
}

#[test]
fn a_sum_over_dimensions_takes_beta_over_twice_the_dimensions() {
    // Sums of squares and coefficient k: z = −k (Σ…); the mean form has β = 2 k D.
    let (k, dims) = (5.0, 2.0);
    let sums = [0.13, 0.52, 0.25, 0.20];
    let z: f64 = -k * ((sums[0] - sums[2]) - (sums[1] - sums[3]));
    let config = DiffusionDpo::default().with_beta(2.0 * k * dims);
    let (loss, ..) = solved(&[0.065], &[0.26], |p| diffusion_dpo(p, frozen(&[0.125], &[0.10]), &config));
    close(&[z, loss], &[2.2, softplus_of_minus(z)], 1e-12);
}

/// The same network read as another prediction has its margin multiplied by the factor between their errors.
#[test]
fn predictions_agree_up_to_the_factor_of_their_errors() {
    for (level, other) in
        [(Level::diffusion(0.3).unwrap(), Prediction::V), (Level::flow(0.4).unwrap(), Prediction::Velocity)]
    {
        let factor = Prediction::Noise.error_factor(other, level).unwrap();
        let errors = [0.065, 0.26, 0.125, 0.10];
        let others = errors.map(|e| e / factor);
        let loss = |e: [f64; 4], beta: f64| {
            let config = DiffusionDpo::default().with_beta(beta);
            solved(&e[..1], &e[1..2], |p| diffusion_dpo(p, frozen(&e[2..3], &e[3..]), &config)).0
        };
        close(&[loss(others, 20.0 * factor)], &[loss(errors, 20.0)], 1e-12);
    }
}

#[test]
fn extreme_margins_stay_finite() {
    let config = DiffusionDpo::default();
    for (gap, want) in [(1e3, 2.5e6), (-1e3, 0.0)] {
        let (loss, w, l) = solved(&[1e3 + gap], &[1e3], |p| diffusion_dpo(p, frozen(&[1e3], &[1e3]), &config));
        close(&[loss], &[want], 1e-12);
        assert!(w[0] >= 0.0 && w[0].is_finite() && l[0] == -w[0]);
    }
}

#[test]
fn what_is_no_error_is_refused() {
    let error = PairErrors::new(vector(&[0.1, -0.2]), vector(&[0.1, 0.2])).unwrap_err();
    assert_eq!(error.to_string(), "chosen error of row 1 is -0.2; it must be finite and at least 0, a mean of squares");
    assert!(PairErrors::new(vector(&[f64::NAN]), vector(&[0.1])).is_err());
    assert!(matches!(PairErrors::new(vector(&[0.1, 0.2]), vector(&[0.1])), Err(DiffusionError::Core(_))));
    let policy = PairErrors::new(vector(&[0.1]), vector(&[0.1])).unwrap();
    let error = diffusion_dpo(policy.clone(), frozen(&[0.1, 0.1], &[0.1, 0.1]), &config()).unwrap_err();
    assert!(error.to_string().contains("reference errors has 2 entries where 1 are needed"), "{error}");
    let error = diffusion_dpo(policy, frozen(&[0.1], &[0.1]), &DiffusionDpo::default().with_beta(0.0)).unwrap_err();
    assert_eq!(error.to_string(), "diffusion_dpo: `beta` is 0; it must be positive and finite");
}

#[test]
fn a_step_down_lowers_the_chosen_error_or_raises_the_rejected_one() {
    let (w, l) = ([0.3, -0.7], [0.9, -0.4]);
    let reference = || frozen(&[0.125], &[0.10]);
    let (_, dw, dl) = from_outputs([&w, &l], [&EPS, &EPS], |p| diffusion_dpo(p, reference(), &config()));
    let error = |x: [f64; 2]| x.iter().zip(EPS).map(|(x, e)| (x - e).powi(2)).sum::<f64>() / 2.0;
    let moved = |x: [f64; 2], d: &[f64]| [x[0] - 0.01 * d[0], x[1] - 0.01 * d[1]];
    assert!(error(moved(w, &dw)) < error(w) && error(moved(l, &dl)) > error(l));
}
