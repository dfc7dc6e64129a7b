//! TDPO: both forms against DPO, and the whole gradient through logits.

use crate::common::close;
use dfdx::prelude::*;
use tropism_core::{PairLogps, PairScores, VocabularyFigure};
use tropism_credit::*;

/// Loss and its gradients in log-probabilities and divergences, chosen first.
fn solve(two: bool, kl: [f64; 2], alpha: f64) -> (f64, [f64; 4]) {
    let dev = Cpu::default();
    let leaves: [Tensor<Rank1<1>, f64, _>; 4] =
        [dev.tensor([-10.0]), dev.tensor([-12.0]), dev.tensor([kl[0]]), dev.tensor([kl[1]])];
    let policy = PairLogps::new(leaves[0].leaky_trace(), leaves[1].retaped(), &[5], &[8]).unwrap();
    let reference = PairLogps::new(dev.tensor([-11.0]), dev.tensor([-11.5]), &[5], &[8]).unwrap();
    let divergences = PairScores::new(leaves[2].retaped(), leaves[3].retaped()).unwrap();
    let terms = match two {
        true => tdpo2(policy, reference, divergences, &Tdpo2::default().with_alpha(alpha)),
        false => tdpo1(policy, reference, divergences, &Tdpo1::default()),
    };
    let loss = terms.unwrap().mean().unwrap();
    let (value, grads) = (loss.array(), loss.backward());
    (value, leaves.map(|leaf| grads.get(&leaf).array()[0]))
}

#[test]
fn without_divergences_both_are_dpo() {
    let dpo = (1.0 + (-0.15_f64).exp()).ln();
    let pull = 0.1 / (1.0 + 0.15_f64.exp());
    for (two, alpha) in [(false, 1.0), (true, 0.5)] {
        let (loss, grads) = solve(two, [0.3, 0.3], alpha);
        close(&[loss], &[dpo], 1e-14);
        close(&grads[..2], &[-pull, pull], 1e-14);
    }
    close(&[solve(true, [0.3, 2.0], 0.0).0], &[dpo], 1e-14);
}

#[test]
fn the_margin_is_lower_the_more_the_rejected_side_has_drifted() {
    let (near, far) = (solve(false, [0.2, 0.2], 1.0).0, solve(false, [0.2, 1.2], 1.0).0);
    assert!(far > near);
    // TDPO₂ with α = 1 has the same value; the chosen divergence is held constant.
    let (one, two) = (solve(false, [0.2, 1.2], 1.0), solve(true, [0.2, 1.2], 1.0));
    close(&[two.0], &[one.0], 1e-15);
    close(&[two.1[0], two.1[1], two.1[3]], &[one.1[0], one.1[1], one.1[3]], 1e-15);
    assert_eq!(two.1[2], 0.0);
    assert!(one.1[2] < 0.0, "TDPO₁ pushes the chosen divergence up");
}

#[test]
fn alpha_scales_the_rejected_gradient() {
    let (_, [.., half]) = solve(true, [0.0, 0.0], 0.5);
    let (_, [.., whole]) = solve(true, [0.0, 0.0], 1.0);
    close(&[half], &[0.5 * whole], 1e-15);
}

#[test]
fn the_positions_divergence_is_the_forward_kl() {
    let (p, q) = ([0.6_f64, 0.3, 0.1], [0.2_f64, 0.5, 0.3]);
    let logits = |x: [f64; 3], shift: f64| x.map(|v| v.ln() + shift);
    let (kl, slopes) = PositionKl.of_row(&[&logits(p, 3.0), &logits(q, -40.0)]);
    let want: f64 = q.iter().zip(p).map(|(q, p)| q * (q / p).ln()).sum();
    close(&[kl], &[want], 1e-14);
    close(&slopes, &[0.4, -0.2, -0.2], 1e-14);
    assert!(PositionKl.of_row(&[&logits(p, 0.0), &logits(p, 1.0)]).0.abs() < 1e-15);
    // A token that the reference rules out adds nothing.
    let (kl, slopes) = PositionKl.of_row(&[&[0.0, 0.0, 0.0], &[0.0, 0.0, -1e4]]);
    close(&[kl], &[(1.5_f64).ln()], 1e-14);
    close(&slopes, &[1.0 / 3.0 - 0.5, 1.0 / 3.0 - 0.5, 1.0 / 3.0], 1e-14);
}

#[test]
fn rows_must_match() {
    let dev = Cpu::default();
    let pairs = |n: usize| PairLogps::new(dev.tensor([-10.0_f64]), dev.tensor([-12.0]), &[5], &[n]).unwrap();
    let kl = || PairScores::new(dev.tensor([0.1_f64]), dev.tensor([0.1])).unwrap();
    let error = tdpo1(pairs(8), pairs(7), kl(), &Tdpo1::default()).unwrap_err();
    assert!(matches!(error, CreditError::UnevenLengths { row: 0, expected: 8.0, found: 7.0, .. }), "{error}");
    let error = tdpo2(pairs(8), pairs(8), kl(), &Tdpo2::default().with_alpha(-1.0)).unwrap_err();
    assert_eq!(error.to_string(), "tdpo2: `alpha` is -1; it must be at least 0 and finite");
}
