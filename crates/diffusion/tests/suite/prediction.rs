//! Conversions, targets and errors.

use dfdx::prelude::*;
use proptest::prelude::*;
use tropism_diffusion::DiffusionError;
use tropism_diffusion::prediction::*;
use tropism_diffusion::schedule::*;

use crate::common::{close, rows};

const ALL: [Prediction; 4] = [Prediction::Noise, Prediction::Data, Prediction::V, Prediction::Velocity];

#[test]
fn diffusion_worked_numbers() {
    let linear = NoiseSchedule::new(BetaSchedule::Linear, 1000).unwrap();
    let level = [linear.level(499).unwrap()];
    let (x0, eps) = (rows(&[&[1.0, -0.5]]), rows(&[&[0.5, -1.0]]));
    let x = noised(&x0, &eps, &level).unwrap();
    close(&x.as_vec(), &[0.7602853992, -1.1000695542], 1e-10);
    let v = targets(Prediction::V, &x0, &eps, &level).unwrap();
    close(&v.as_vec(), &[-0.8197353913, 0.1996170735], 1e-10);
    let to = Prediction::Noise.to(Prediction::Data, level[0]).unwrap();
    let x0_hat: Vec<f64> = x.as_vec().iter().zip([0.3, -0.7]).map(|(x, e)| to.state * x + to.output * e).collect();
    close(&x0_hat, &[1.6848273238, -1.5272409857], 1e-10);
}

#[test]
fn flow_worked_numbers() {
    let level = Level::flow(0.4).unwrap();
    let (x0, eps) = (rows(&[&[1.0, -0.5]]), rows(&[&[0.5, -1.0]]));
    let x = noised(&x0, &eps, &[level]).unwrap().as_vec();
    close(&x, &[0.8, -0.7], 1e-12);
    close(&targets(Prediction::Velocity, &x0, &eps, &[level]).unwrap().as_vec(), &[-0.5, -0.5], 1e-12);
    let estimate = |other| {
        let to = Prediction::Velocity.to(other, level).unwrap();
        x.iter().zip([-0.3, -0.7]).map(|(x, u)| to.state * x + to.output * u).collect::<Vec<f64>>()
    };
    close(&estimate(Prediction::Data), &[0.92, -0.42], 1e-12);
    close(&estimate(Prediction::Noise), &[0.62, -1.12], 1e-12);
    let score: Vec<f64> = estimate(Prediction::Noise).iter().map(|e| -e / level.noise).collect();
    close(&score, &[-1.55, 2.8], 1e-12);
}

fn level() -> impl Strategy<Value = Level> {
    prop_oneof![
        (0.01..0.999f64).prop_map(|a| Level::diffusion(a).unwrap()),
        (0.02..0.98f64).prop_map(|t| Level::flow(t).unwrap()),
    ]
}

proptest! {
    #[test]
    fn every_prediction_recovers_every_other(level in level(), x0 in -3.0..3.0f64, eps in -3.0..3.0f64) {
        let x = level.signal * x0 + level.noise * eps;
        let value = |p: Prediction| p.factors(level).0 * x0 + p.factors(level).1 * eps;
        for (one, other) in ALL.iter().flat_map(|a| ALL.map(|b| (*a, b))) {
            let to = one.to(other, level).unwrap();
            let found = to.state * x + to.output * value(one);
            prop_assert!((found - value(other)).abs() < 1e-10, "{one:?} to {other:?}: {found} is not {}", value(other));
        }
    }

    #[test]
    fn errors_convert_exactly(level in level(), x in -3.0..3.0f64, y in -3.0..3.0f64, off in 0.1..2.0f64) {
        for (one, other) in ALL.iter().flat_map(|a| ALL.map(|b| (*a, b))) {
            let to = one.to(other, level).unwrap();
            let (a, b) = (to.state * x + to.output * y, to.state * x + to.output * (y + off));
            let factor = one.error_factor(other, level).unwrap();
            prop_assert!((factor * (a - b).powi(2) - off * off).abs() < 1e-10 * (1.0 + factor), "{one:?} {other:?}");
        }
    }
}

#[test]
fn error_factors_are_the_known_ones() {
    let a = 0.3;
    let level = Level::diffusion(a).unwrap();
    let factor = |one: Prediction, other| one.error_factor(other, level).unwrap();
    close(&[factor(Prediction::Noise, Prediction::Data)], &[a / (1.0 - a)], 1e-12);
    close(
        &[factor(Prediction::V, Prediction::Noise), factor(Prediction::V, Prediction::Data)],
        &[1.0 / a, 1.0 / (1.0 - a)],
        1e-12,
    );
    let flow = Level::flow(0.3).unwrap();
    let factor = |other: Prediction| other.error_factor(Prediction::Velocity, flow).unwrap();
    let factors = [factor(Prediction::Data), factor(Prediction::Noise)];
    close(&factors, &[0.09, 0.49], 1e-12);
}

#[test]
fn noise_is_refused_where_no_signal_is_left() {
    let dark = Level::diffusion(0.0).unwrap();
    let error = Prediction::Noise.to(Prediction::Data, dark).unwrap_err();
    assert!(error.to_string().contains("Noise says nothing about Data where signal is 0 and noise 1"), "{error}");
    assert!(
        Prediction::Noise.to(Prediction::V, dark).is_err() && Prediction::V.error_factor(Prediction::Noise, dark).is_err()
    );
    for other in [Prediction::V, Prediction::Data, Prediction::Velocity] {
        let to = other.to(Prediction::Data, dark).unwrap();
        assert!(to.state.is_finite() && to.output.is_finite());
    }
    assert!(Prediction::Data.to(Prediction::Noise, Level::CLEAN).is_err());
    assert!(Prediction::V.to(Prediction::Noise, Level::CLEAN).is_ok());
}

#[test]
fn errors_are_means_over_dimensions_with_their_gradient() {
    let output = rows(&[&[0.3, -0.7, 0.0], &[1e6, -2.0, 0.5]]);
    let target = rows(&[&[0.5, -1.0, 0.0], &[1e6, -2.0, 0.5]]);
    let errors = squared_errors(output.leaky_trace(), &target).unwrap();
    close(&errors.as_vec(), &[0.13 / 3.0, 0.0], 1e-14);
    let grads = errors.sum().backward().get(&output).as_vec();
    close(&grads, &[-0.4 / 3.0, 0.2, 0.0, 0.0, 0.0, 0.0], 1e-14);
    let error = squared_errors(output.clone(), &rows(&[&[0.0, 0.0]])).unwrap_err();
    assert!(matches!(error, DiffusionError::Shape { expected: (2, 3), found: (1, 2), .. }), "{error}");
    let error = squared_errors(rows(&[&[f64::NAN]]), &rows(&[&[0.0]])).unwrap_err();
    assert!(error.to_string().contains("row 0 is NaN"), "{error}");
    assert!(noised(&output, &target, &[Level::CLEAN]).is_err());
}

#[test]
fn a_term_without_factor_does_not_count_whatever_it_holds() {
    let x = noised(&rows(&[&[1.0]]), &rows(&[&[f64::INFINITY]]), &[Level::CLEAN]).unwrap();
    assert_eq!(x.as_vec(), [1.0]);
}
