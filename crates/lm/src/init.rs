//! Empty and random models.
use crate::architecture::{Architecture, Names};
use crate::decoder::Decoder;
use crate::dims::Dims;
use crate::error::LmError;
use crate::feed_forward::FeedForward;
use crate::layer::{Layer, Qkv};
use crate::linear::Linear;
use crate::matrix::Matrix;
use crate::norm::{Norm, NormKind};
use crate::random::Stream;
use crate::rope::RopeCache;
use dfdx::prelude::*;
use tropism_ops::{Param, Precision, Scalar, VisitMut, data_mut};

impl<M: Dims, E: Scalar> Layer<M, E>
where
    Cpu: Device<E>,
{
    /// Layer `i` with all weights 0.
    fn zeros(dims: &M, i: usize) -> Result<Self, LmError> {
        let (h, f, q, k) = (dims.hidden(), dims.ff(), dims.query(), dims.key_value());
        let (config, style) = (dims.config(), &dims.config().style);
        let norm = || Norm::zeros(h, style.norm, config.eps);
        let head_norm = || Norm::zeros(dims.head_dim(), style.norm, config.eps);
        let bias = style.bias;
        let qkv = if style.fused {
            Qkv::Fused(Linear::zeros(h, dims.query_key_value(), bias.qkv)?)
        } else {
            Qkv::Apart(Linear::zeros(h, q, bias.qkv)?, Linear::zeros(h, k, bias.qkv)?, Linear::zeros(h, k, bias.qkv)?)
        };
        Ok(Layer {
            input_norm: norm()?,
            qkv,
            head_norms: if style.head_norms { Some((head_norm()?, head_norm()?)) } else { None },
            output: Linear::zeros(q, h, bias.output)?,
            attention_norm: if style.post_norms { Some(norm()?) } else { None },
            ff_norm: norm()?,
            ff: FeedForward {
                gate: if style.gated { Some(Linear::zeros(h, f, bias.ff)?) } else { None },
                up: Linear::zeros(h, f, bias.ff)?,
                down: Linear::zeros(f, h, bias.ff)?,
                activation: style.activation,
            },
            post_ff_norm: if style.post_norms { Some(norm()?) } else { None },
            attention: style.attention(i, dims.heads()),
            rotary: config.rope.is_some(),
        })
    }
}

impl<M: Dims, E: Scalar> Decoder<M, E>
where
    Cpu: Device<E>,
{
    /// All weights 0.
    pub(crate) fn zeros(dims: M) -> Result<Self, LmError> {
        let dev = Cpu::default();
        let (v, h, config) = (dims.vocab(), dims.hidden(), dims.config());
        Ok(Decoder {
            embed: Matrix::zeros(v, h)?,
            positions: match config.rope {
                Some(_) => None,
                None => Some(Param::new(dev.try_zeros_like(&(dims.positions(), h))?)),
            },
            layers: (0..config.sizes.layers).map(|i| Layer::zeros(&dims, i)).collect::<Result<_, _>>()?,
            norm: Norm::zeros(h, config.style.norm, config.eps)?,
            head: if config.tied { None } else { Some(Matrix::zeros(v, h)?) },
            precision: Precision::Full,
            checkpointing: false,
            adapter: None,
            rope: RopeCache::new(config.rope.as_ref(), config.sizes.head_dim),
            names: Names::new(config.architecture),
            dims,
        })
    }

    /// Fresh weights, as transformers starts a model: normal with deviation `initializer_range`, norms 1 (stored as 0 where
    /// the scale is 1 + weight), biases 0. GPT-2's projections onto the residual stream have their deviation divided by
    /// `sqrt(2 layers)`.
    ///
    /// # Errors
    /// When the device cannot allocate.
    pub fn random(dims: M, seed: u64) -> Result<Self, LmError> {
        let mut model = Self::zeros(dims)?;
        let config = model.dims.config();
        let offset = if let NormKind::Rms { offset } = config.style.norm { offset } else { 0.0 };
        let shrunk = (2.0 * config.sizes.layers as f64).sqrt().recip();
        let residual = if config.architecture == Architecture::Gpt2 { shrunk } else { 1.0 };
        let mut fill = Fill { stream: Stream::new(seed, 0), std: config.initializer_range, residual, norm: 1.0 - offset };
        model.visit_stored_mut(&mut fill)?;
        Ok(model)
    }
}

struct Fill {
    stream: Stream,
    std: f64,
    /// factor of the deviation of projections onto the residual stream
    residual: f64,
    /// value of norm weights
    norm: f64,
}

impl<E: Scalar> VisitMut<E> for Fill {
    type Error = LmError;
    fn tensor<S: Shape>(&mut self, name: &str, t: &mut Tensor<S, E, Cpu>) -> Result<(), LmError> {
        if S::NUM_DIMS == 1 {
            data_mut(t).fill(E::c(if name.ends_with(".bias") { 0.0 } else { self.norm }));
            return Ok(());
        }
        let std = if name.ends_with("c_proj.weight") { self.std * self.residual } else { self.std };
        for x in data_mut(t) {
            *x = E::c(self.stream.normal() * std);
        }
        Ok(())
    }
}
