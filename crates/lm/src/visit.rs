//! Every parameter by its checkpoint name.
use crate::decoder::Decoder;
use crate::dims::Dims;
use dfdx::prelude::*;
use tropism_ops::{Params, Visit, VisitMut};

/// Walks the parameters in one fixed order, by reference or by mutable reference.
macro_rules! walk {
    ($self:ident, $v:ident, $($mode:tt)+) => {{
        $v.tensor("model.embed_tokens.weight", $($mode)+ $self.embed)?;
        for (i, l) in ($($mode)+ $self.layers).into_iter().enumerate() {
            let name = |part: &str| format!("model.layers.{i}.{part}.weight");
            $v.tensor(&name("input_layernorm"), $($mode)+ l.input_norm)?;
            $v.tensor(&name("self_attn.q_proj"), $($mode)+ l.q_proj)?;
            $v.tensor(&name("self_attn.k_proj"), $($mode)+ l.k_proj)?;
            $v.tensor(&name("self_attn.v_proj"), $($mode)+ l.v_proj)?;
            $v.tensor(&name("self_attn.o_proj"), $($mode)+ l.o_proj)?;
            $v.tensor(&name("post_attention_layernorm"), $($mode)+ l.post_norm)?;
            $v.tensor(&name("mlp.gate_proj"), $($mode)+ l.gate_proj)?;
            $v.tensor(&name("mlp.up_proj"), $($mode)+ l.up_proj)?;
            $v.tensor(&name("mlp.down_proj"), $($mode)+ l.down_proj)?;
        }
        $v.tensor("model.norm.weight", $($mode)+ $self.norm)?;
        if let Some(head) = $($mode)+ $self.head {
            $v.tensor("lm_head.weight", head)?;
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
