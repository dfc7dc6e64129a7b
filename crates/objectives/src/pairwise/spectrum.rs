//! What TARS needs beside log-probabilities: energies of spectra, and the prompt tokens to perturb.

use dfdx::prelude::*;
use tropism_core::{CoreError, numerics};

use super::Tars;
use crate::ObjectiveError;
use crate::options::positive;

/// Log of the energy in the real parts of the spectrum along the tokens, of `P` rows of states `[P, L, H]`.
///
/// Of a row with `n` tokens (`lengths`; what stands beyond them is ignored):
///
/// ```text
/// F = Σ_{k,d} (Re Σ_t z_{t,d} e^{−2πikt/n})² = (n/2) Σ_d (Σ_t z_{t,d}² + Σ_t z_{t,d} z_{−t,d})     −t is taken modulo n
/// value = log F     ∂(log F)/∂z_{t,d} = n (z_{t,d} + z_{−t,d}) / F
/// ```
///
/// The sum over cosines is done in closed form, so no transform is needed and the cost is that of reading the states. `F` is 0
/// when every column is odd, `z_{−t} = −z_t`.
///
/// # Errors
/// [`ObjectiveError::Core`]: unless there is one length per row, from 1 to `L`; for states that are not finite; for an energy
/// of 0, which has no logarithm.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_objectives::log_spectral_energy;
///
/// let states = Cpu::default().tensor([[[1.0_f64, 0.0], [0.5, -1.0], [0.0, 2.0]]]);
/// assert!((log_spectral_energy(states, &[3])?.array()[0].exp() - 4.875).abs() < 1e-12);
/// # Ok::<(), tropism_objectives::ObjectiveError>(())
/// ```
pub fn log_spectral_energy<P: Dim, L: Dim, H: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    states: Tensor<(P, L, H), E, D, T>,
    lengths: &[usize],
) -> Result<Tensor<(P,), E, D, T>, ObjectiveError> {
    let (rows, tokens, width) = *states.shape();
    let each = tokens.size() * width.size();
    CoreError::check_size("lengths of states", rows.size(), lengths.len())?;
    if lengths.iter().any(|&n| n == 0 || n > tokens.size()) || width.size() == 0 {
        return Err(CoreError::Empty { what: "row of states, or longer than its tensor," }.into());
    }
    let (values, mut logs, mut slopes, mut counted) = (numerics::to_f64(&states), Vec::new(), Vec::new(), Vec::new());
    for (row, &n) in values.chunks(each).zip(lengths) {
        let (energy, gradient) = energy(&row[..n * width.size()], width.size());
        logs.push(energy.ln());
        slopes.extend(gradient.iter().map(|g| g / energy));
        slopes.resize(slopes.len() + each - gradient.len(), 0.0);
        counted.extend((0..each).map(|i| if i < gradient.len() { 1.0 } else { 0.0 }));
    }
    CoreError::check_finite("log of a spectral energy", &logs)?;
    Ok(attach(states, &logs, &slopes, &counted)?)
}

/// Energy and its gradient of states `[n, width]`.
fn energy(states: &[f64], width: usize) -> (f64, Vec<f64>) {
    let n = states.len() / width;
    let folded = |i: usize| states[i] + states[(n - i / width) % n * width + i % width];
    let gradient: Vec<f64> = (0..states.len()).map(|i| n as f64 * folded(i)).collect();
    // F is a quadratic form: half the inner product with its gradient.
    (0.5 * states.iter().zip(&gradient).map(|(z, g)| z * g).sum::<f64>(), gradient)
}

/// `values` per row with `slopes` as gradient in the counted states.
fn attach<P: Dim, L: Dim, H: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    states: Tensor<(P, L, H), E, D, T>,
    values: &[f64],
    slopes: &[f64],
    counted: &[f64],
) -> Result<Tensor<(P,), E, D, T>, CoreError> {
    let (device, shape) = (states.device().clone(), *states.shape());
    let slopes: Tensor<(P, L, H), E, D> = numerics::from_f64(&device, slopes, shape)?;
    let counted: Tensor<(P, L, H), E, D> = numerics::from_f64(&device, counted, shape)?;
    let values: Tensor<(P,), E, D> = numerics::from_f64(&device, values, (shape.0,))?;
    let mask = counted.try_gt(numerics::scalar::<E>(0.5)?).map_err(CoreError::device)?;
    let zeros: Tensor<(P, L, H), E, D> = device.try_zeros_like(&states).map_err(CoreError::device)?;
    let kept = mask.try_choose(states, zeros).map_err(CoreError::device)?;
    // x - x is exactly 0, so the values are untouched while the tape sees the slopes.
    let origin = numerics::detach(&kept)?;
    let offset = kept.try_sub(origin).and_then(|d| d.try_mul(slopes)).map_err(CoreError::device)?;
    let offset: Tensor<(P, L), E, D, T> = offset.try_sum::<_, Axis<2>>().map_err(CoreError::device)?;
    let offset: Tensor<(P,), E, D, T> = offset.try_sum::<_, Axis<1>>().map_err(CoreError::device)?;
    offset.try_add(values).map_err(CoreError::device)
}

/// The prompt tokens that TARS perturbs, least relevant first: the `n` tokens that matter least for the image.
///
/// With relevances `s` of the prompt's tokens and `Δ` the gap between the two smallest:
///
/// ```text
/// n = min(⌊ω/Δ + 1e-9⌋ + 1, tokens)     all tokens where Δ = 0
/// ```
///
/// The small number keeps differences of floats from falling below a whole number; it is ours. Equal relevances are taken from
/// the left. The authors' code draws a fixed share of all tokens at random instead, responses included.
///
/// # Errors
/// [`ObjectiveError::Config`] for a scale `ω` that is not positive, [`ObjectiveError::Core`] for relevances that are not finite
/// or not there.
///
/// ```
/// use tropism_objectives::perturbed_tokens;
///
/// assert_eq!(perturbed_tokens(&[0.31, 0.22, 0.18, 0.16, 0.10], 0.1)?, [4, 3]);
/// # Ok::<(), tropism_objectives::ObjectiveError>(())
/// ```
pub fn perturbed_tokens(relevance: &[f64], omega: f64) -> Result<Vec<usize>, ObjectiveError> {
    positive(Tars::NAME, "omega", &omega)?;
    CoreError::check_finite("relevance", relevance)?;
    let mut order: Vec<usize> = (0..relevance.len()).collect();
    order.sort_by(|&i, &j| relevance[i].total_cmp(&relevance[j]));
    let gap = match order.as_slice() {
        [] => return Err(CoreError::Empty { what: "relevance" }.into()),
        [_] => f64::INFINITY,
        [least, next, ..] => relevance[*next] - relevance[*least],
    };
    // A gap of 0 gives infinity, which is cut at the number of tokens.
    let wanted = (omega / gap + 1e-9).floor() + 1.0;
    order.truncate(wanted.min(relevance.len() as f64) as usize);
    Ok(order)
}
