//! Batches of pairs as plain numbers, and their losses and gradients.

use dfdx::prelude::*;
use tropism_core::PairLogps;
use tropism_objectives::{Dpo, Ipo, Normalization, Objective, Simpo};

/// Plain numbers of a batch of pairs: log-probabilities of policy and reference, and lengths.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) policy: [Vec<f64>; 2],
    pub(crate) reference: [Vec<f64>; 2],
    pub(crate) lengths: [Vec<usize>; 2],
}

/// Losses per row and their gradients in the policy's chosen and rejected log-probabilities.
pub(crate) struct Solved {
    pub(crate) losses: Vec<f64>,
    pub(crate) grads: [Vec<f64>; 2],
    pub(crate) terms: tropism_core::Diagnostics,
}

pub(crate) fn pairwise() -> [Objective; 5] {
    let simpo = Simpo::default().with_gamma_beta_ratio(0.5);
    [
        Objective::Dpo(Dpo::default()),
        Objective::Ipo(Ipo::default()),
        Objective::Ipo(Ipo::default().with_normalization(Normalization::Sum)),
        Objective::Simpo(simpo.clone()),
        Objective::Simpo(simpo.with_label_smoothing(0.1)),
    ]
}

pub(crate) fn solve<E: Dtype>(objective: &Objective, batch: &Batch) -> Solved
where
    Cpu: Device<E>,
{
    let dev = Cpu::default();
    let tensor = |v: &[f64]| dev.tensor_from_vec(v.iter().map(|&x| E::from_f64(x).unwrap()).collect(), (v.len(),));
    let [chosen, rejected] = [tensor(&batch.policy[0]), tensor(&batch.policy[1])];
    let [n, m] = &batch.lengths;
    let policy = PairLogps::new(chosen.leaky_trace(), rejected.retaped(), n, m).unwrap();
    let [r, s] = &batch.reference;
    let reference = PairLogps::new(tensor(r), tensor(s), n, m).unwrap();
    let reference = objective.needs_reference().then_some(reference);
    let terms = objective.pair_loss(policy, reference).unwrap();
    assert_eq!(terms.weights, vec![1.0; n.len()]);
    let (losses, diagnostics) = (terms.values(), terms.diagnostics.clone());
    let grads = terms.sum().unwrap().backward();
    let grad = |t| tropism_core::numerics::to_f64(&grads.get(t));
    Solved { losses, grads: [grad(&chosen), grad(&rejected)], terms: diagnostics }
}

pub(crate) fn close(a: &[f64], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len());
    for (x, y) in a.iter().zip(b) {
        assert!((x - y).abs() <= tolerance * y.abs().max(1.0), "{a:?} is not {b:?}");
    }
}

/// Solves one pair and compares loss and gradients, to the digits that a sheet prints.
pub(crate) fn worked(objective: impl Into<Objective>, batch: &Batch, [loss, chosen, rejected]: [f64; 3], tolerance: f64) {
    let objective = objective.into();
    let solved = solve::<f64>(&objective, batch);
    let found = [solved.losses[0], solved.grads[0][0], solved.grads[1][0]];
    for (found, want) in found.iter().zip([loss, chosen, rejected]) {
        assert!((found - want).abs() <= tolerance, "{}: {found:?}, not {want:?}", objective.name());
    }
}
