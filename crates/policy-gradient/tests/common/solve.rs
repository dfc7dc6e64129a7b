//! Losses and gradients of a plain rollout.

use dfdx::prelude::*;
use tropism_core::numerics::{from_f64, to_f64};
use tropism_core::{Diagnostics, ScoreTable, TokenLogps};
use tropism_policy_gradient::{Critic, Field, Groups, Method, PolicyGradient, Rollout};

use super::plain::Plain;

/// What a loss gives for a rollout.
#[derive(Debug)]
pub(crate) struct Solved {
    /// Each row's share of the step's loss: its sum is the loss.
    pub(crate) shares: Vec<f64>,
    /// Losses per row of each part.
    pub(crate) parts: Vec<Vec<f64>>,
    pub(crate) denominators: Vec<f64>,
    pub(crate) loss: f64,
    /// Gradients of the loss in log-probabilities, entropies, values; 0 where a method does not read them.
    pub(crate) grads: [Vec<f64>; 3],
    pub(crate) diagnostics: Diagnostics,
}

type Table<E> = Tensor<(usize, usize), E, Cpu>;
/// A rollout with run-time sizes on a tape.
pub(crate) type Taped<E> = Rollout<usize, usize, E, Cpu, OwnedTape<E, Cpu>>;

/// Solves a rollout as a step of its own; `None` when nothing in it counts.
pub(crate) fn try_solve<E: Dtype>(method: &PolicyGradient, plain: &Plain, whole: Option<&[f64]>) -> Option<Solved>
where
    Cpu: Device<E>,
{
    let table = |values: &[f64]| -> Table<E> {
        from_f64::<(usize, usize), E, Cpu>(&Cpu::default(), values, (plain.rows, plain.width)).unwrap()
    };
    let leaves = [table(&plain.policy), table(&plain.entropies), table(&plain.values)];
    let terms = method.loss(rollout(method, plain, &leaves)).unwrap();
    let (parts, own, diagnostics) = (terms.part_values(), terms.denominators(), terms.diagnostics.clone());
    let denominators = whole.map_or(own.clone(), <[f64]>::to_vec);
    if denominators[0] == 0.0 {
        return None;
    }
    let share = |row: usize| {
        let each = parts.iter().zip(&denominators).filter(|(_, d)| **d > 0.0);
        each.map(|(part, d)| part[row] / d).sum::<f64>()
    };
    let shares = (0..plain.rows).map(share).collect();
    let loss = terms.into_scaled(&denominators).unwrap();
    let value = to_f64(&loss)[0];
    let mut grads = loss.backward();
    let grads = leaves.each_ref().map(|leaf| {
        // A leaf that was not read has no gradient yet.
        let _ = grads.get_or_alloc_mut(leaf).unwrap();
        to_f64(&grads.get(leaf))
    });
    Some(Solved { shares, parts, denominators: own, loss: value, grads, diagnostics })
}

/// Solves a rollout of which something counts.
pub(crate) fn solve<E: Dtype>(method: &PolicyGradient, plain: &Plain) -> Solved
where
    Cpu: Device<E>,
{
    try_solve(method, plain, None).unwrap()
}

/// The rollout with what the method reads.
fn rollout<E: Dtype>(method: &PolicyGradient, plain: &Plain, [policy, entropies, values]: &[Table<E>; 3]) -> Taped<E>
where
    Cpu: Device<E>,
{
    let reads = |field: Field| method.reads().iter().any(|(f, _)| *f == field);
    let constant = |values: &[f64]| {
        let table: Table<E> = from_f64(&Cpu::default(), values, (plain.rows, plain.width)).unwrap();
        TokenLogps::new(table, &plain.mask).unwrap()
    };
    let mut rollout = Rollout::new(TokenLogps::new(policy.leaky_trace(), &plain.mask).unwrap());
    if reads(Field::Advantages) {
        rollout = rollout.with_advantages(&plain.advantages).unwrap();
    }
    if reads(Field::Old) && !plain.old.is_empty() {
        rollout = rollout.with_old(constant(&plain.old)).unwrap();
    }
    if reads(Field::Reference) {
        rollout = rollout.with_reference(constant(&plain.reference)).unwrap();
    }
    if reads(Field::Sampler) {
        rollout = rollout.with_sampler(constant(&plain.sampler)).unwrap();
    }
    if reads(Field::Entropies) {
        let entropies = ScoreTable::new(entropies.retaped(), &plain.mask).unwrap();
        rollout = rollout.with_entropies(entropies).unwrap();
    }
    if reads(Field::Critic) {
        let values = ScoreTable::new(values.retaped(), &plain.mask).unwrap();
        rollout = rollout.with_critic(Critic::new(values, &plain.old_values, &plain.returns).unwrap()).unwrap();
    }
    if reads(Field::Rewards) {
        rollout = rollout.with_rewards(&plain.rewards).unwrap();
    }
    if reads(Field::Groups) {
        rollout = rollout.with_groups(Groups::new(&plain.groups).unwrap()).unwrap();
    }
    if let (true, Some(threshold)) = (reads(Field::EntropyThreshold), plain.entropy_threshold) {
        rollout = rollout.with_entropy_threshold(threshold);
    }
    if let (true, Some(divergence)) = (reads(Field::StepKl), plain.step_kl) {
        rollout = rollout.with_step_kl(divergence);
    }
    rollout.with_kept(&plain.kept).unwrap()
}
