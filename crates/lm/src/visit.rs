//! Every tensor by its checkpoint name: all, or those that training changes.
use crate::architecture::{HEAD, Names};
use crate::decoder::Decoder;
use crate::dims::Dims;
use crate::layer::{Layer, Qkv};
use crate::matrix::Matrix;
use crate::part::LayerPart;
use dfdx::prelude::*;
use tropism_ops::{Param, Params, Visit, VisitMut};

/// What a tensor belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// the checkpoint
    Base,
    /// an adapter that is computed beside its weight
    Adapter,
    /// an adapter that has been added to its weight
    Merged,
}

/// Looks at all tensors of a model, trained or not.
pub(crate) trait See<E: Dtype> {
    type Error;
    fn param<S: Shape>(&mut self, name: &str, origin: Origin, p: &Param<S, E>) -> Result<(), Self::Error>;
}

/// Changes tensors of a model, trained or not.
pub(crate) trait SeeMut<E: Dtype> {
    type Error;
    fn param<S: Shape>(&mut self, name: &str, origin: Origin, p: &mut Param<S, E>) -> Result<(), Self::Error>;
}

/// Which tensors a visitor is shown.
#[derive(Clone, Copy)]
enum Walk {
    Trained,
    Checkpoint,
    Adapter,
}

impl Walk {
    fn shows(self, origin: Origin, trained: bool) -> bool {
        match self {
            Walk::Trained => trained && origin != Origin::Merged,
            Walk::Checkpoint => origin == Origin::Base,
            Walk::Adapter => origin != Origin::Base,
        }
    }
}

/// A visitor of some tensors as one of all.
struct Only<'a, V>(&'a mut V, Walk);

impl<E: Dtype, V: Visit<E>> See<E> for Only<'_, V> {
    type Error = V::Error;
    fn param<S: Shape>(&mut self, name: &str, origin: Origin, p: &Param<S, E>) -> Result<(), V::Error> {
        if self.1.shows(origin, p.trained) { self.0.tensor(name, &p.values) } else { Ok(()) }
    }
}

impl<E: Dtype, V: VisitMut<E>> SeeMut<E> for Only<'_, V> {
    type Error = V::Error;
    fn param<S: Shape>(&mut self, name: &str, origin: Origin, p: &mut Param<S, E>) -> Result<(), V::Error> {
        if self.1.shows(origin, p.trained) { self.0.tensor(name, &mut p.values) } else { Ok(()) }
    }
}

/// Weight and bias of a norm.
macro_rules! pair {
    ($v:ident, $name:expr, $part:expr, $($mode:tt)+) => {{
        let name = $name;
        $v.param(&format!("{name}.weight"), Origin::Base, $($mode)+ $part.weight)?;
        if let Some(bias) = $($mode)+ $part.bias {
            $v.param(&format!("{name}.bias"), Origin::Base, bias)?;
        }
    }};
}

/// Weight, bias and adapter of a projection; a rounded weight is no tensor.
macro_rules! projection {
    ($v:ident, $name:expr, $part:expr, $($mode:tt)+) => {{
        let name = $name;
        if let Matrix::Dense(weight) = $($mode)+ $part.weight {
            $v.param(&format!("{name}.weight"), Origin::Base, weight)?;
        }
        if let Some(bias) = $($mode)+ $part.bias {
            $v.param(&format!("{name}.bias"), Origin::Base, bias)?;
        }
        if let Some(lora) = $($mode)+ $part.lora {
            let origin = if lora.merged { Origin::Merged } else { Origin::Adapter };
            $v.param(&format!("{name}.lora_A.weight"), origin, $($mode)+ lora.a)?;
            $v.param(&format!("{name}.lora_B.weight"), origin, $($mode)+ lora.b)?;
        }
    }};
}

/// The tensors of layer `i`.
macro_rules! layer {
    ($v:ident, $l:expr, $names:expr, $i:expr, $($mode:tt)+) => {{
        let parts = $names.parts();
        let name = |part: &str| $names.layer($i, part);
        pair!($v, name(parts.input_norm), $l.input_norm, $($mode)+);
        match $($mode)+ $l.qkv {
            Qkv::Apart(q, k, v) => {
                projection!($v, name(parts.qkv[0]), q, $($mode)+);
                projection!($v, name(parts.qkv[1]), k, $($mode)+);
                projection!($v, name(parts.qkv[2]), v, $($mode)+);
            }
            Qkv::Fused(all) => projection!($v, name(parts.fused), all, $($mode)+),
        }
        if let Some((q, k)) = $($mode)+ $l.head_norms {
            pair!($v, name(parts.head_norms[0]), q, $($mode)+);
            pair!($v, name(parts.head_norms[1]), k, $($mode)+);
        }
        projection!($v, name(parts.output), $l.output, $($mode)+);
        if let Some(norm) = $($mode)+ $l.attention_norm {
            pair!($v, name(parts.attention_norm), norm, $($mode)+);
        }
        pair!($v, name(parts.ff_norm), $l.ff_norm, $($mode)+);
        if let Some(gate) = $($mode)+ $l.ff.gate {
            projection!($v, name(parts.gate), gate, $($mode)+);
        }
        projection!($v, name(parts.up), $l.ff.up, $($mode)+);
        projection!($v, name(parts.down), $l.ff.down, $($mode)+);
        if let Some(norm) = $($mode)+ $l.post_ff_norm {
            pair!($v, name(parts.post_ff_norm), norm, $($mode)+);
        }
    }};
}

