//! The stable functions against reference values, limits and finite differences.
#![allow(clippy::unwrap_used)]

use dfdx::prelude::*;
use proptest::prelude::*;
use tropism_core::CoreError;
use tropism_core::numerics::{
    detach, from_f64, log_sigmoid, log_sigmoid_scalar, log1mexp, log1mexp_scalar, masked_sum, pointwise, sigmoid_scalar,
};

fn log_sigmoid_with_slope(x: f64) -> (f64, f64) {
    let t = Cpu::default().tensor([x]);
    let y = log_sigmoid(t.leaky_trace()).unwrap();
    let value = y.array()[0];
    (value, y.sum().backward().get(&t).array()[0])
}

#[test]
fn log_sigmoid_has_exact_tails() {
    // x, log σ(x), σ(−x), from the series in e^{−|x|}.
    let tail = |x: f64| (-x).exp();
    for (x, value, slope) in [
        (0.0, -std::f64::consts::LN_2, 0.5),
        (-80.0, -80.0, 1.0),
        (-700.0, -700.0, 1.0),
        (-1e8, -1e8, 1.0),
        (80.0, -tail(80.0), tail(80.0)),
        (300.0, -tail(300.0), tail(300.0)),
        (1e8, 0.0, 0.0),
    ] {
        let (v, s) = log_sigmoid_with_slope(x);
        assert!((v - value).abs() <= 1e-14 * value.abs(), "value at {x}: {v}");
        assert!((s - slope).abs() <= 1e-14 * slope.abs(), "slope at {x}: {s}");
    }
}

#[test]
fn log_sigmoid_in_f32_is_rounded_once() {
    let dev = Cpu::default();
    for x in [-300.0_f32, -17.3, -1e-3, 0.0, 0.7, 20.0, 60.0, 300.0] {
        let t = dev.tensor([x]);
        let y = log_sigmoid(t.leaky_trace()).unwrap();
        assert_eq!(y.array()[0], log_sigmoid_scalar(f64::from(x)) as f32, "value at {x}");
        let slope = y.sum().backward().get(&t).array()[0];
        assert_eq!(slope, sigmoid_scalar(-f64::from(x)) as f32, "slope at {x}");
    }
}

#[test]
fn log1mexp_joins_its_branches_and_refuses_zero() {
    let ln2 = std::f64::consts::LN_2;
    assert!((log1mexp_scalar(-ln2) + ln2).abs() < 1e-15);
    let (below, above) = (log1mexp_scalar(-ln2 - 1e-9), log1mexp_scalar(-ln2 + 1e-9));
    assert!((below - above - 2e-9).abs() < 1e-15);
    assert!((log1mexp_scalar(-1e-300) - 1e-300_f64.ln()).abs() < 1e-10);
    assert_eq!(log1mexp_scalar(-800.0), 0.0);
    let dev = Cpu::default();
    let refused = log1mexp(dev.tensor([-1.0_f64, 0.0]));
    assert!(matches!(refused, Err(CoreError::NotFinite { row: 1, .. })));
    assert!(log1mexp(dev.tensor([0.5_f64])).is_err());
}

#[test]
fn masked_cells_leak_neither_forward_nor_backward() {
    let dev = Cpu::default();
    for junk in [f64::NAN, f64::NEG_INFINITY, f64::INFINITY, 1e300] {
        let x = dev.tensor([[junk, -1.0, -2.0], [-0.5, junk, junk], [junk, junk, junk]]);
        let mask = dev.tensor([[false, true, true], [true, false, false], [false; 3]]);
        let sums = masked_sum(x.leaky_trace(), &mask).unwrap();
        assert_eq!(sums.array(), [-3.0, -0.5, 0.0]);
        let grad = sums.square().sum().backward().get(&x).array();
        assert_eq!(grad, [[0.0, -6.0, -6.0], [-1.0, 0.0, 0.0], [0.0; 3]]);
    }
}

#[test]
fn masked_sum_refuses_another_shape() {
    let dev = Cpu::default();
    let x = dev.tensor_from_vec(vec![0.0_f64; 6], (2usize, 3usize));
    let mask = dev.tensor_from_vec(vec![true; 6], (3usize, 2usize));
    let refused = masked_sum(x, &mask);
    assert!(matches!(refused, Err(CoreError::SizeMismatch { expected: 2, found: 3, .. })));
}

#[test]
fn detach_gives_an_identity_of_its_own() {
    let dev = Cpu::default();
    let x = dev.tensor([2.0_f64, 3.0]);
    // With a clone in place of the copy, this product panics in the backward pass.
    let y = x.leaky_trace() * detach(&x).unwrap();
    assert_eq!(y.sum().backward().get(&x).array(), [2.0, 3.0]);
}

#[test]
fn from_f64_checks_its_size() {
    let dev = Cpu::default();
    assert!(matches!(from_f64::<_, f64, _>(&dev, &[], (0usize,)), Err(CoreError::Empty { .. })));
    let refused = from_f64::<_, f64, _>(&dev, &[1.0], (2usize,));
    assert!(matches!(refused, Err(CoreError::SizeMismatch { expected: 2, found: 1, .. })));
}

proptest! {
    #[test]
    fn slopes_equal_central_differences(x in -30.0..30.0_f64) {
        let h = 1e-5;
        let want = (log_sigmoid_scalar(x + h) - log_sigmoid_scalar(x - h)) / (2.0 * h);
        prop_assert!((log_sigmoid_with_slope(x).1 - want).abs() < 1e-9);
        let x = -x.abs() - 1e-2;
        let t = Cpu::default().tensor([x]);
        let grad = log1mexp(t.leaky_trace()).unwrap().sum().backward().get(&t).array()[0];
        let want = (log1mexp_scalar(x + h) - log1mexp_scalar(x - h)) / (2.0 * h);
        prop_assert!((grad - want).abs() < 1e-6 * want.abs() + 1e-11, "{} {}", grad, want);
    }

    #[test]
    fn identities_hold(x in -700.0..700.0_f64) {
        // log σ(x) − log σ(−x) = x, and σ(x) + σ(−x) = 1.
        let difference = log_sigmoid_scalar(x) - log_sigmoid_scalar(-x);
        prop_assert!((difference - x).abs() <= 1e-12 * x.abs().max(1.0));
        prop_assert!((sigmoid_scalar(x) + sigmoid_scalar(-x) - 1.0).abs() < 1e-15);
        // log(1 − σ(x)) = log σ(−x).
        let complement = log1mexp_scalar(log_sigmoid_scalar(x));
        if x < 30.0 {
            prop_assert!((complement - log_sigmoid_scalar(-x)).abs() <= 1e-3 * complement.abs());
        }
    }

    #[test]
    fn pointwise_keeps_values_exactly(x in prop::collection::vec(-1e6..1e6_f64, 1..9)) {
        let dev = Cpu::default();
        let t = dev.tensor_from_vec(x.clone(), (x.len(),));
        let y = pointwise(t.leaky_trace(), |v| (v.sin(), v.cos())).unwrap();
        prop_assert_eq!(y.as_vec(), x.iter().map(|v| v.sin()).collect::<Vec<_>>());
        let grad = y.sum().backward().get(&t).as_vec();
        prop_assert_eq!(grad, x.iter().map(|v| v.cos()).collect::<Vec<_>>());
    }
}
