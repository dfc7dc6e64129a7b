//! The penalised logistic fit against scikit-learn, and its optimality conditions.
use crate::common::{all_close, golden, list, normal, numbers, uniform};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tropism_evaluation::{Logistic, LogisticRows, choose_c, default_grid, held_out_losses, sigmoid, softplus};

#[test]
fn generated_cases() {
    for c in list(&golden("logistic.json")["cases"]) {
        let (features, targets, weights) = (numbers(&c["features"]), numbers(&c["targets"]), numbers(&c["weights"]));
        let columns = c["columns"].as_u64().unwrap() as usize;
        let rows = LogisticRows { features: &features, columns, targets: &targets, weights: &weights };
        let strength = c["c"].as_f64().unwrap();
        let fit = if c["l1"].as_bool().unwrap() { Logistic::l1(strength) } else { Logistic::l2(strength) };
        let found = fit.fit(&rows, &vec![0.0; columns]).unwrap();
        // as far as scikit-learn's two solvers agree with each other
        let tolerance = 1e-6 + 5.0 * c["solvers_differ"].as_f64().unwrap();
        all_close(&found, &numbers(&c["coefficients"]), tolerance);
    }
}

#[test]
fn the_penalty_is_chosen_by_held_out_loss() {
    assert!((default_grid()[5] - 2.782559402207126).abs() < 1e-12 && default_grid().len() == 10);
    let g = golden("length_control.json");
    let (scores, lengths, difficulty) =
        (numbers(&g["scores"]), numbers(&g["length_differences"]), numbers(&g["difficulty"]));
    let sd = tropism_evaluation::sample_sd(&lengths).unwrap();
    let features: Vec<f64> = lengths.iter().zip(&difficulty).flat_map(|(l, d)| [(l / sd).tanh(), *d, 1.0]).collect();
    let ones = vec![1.0; scores.len()];
    let rows = LogisticRows { features: &features, columns: 3, targets: &scores, weights: &ones };
    let losses = held_out_losses(&rows, Logistic::l1(1.0), &default_grid(), 5).unwrap();
    all_close(&losses, &numbers(&g["cv"]["losses"]), 1e-7);
    let c = choose_c(&rows, Logistic::l1(1.0), &default_grid(), 5).unwrap();
    assert!((c - g["cv"]["c"].as_f64().unwrap()).abs() < 1e-9, "{c}");
    let text = choose_c(&rows, Logistic::l1(1.0), &default_grid(), 1).unwrap_err().to_string();
    assert!(text.contains("folds is 1"), "{text}");
    assert!(choose_c(&rows, Logistic::l1(1.0), &[], 5).unwrap_err().to_string().contains("grid is empty"));
}

#[test]
fn refusals() {
    let fit = |x: &[f64], y: &[f64], w: &[f64]| {
        let rows = LogisticRows { features: x, columns: 1, targets: y, weights: w };
        Logistic::l1(1.0).fit(&rows, &[0.0]).map_err(|e| e.to_string())
    };
    assert!(fit(&[], &[], &[]).unwrap_err().contains("targets is empty"));
    assert!(fit(&[1.0, 2.0], &[1.0], &[1.0]).unwrap_err().contains("features has 2 entries, expected 1"));
    assert!(fit(&[1.0], &[1.5], &[1.0]).unwrap_err().contains("target is 1.5"));
    assert!(fit(&[f64::NAN], &[0.5], &[1.0]).unwrap_err().contains("features[0]"));
    assert!(fit(&[1.0], &[0.5], &[-1.0]).unwrap_err().contains("weights[0]"));
    let rows = LogisticRows { features: &[1.0, 2.0], columns: 1, targets: &[1.0, 1.0], weights: &[1.0, 1.0] };
    let free = Logistic { c: 1.0, l1: 0.0, l2: 0.0 };
    let text = free.fit(&rows, &[0.0]).unwrap_err().to_string();
    assert!(text.contains("separable") || text.contains("penalty"), "{text}");
    // a column that follows from another has no unique weight without a penalty, and one with it
    let rows = LogisticRows { features: &[1.0, 1.0, 2.0, 2.0], columns: 2, targets: &[0.7, 0.2], weights: &[1.0, 1.0] };
    assert!(free.fit(&rows, &[0.0, 0.0]).is_err());
    assert!(Logistic::l2(1.0).fit(&rows, &[0.0, 0.0]).is_ok());
}

fn objective(fit: &Logistic, rows: &LogisticRows, beta: &[f64]) -> f64 {
    let z = |x: &[f64]| x.iter().zip(beta).map(|(x, b)| x * b).sum::<f64>();
    let loss = |((x, y), w): ((&[f64], &f64), &f64)| w * (y * softplus(-z(x)) + (1.0 - y) * softplus(z(x)));
    fit.c * rows.features.chunks(rows.columns).zip(rows.targets).zip(rows.weights).map(loss).sum::<f64>()
        + beta.iter().map(|b| fit.l1 * b.abs() + 0.5 * fit.l2 * b * b).sum::<f64>()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_nearby_is_better(seed in 0u64..1000, n in 4usize..60, p in 1usize..6, log_c in -3f64..3.0, l1: bool) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let features: Vec<f64> = (0..n * p).map(|_| 2.0 * normal(&mut rng)).collect();
        let targets: Vec<f64> = (0..n).map(|_| if uniform(&mut rng) < 0.5 { uniform(&mut rng) } else { 1.0 }).collect();
        let weights = vec![1.0; n];
        let rows = LogisticRows { features: &features, columns: p, targets: &targets, weights: &weights };
        let fit = if l1 { Logistic::l1(log_c.exp()) } else { Logistic::l2(log_c.exp()) };
        let beta = fit.fit(&rows, &vec![0.0; p]).unwrap();
        let best = objective(&fit, &rows, &beta);
        for step in [1e-2, 1e-4] {
            for _ in 0..20 {
                let near: Vec<f64> = beta.iter().map(|b| b + step * normal(&mut rng)).collect();
                prop_assert!(objective(&fit, &rows, &near) >= best - 1e-12 * best.abs());
            }
        }
        // the mirror image of the labels mirrors the weights
        let flipped: Vec<f64> = targets.iter().map(|y| 1.0 - y).collect();
        let mirrored = fit.fit(&LogisticRows { targets: &flipped, ..rows }, &vec![0.0; p]).unwrap();
        for (a, b) in beta.iter().zip(&mirrored) {
            prop_assert!((a + b).abs() < 1e-6 * a.abs().max(1.0));
        }
        prop_assert!((sigmoid(3.0) + sigmoid(-3.0) - 1.0).abs() < 1e-15);
    }
}
