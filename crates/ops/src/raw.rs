//! The one place that looks inside dfdx: zero-copy views of CPU tensors and of their gradients.
use crate::params::Grads;
use dfdx::prelude::*;
use dfdx::tensor::CpuError;

/// What a backward pass returns: dfdx fixes the error type.
pub(crate) type Back<T> = Result<T, CpuError>;

/// Element strides, from the addresses of the unit vectors (dfdx keeps its own field private).
fn strides<S: Shape, E: Unit, T>(t: &Tensor<S, E, Cpu, T>) -> Vec<usize> {
    let (dims, zero) = (t.shape().concrete(), S::Concrete::default());
    let base = &t[zero] as *const E as usize;
    (0..S::NUM_DIMS)
        .map(|k| {
            if dims[k] < 2 {
                return 0;
            }
            let mut one = zero;
            one[k] = 1;
            (&t[one] as *const E as usize - base) / size_of::<E>()
        })
        .collect()
}

fn is_contiguous<S: Shape, E: Unit, T>(t: &Tensor<S, E, Cpu, T>) -> bool {
    if t.shape().num_elements() == 0 || S::NUM_DIMS == 0 {
        return true;
    }
    let (want, dims) = (t.shape().strides(), t.shape().concrete());
    strides(t).into_iter().enumerate().all(|(k, s)| dims[k] < 2 || s == want[k])
}

/// The elements of a contiguous tensor, without a copy.
///
/// # Panics
/// When the tensor is a strided view (permuted or broadcast): call `contiguous()` on it first.
pub fn data<S: Shape, E: Unit, T>(t: &Tensor<S, E, Cpu, T>) -> &[E] {
    let n = t.shape().num_elements();
    if n == 0 {
        return &[];
    }
    assert!(is_contiguous(t), "data() needs a contiguous tensor");
    let first: *const E = &t[S::Concrete::default()];
    // SAFETY: element 0 of the tensor's single Vec; its strides are dense row-major and indexing checked the bounds, so n
    // initialised elements follow; the borrow of `t` keeps them alive and unchanged.
    unsafe { std::slice::from_raw_parts(first, n) }
}

/// The elements of a contiguous tensor for writing; a shared buffer is copied first, as dfdx does.
///
/// # Panics
/// When the tensor is a strided view.
pub fn data_mut<S: Shape, E: Unit, T>(t: &mut Tensor<S, E, Cpu, T>) -> &mut [E] {
    let n = t.shape().num_elements();
    if n == 0 {
        return &mut [];
    }
    assert!(is_contiguous(t), "data_mut() needs a contiguous tensor");
    let first: *mut E = &mut t[S::Concrete::default()];
    // SAFETY: as in `data`; IndexMut made the buffer unique and `t` is borrowed mutably.
    unsafe { std::slice::from_raw_parts_mut(first, n) }
}

/// Finds one tensor's gradient in a store.
type Find<E> = Box<dyn for<'g> Fn(&'g mut Grads<E>) -> Back<&'g mut Vec<E>>>;

/// Key to one tensor's gradient buffer; keeps none of its data alive.
pub(crate) struct GradSlot<E: Unit> {
    find: Find<E>,
    len: usize,
}

impl<E: Unit> GradSlot<E> {
    pub(crate) fn of<S: Shape, T>(t: &Tensor<S, E, Cpu, T>) -> Self {
        let ghost = t.ghost();
        GradSlot { find: Box::new(move |g| Ok(&mut **g.get_or_alloc_mut(&ghost)?)), len: t.shape().num_elements() }
    }

    /// The buffer, zeros on first use. A buffer that another slot of the same tensor has taken is empty: the check of the
    /// length guards the kernels' writes.
    pub(crate) fn get<'g>(&self, g: &'g mut Grads<E>) -> Back<&'g mut Vec<E>> {
        let v = (self.find)(g)?;
        assert_eq!(v.len(), self.len, "one tensor is used twice in one operation");
        Ok(v)
    }

    /// Moves the buffer out, to hold several at once.
    pub(crate) fn take(&self, g: &mut Grads<E>) -> Back<Vec<E>> {
        Ok(std::mem::take(self.get(g)?))
    }

    pub(crate) fn put(&self, g: &mut Grads<E>, v: Vec<E>) -> Back<()> {
        *(self.find)(g)? = v;
        Ok(())
    }
}

/// Attaches a backward pass to `out`. It is given the output's gradient, whose memory goes back to the device's cache
/// right afterwards instead of at the end of the whole pass.
pub(crate) fn record<S: Shape, E: Dtype, T: Tape<E, Cpu>>(
    out: Tensor<S, E, Cpu>,
    mut tape: T,
    backward: impl FnOnce(&[E], &mut Grads<E>) -> Back<()> + 'static,
) -> Tensor<S, E, Cpu, T> {
    if T::OWNS_TAPE {
        let (slot, dev) = (GradSlot::of(&out), out.device().clone());
        tape.add_backward_op(move |grads| {
            let g = slot.take(grads)?;
            let result = backward(&g, grads);
            let n = g.len();
            if n > 0 {
                drop(dev.tensor_from_vec(g, (n,)));
            }
            result
        });
    }
    out.put_tape(tape)
}

/// Gradient of a tensor in a store; zeros when it has none yet.
///
/// # Errors
/// When the device cannot allocate.
// Free of a `Cpu: Device<E>` bound: in its scope the compiler no longer sees that the buffer is a Vec.
pub fn grad_mut<'g, S: Shape, E: Unit, T>(g: &'g mut Grads<E>, t: &Tensor<S, E, Cpu, T>) -> Back<&'g mut [E]> {
    Ok(&mut **g.get_or_alloc_mut(t)?)
}

/// Zeros whose pages exist. Lazily mapped zeros that several threads then read and write fault twice per page.
pub(crate) fn touched<E: Unit>(n: usize) -> Vec<E> {
    let mut v = Vec::with_capacity(n);
    v.resize(n, E::default());
    v
}
