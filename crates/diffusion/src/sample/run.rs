//! Following a list of moves.

use dfdx::prelude::*;
use tropism_core::numerics::{from_f64, to_f64};

use super::{Kernel, step_logps};
use crate::tensors::size;
use crate::{DiffusionError, Samples, Stream};

/// One move of a sampler: the network is asked at time `t`, then the kernel is applied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Move {
    /// The time that the network is given.
    pub t: f64,
    /// The step.
    pub kernel: Kernel,
}

/// The way of a batch of samples.
#[derive(Clone, Debug)]
pub struct Trajectory<B: Dim, D: Dim, E: Dtype> {
    /// States before each move, and the last one: one more than there are moves.
    pub states: Vec<Samples<B, D, E>>,
    /// The network's output before each move.
    pub outputs: Vec<Samples<B, D, E>>,
    /// Log-density of each move and row, averaged over dimensions; `None` where the move has no noise. See [`step_logps`].
    pub logps: Vec<Option<Vec<f64>>>,
}

/// Samples by `moves` from `start`, which is usually standard normal noise.
///
/// `model` is given the states and one time per row. Deterministic moves draw nothing from `stream`.
///
/// # Errors
/// Those of the model; [`DiffusionError::NotFinite`] with time and row; [`DiffusionError::Shape`].
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_diffusion::prediction::Prediction;
/// use tropism_diffusion::sample::{euler_moves, sample};
/// use tropism_diffusion::schedule::flow_times;
/// use tropism_diffusion::{DiffusionError, Samples, Stream};
///
/// // A flow whose data are all at 2: the velocity at x is (x − 2)/t.
/// let model = |x: &Samples<usize, usize, f64>, t: &[f64]| {
///     let t = t[0];
///     Ok::<_, DiffusionError>((x.clone() - 2.0) / t)
/// };
/// let moves = euler_moves(Prediction::Velocity, &flow_times(10)?)?;
/// let start = Cpu::default().tensor_from_vec(vec![0.3, -1.1], (2, 1));
/// let found = sample(model, &moves, &start, &mut Stream::new(0, 0))?;
/// assert!(found.as_vec().iter().all(|x| (x - 2.0).abs() < 1e-12));
/// # Ok::<(), DiffusionError>(())
/// ```
pub fn sample<B: Dim, D: Dim, E: Dtype>(
    mut model: impl FnMut(&Samples<B, D, E>, &[f64]) -> Result<Samples<B, D, E>, DiffusionError>,
    moves: &[Move],
    start: &Samples<B, D, E>,
    stream: &mut Stream,
) -> Result<Samples<B, D, E>, DiffusionError>
where
    Cpu: Device<E>,
{
    let mut x = start.clone();
    for one in moves {
        x = step(&mut model, one, &x, stream)?.1;
    }
    Ok(x)
}

/// As [`sample`], and keeps states, outputs and log-densities.
///
/// # Errors
/// As [`sample`].
pub fn trajectory<B: Dim, D: Dim, E: Dtype>(
    mut model: impl FnMut(&Samples<B, D, E>, &[f64]) -> Result<Samples<B, D, E>, DiffusionError>,
    moves: &[Move],
    start: &Samples<B, D, E>,
    stream: &mut Stream,
) -> Result<Trajectory<B, D, E>, DiffusionError>
where
    Cpu: Device<E>,
{
    let mut kept = Trajectory { states: vec![start.clone()], outputs: Vec::new(), logps: Vec::new() };
    let mut x = start.clone();
    for one in moves {
        let (output, next) = step(&mut model, one, &x, stream)?;
        let kernels = vec![one.kernel; size(&x).0];
        kept.logps.push(match one.kernel.std > 0.0 {
            true => Some(to_f64(&step_logps(&kernels, &x, output.clone(), &next)?)),
            false => None,
        });
        kept.outputs.push(output);
        kept.states.push(next.clone());
        x = next;
    }
    Ok(kept)
}

/// Output and next state.
fn step<B: Dim, D: Dim, E: Dtype>(
    model: &mut impl FnMut(&Samples<B, D, E>, &[f64]) -> Result<Samples<B, D, E>, DiffusionError>,
    one: &Move,
    x: &Samples<B, D, E>,
    stream: &mut Stream,
) -> Result<(Samples<B, D, E>, Samples<B, D, E>), DiffusionError>
where
    Cpu: Device<E>,
{
    let (rows, columns) = size(x);
    let output = model(x, &vec![one.t; rows])?;
    DiffusionError::check_shape("output of the network", (rows, columns), size(&output))?;
    let next = match one.kernel.std > 0.0 {
        true => {
            let noise = from_f64(x.device(), &stream.normals(rows * columns), *x.shape())?;
            one.kernel.next(x, &output, &noise)?
        }
        false => one.kernel.mean(x, &output)?,
    };
    match to_f64(&next).iter().position(|v| !v.is_finite()) {
        None => Ok((output, next)),
        Some(at) => Err(DiffusionError::NotFinite { what: "sample", t: one.t, row: at / columns }),
    }
}
