//! Gradient checkpointing: activations are made again in the backward pass instead of being kept.
use crate::error::OpsError;
use crate::params::{Grads, Params, TapeOf, Visit};
use crate::raw::{Back, GradSlot, data, grad_mut, record};
use crate::scalar::Scalar;
use crate::simd::add_into;
use dfdx::prelude::*;

/// A part of a model that can be run again: with a tape when gradients are wanted, without one when not.
pub trait Part<S: Shape, E: Dtype>: Params<E> + 'static {
    /// what running it may fail with
    type Error: From<OpsError>;

    /// Runs the part on `x`.
    ///
    /// # Errors
    /// Whatever the part fails with.
    fn run<T: TapeOf<E>>(&self, x: Tensor<S, E, Cpu, T>) -> Result<Tensor<S, E, Cpu, T>, Self::Error>;
}

/// `part.run(x)` that keeps nothing but `x` for the backward pass, which runs the part once more.
///
/// Values and gradients equal those of `part.run(x)` to the last bit; the price is one more forward pass of the part, the
/// gain all of its activations.
///
/// # Gradient
/// To `x` and to the parameters that `part` shows its visitor; a parameter that it hides gets none.
///
/// # Errors
/// What the part fails with.
///
/// # Source
/// Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost", one segment per part.
pub fn checkpoint<S: Shape, E: Scalar, T: TapeOf<E>, P: Part<S, E>>(
    x: Tensor<S, E, Cpu, T>,
    part: P,
) -> Result<Tensor<S, E, Cpu, T>, P::Error>
where
    Cpu: Device<E>,
{
    let (x, tape) = x.try_contiguous().map_err(OpsError::from)?.split_tape();
    let out = part.run(x.clone())?;
    if !T::OWNS_TAPE {
        return Ok(out.put_tape(tape));
    }
    let slot = GradSlot::of(&x);
    Ok(record(out, tape, move |go, grads| {
        let mut inner = Gradients::leaky();
        move_gradients(&part, grads, &mut inner)?;
        // the same tensor under a name of its own: what it receives is handed on below
        let x = x.device().try_tensor_from_vec(data(&x).to_vec(), *x.shape())?;
        let y = part.run(x.clone().traced(inner)).map_err(|_| dfdx::tensor::CpuError::WrongNumElements)?;
        let seed = x.device().try_tensor_from_vec(go.to_vec(), *y.shape())?;
        let mut inner = y.try_mul(seed)?.try_sum::<Rank0, _>()?.try_backward()?;
        add_into(slot.get(grads)?, grad_mut(&mut inner, &x)?);
        move_gradients(&part, &mut inner, grads)
    }))
}

/// Moves the gradients of a part's parameters from one store to another.
fn move_gradients<E: Dtype>(part: &impl Params<E>, from: &mut Grads<E>, to: &mut Grads<E>) -> Back<()> {
    struct Move<'a, E: Dtype>(&'a mut Grads<E>, &'a mut Grads<E>);
    impl<E: Dtype> Visit<E> for Move<'_, E> {
        type Error = dfdx::tensor::CpuError;
        fn tensor<S: Shape>(&mut self, _: &str, t: &Tensor<S, E, Cpu>) -> Back<()> {
            let slot = GradSlot::of(t);
            let moved = slot.take(self.0)?;
            slot.put(self.1, moved)
        }
    }
    part.visit(&mut Move(from, to))
}
