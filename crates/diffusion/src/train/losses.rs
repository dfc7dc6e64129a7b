//! Errors of a network at noised samples, for losses to read.
use super::{Loss, Noised, Preferences, Process, Traced};
use crate::Stream;
use crate::denoiser::{Condition, Denoiser, DenoiserError, Rows};
use crate::objectives::PairErrors;
use crate::prediction::squared_errors;
use dfdx::prelude::*;
use tropism_core::{Diagnostics, LossTerms};
use tropism_ops::{Scalar, TapeOf};

/// Rows of numbers as a tensor.
///
/// # Errors
/// Numbers that are no rows of `width`, or none.
pub fn rows_of<E: Scalar>(numbers: &[f64], width: usize) -> Result<Rows<E>, DenoiserError>
where
    Cpu: Device<E>,
{
    if width == 0 || numbers.is_empty() || !numbers.len().is_multiple_of(width) {
        return Err(DenoiserError::Input(format!("{} numbers are no rows of {width}", numbers.len())));
    }
    let values: Vec<E> = numbers.iter().map(|&v| E::c(v)).collect();
    Cpu::default().try_tensor_from_vec(values, (numbers.len() / width, width)).map_err(DenoiserError::device)
}

/// Errors of a batch, one per row.
pub type Errors<E, T = NoneTape> = Tensor<(usize,), E, Cpu, T>;

/// The squared errors of a network at given noised samples, each a mean over its dimensions.
///
/// # Errors
/// Those of the network.
pub fn errors_at<E: Scalar, T: TapeOf<E>>(
    model: &impl Denoiser<E>,
    at: &Noised<E>,
    condition: &Condition<E>,
    tape: T,
) -> Result<Errors<E, T>, DenoiserError>
where
    Cpu: Device<E>,
{
    let output = model.predict(at.x.clone().put_tape(tape), &at.times, condition)?;
    Ok(squared_errors(output, &at.target)?)
}

/// The loss of pre-training: squared errors at a time and a noise per row, all of one weight.
///
/// # Errors
/// Those of the network.
pub fn denoising<E: Scalar>(
    model: &impl Denoiser<E>,
    process: &Process,
    (data, condition): (&Rows<E>, &Condition<E>),
    stream: &mut Stream,
    tape: Traced<E>,
) -> Result<Loss<E>, DenoiserError>
where
    Cpu: Device<E>,
{
    let (rows, width) = *data.shape();
    let times = process.draw_times(rows, stream);
    let noise = rows_of(&stream.normals(rows * width), width)?;
    let errors = errors_at(model, &process.noise(data, &noise, &times)?, condition, tape)?;
    Ok(LossTerms::new(errors, vec![1.0; rows], Diagnostics::default())?)
}

/// Errors of the policy, with the tape, and of the reference.
pub type PolicyAndReference<E> = (PairErrors<usize, E, Cpu, Traced<E>>, PairErrors<usize, E, Cpu>);

/// Errors of policy and reference on both members of each pair, at one time per pair, with one noise per pair (`shared`, as in the code of
/// Diffusion-DPO) or one per member (as in that of DSO). The policy is told the whole condition, the **reference never the user**.
///
/// # Errors
/// Those of the networks.
pub fn pair_errors<E: Scalar, M: Denoiser<E>>(
    (policy, reference): (&M, &M),
    process: &Process,
    pairs: &Preferences<E>,
    shared: bool,
    stream: &mut Stream,
    tape: Traced<E>,
) -> Result<PolicyAndReference<E>, DenoiserError>
where
    Cpu: Device<E>,
{
    let (rows, width) = *pairs.chosen.shape();
    let times = process.draw_times(rows, stream);
    let noise = rows_of(&stream.normals(rows * width), width)?;
    let other = if shared { noise.clone() } else { rows_of(&stream.normals(rows * width), width)? };
    let (won, lost) = (process.noise(&pairs.chosen, &noise, &times)?, process.noise(&pairs.rejected, &other, &times)?);
    let unknown = Condition { users: None, ..pairs.condition.clone() };
    let ours = PairErrors::new(
        errors_at(policy, &won, &pairs.condition, tape)?,
        errors_at(policy, &lost, &pairs.condition, Traced::default())?,
    )?;
    let theirs =
        PairErrors::new(errors_at(reference, &won, &unknown, NoneTape)?, errors_at(reference, &lost, &unknown, NoneTape)?)?;
    Ok((ours, theirs))
}
