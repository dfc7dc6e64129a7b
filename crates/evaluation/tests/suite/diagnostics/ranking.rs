//! Worked examples and invariances of rank metrics.
use super::{all_close, close};
use proptest::prelude::*;
use tropism_evaluation::ranking::*;
use tropism_evaluation::reward_model::pair_accuracy;

#[test]
fn ndcg_worked() {
    let relevance = [3.0, 2.0, 3.0, 0.0, 1.0, 2.0];
    all_close([dcg(&relevance, 3, Gain::Exponential)], &[12.392789]);
    let at = |k, gain| ndcg(&relevance, k, gain).unwrap();
    all_close([at(3, Gain::Exponential), at(6, Gain::Exponential)], &[0.959454, 0.948811]);
    all_close([at(3, Gain::Linear), at(6, Gain::Linear)], &[0.977781, 0.960808]);
    assert_eq!(ndcg(&[0.0, 0.0], 2, Gain::Linear).unwrap(), 0.0);
    assert_eq!(mean_ndcg(&[0.5, 1.0]).unwrap().value, 0.75);
}

#[test]
fn correlations_worked() {
    let (x, y) = ([1.0, 2.0, 3.0, 4.0, 5.0, 5.0], [2.0, 1.0, 4.0, 3.0, 6.0, 6.0]);
    let found = kendall(&x, &y).unwrap();
    assert_eq!((found.concordant, found.discordant, found.joint_ties, found.ties_x, found.ties_y), (12, 2, 1, 0, 0));
    all_close([found.tau_a, found.tau_b.value, spearman(&x, &y).unwrap().value], &[0.666667, 0.714286, 0.882353]);
    let (x, y) = ([1.0, 2.0, 3.0, 4.0, 5.0], [3.0, 1.0, 2.0, 5.0, 4.0]);
    all_close([kendall(&x, &y).unwrap().tau_b.value, spearman(&x, &y).unwrap().value], &[0.4, 0.6]);
    // too few to say anything
    let three = pearson(&[1.0, 2.0, 3.0], &[1.0, 3.0, 2.0]).unwrap();
    assert_eq!((three.low, three.high), (-1.0, 1.0));
}

#[test]
fn reciprocal_ranks_by_hand() {
    assert_eq!(first_relevant(&[false, true, true]), Some(2));
    close(mrr(&[Some(1), Some(4), None, first_relevant(&[false, true])]).unwrap().value, (1.0 + 0.25 + 0.5) / 4.0);
}

#[test]
fn zeros_of_both_signs_are_equal() {
    let found = kendall(&[0.0, -0.0, 1.0, 2.0], &[1.0, 1.0, 2.0, 3.0]).unwrap();
    assert_eq!((found.joint_ties, found.discordant), (1, 0));
    assert_eq!(spearman(&[0.0, -0.0, 1.0], &[0.0, 0.0, 1.0]).unwrap().value, 1.0);
}

/// Kendall by looking at every pair.
fn brute(x: &[f64], y: &[f64]) -> [u64; 5] {
    let mut counts = [0; 5];
    for i in 0..x.len() {
        for j in 0..i {
            let (a, b) = (x[i] - x[j], y[i] - y[j]);
            let kind = match (a == 0.0, b == 0.0) {
                (true, true) => 4,
                (true, false) => 2,
                (false, true) => 3,
                _ => usize::from(a * b < 0.0),
            };
            counts[kind] += 1;
        }
    }
    counts
}

proptest! {
    #[test]
    fn pairs_are_counted_rightly(rows in prop::collection::vec((-4i8..4, -4i8..4), 2..60)) {
        let (x, y): (Vec<f64>, Vec<f64>) = rows.into_iter().map(|(a, b)| (f64::from(a), f64::from(b))).unzip();
        let Ok(found) = kendall(&x, &y) else { return Ok(()) };
        let counts = [found.concordant, found.discordant, found.ties_x, found.ties_y, found.joint_ties];
        prop_assert_eq!(counts, brute(&x, &y));
    }

    #[test]
    fn monotone_maps_change_nothing(rows in prop::collection::vec((-3i8..3, -3i8..3, 0u8..4), 3..40), scale in 0.1f64..3.0) {
        let x: Vec<f64> = rows.iter().map(|r| f64::from(r.0)).collect();
        let y: Vec<f64> = rows.iter().map(|r| f64::from(r.1)).collect();
        let relevance: Vec<f64> = rows.iter().map(|r| f64::from(r.2)).collect();
        let map = |v: &[f64]| v.iter().map(|v| (scale * v).exp() + v.powi(3)).collect::<Vec<_>>();
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        if let Ok(found) = kendall(&x, &y) {
            prop_assert_eq!(found, kendall(&map(&x), &y).unwrap());
            prop_assert!(near(spearman(&x, &y).unwrap().value, spearman(&x, &map(&y)).unwrap().value));
            let turned: Vec<f64> = x.iter().map(|v| -v).collect();
            prop_assert!(near(kendall(&x, &y).unwrap().tau_b.value, -kendall(&turned, &y).unwrap().tau_b.value));
            prop_assert!(near(spearman(&x, &turned).unwrap().value, -1.0));
            prop_assert!(near(kendall(&x, &turned).unwrap().tau_b.value, -1.0));
        }
        let by = |s: &[f64]| ndcg_by_scores(&relevance, s, 3, Gain::Exponential).unwrap();
        prop_assert!(near(by(&x), by(&map(&x))));
        prop_assert!(by(&relevance) == 0.0 || near(by(&relevance), 1.0));
        prop_assert!(by(&x) <= 1.0 + 1e-12);
        prop_assert_eq!(pair_accuracy(&x, &y).unwrap(), pair_accuracy(&map(&x), &map(&y)).unwrap());
    }
}
