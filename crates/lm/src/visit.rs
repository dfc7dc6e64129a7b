//! Every parameter by its checkpoint name.
use crate::architecture::HEAD;
use crate::decoder::Decoder;
use crate::dims::Dims;
use crate::layer::Qkv;
use crate::matrix::Matrix;
use crate::part::LayerPart;
use dfdx::prelude::*;
use tropism_ops::{Params, Visit, VisitMut};

/// Weight and bias of a norm.
macro_rules! pair {
    ($v:ident, $name:expr, $part:expr, $($mode:tt)+) => {{
        let name = $name;
        $v.tensor(&format!("{name}.weight"), $($mode)+ $part.weight)?;
        if let Some(bias) = $($mode)+ $part.bias {
            $v.tensor(&format!("{name}.bias"), bias)?;
        }
    }};
}

/// Weight and bias of a projection; a frozen weight is no parameter.
macro_rules! projection {
    ($v:ident, $name:expr, $part:expr, $($mode:tt)+) => {{
        let name = $name;
        if let Matrix::Dense(weight) = $($mode)+ $part.weight {
            $v.tensor(&format!("{name}.weight"), weight)?;
        }
        if let Some(bias) = $($mode)+ $part.bias {
            $v.tensor(&format!("{name}.bias"), bias)?;
        }
    }};
}

/// The parameters of layer `i`.
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

/// Walks the parameters in one fixed order, by reference or by mutable reference.
macro_rules! walk {
    ($self:ident, $v:ident, $($mode:tt)+) => {{
        let names = $self.names;
        let parts = names.parts();
        if let Matrix::Dense(embed) = $($mode)+ $self.embed {
            $v.tensor(&format!("{}.weight", names.top(parts.embed)), embed)?;
        }
        if let Some(positions) = $($mode)+ $self.positions {
            $v.tensor(&format!("{}.weight", names.top(parts.positions)), positions)?;
        }
        for (i, l) in ($($mode)+ $self.layers).into_iter().enumerate() {
            layer!($v, l, names, i, $($mode)+);
        }
        pair!($v, names.top(parts.norm), $self.norm, $($mode)+);
        if let Some(Matrix::Dense(head)) = $($mode)+ $self.head {
            $v.tensor(HEAD, head)?;
        }
        Ok(())
    }};
}

impl<M: Dims, E: Dtype> Params<E> for Decoder<M, E> {
    fn visit<V: Visit<E>>(&self, v: &mut V) -> Result<(), V::Error> {
        walk!(self, v, &)
    }

    fn visit_mut<V: VisitMut<E>>(&mut self, v: &mut V) -> Result<(), V::Error> {
        walk!(self, v, &mut)
    }
}

impl<M: Dims, E: Dtype> Params<E> for LayerPart<M, E> {
    fn visit<V: Visit<E>>(&self, v: &mut V) -> Result<(), V::Error> {
        layer!(v, self.layer, self.names, self.index, &);
        Ok(())
    }

    fn visit_mut<V: VisitMut<E>>(&mut self, v: &mut V) -> Result<(), V::Error> {
        layer!(v, self.layer, self.names, self.index, &mut);
        Ok(())
    }
}
