//! One type for the networks of this crate, as files and configurations name them.
use super::condition::Condition;
use super::params::{Names, NamesMut};
use super::{Denoiser, DenoiserError, Mlp, MlpConfig, Rows, UNet, UNetConfig, trained};
use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_ops::{Scalar, TapeOf};

/// Kind and sizes of a [`Network`], as a configuration file writes them: `{ kind = "mlp", dim = 2, hidden = 128 }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum NetworkConfig {
    /// an [`Mlp`]
    Mlp(MlpConfig),
    /// a [`UNet`]
    UNet(UNetConfig),
}

/// Any network of this crate.
// a program holds a few of them, not thousands: no box
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug)]
pub enum Network<E: Dtype> {
    /// for points
    Mlp(Mlp<E>),
    /// for images and clips
    UNet(UNet<E>),
}

impl<E: Scalar> Network<E>
where
    Cpu: Device<E>,
{
    /// Fresh weights.
    ///
    /// # Errors
    /// Sizes that make no network; when the device cannot allocate.
    pub fn new(config: &NetworkConfig, seed: u64) -> Result<Self, DenoiserError> {
        Ok(match config {
            NetworkConfig::Mlp(c) => Network::Mlp(Mlp::new(c, seed)?),
            NetworkConfig::UNet(c) => Network::UNet(UNet::new(c, seed)?),
        })
    }

    /// Kind and sizes.
    pub fn config(&self) -> NetworkConfig {
        match self {
            Network::Mlp(m) => NetworkConfig::Mlp(*m.config()),
            Network::UNet(m) => NetworkConfig::UNet(*m.config()),
        }
    }
}

/// Calls the network inside.
macro_rules! inside {
    ($network:expr, $model:ident => $call:expr) => {
        match $network {
            Network::Mlp($model) => $call,
            Network::UNet($model) => $call,
        }
    };
}

impl<E: Scalar> Denoiser<E> for Network<E>
where
    Cpu: Device<E>,
{
    fn width(&self) -> usize {
        inside!(self, m => m.width())
    }

    fn feature_width(&self) -> usize {
        inside!(self, m => m.feature_width())
    }

    fn user_width(&self) -> usize {
        inside!(self, m => m.user_width())
    }

    fn stored(&self) -> Names<'_, E> {
        inside!(self, m => m.stored())
    }

    fn stored_mut(&mut self) -> NamesMut<'_, E> {
        inside!(self, m => m.stored_mut())
    }

    fn predict<T: TapeOf<E>>(
        &self,
        x: Rows<E, T>,
        times: &[f64],
        condition: &Condition<E>,
    ) -> Result<Rows<E, T>, DenoiserError> {
        inside!(self, m => m.predict(x, times, condition))
    }
}
trained!(Network);
