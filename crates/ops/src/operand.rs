//! Weights that operations read, with or without a gradient.
use crate::error::OpsError;
use crate::params::TapeOf;
use crate::raw::GradSlot;
use dfdx::prelude::*;

/// A stored tensor, and whether training changes it.
///
/// Operations make a gradient for a trained tensor only, in no case one for another: neither its product is computed nor
/// its memory taken.
#[derive(Clone, Debug)]
pub struct Param<S: Shape, E: Dtype> {
    /// the numbers
    pub values: Tensor<S, E, Cpu>,
    /// whether it receives gradients, and visitors of trained parameters see it
    pub trained: bool,
}

impl<S: Shape, E: Dtype> Param<S, E> {
    /// A trained tensor.
    pub fn new(values: Tensor<S, E, Cpu>) -> Self {
        Param { values, trained: true }
    }

    /// Its shape.
    pub fn shape(&self) -> &S {
        self.values.shape()
    }
}

/// What operations take as a weight: a plain tensor, which receives a gradient, or a [`Param`], which may not.
pub trait Operand<E: Dtype>: Copy {
    /// of the tensor
    type Shape: Shape;
    /// The numbers.
    fn values(&self) -> &Tensor<Self::Shape, E, Cpu>;
    /// Whether a gradient is made.
    fn trained(&self) -> bool;
}

impl<S: Shape, E: Dtype> Operand<E> for &Tensor<S, E, Cpu> {
    type Shape = S;
    fn values(&self) -> &Tensor<S, E, Cpu> {
        self
    }
    fn trained(&self) -> bool {
        true
    }
}

impl<S: Shape, E: Dtype> Operand<E> for &Param<S, E> {
    type Shape = S;
    fn values(&self) -> &Tensor<S, E, Cpu> {
        &self.values
    }
    fn trained(&self) -> bool {
        self.trained
    }
}

/// Contiguous numbers of an operand, its gradient's slot when it has one, and the tape that a copy of a strided tensor is on.
pub(crate) type Taken<S, E, T> = (Tensor<S, E, Cpu>, Option<GradSlot<E>>, T);

/// Makes an operand ready for a kernel.
pub(crate) fn take<E: Dtype, W: Operand<E>, T: TapeOf<E>>(operand: W) -> Result<Taken<W::Shape, E, T>, OpsError>
where
    Cpu: Device<E>,
{
    if !operand.trained() {
        return Ok((operand.values().clone().try_contiguous()?, None, T::default()));
    }
    // retaped first: a strided tensor is copied, and the copy has to be on the tape
    let (values, tape) = operand.values().retaped::<T>().try_contiguous()?.split_tape();
    let slot = GradSlot::of(&values);
    Ok((values, Some(slot), tape))
}
