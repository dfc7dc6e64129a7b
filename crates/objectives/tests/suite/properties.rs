//! Gradients against finite differences, and invariants of each loss on random batches.

use crate::common::pairs::{Batch, close, pairwise, solve};
use proptest::prelude::*;
use tropism_objectives::{Dpo, Objective, Simpo};

fn batches() -> impl Strategy<Value = Batch> {
    (1usize..5).prop_flat_map(|rows| {
        let logps = || prop::collection::vec(-40.0..0.0_f64, rows);
        let near = || prop::collection::vec(-3.0..3.0_f64, rows);
        let lengths = || prop::collection::vec(1usize..20, rows);
        (logps(), logps(), near(), near(), lengths(), lengths()).prop_map(|(c, r, dc, dr, n, m)| {
            let shift = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x + y).collect();
            let reference = [shift(&c, &dc), shift(&r, &dr)];
            Batch { policy: [c, r], reference, lengths: [n, m] }
        })
    })
}

proptest! {
    #[test]
    fn gradients_equal_central_differences(batch in batches()) {
        for objective in pairwise() {
            let solved = solve::<f64>(&objective, &batch);
            for side in 0..2 {
                for row in 0..batch.policy[0].len() {
                    let h = 1e-5;
                    let total = |by: f64| {
                        let mut moved = batch.clone();
                        moved.policy[side][row] += by;
                        solve::<f64>(&objective, &moved).losses[row]
                    };
                    let want = (total(h) - total(-h)) / (2.0 * h);
                    let got = solved.grads[side][row];
                    prop_assert!((got - want).abs() <= 1e-6 * want.abs().max(1.0), "{} {}", got, want);
                }
            }
        }
    }

    #[test]
    fn f32_agrees_with_f64(batch in batches()) {
        for objective in pairwise() {
            let (a, b) = (solve::<f32>(&objective, &batch), solve::<f64>(&objective, &batch));
            close(&a.losses, &b.losses, 2e-4);
            close(&a.grads[0], &b.grads[0], 2e-4);
            close(&a.grads[1], &b.grads[1], 2e-4);
        }
    }

    #[test]
    fn at_the_reference_dpo_is_ln_2(batch in batches()) {
        let batch = Batch { reference: batch.policy.clone(), ..batch };
        let solved = solve::<f64>(&pairwise()[0], &batch);
        prop_assert!(solved.losses.iter().all(|l| *l == std::f64::consts::LN_2));
        prop_assert!(solved.terms.get("rewards/margins").unwrap().iter().all(|m| *m == 0.0));
        prop_assert_eq!(solved.terms.mean("rewards/accuracies"), Some(0.0));
        prop_assert_eq!(solved.terms.mean("rewards/ties"), Some(1.0));
    }

    #[test]
    fn swapping_sides_mirrors_dpo(batch in batches()) {
        let [a, b] = batch.policy.clone();
        let [c, d] = batch.reference.clone();
        let [n, m] = batch.lengths.clone();
        let swapped = Batch { policy: [b, a], reference: [d, c], lengths: [m, n] };
        let dpo = &pairwise()[0];
        let (x, y) = (solve::<f64>(dpo, &batch), solve::<f64>(dpo, &swapped));
        // -log σ(z) + log σ(-z) = -z, and the two slopes add up to -beta.
        let margins = x.terms.get("rewards/margins").unwrap();
        for (row, z) in margins.iter().enumerate() {
            prop_assert!((x.losses[row] - y.losses[row] + z).abs() < 1e-12);
            prop_assert!((x.grads[0][row] + y.grads[0][row] + 0.1).abs() < 1e-12);
        }
    }

    #[test]
    fn a_shift_of_both_sides_changes_nothing(batch in batches(), by in -5.0..5.0_f64) {
        // DPO and IPO on sums: the same summand for both log-ratios.
        let mut moved = batch.clone();
        moved.policy.iter_mut().flatten().for_each(|x| *x += by);
        for objective in [&pairwise()[0], &pairwise()[2]] {
            close(&solve::<f64>(objective, &moved).losses, &solve::<f64>(objective, &batch).losses, 1e-9);
        }
        // IPO on means and SimPO: the same summand per token.
        let mut moved = batch.clone();
        for (side, lengths) in moved.policy.iter_mut().zip(&batch.lengths) {
            side.iter_mut().zip(lengths).for_each(|(x, &n)| *x += by * n as f64);
        }
        for objective in [&pairwise()[1], &pairwise()[3], &pairwise()[4]] {
            close(&solve::<f64>(objective, &moved).losses, &solve::<f64>(objective, &batch).losses, 1e-9);
        }
    }

    #[test]
    fn duplicated_tokens_leave_simpo_alone(batch in batches()) {
        let twice = Batch {
            policy: batch.policy.clone().map(|side| side.iter().map(|x| 2.0 * x).collect()),
            lengths: batch.lengths.clone().map(|side| side.iter().map(|n| 2 * n).collect()),
            ..batch.clone()
        };
        for objective in &pairwise()[3..] {
            let (a, b) = (solve::<f64>(objective, &batch), solve::<f64>(objective, &twice));
            close(&a.losses, &b.losses, 1e-12);
        }
        let (a, b) = (solve::<f64>(&pairwise()[0], &batch), solve::<f64>(&pairwise()[0], &twice));
        prop_assert!(a.losses.iter().zip(&b.losses).any(|(x, y)| (x - y).abs() > 1e-6));
    }

    #[test]
    fn simpo_without_margin_is_dpo_against_a_uniform_reference(batch in batches(), n in 1usize..9) {
        let rows = batch.policy[0].len();
        let uniform = Batch { reference: [vec![-7.0; rows], vec![-7.0; rows]], lengths: [vec![n; rows], vec![n; rows]], ..batch };
        let simpo = Objective::Simpo(Simpo::default().with_gamma_beta_ratio(0.0));
        let dpo = Objective::Dpo(Dpo::default().with_beta(2.0 / n as f64));
        let (a, b) = (solve::<f64>(&simpo, &uniform), solve::<f64>(&dpo, &uniform));
        close(&a.losses, &b.losses, 1e-12);
        close(&a.grads[0], &b.grads[0], 1e-12);
    }

    #[test]
    fn micro_batches_add_up(batch in batches(), cut in 0usize..4) {
        let rows = batch.policy[0].len();
        let cut = cut.min(rows - 1);
        for objective in pairwise() {
            let whole = solve::<f64>(&objective, &batch);
            let mut losses = Vec::new();
            let mut chosen = Vec::new();
            for range in [0..cut, cut..rows].into_iter().filter(|r| !r.is_empty()) {
                let part = |v: &[Vec<f64>; 2]| v.clone().map(|s| s[range.clone()].to_vec());
                let solved = solve::<f64>(&objective, &Batch {
                    policy: part(&batch.policy),
                    reference: part(&batch.reference),
                    lengths: batch.lengths.clone().map(|s| s[range.clone()].to_vec()),
                });
                losses.extend(solved.losses);
                chosen.extend(solved.grads[0].clone());
            }
            prop_assert_eq!(&losses, &whole.losses);
            prop_assert_eq!(&chosen, &whole.grads[0]);
        }
    }
}
