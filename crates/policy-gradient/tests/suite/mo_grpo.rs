//! The worked figures and invariants of advantages from several rewards.

use crate::common::close;
use crate::common::rng::Rng;
use dfdx::prelude::{AsArray, Backward, Cpu, TensorFrom, Trace};
use proptest::prelude::*;
use tropism_core::ScoreTable;
use tropism_policy_gradient::*;

/// Politeness, meaningfulness, actionability, safety of four completions.
const SCORES: [[f64; 4]; 4] = [[0.9, 0.6, 0.5, 0.2], [0.7, 0.8, 0.6, 0.9], [0.4, 0.9, 0.9, 0.1], [0.8, 0.3, 0.2, 1.0]];

fn table(weights: &[f64]) -> RewardTable {
    RewardTable::new(&SCORES.concat(), weights).unwrap()
}

fn first(rewards: &RewardTable, groups: &Groups) -> Vec<f64> {
    group_normalized(rewards, groups, &GroupNormalized::default()).unwrap().values
}

fn second(rewards: &RewardTable, groups: &Groups) -> Vec<f64> {
    normalize_then_sum(rewards, groups, &NormalizeThenSum::default()).unwrap().values
}

fn one() -> Groups {
    Groups::new(&[0; 4]).unwrap()
}

#[test]
fn worked_sums_and_advantages() {
    let equal = table(&[0.25; 4]);
    close(&equal.sums(), &[0.55, 0.75, 0.575, 0.575], 1e-12);
    close(&first(&equal, &one()), &[-0.67552131, 1.48614688, -0.40531279, -0.40531279], 1e-8);
    close(&second(&equal, &one()), &[-0.17385929, 1.37634178, -0.18275584, -1.01972666], 1e-8);
    let safe = table(&[0.1, 0.2, 0.2, 0.5]);
    close(&safe.sums(), &[0.41, 0.80, 0.45, 0.68], 1e-12);
    close(&first(&safe, &one()), &[-0.93894517, 1.15356121, -0.72432913, 0.50971309], 1e-8);
    close(&second(&safe, &one()), &[-0.93091806, 1.37080534, -0.49919622, 0.05930894], 1e-8);
}

#[test]
fn invariant_7_equal_sums_collapse_in_the_first_form_alone() {
    let equal = table(&[0.25; 4]);
    let (a, b) = (first(&equal, &one()), second(&equal, &one()));
    assert!((a[2] - a[3]).abs() < 1e-12 && (b[2] - b[3]).abs() > 0.5);
    // A group of equal sums is without variance in the first form alone, too; one of equal rewards in both.
    let scores = [0.5, 0.0, 0.25, 0.5, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.5, 0.75];
    let (rewards, groups) = (RewardTable::new(&scores, &[1.0, 0.5]).unwrap(), Groups::new(&[0, 0, 1, 1, 2, 2]).unwrap());
    let drop = GroupNormalized::default().with_zero_variance(ZeroVariance::Drop);
    let found = group_normalized(&rewards, &groups, &drop).unwrap();
    assert_eq!((found.kept.as_slice(), found.zero_variance), ([false, false, false, false, true, true].as_slice(), 2));
    let drop = NormalizeThenSum::default().with_zero_variance(ZeroVariance::Drop);
    let found = normalize_then_sum(&rewards, &groups, &drop).unwrap();
    assert_eq!((found.kept.as_slice(), found.zero_variance), ([true, true, false, false, true, true].as_slice(), 1));
}

#[test]
fn a_floor_prices_the_constrained_axis() {
    let others: Vec<f64> = SCORES.iter().map(|s| (s[0] + s[1] + s[2]) / 3.0).collect();
    let safety: Vec<f64> = SCORES.iter().map(|s| s[3]).collect();
    let priced = floor_penalty(&others, &safety, 0.5, 1.0).unwrap();
    close(&priced, &[2.0 / 3.0 - 0.3, 0.7, 2.2 / 3.0 - 0.4, 1.3 / 3.0], 1e-12);
}

