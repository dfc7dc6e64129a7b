//! KL divergence and entropy: worked numbers and identities.
use crate::common::{all_close, close, uniform};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tropism_evaluation::*;

fn logs(p: &[f64]) -> Vec<f64> {
    p.iter().map(|p| p.ln()).collect()
}

#[test]
fn worked_distributions() {
    let (p, q) = ([0.5, 0.3, 0.2], [0.4, 0.4, 0.2]);
    close(kl_exact(&logs(&p), &logs(&q)).unwrap(), 0.025267, 1e-6);
    // expectations of the estimators under p
    let token = |v: usize| kl_estimates(&[&[p[v].ln()]], &[&[q[v].ln()]]).unwrap();
    let mean = |f: fn(&KlEstimates) -> f64| (0..3).map(|v| p[v] * f(&token(v))).sum::<f64>();
    all_close(&[mean(|k| k.k1.value), mean(|k| k.k2.value), mean(|k| k.k3.value)], &[0.025267, 0.024862, 0.025267], 1e-6);
    let kl = mean(|k| k.k1.value);
    let variance = |f: fn(&KlEstimates) -> f64| (0..3).map(|v| p[v] * (f(&token(v)) - kl).powi(2)).sum::<f64>();
    all_close(&[variance(|k| k.k1.value), variance(|k| k.k3.value)], &[0.049086, 0.000255], 1e-6);
}

#[test]
fn worked_sequence() {
    let kl = |p: &[f64], q: &[f64]| kl_exact(&logs(p), &logs(q)).unwrap();
    let steps = [kl(&[0.7, 0.3], &[0.5, 0.5]), kl(&[0.6, 0.4], &[0.5, 0.5]), kl(&[0.2, 0.8], &[0.4, 0.6])];
    all_close(&steps, &[0.082283, 0.020136, 0.091516], 1e-6);
    close(steps[0] + 0.7 * steps[1] + 0.3 * steps[2], 0.123833, 1e-6);
    // the sample (0, 1)
    let k = kl_estimates(&[&logs(&[0.7, 0.4])], &[&logs(&[0.5, 0.5])]).unwrap();
    all_close(&[k.k1.value, k.k2.value, k.k3.value], &[0.113329, 0.081503, 0.077614], 1e-6);
    close(k.k1_per_token, 0.113329 / 2.0, 1e-6);
    close(kl_rao_blackwell(&[&[steps[0], steps[1]]]).unwrap().value, 0.102418, 1e-6);
    let of_the_sum = kl_k3(&[0.7f64.ln() + 0.4f64.ln()], &[2.0 * 0.5f64.ln()]).unwrap();
    close(of_the_sum.value, 0.006186, 1e-6);
}

#[test]
fn entropies() {
    close(entropy(&logs(&[0.25; 4])).unwrap(), 4f64.ln(), 1e-12);
    close(entropy(&[0.0, f64::NEG_INFINITY]).unwrap(), 0.0, 1e-15);
}

#[test]
fn refusals() {
    let text = |e: EvaluationError| e.to_string();
    assert!(text(kl_exact(&[], &[]).unwrap_err()).contains("is empty"));
    assert!(text(kl_exact(&logs(&[0.5, 0.4]), &logs(&[0.5, 0.5])).unwrap_err()).contains("sum to 0.9"));
    assert!(text(kl_exact(&logs(&[0.5, 0.5]), &[0.0, f64::NEG_INFINITY]).unwrap_err()).contains("vocabulary[1]"));
    assert!(text(entropy(&[f64::NAN]).unwrap_err()).contains("[0] is NaN"));
    assert!(text(kl_estimates(&[&[0.0]], &[]).unwrap_err()).contains("reference answers"));
    assert!(text(kl_estimates(&[&[]], &[&[]]).unwrap_err()).contains("policy logps is empty"));
    assert!(text(kl_estimates(&[], &[]).unwrap_err()).contains("is empty"));
}

proptest! {
    #[test]
    fn estimators_are_unbiased_and_divergences_not_negative(seed in 0u64..10_000, n in 2usize..8) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = || {
            let x: Vec<f64> = (0..n).map(|_| 0.01 + uniform(&mut rng)).collect();
            let sum: f64 = x.iter().sum();
            x.iter().map(|x| (x / sum).ln()).collect::<Vec<f64>>()
        };
        let (p, q) = (draw(), draw());
        let kl = kl_exact(&p, &q).unwrap();
        prop_assert!(kl >= -1e-15);
        let expected = |f: fn(&KlEstimates) -> f64| {
            (0..n).map(|v| p[v].exp() * f(&kl_estimates(&[&p[v..=v]], &[&q[v..=v]]).unwrap())).sum::<f64>()
        };
        prop_assert!((expected(|k| k.k1.value) - kl).abs() < 1e-12);
        prop_assert!((expected(|k| k.k3.value) - kl).abs() < 1e-12);
        let cross: f64 = -p.iter().zip(&q).map(|(p, q)| p.exp() * q).sum::<f64>();
        prop_assert!((entropy(&p).unwrap() + kl - cross).abs() < 1e-12);
    }
}