/// Walks all tensors in one fixed order, by reference or by mutable reference.
macro_rules! walk {
    ($self:ident, $see:ident, $v:ident, $($mode:tt)+) => {{
        let names = $self.names;
        let parts = names.parts();
        if let Matrix::Dense(embed) = $($mode)+ $self.embed {
            $v.param(&format!("{}.weight", names.top(parts.embed)), Origin::Base, embed)?;
        }
        if let Some(positions) = $($mode)+ $self.positions {
            $v.param(&format!("{}.weight", names.top(parts.positions)), Origin::Base, positions)?;
        }
        for (i, l) in ($($mode)+ $self.layers).into_iter().enumerate() {
            l.$see(names, i, $v)?;
        }
        pair!($v, names.top(parts.norm), $self.norm, $($mode)+);
        if let Some(Matrix::Dense(head)) = $($mode)+ $self.head {
            $v.param(HEAD, Origin::Base, head)?;
        }
        Ok(())
    }};
}

impl<M: Dims, E: Dtype> Decoder<M, E> {
    /// Shows every tensor of the checkpoint, trained or not: what is saved. Adapters are not among them.
    ///
    /// # Errors
    /// The visitor's first error ends the walk.
    pub fn visit_stored<V: Visit<E>>(&self, v: &mut V) -> Result<(), V::Error> {
        self.see(&mut Only(v, Walk::Checkpoint))
    }

    pub(crate) fn visit_stored_mut<V: VisitMut<E>>(&mut self, v: &mut V) -> Result<(), V::Error> {
        self.see_mut(&mut Only(v, Walk::Checkpoint))
    }

    /// Shows every tensor of the adapter (`….q_proj.lora_A.weight`), merged or not.
    ///
    /// # Errors
    /// The visitor's first error ends the walk.
    pub fn visit_adapter<V: Visit<E>>(&self, v: &mut V) -> Result<(), V::Error> {
        self.see(&mut Only(v, Walk::Adapter))
    }

    pub(crate) fn visit_adapter_mut<V: VisitMut<E>>(&mut self, v: &mut V) -> Result<(), V::Error> {
        self.see_mut(&mut Only(v, Walk::Adapter))
    }

    /// Number of layers, from below, under which nothing is trained, the embedding included.
    pub(crate) fn first_trained_layer(&self) -> usize {
        /// Fails at the first tensor.
        struct Any;
        impl<E: Dtype> Visit<E> for Any {
            type Error = ();
            fn tensor<S: Shape>(&mut self, _: &str, _: &Tensor<S, E, Cpu>) -> Result<(), ()> {
                Err(())
            }
        }
        let embedding = self.embed.dense().is_some_and(|e| e.trained) || self.positions.as_ref().is_some_and(|p| p.trained);
        let trained = |i: usize| self.layers[i].see(self.names, i, &mut Only(&mut Any, Walk::Trained)).is_err();
        let all = self.layers.len();
        if embedding { 0 } else { (0..all).find(|&i| trained(i)).unwrap_or(all) }
    }

    pub(crate) fn see<V: See<E>>(&self, v: &mut V) -> Result<(), V::Error> {
        walk!(self, see, v, &)
    }

    pub(crate) fn see_mut<V: SeeMut<E>>(&mut self, v: &mut V) -> Result<(), V::Error> {
        walk!(self, see_mut, v, &mut)
    }
}

impl<M: Dims, E: Dtype> Params<E> for Decoder<M, E> {
    fn visit<V: Visit<E>>(&self, v: &mut V) -> Result<(), V::Error> {
        self.see(&mut Only(v, Walk::Trained))
    }

    fn visit_mut<V: VisitMut<E>>(&mut self, v: &mut V) -> Result<(), V::Error> {
        self.see_mut(&mut Only(v, Walk::Trained))
    }
}

impl<M: Dims, E: Dtype> Layer<M, E> {
    fn see<V: See<E>>(&self, names: Names, i: usize, v: &mut V) -> Result<(), V::Error> {
        layer!(v, self, names, i, &);
        Ok(())
    }

    fn see_mut<V: SeeMut<E>>(&mut self, names: Names, i: usize, v: &mut V) -> Result<(), V::Error> {
        layer!(v, self, names, i, &mut);
        Ok(())
    }
}

impl<M: Dims, E: Dtype> Params<E> for LayerPart<M, E> {
    fn visit<V: Visit<E>>(&self, v: &mut V) -> Result<(), V::Error> {
        self.layer.see(self.names, self.index, &mut Only(v, Walk::Trained))
    }

    fn visit_mut<V: VisitMut<E>>(&mut self, v: &mut V) -> Result<(), V::Error> {
        self.layer.see_mut(self.names, self.index, &mut Only(v, Walk::Trained))
    }
}
