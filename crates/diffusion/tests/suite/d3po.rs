//! D3PO: worked numbers and identities.

use dfdx::prelude::*;
use proptest::prelude::*;
use tropism_diffusion::objectives::*;

use crate::common::{close, vector};

/// Mean loss of steps with log-ratios, and its gradients in them.
fn steps(ratios: [&[f64]; 2], preferences: &[f64], config: &D3po) -> (f64, Vec<f64>, Vec<f64>) {
    let (a, b) = (vector(ratios[0]), vector(ratios[1]));
    let zeros = || vector(&vec![0.0; preferences.len()]);
    let policy = StepPairs::new(a.leaky_trace(), b.retaped()).unwrap();
    let mean = d3po(policy, StepPairs::new(zeros(), zeros()).unwrap(), preferences, config).unwrap().mean().unwrap();
    let (value, grads) = (mean.array(), mean.backward());
    (value, grads.get(&a).as_vec(), grads.get(&b).as_vec())
}

#[test]
fn worked_steps_with_their_gradients() {
    let (loss, a, b) = steps([&[0.02], &[-0.05]], &[1.0], &D3po::default());
    close(&[loss, a[0], b[0]], &[0.6896533055, -0.0498250007, 0.0498250007], 1e-10);
    let (loss, a, b) = steps([&[0.2], &[-0.05]], &[1.0], &D3po::default());
    close(&[loss, b[0]], &[0.6859080651, 0.0496367309], 1e-10);
    assert_eq!(a[0], 0.0);
    assert_eq!(steps([&[0.2], &[-0.05]], &[0.0], &D3po::default()), (2.0_f64.ln(), vec![0.0], vec![0.0]));
}

#[test]
fn at_the_reference_every_step_has_ln_2() {
    let (loss, a, b) = steps([&[0.0; 2], &[0.0; 2]], &[1.0, -1.0], &D3po::default());
    assert_eq!(loss, 2.0_f64.ln());
    close(&[a[0], a[1], b[0], b[1]], &[-0.025, 0.025, 0.025, -0.025], 1e-15);
}

proptest! {
    #[test]
    fn members_may_be_swapped_and_the_loss_is_bounded(a in -3.0..3.0f64, b in -3.0..3.0f64) {
        let config = D3po::default();
        let plain = steps([&[a], &[b]], &[1.0], &config).0;
        prop_assert_eq!(plain, steps([&[b], &[a]], &[-1.0], &config).0);
        prop_assert!((0.683163..=0.703232).contains(&plain));
        let negated = steps([&[a], &[b]], &[-1.0], &config).0;
        let clamp = |x: f64| x.clamp(0.9_f64.ln(), 1.1_f64.ln());
        prop_assert!((plain - negated + 0.1 * (clamp(a) - clamp(b))).abs() < 1e-12);
    }

    #[test]
    fn beyond_the_bounds_there_is_no_gradient_either_way(far in 0.0954..5.0f64, sign in prop::bool::ANY) {
        let a = if sign { far } else { -far - 0.02 };
        let (_, da, _) = steps([&[a], &[0.0]], &[1.0], &D3po::default());
        prop_assert_eq!(da[0], 0.0);
        let (_, da, _) = steps([&[a], &[0.0]], &[1.0], &D3po::default().with_clip(None));
        prop_assert!(da[0] < 0.0);
    }
}

#[test]
fn steps_apart_are_an_upper_bound_of_the_trajectory() {
    // Without a bound, one sigmoid of the sum of four steps is trajectory-level DPO; the mean of single losses with four times β is
    // larger, by convexity.
    let ratios: [&[f64]; 2] = [&[0.3, -0.2, 0.5, 0.1], &[0.0, 0.1, -0.4, 0.2]];
    let z: f64 = 0.5 * ratios[0].iter().zip(ratios[1]).map(|(a, b)| a - b).sum::<f64>();
    let whole = (1.0 + (-z).exp()).ln();
    let apart = steps(ratios, &[1.0; 4], &D3po::default().with_beta(2.0).with_clip(None)).0;
    assert!(apart > whole, "{apart} {whole}");
}

#[test]
fn extremes_and_bad_input() {
    let (loss, a, _) = steps([&[1e8], &[-1e8]], &[-1.0], &D3po::default().with_clip(None));
    close(&[loss, a[0]], &[2e7, 0.1], 1e-12);
    let pair = || StepPairs::new(vector(&[0.1]), vector(&[0.1])).unwrap();
    let error = d3po(pair(), pair(), &[0.5], &D3po::default()).unwrap_err();
    assert_eq!(error.to_string(), "preference of row 0 is 0.5; it must be -1, 0 or 1");
    assert!(d3po(pair(), pair(), &[1.0, 1.0], &D3po::default()).is_err());
    assert!(D3po::default().with_clip(Some(1.0)).check().is_err());
    assert!(StepPairs::new(vector(&[f64::INFINITY]), vector(&[0.1])).is_err());
}
