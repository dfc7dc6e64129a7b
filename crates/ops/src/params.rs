//! Reaching every parameter of a model by name: what dfdx's own visitor cannot do for run-time sizes.
use crate::error::OpsError;
use crate::raw::grad_mut;
use dfdx::optim::UnusedTensors;
use dfdx::prelude::*;

/// The store of gradients.
pub type Grads<E> = Gradients<E, Cpu>;

/// A tape that operations with several inputs can use: [`OwnedTape`] or [`NoneTape`].
pub trait TapeOf<E: Dtype>: Tape<E, Cpu> + Merge<Self> {}
impl<E: Dtype, T: Tape<E, Cpu> + Merge<T>> TapeOf<E> for T {}

/// Something with named parameters that training changes. Names are the checkpoint's (`model.layers.0.self_attn.q_proj.weight`), so that loading,
/// saving, weight decay, norms and optimiser state all hang on this one visitor. The order is fixed.
pub trait Params<E: Dtype> {
    /// Shows every trained parameter.
    ///
    /// # Errors
    /// The visitor's first error ends the walk.
    fn visit<V: Visit<E>>(&self, v: &mut V) -> Result<(), V::Error>;

    /// Shows every trained parameter for writing, in the same order.
    ///
    /// # Errors
    /// The visitor's first error ends the walk.
    fn visit_mut<V: VisitMut<E>>(&mut self, v: &mut V) -> Result<(), V::Error>;
}

/// Looks at parameters.
pub trait Visit<E: Dtype> {
    /// what the visitor may fail with
    type Error;
    /// Is shown one parameter.
    ///
    /// # Errors
    /// Whatever ends the walk.
    fn tensor<S: Shape>(&mut self, name: &str, t: &Tensor<S, E, Cpu>) -> Result<(), Self::Error>;
}

/// Changes parameters.
pub trait VisitMut<E: Dtype> {
    /// what the visitor may fail with
    type Error;
    /// Is shown one parameter.
    ///
    /// # Errors
    /// Whatever ends the walk.
    fn tensor<S: Shape>(&mut self, name: &str, t: &mut Tensor<S, E, Cpu>) -> Result<(), Self::Error>;
}

/// A store of zeroed gradients in which only the parameters of `model` survive a backward pass.
///
/// # Errors
/// When the device cannot allocate.
pub fn alloc_grads<E: Dtype>(model: &impl Params<E>) -> Result<Grads<E>, OpsError> {
    struct Alloc<E: Dtype>(Grads<E>, UnusedTensors);
    impl<E: Dtype> Visit<E> for Alloc<E> {
        type Error = OpsError;
        fn tensor<S: Shape>(&mut self, _: &str, t: &Tensor<S, E, Cpu>) -> Result<(), OpsError> {
            self.1.add(t);
            // written once by one thread: lazily zeroed pages are slow under several
            grad_mut(&mut self.0, t)?.fill(E::default());
            Ok(())
        }
    }
    let mut a = Alloc(Gradients::leaky(), UnusedTensors::default());
    model.visit(&mut a)?;
    a.0.retain_leafs(&a.1.ids);
    Ok(a.0)
}

/// A fresh tape whose backward pass adds into `grads`.
///
/// ```
/// use dfdx::prelude::*;
/// let dev = Cpu::default();
/// let w: Tensor<Rank1<2>, f64, _> = dev.tensor([1.0, 2.0]);
/// let tape = tropism_ops::tape_into(&dev, Gradients::leaky());
/// let loss = w.clone().put_tape(tape).square().sum();
/// let grads = loss.backward();
/// assert_eq!(grads.get(&w).array(), [2.0, 4.0]);
/// ```
pub fn tape_into<E: Dtype>(dev: &Cpu, grads: Grads<E>) -> OwnedTape<E, Cpu>
where
    Cpu: Device<E>,
{
    let seed: Tensor<Rank0, E, Cpu> = dev.zeros();
    seed.traced(grads).split_tape().1
}
