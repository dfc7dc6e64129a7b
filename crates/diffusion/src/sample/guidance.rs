//! Classifier-free guidance.

use dfdx::prelude::*;
use tropism_core::CoreError;
use tropism_core::numerics::scalar;

use crate::tensors::size;
use crate::{DiffusionError, Samples};

/// `ŷ_∅ + w (ŷ_c − ŷ_∅)` from the outputs without and with the condition; carries the gradients of both.
///
/// `w = 1` is the conditional output, `w = 0` the unconditional one, to the bit. What is linear in the output may be guided before or
/// after a conversion.
///
/// Source: arXiv 2207.12598, with `w` one larger than there, as implementations count it.
///
/// # Errors
/// [`DiffusionError::Shape`]; [`DiffusionError::Core`].
pub fn guided_output<B: Dim, D: Dim, E: Dtype, V: Device<E>, T: Tape<E, V> + Merge<T>>(
    unconditional: Tensor<(B, D), E, V, T>,
    conditional: Tensor<(B, D), E, V, T>,
    scale: f64,
) -> Result<Tensor<(B, D), E, V, T>, DiffusionError> {
    DiffusionError::check_shape("conditional output", size(&unconditional), size(&conditional))?;
    let conditional = conditional.try_mul(scalar::<E>(scale)?).map_err(CoreError::device)?;
    let unconditional = unconditional.try_mul(scalar::<E>(1.0 - scale)?).map_err(CoreError::device)?;
    Ok(conditional.try_add(unconditional).map_err(CoreError::device)?)
}

/// A denoiser that guides: it asks `unconditional` and `conditional` and mixes their outputs with the given scale.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_diffusion::{DiffusionError, Samples};
/// use tropism_diffusion::sample::guided;
///
/// let plain = |x: &Samples<usize, usize, f64>, _: &[f64]| Ok::<_, DiffusionError>(x.clone());
/// let tripled = |x: &Samples<usize, usize, f64>, _: &[f64]| Ok::<_, DiffusionError>(x.clone() * 3.0);
/// let mut model = guided(plain, tripled, 2.0);
/// let x = Cpu::default().tensor_from_vec(vec![1.0], (1, 1));
/// assert_eq!(model(&x, &[0.0])?.as_vec(), [5.0]);
/// # Ok::<(), DiffusionError>(())
/// ```
pub fn guided<B: Dim, D: Dim, E: Dtype>(
    mut unconditional: impl FnMut(&Samples<B, D, E>, &[f64]) -> Result<Samples<B, D, E>, DiffusionError>,
    mut conditional: impl FnMut(&Samples<B, D, E>, &[f64]) -> Result<Samples<B, D, E>, DiffusionError>,
    scale: f64,
) -> impl FnMut(&Samples<B, D, E>, &[f64]) -> Result<Samples<B, D, E>, DiffusionError>
where
    Cpu: Device<E>,
{
    move |x, t| guided_output(unconditional(x, t)?, conditional(x, t)?, scale)
}
