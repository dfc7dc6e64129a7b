//! Batches with given numbers.

use tropism_objectives::Objective;

use super::pairs::close;
use super::plain::{Plain, Rng};
use super::solve::{Solved, solve};

/// A batch with the given (policy, reference) of each side, one entry per row, and columns in the method's order.
pub(crate) fn solved(objective: impl Into<Objective>, sides: &[(&[f64], &[f64])], columns: &[&[f64]]) -> Solved {
    let objective = objective.into();
    let rows = sides[0].0.len();
    let mut plain = Plain::random(&objective, rows, 1.0, &mut Rng(1));
    for (side, given) in plain.sides.iter_mut().zip(sides) {
        (side.policy, side.reference, side.lengths) = (given.0.to_vec(), given.1.to_vec(), vec![1; rows]);
    }
    for ((_, values), given) in plain.columns.iter_mut().zip(columns) {
        *values = given.to_vec();
    }
    solve::<f64>(&objective, &plain)
}

/// Loss, and gradients side by side.
pub(crate) fn check(found: &Solved, loss: f64, grads: &[f64], tolerance: f64) {
    close(&[found.loss], &[loss], tolerance);
    close(&found.grads.concat(), grads, tolerance);
}
