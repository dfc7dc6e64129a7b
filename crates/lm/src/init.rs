//! Empty and random models.
use crate::decoder::Decoder;
use crate::dims::Dims;
use crate::error::LmError;
use crate::layer::Layer;
use crate::random::Stream;
use crate::rope::RopeCache;
use dfdx::prelude::*;
use tropism_ops::{Params, Precision, Scalar, VisitMut, data_mut};

impl<M: Dims, E: Scalar> Decoder<M, E>
where
    Cpu: Device<E>,
{
    /// All weights 0.
    pub(crate) fn zeros(dims: M) -> Result<Self, LmError> {
        let dev = Cpu::default();
        let (v, h, f, q, k) = (dims.vocab(), dims.hidden(), dims.ff(), dims.query(), dims.key_value());
        let layer = || -> Result<Layer<M, E>, LmError> {
            Ok(Layer {
                input_norm: dev.try_zeros_like(&(h,))?,
                q_proj: dev.try_zeros_like(&(q, h))?,
                k_proj: dev.try_zeros_like(&(k, h))?,
                v_proj: dev.try_zeros_like(&(k, h))?,
                o_proj: dev.try_zeros_like(&(h, q))?,
                post_norm: dev.try_zeros_like(&(h,))?,
                gate_proj: dev.try_zeros_like(&(f, h))?,
                up_proj: dev.try_zeros_like(&(f, h))?,
                down_proj: dev.try_zeros_like(&(h, f))?,
            })
        };
        let (config, tied) = (dims.config(), dims.config().tied);
        Ok(Decoder {
            embed: dev.try_zeros_like(&(v, h))?,
            layers: (0..config.sizes.layers).map(|_| layer()).collect::<Result<_, _>>()?,
            norm: dev.try_zeros_like(&(h,))?,
            head: if tied { None } else { Some(dev.try_zeros_like(&(v, h))?) },
            precision: Precision::Full,
            rope: RopeCache::new(config.rope.frequencies(config.sizes.head_dim)),
            dims,
        })
    }

    /// Fresh weights: normal with deviation `initializer_range`, norms 1, as transformers starts a model.
    ///
    /// # Errors
    /// When the device cannot allocate.
    pub fn random(dims: M, seed: u64) -> Result<Self, LmError> {
        struct Fill(Stream, f64);
        impl<E: Scalar> VisitMut<E> for Fill {
            type Error = LmError;
            fn tensor<S: Shape>(&mut self, _: &str, t: &mut Tensor<S, E, Cpu>) -> Result<(), LmError> {
                for x in data_mut(t) {
                    *x = if S::NUM_DIMS == 1 { E::one() } else { E::c(self.0.normal() * self.1) };
                }
                Ok(())
            }
        }
        let mut model = Self::zeros(dims)?;
        let std = model.dims.config().initializer_range;
        model.visit_mut(&mut Fill(Stream::new(seed, 0), std))?;
        Ok(model)
    }
}