/// Loss and gradients in the logits of `K` axes.
fn regression<const K: usize>(logits: [f64; K], labels: &[f64], mask: &[bool], costs: &[f64]) -> (f64, [f64; K]) {
    let leaf = Cpu::default().tensor([logits]);
    let table = ScoreTable::new(leaf.leaky_trace(), mask).unwrap();
    let config = LabelRegression::default().with_costs(costs.to_vec());
    let loss = label_regression(table, labels, &config).unwrap().mean().unwrap();
    (loss.array(), loss.backward().get(&leaf).array()[0])
}

#[test]
fn worked_regression() {
    let (f, labels) = ([0.9_f64, 0.6, 0.5, 0.2], [0.8, 0.5, 0.5, 0.1]);
    let (loss, grads) = regression(f.map(|f| (f / (1.0 - f)).ln()), &labels, &[true; 4], &[]);
    close(&[loss], &[0.0075], 1e-12);
    let in_scores = [0.05, 0.05, 0.0, 0.05];
    let want: Vec<f64> = f.iter().zip(in_scores).map(|(f, d)| d * f * (1.0 - f)).collect();
    close(&grads, &want, 1e-12);
}

#[test]
fn bad_labels_and_costs_are_errors() {
    let table = || ScoreTable::new(Cpu::default().tensor([[0.0_f64, 1.0]]), &[true, false]).unwrap();
    let of = |labels: &[f64], costs: &[f64]| {
        label_regression(table(), labels, &LabelRegression::default().with_costs(costs.to_vec())).map(|t| t.values())
    };
    assert!(of(&[0.5, f64::NAN], &[]).is_ok());
    assert!(matches!(of(&[1.5, 0.0], &[]), Err(PolicyGradientError::Entry { entry: 0, .. })));
    assert!(matches!(of(&[0.5, 0.5], &[0.0, 0.0]), Err(PolicyGradientError::Option(_))));
    assert!(matches!(of(&[0.5, 0.5], &[1.0]), Err(PolicyGradientError::Core(_))));
}

/// Scores of `2 · 4` completions on three axes.
fn random(seed: u64) -> Vec<f64> {
    let mut rng = Rng(seed);
    (0..24).map(|_| rng.real(0.0, 1.0)).collect()
}

fn two() -> Groups {
    Groups::of_size(8, 4).unwrap()
}

