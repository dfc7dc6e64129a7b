//! From data back to the noise that a network would have made them of: DDIM inversion and ReNoise.

use dfdx::prelude::*;
use tropism_core::options;
use tropism_core::options::any;
use tropism_core::{CoreError, OptionError};

use crate::prediction::{Linear, Prediction};
use crate::schedule::{Level, NoiseSchedule};
use crate::tensors::{combine, size};
use crate::{DiffusionError, Samples};

options! {
    DiffusionError;
    /// Options of [`invert`].
    Inversion = "inversion" {
        /// Corrections of each move: 0 (the default) is DDIM inversion, 1 is ReNoise as SmPO makes it.
        renoise: usize = 0, with_renoise, at_most_one;
        /// Whether the first move starts at the level of time 0 instead of `ᾱ = 1`; `set_alpha_to_one = False` of diffusers.
        from_first_level: bool = false, with_from_first_level, any;
    }
}

/// SmPO's code corrects once; how several corrections would be averaged is not said anywhere.
fn at_most_one(method: &'static str, key: &'static str, value: &usize) -> Result<(), OptionError> {
    OptionError::check(*value <= 1, (method, key, *value as f64), "0 or 1")
}

/// Inverts data along ascending times, one list per row, all of the same length. Returns the points: the data, then one for each move.
///
/// A move from `s` to `t` asks the network at the known point `x_s` with the time `t` (an exact inversion would need `x_t`), and
///
/// ```text
/// x_t = √ᾱ_t (x_s − √(1−ᾱ_s) ε̂)/√ᾱ_s + √(1−ᾱ_t) ε̂
/// ```
///
/// ReNoise makes this move to `y`, asks again at `y`, and repeats the move from `x_s` with the mean of both predictions. Nothing here
/// is on a tape. A prediction other than noise is converted at the level of the time that the network is asked with.
///
/// Source: the codes of Inversion-DPO (`train_ddim.py`) and SmPO (`train.py`). SmPO's stops at the last point of a fixed grid below `t`;
/// with [`inversion_times`](crate::schedule::inversion_times) the last point is exactly `t`.
///
/// # Errors
/// [`DiffusionError::Input`] unless each row has a list that ascends, all of one length; [`DiffusionError::Time`]; those of the model;
/// [`DiffusionError::NotFinite`].
pub fn invert<B: Dim, D: Dim, E: Dtype>(
    mut model: impl FnMut(&Samples<B, D, E>, &[f64]) -> Result<Samples<B, D, E>, DiffusionError>,
    schedule: &NoiseSchedule,
    prediction: Prediction,
    data: &Samples<B, D, E>,
    times: &[Vec<usize>],
    options: &Inversion,
) -> Result<Vec<Samples<B, D, E>>, DiffusionError>
where
    Cpu: Device<E>,
{
    options.check()?;
    let moves = check_times(times, size(data).0)?;
    let start = if options.from_first_level { schedule.level(0)? } else { Level::CLEAN };
    let mut from = vec![start; times.len()];
    let mut points = vec![data.clone()];
    for i in 0..moves {
        let asked: Vec<usize> = times.iter().map(|row| row[i]).collect();
        let to = schedule.levels(&asked)?;
        let t: Vec<f64> = asked.iter().map(|&t| t as f64).collect();
        let to_noise = to.iter().map(|&level| prediction.to(Prediction::Noise, level)).collect::<Result<Vec<_>, _>>()?;
        let x = &points[i];
        let mut noise = estimate(x, &model(x, &t)?, &to_noise)?;
        if options.renoise == 1 {
            let y = moved(x, &noise, &from, &to)?;
            let again = estimate(&y, &model(&y, &t)?, &to_noise)?;
            noise = combine(&[(&noise, &|_| 0.5), (&again, &|_| 0.5)])?;
        }
        let next = moved(x, &noise, &from, &to)?;
        if let Some(at) = next.as_vec().iter().position(|v| v.to_f64().is_none_or(|v| !v.is_finite())) {
            let row = at / size(&next).1;
            return Err(DiffusionError::NotFinite { what: "inverted sample", t: t[row], row });
        }
        points.push(next);
        from = to;
    }
    Ok(points)
}

/// The noise that takes data to an inverted point in one step of the forward process: `τ = (x_t − √ᾱ_t x₀)/√(1−ᾱ_t)`, the target of
/// SmPO and of Inversion-DPO's form with a target.
///
/// # Errors
/// [`DiffusionError::Shape`]; [`DiffusionError::Core`] unless there is one level per row; [`DiffusionError::Time`] where there is no
/// noise.
pub fn recovered_noise<B: Dim, D: Dim, E: Dtype, V: Device<E>>(
    point: &Tensor<(B, D), E, V>,
    data: &Tensor<(B, D), E, V>,
    levels: &[Level],
) -> Result<Tensor<(B, D), E, V>, DiffusionError> {
    CoreError::check_size("levels", size(point).0, levels.len())?;
    if levels.iter().any(|level| level.noise == 0.0) {
        let problem = "there is no noise at this time; invert to a later one".to_owned();
        return Err(DiffusionError::Time { what: "recovered noise", t: 0.0, problem });
    }
    combine(&[(point, &|row| 1.0 / levels[row].noise), (data, &|row| -levels[row].signal / levels[row].noise)])
}

/// The noise that an output means.
fn estimate<B: Dim, D: Dim, E: Dtype>(
    x: &Samples<B, D, E>,
    output: &Samples<B, D, E>,
    to_noise: &[Linear],
) -> Result<Samples<B, D, E>, DiffusionError>
where
    Cpu: Device<E>,
{
    combine(&[(x, &|row| to_noise[row].state), (output, &|row| to_noise[row].output)])
}

/// The move from one level to another with a given noise; between equal levels nothing moves.
fn moved<B: Dim, D: Dim, E: Dtype>(
    x: &Samples<B, D, E>,
    noise: &Samples<B, D, E>,
    from: &[Level],
    to: &[Level],
) -> Result<Samples<B, D, E>, DiffusionError>
where
    Cpu: Device<E>,
{
    let stays = |row: usize| from[row] == to[row];
    let ratio = |row: usize| to[row].signal / from[row].signal;
    combine(&[
        (x, &|row| if stays(row) { 1.0 } else { ratio(row) }),
        (noise, &|row| if stays(row) { 0.0 } else { to[row].noise - ratio(row) * from[row].noise }),
    ])
}

/// The number of moves.
fn check_times(times: &[Vec<usize>], rows: usize) -> Result<usize, DiffusionError> {
    CoreError::check_size("times", rows, times.len())?;
    let moves = times.first().map_or(0, Vec::len);
    let bad = times.iter().any(|row| row.len() != moves || row.windows(2).any(|w| w[1] < w[0]));
    if moves == 0 || bad {
        let problem = "give each row a list of times that ascends, all of the same length of at least 1".to_owned();
        return Err(DiffusionError::Input { method: "inversion", problem });
    }
    Ok(moves)
}
