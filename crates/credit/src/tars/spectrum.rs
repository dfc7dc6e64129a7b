//! Energy of hidden states in the real part of their spectrum.

use dfdx::prelude::*;
use tropism_core::CoreError;
use tropism_core::numerics::{detach, from_f64, scalar, to_f64};

use crate::CreditError;

/// Energy of the states of one sequence, `tokens × features` row by row, and its gradient in them.
///
/// With `n` tokens, the sum over frequencies and features of the squared real part of the discrete Fourier transform along
/// the tokens. It needs no transform: cosines of two frequencies are orthogonal, so that
///
/// ```text
/// F(z) = Σ_{k,d} (Re Σ_l z_{l,d} e^{−2πikl/n})² = n/2 Σ_{l,d} z_{l,d} (z_{l,d} + z_{−l mod n,d})
/// ∂F/∂z_{l,d} = n (z_{l,d} + z_{−l mod n,d})
/// ```
///
/// Source: arXiv 2507.21584, equations 10 and 11; that the bins' squares are summed is our reading. Unlike energies of
/// magnitudes it changes when tokens move.
///
/// # Errors
/// [`CreditError::Core`] when the states are no whole number of tokens, are none, or hold one that is not finite.
///
/// ```
/// use tropism_credit::spectral_energy;
///
/// let (energy, _) = spectral_energy(&[1.0, 0.0, 0.5, -1.0, 0.0, 2.0], 2)?;
/// assert!((energy - 4.875).abs() < 1e-12);
/// # Ok::<(), tropism_credit::CreditError>(())
/// ```
pub fn spectral_energy(states: &[f64], features: usize) -> Result<(f64, Vec<f64>), CreditError> {
    if states.is_empty() || features == 0 {
        return Err(CoreError::Empty { what: "hidden states" }.into());
    }
    let tokens = states.len() / features;
    CoreError::check_size("hidden states", tokens * features, states.len())?;
    CoreError::check_finite("hidden state", states)?;
    let mirrored = |i: usize| {
        let (l, d) = (i / features, i % features);
        states[i] + states[(tokens - l) % tokens * features + d]
    };
    let slopes: Vec<f64> = (0..states.len()).map(|i| tokens as f64 * mirrored(i)).collect();
    let energy = states.iter().zip(&slopes).map(|(z, s)| 0.5 * z * s).sum();
    Ok((energy, slopes))
}

/// Energies `[B]` of the states of `B` sequences of the given lengths, `[B, L, H]`, with their gradient; see
/// [`spectral_energy`]. States beyond a sequence's length do not count, whatever they hold.
///
/// # Errors
/// [`CreditError::Core`] without states, unless there is one length per sequence, or for a counted state that is not finite;
/// [`CreditError::Outside`] for a length of 0 or above `L`.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_credit::spectral_energies;
///
/// let states = Cpu::default().tensor([[[1.0, 0.2], [0.3, -1.0], [0.0, 1.8]], [[3.0, 4.0], [f64::NAN; 2], [0.0; 2]]]);
/// let energies = spectral_energies(states.leaky_trace(), &[3, 1])?;
/// assert!((energies.array()[0] - 4.215).abs() < 1e-12 && energies.array()[1] == 25.0);
/// assert_eq!(energies.sum().backward().get(&states).array()[1], [[6.0, 8.0], [0.0; 2], [0.0; 2]]);
/// # Ok::<(), tropism_credit::CreditError>(())
/// ```
pub fn spectral_energies<B: Dim, L: Dim, H: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    states: Tensor<(B, L, H), E, D, T>,
    lengths: &[usize],
) -> Result<Tensor<(B,), E, D, T>, CreditError> {
    let shape = *states.shape();
    let (rows, tokens, features) = (shape.0.size(), shape.1.size(), shape.2.size());
    CoreError::check_size("lengths", rows, lengths.len())?;
    let (cells, device) = (to_f64(&states), states.device().clone());
    let (mut energies, mut slopes) = (Vec::with_capacity(rows), vec![0.0; cells.len()]);
    let mut counted = vec![0.0; cells.len()];
    for (row, &length) in lengths.iter().enumerate() {
        if length == 0 || length > tokens {
            let index = length.wrapping_sub(1);
            return Err(CreditError::Outside { what: "last token", row, index, bound: tokens });
        }
        let range = row * tokens * features..(row * tokens + length) * features;
        let (energy, gradient) = spectral_energy(&cells[range.clone()], features)?;
        energies.push(energy);
        slopes[range.clone()].copy_from_slice(&gradient);
        counted[range].fill(1.0);
    }
    let counted: Tensor<(B, L, H), E, D> = from_f64(&device, &counted, shape)?;
    let mask = counted.try_gt(scalar::<E>(0.5)?).map_err(CoreError::device)?;
    let zeros: Tensor<(B, L, H), E, D> = device.try_zeros_like(&states).map_err(CoreError::device)?;
    let kept = mask.try_choose(states, zeros).map_err(CoreError::device)?;
    let slopes: Tensor<(B, L, H), E, D> = from_f64(&device, &slopes, shape)?;
    let energies: Tensor<(B,), E, D> = from_f64(&device, &energies, (shape.0,))?;
    // x - x is exactly 0, so the energies are untouched while the tape sees the slopes.
    let origin = detach(&kept)?;
    let offset = kept.try_sub(origin).and_then(|d| d.try_mul(slopes)).map_err(CoreError::device)?;
    let offset: Tensor<(B,), E, D, T> = offset.try_sum::<_, Axes2<1, 2>>().map_err(CoreError::device)?;
    Ok(offset.try_add(energies).map_err(CoreError::device)?)
}
