//! Log-probabilities as a sampler at a temperature has them.
use crate::decoder::Decoder;
use crate::dims::Dims;
use crate::error::LmError;
use dfdx::prelude::*;
use tropism_ops::{DetailedLogps, LogpsExtras, Scalar, TapeOf, rows};

impl<M: Dims, E: Scalar> Decoder<M, E>
where
    Cpu: Device<E>,
{
    /// Log-probabilities of `targets` after the states (of [`Decoder::states`]) at `sources`, of logits divided by
    /// `temperature`: those of the distribution that a [`Sampler`](crate::Sampler) at this temperature draws from, without
    /// filters. With entropies, or what else is asked for, of the same distribution.
    ///
    /// # Gradient
    /// Of log-probabilities and entropies, to the states and the head.
    ///
    /// # Errors
    /// A temperature that is not positive and finite; a source or a target that is out of range; as
    /// [`Decoder::unembedding`].
    pub fn tempered_logps<T: TapeOf<E>>(
        &self,
        states: Tensor<(usize, M::Hidden), E, Cpu, T>,
        sources: &[usize],
        targets: &[usize],
        temperature: f64,
        extras: LogpsExtras,
    ) -> Result<DetailedLogps<usize, E, T>, LmError> {
        if !(temperature > 0.0 && temperature.is_finite()) {
            return Err(LmError::Invalid(format!("temperature is {temperature}; log-probabilities need one above 0")));
        }
        let mut states = rows(states, sources)?;
        // logits are linear in the states, and a cap of x at c is, over the temperature, one of x/t at c/t
        if temperature != 1.0 {
            states = states.try_mul(E::c(1.0 / temperature))?;
        }
        let cap = self.config().style.logit_softcap.map(|cap| cap / temperature);
        self.unembedding()?.detailed_logps(states, targets, cap, self.precision, extras)
    }
}
