//! Worked numbers of the standard pairwise losses: loss and gradients of one pair, computed by hand elsewhere.

use crate::common::pairs::{Batch, close, solve, worked};
use tropism_objectives::*;

/// `h_w = 1`, `h_l = −½`.
fn first() -> Batch {
    Batch { policy: [vec![-10.0], vec![-12.0]], reference: [vec![-11.0], vec![-11.5]], lengths: [vec![5], vec![8]] }
}

/// `h_w = 2`, `h_l = −5`.
fn second() -> Batch {
    Batch { policy: [vec![-40.0], vec![-55.0]], reference: [vec![-42.0], vec![-50.0]], lengths: [vec![20], vec![25]] }
}

#[test]
fn worked_standard_losses_of_a_pair() {
    let check = |objective: Objective, want| worked(objective, &first(), want, 6e-9);
    check(Dpo::default().into(), [0.62095705, -0.04625702, 0.04625702]);
    check(Cdpo::default().into(), [0.63595705, -0.03625702, 0.03625702]);
    check(Robust::default().into(), [0.60220705, -0.05875702, 0.05875702]);
    check(Hinge::default().into(), [0.85, -0.1, 0.1]);
    check(Ipo::default().into(), [22.44390625, -1.895, 1.184375]);
    check(Ipo::default().with_normalization(Normalization::Sum).into(), [12.25, -7.0, 7.0]);
    check(Exo::default().into(), [2.50551656, -0.16797225, 0.16797225]);
    check(Nca::default().into(), [1.35082481, -0.02125312, 0.02437513]);
    check(BcoPair::default().into(), [1.31285631, -0.04750208, 0.04875026]);
    check(Sppo::default().into(), [36.25, -8.0, 9.0]);
    check(ApoZero::default().into(), [0.96252342, -0.02493760, 0.02498438]);
    check(ApoDown::default().into(), [0.98754934, 0.00007770, 0.02485990]);
    check(Discopop::default().into(), [0.84933758, -0.06252030, 0.06252030]);
    check(LnDpo::default().with_beta(0.1).into(), [0.68010831, -0.00986876, 0.00616797]);
    let dpo = |divergence| Dpo::default().with_divergence(divergence).into();
    check(dpo(Divergence::ForwardKl), [0.63115438, -0.01721759, 0.07716389]);
    check(dpo(Divergence::Js), [0.66065216, -0.01300293, 0.03009501]);
    check(dpo(Divergence::Alpha(0.5)), [0.62769095, -0.02827506, 0.05985831]);
    check(Dpo::default().with_reference(Reference::Uniform).into(), [0.59813887, -0.04501660, 0.04501660]);
}

#[test]
fn worked_standard_losses_of_another_pair() {
    let check = |objective: Objective, want| worked(objective, &second(), want, 6e-7);
    check(Dpo::default().into(), [0.403186, -0.033181, 0.033181]);
    check(Cdpo::default().into(), [0.473186, -0.023181, 0.023181]);
    check(Robust::default().into(), [0.315686, -0.045681, 0.045681]);
    check(Hinge::default().into(), [0.3, -0.1, 0.1]);
    check(Ipo::default().with_normalization(Normalization::Sum).into(), [4.0, 4.0, -4.0]);
    check(Ipo::default().into(), [22.09, -0.47, 0.376]);
    check(LnDpo::default().with_beta(5.0).into(), [0.201413, -0.045606, 0.036485]);
    check(Simpo::default().into(), [0.744397, -0.052498, 0.041998]);
    check(Exo::default().with_label_smoothing(0.1).into(), [0.198972, -0.033195, 0.033195]);
    check(Nca::default().into(), [1.234247, -0.017525, 0.018877]);
    check(BcoPair::default().into(), [1.072216, -0.045017, 0.037754]);
    check(Sppo::default().into(), [9.0, -6.0, 0.0]);
    check(ApoZero::default().into(), [0.827707, -0.024752, 0.023500]);
    check(ApoDown::default().into(), [0.881646, 0.002580, 0.022171]);
    check(Discopop::default().into(), [0.496585, -0.049658, 0.049658]);
    check(Dpo::default().with_divergence(Divergence::Js).into(), [0.478632, -0.004534, 0.037782]);
}

#[test]
fn worked_values_at_the_reference() {
    let ln2 = std::f64::consts::LN_2;
    let batch = Batch { reference: first().policy, ..first() };
    let starts: [(Objective, f64); 9] = [
        (Dpo::default().into(), ln2),
        (Cdpo::default().into(), ln2),
        (Robust::default().into(), ln2),
        (Hinge::default().into(), 1.0),
        (BcoPair::default().into(), 2.0 * ln2),
        (Nca::default().into(), 2.0 * ln2),
        (ApoZero::default().into(), 1.0),
        (ApoDown::default().into(), 1.0),
        (Discopop::default().into(), 0.5 * ln2 + 0.5),
    ];
    for (objective, want) in starts {
        close(&solve::<f64>(&objective, &batch).losses, &[want], 1e-12);
    }
}

#[test]
fn displacement_is_reported() {
    let solved = solve::<f64>(&Dpo::default().into(), &second());
    assert_eq!(solved.terms.get("displacement/chosen"), Some([2.0].as_slice()));
    assert_eq!(solved.terms.mean("displacement/fell"), Some(0.0));
    let fallen = Batch { policy: [vec![-43.0], vec![-55.0]], ..second() };
    assert_eq!(solve::<f64>(&Dpo::default().into(), &fallen).terms.mean("displacement/fell"), Some(1.0));
    let simpo = solve::<f64>(&Simpo::default().into(), &second());
    assert_eq!(simpo.terms.get("displacement/fell"), None);
}
