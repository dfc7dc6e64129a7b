//! The worked figures of GRPO and its variants.

use crate::common::close;
use crate::common::plain::Plain;
use crate::common::solve::{Solved, solve};
use tropism_policy_gradient::*;

/// Four completions in three columns: log-probabilities of the old policy, of the new one and of the reference.
fn worked(advantages: &[f64]) -> Plain {
    let old = [[-1.0, -0.5, 0.0], [-0.7, -1.2, -0.3], [-2.0, 0.0, 0.0], [-0.4, -0.9, -1.5]];
    let new = [[0.30, 0.05, 0.0], [-0.10, -0.40, 0.20], [0.15, 0.0, 0.0], [0.25, -0.05, -0.30]];
    let reference = [[-0.10, 0.20, 0.0], [0.05, 0.0, -0.15], [0.30, 0.0, 0.0], [-0.20, 0.10, 0.05]];
    let lengths = [2, 3, 1, 3];
    let old: Vec<f64> = old.concat();
    let add = |by: [[f64; 3]; 4]| old.iter().zip(by.concat()).map(|(a, b)| a + b).collect::<Vec<f64>>();
    Plain {
        rows: 4,
        width: 3,
        mask: lengths.iter().flat_map(|&n| (0..3).map(move |c| c < n)).collect(),
        policy: add(new),
        reference: add(reference),
        old,
        advantages: advantages.to_vec(),
        entropies: vec![0.0; 12],
        values: vec![0.0; 12],
        groups: vec![0; 4],
        kept: vec![true; 4],
        ..Plain::default()
    }
}

const REWARDS: [f64; 4] = [1.0, 0.0, 0.5, 0.0];
const SCALED: [f64; 4] = [1.30530975, -0.78318585, 0.26106195, -0.78318585];
const PLAIN: [f64; 4] = [0.625, -0.375, 0.125, -0.375];

/// Advantages to all digits.
fn scaled() -> Vec<f64> {
    let table = RewardTable::single(&REWARDS).unwrap();
    group_normalized(&table, &Groups::new(&[0; 4]).unwrap(), &GroupNormalized::default()).unwrap().values
}

/// Solves the worked rollout with the scaled advantages.
fn solved(method: impl Into<PolicyGradient>) -> Solved {
    solve::<f64>(&method.into(), &worked(&scaled()))
}

#[test]
fn worked_advantages() {
    close(&scaled(), &SCALED, 1e-8);
    let none = GroupNormalized::default().with_scale_rewards(ScaleRewards::None);
    let (table, groups) = (RewardTable::single(&REWARDS).unwrap(), Groups::new(&[0; 4]).unwrap());
    close(&group_normalized(&table, &groups, &none).unwrap().values, &PLAIN, 1e-15);
    let rloo = |penalty: &[f64]| leave_one_out(&table, penalty, &groups, &LeaveOneOut::default()).unwrap().values;
    close(&rloo(&[]), &[0.83333333, -0.5, 0.16666667, -0.5], 1e-8);
    let plain = worked(&PLAIN);
    let penalty = sequence_penalty(&plain.old, &plain.reference, &plain.mask, 3, 0.05, Estimator::K1).unwrap();
    close(&penalty, &[-0.005, 0.005, -0.015, 0.0025], 1e-12);
    close(&rloo(&penalty), &[0.83583333, -0.51083333, 0.1825, -0.5075], 1e-8);
}

#[test]
fn worked_losses() {
    let no_kl = Grpo::default().with_kl(KlPenalty::none()).with_epsilon_high(0.28);
    let loss = |method: PolicyGradient| solved(method).loss;
    let dapo = Dapo::default();
    let by_sequence = no_kl.clone().with_ratio(RatioLevel::Sequence);
    let found = [
        loss(no_kl.clone().into()),
        loss(dapo.clone().into()),
        loss(Bnpo::default().with_epsilon_high(0.28).into()),
        loss(DrGrpo::default().with_aggregation(Aggregation::Constant(4.0)).with_epsilon_high(0.28).into()),
        loss(Cispo::default().into()),
        loss(Sapo::default().into()),
        loss(Gspo::default().into()),
        loss(by_sequence.into()),
        loss(no_kl.with_kl(KlPenalty::default()).into()),
        loss(dapo.with_kl(KlPenalty::default()).into()),
    ];
    let want = [
        -0.067126661173,
        0.146957437426,
        0.146957437426,
        0.082663558552,
        -0.110386895306,
        -0.127424851147,
        -0.000274115047,
        -0.098022546960,
        -0.065507957392,
        0.148827950779,
    ];
    close(&found, &want, 1e-11);
    let unscaled = DrGrpo::default().with_aggregation(Aggregation::Constant(4.0)).with_epsilon_high(0.28);
    close(&[solve::<f64>(&unscaled.into(), &worked(&PLAIN)).loss], &[0.039580432246], 1e-11);
}

#[test]
fn worked_divergences() {
    for (estimator, want) in
        [(Estimator::K1, -0.016666666667), (Estimator::K2, 0.047638888889), (Estimator::K3, 0.046762833836)]
    {
        let kl = KlPenalty { estimator, ..KlPenalty::default() };
        let figures = metrics(&solved(Dapo::default().with_kl(kl)).diagnostics);
        let kl = figures.iter().find(|(name, _)| *name == "kl").unwrap().1;
        close(&[kl], &[want], 1e-11);
    }
}

#[test]
fn worked_gradients() {
    let no_kl = Grpo::default().with_kl(KlPenalty::none()).with_epsilon_high(0.28);
    let dapo = [0.0, -0.15247049, 0.0, 0.07873954, 0.0, 0.10628726, -0.03370119, 0.0, 0.0, 0.11173673, 0.08277660, 0.0];
    close(&solved(Dapo::default()).grads[0], &dapo, 1e-8);
    let grpo = [0.0, -0.17152930, 0.0, 0.05905466, 0.0, 0.07971545, -0.07582768, 0.0, 0.0, 0.08380254, 0.06208245, 0.0];
    close(&solved(no_kl.clone()).grads[0], &grpo, 1e-8);
    let cispo = [
        -0.19577598,
        -0.15247049,
        0.0,
        0.07873954,
        0.05833169,
        0.10628726,
        -0.03370119,
        0.0,
        0.0,
        0.11173673,
        0.08277660,
        0.06446648,
    ];
    close(&solved(Cispo::default()).grads[0], &cispo, 1e-8);
    let [a, b, c, d] = [-0.19436816, 0.05905466, -0.07582768, 0.06312583];
    let sequence = [a, a, 0.0, b, b, b, c, 0.0, 0.0, d, d, d];
    close(&solved(no_kl.with_ratio(RatioLevel::Sequence)).grads[0], &sequence, 1e-8);
}

#[test]
fn worked_rloo() {
    let plain = worked(&[0.83583333333333, -0.51083333333333, 0.1825, -0.5075]);
    let solved = solve::<f64>(&Rloo::default().into(), &plain);
    close(&[solved.loss], &[-0.086790773244], 1e-11);
    let [c, d] = [-0.05300869, 0.11480125];
    close(&solved.grads[0], &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, c, 0.0, 0.0, d, d, d], 1e-8);
}

#[test]
fn worked_overlong_penalty() {
    let config = SoftOverlong { max_length: 100, cache: 20 };
    let found = [80, 90, 100, 101].map(|n| soft_overlong(n, &config).unwrap());
    close(&found, &[0.0, -0.5, -1.0, -1.0], 0.0);
}