proptest! {
    #[test]
    fn invariant_1_one_axis_is_plain_grpo(seed: u64) {
        let scores = random(seed);
        let single: Vec<f64> = scores.iter().copied().step_by(3).collect();
        let masked = first(&RewardTable::new(&scores, &[1.0, 0.0, 0.0]).unwrap(), &two());
        prop_assert_eq!(masked, first(&RewardTable::single(&single).unwrap(), &two()));
    }

    #[test]
    fn invariant_2_the_scale_of_the_weights_does_not_matter(seed: u64, scale in 0.5..8.0_f64) {
        let scores = random(seed);
        let of = |s: f64| RewardTable::new(&scores, &[0.2 * s, 0.5 * s, 0.3 * s]).unwrap();
        close(&first(&of(scale), &two()), &first(&of(1.0), &two()), 2e-2);
        close(&second(&of(scale), &two()), &second(&of(1.0), &two()), 2e-2);
        let exact = GroupNormalized::default().with_epsilon(0.0);
        let of = |s: f64| group_normalized(&of(s), &two(), &exact).unwrap().values;
        close(&of(scale), &of(1.0), 1e-9);
    }

    #[test]
    fn invariant_3_affine_changes_of_an_axis_matter_in_the_first_form_alone(seed: u64, scale in 4.0..9.0_f64) {
        let scores = random(seed);
        let axis = |(i, s): (usize, &f64)| if i % 3 == 1 { scale * s - 2.0 } else { *s };
        let moved: Vec<f64> = scores.iter().enumerate().map(axis).collect();
        let of = |scores: &[f64]| RewardTable::new(scores, &[1.0; 3]).unwrap();
        let exact = NormalizeThenSum::default().with_epsilon(0.0);
        let normal = |scores: &[f64]| normalize_then_sum(&of(scores), &two(), &exact).unwrap().values;
        close(&normal(&moved), &normal(&scores), 1e-9);
        let (a, b) = (first(&of(&moved), &two()), first(&of(&scores), &two()));
        prop_assert!(a.iter().zip(&b).any(|(x, y)| (x - y).abs() > 1e-3));
    }

    #[test]
    fn invariant_4_weight_0_removes_an_axis(seed: u64) {
        let scores = random(seed);
        let without: Vec<f64> = scores.chunks(3).flat_map(|s| [s[0], s[2]]).collect();
        let lost: Vec<f64> = scores.chunks(3).flat_map(|s| [s[0], f64::NAN, s[2]]).collect();
        let two_axes = RewardTable::new(&without, &[0.4, 0.6]).unwrap();
        for scores in [&scores, &lost] {
            let three = RewardTable::new(scores, &[0.4, 0.0, 0.6]).unwrap();
            prop_assert_eq!(first(&three, &two()), first(&two_axes, &two()));
            prop_assert_eq!(second(&three, &two()), second(&two_axes, &two()));
        }
    }

    #[test]
    fn invariant_5_advantages_sum_to_0(seed: u64) {
        let rewards = RewardTable::new(&random(seed), &[0.2, 0.5, 0.3]).unwrap();
        for rows in two().members() {
            prop_assert!(rows.iter().map(|&r| first(&rewards, &two())[r]).sum::<f64>().abs() < 1e-12);
        }
        prop_assert!(second(&rewards, &two()).iter().sum::<f64>().abs() < 1e-12);
    }

    #[test]
    fn invariant_6_better_on_every_axis_is_better(seed: u64, by in prop::collection::vec(0.0..0.5_f64, 3)) {
        let mut scores = random(seed);
        for (k, by) in by.iter().enumerate() {
            scores[k] = scores[3 + k] + by;
        }
        let rewards = RewardTable::new(&scores, &[0.2, 0.5, 0.3]).unwrap();
        for found in [first(&rewards, &two()), second(&rewards, &two())] {
            prop_assert!(found[0] >= found[1] - 1e-12);
        }
    }

    #[test]
    fn invariant_8_the_regression_skips_missing_labels_and_knows_no_order_of_axes(
        z in prop::collection::vec(-40.0..40.0_f64, 3), y in prop::collection::vec(0.0..1.0_f64, 3), junk: f64,
    ) {
        let costs = [0.5, 2.0, 1.0];
        let (loss, grads) = regression([z[0], z[1], z[2]], &y, &[true, true, false], &costs);
        let (other, same) = regression([z[0], z[1], junk], &[y[0], y[1], junk], &[true, true, false], &costs);
        prop_assert_eq!((loss, grads, grads[2]), (other, same, 0.0));
        let all = regression([z[0], z[1], z[2]], &y, &[true; 3], &costs);
        let turned = regression([z[2], z[0], z[1]], &[y[2], y[0], y[1]], &[true; 3], &[1.0, 0.5, 2.0]);
        close(&[turned.0], &[all.0], 1e-12);
        close(&turned.1, &[all.1[2], all.1[0], all.1[1]], 1e-12);
        let at = |by: f64| regression([z[0], z[1] + by, z[2]], &y, &[true; 3], &costs).0;
        prop_assert!(((at(1e-5) - at(-1e-5)) / 2e-5 - all.1[1]).abs() < 1e-8);
    }

    #[test]
    fn the_sensitivity_to_a_score_is_the_derived_one(seed: u64, i in 0usize..4, j in 0usize..4) {
        // dA_i/df_jk = w_k [(δ_ij − 1/G) / (s + ε) − A_i A_j / (s (G − 1))].
        let scores = random(seed)[..12].to_vec();
        let weights = [0.2, 0.5, 0.3];
        let of = |by: f64| {
            let mut moved = scores.clone();
            moved[3 * j + 1] += by;
            first(&RewardTable::new(&moved, &weights).unwrap(), &one())[i]
        };
        let h = 1e-6;
        let found = (of(h) - of(-h)) / (2.0 * h);
        let sums = RewardTable::new(&scores, &weights).unwrap().sums();
        let mean = sums.iter().sum::<f64>() / 4.0;
        let s = (sums.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / 3.0).sqrt();
        let a = |r: usize| (sums[r] - mean) / (s + 1e-4);
        let same = if i == j { 1.0 } else { 0.0 };
        let want = 0.5 * ((same - 0.25) / (s + 1e-4) - a(i) * a(j) / (s * 3.0));
        prop_assert!((found - want).abs() < 1e-5 * want.abs().max(1.0), "{found} {want}");
    }
}
