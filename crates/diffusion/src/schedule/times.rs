//! Times at which a sampler asks its network, and times of training.

use crate::{DiffusionError, Stream};

/// Descending times of a sampler with `samples` moves on a schedule of `steps`: `round(i (T−1)/(S−1))`, halves up; the last move then
/// goes to the data.
///
/// # Errors
/// [`DiffusionError::Input`] unless `1 ≤ samples ≤ steps`.
///
/// ```
/// use tropism_diffusion::schedule::sampling_times;
///
/// assert_eq!(sampling_times(1000, 4)?, [999, 666, 333, 0]);
/// assert_eq!(sampling_times(1000, 1)?, [999]);
/// # Ok::<(), tropism_diffusion::DiffusionError>(())
/// ```
pub fn sampling_times(steps: usize, samples: usize) -> Result<Vec<usize>, DiffusionError> {
    check_moves("sampling times", samples, steps)?;
    Ok(match samples {
        1 => vec![steps - 1],
        _ => (0..samples).rev().map(|i| rounded(i * (steps - 1), samples - 1)).collect(),
    })
}

/// Ascending times of an inversion in `moves` moves that ends exactly at `t`: `round(i t / S)` for `i = 1..S`, halves up.
///
/// For `t < S` points repeat; a move between equal times changes nothing.
///
/// # Errors
/// [`DiffusionError::Input`] without moves.
///
/// ```
/// use tropism_diffusion::schedule::inversion_times;
///
/// assert_eq!(inversion_times(499, 5)?, [100, 200, 299, 399, 499]);
/// # Ok::<(), tropism_diffusion::DiffusionError>(())
/// ```
pub fn inversion_times(t: usize, moves: usize) -> Result<Vec<usize>, DiffusionError> {
    check_moves("inversion times", moves, usize::MAX)?;
    Ok((1..=moves).map(|i| rounded(i * t, moves)).collect())
}

/// `moves + 1` evenly spaced times from 1 to 0.
///
/// # Errors
/// [`DiffusionError::Input`] without moves.
pub fn flow_times(moves: usize) -> Result<Vec<f64>, DiffusionError> {
    check_moves("flow times", moves, usize::MAX)?;
    Ok((0..=moves).map(|i| (moves - i) as f64 / moves as f64).collect())
}

/// A time of training for flows: `σ(mean + sd · N(0, 1))`. SD3 draws with 0 and 1, TRELLIS and DSO with 1 and 1.
pub fn logit_normal_time(stream: &mut Stream, mean: f64, sd: f64) -> f64 {
    tropism_core::numerics::sigmoid_scalar(mean + sd * stream.normal())
}

/// `a / b`, halves up.
fn rounded(a: usize, b: usize) -> usize {
    (2 * a + b) / (2 * b)
}

fn check_moves(method: &'static str, moves: usize, most: usize) -> Result<(), DiffusionError> {
    let problem = format!("{moves} moves cannot be made; give at least 1 and at most one for each time of the schedule");
    if (1..=most).contains(&moves) { Ok(()) } else { Err(DiffusionError::Input { method, problem }) }
}
