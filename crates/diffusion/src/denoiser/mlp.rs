//! A multi-layer perceptron for samples of a few numbers.
use super::condition::{Condition, TIME_FEATURES, time_features};
use super::layer::{Branch, Linear, Rows};
use super::params::{Listed, Names, NamesMut};
use super::{Denoiser, DenoiserError, trained};
use crate::Stream;
use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_ops::{Activation, Scalar, TapeOf, activate, plus};

/// Sizes of an [`Mlp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MlpConfig {
    /// numbers of a sample
    pub dim: usize,
    /// numbers of the hidden layers
    pub hidden: usize,
    /// residual blocks
    pub blocks: usize,
    /// numbers of a condition's features
    pub features: usize,
    /// numbers of a user's embedding
    pub users: usize,
}

impl Default for MlpConfig {
    fn default() -> Self {
        MlpConfig { dim: 2, hidden: 128, blocks: 2, features: 0, users: 0 }
    }
}

/// `h = SiLU(W [x, time, features] + U user + b)`, then `h = h + SiLU(W_k h + b_k)` per block, then a linear layer to the sample's size.
///
/// `W` acts on the joined inputs and is stored as its parts, `input`, `time` and `features`; `U` starts at zero.
#[derive(Clone, Debug)]
pub struct Mlp<E: Dtype> {
    config: MlpConfig,
    input: Linear<E>,
    time: Branch<E>,
    features: Option<Branch<E>>,
    users: Option<Branch<E>>,
    blocks: Vec<Linear<E>>,
    output: Linear<E>,
}

impl<E: Scalar> Mlp<E>
where
    Cpu: Device<E>,
{
    /// Fresh weights, uniform within `±1/√fan_in`.
    ///
    /// # Errors
    /// A sample or hidden layer without numbers; when the device cannot allocate.
    pub fn new(config: &MlpConfig, seed: u64) -> Result<Self, DenoiserError> {
        let MlpConfig { dim, hidden, blocks, features, users } = *config;
        if dim == 0 || hidden == 0 {
            return Err(DenoiserError::Config(format!("mlp: dim is {dim}, hidden is {hidden}; both must be at least 1")));
        }
        let (stream, fan_in) = (&mut Stream::new(seed, 0), dim + TIME_FEATURES + features);
        Ok(Mlp {
            config: *config,
            input: Linear::random(dim, hidden, fan_in, stream)?,
            time: Branch::random(TIME_FEATURES, hidden, fan_in, stream)?,
            features: (features > 0).then(|| Branch::random(features, hidden, fan_in, stream)).transpose()?,
            users: (users > 0).then(|| Branch::zeros(users, hidden)).transpose()?,
            blocks: (0..blocks).map(|_| Linear::random(hidden, hidden, hidden, stream)).collect::<Result<_, _>>()?,
            output: Linear::random(hidden, dim, hidden, stream)?,
        })
    }

    /// Its sizes.
    pub fn config(&self) -> &MlpConfig {
        &self.config
    }
}

impl<E: Scalar> Denoiser<E> for Mlp<E>
where
    Cpu: Device<E>,
{
    fn width(&self) -> usize {
        self.config.dim
    }

    fn feature_width(&self) -> usize {
        self.config.features
    }

    fn user_width(&self) -> usize {
        self.config.users
    }

    fn predict<T: TapeOf<E>>(
        &self,
        x: Rows<E, T>,
        times: &[f64],
        condition: &Condition<E>,
    ) -> Result<Rows<E, T>, DenoiserError> {
        self.check(&x, times, condition)?;
        let mut h = self.time.onto(&time_features(times)?, self.input.forward(x)?)?;
        for (branch, given) in [(&self.features, &condition.features), (&self.users, &condition.users)] {
            if let (Some(branch), Some(given)) = (branch, given) {
                h = branch.onto(given, h)?;
            }
        }
        let mut h = activate(h, Activation::Silu)?;
        for block in &self.blocks {
            let y = activate(block.forward(h.with_empty_tape())?, Activation::Silu)?;
            h = plus(h, y)?;
        }
        self.output.forward(h)
    }

    fn stored(&self) -> Names<'_, E> {
        let mut names = vec![];
        self.input.list("input", &mut names);
        self.time.list("time", &mut names);
        self.features.list("features", &mut names);
        self.users.list("users", &mut names);
        self.blocks.list("blocks", &mut names);
        self.output.list("output", &mut names);
        names
    }

    fn stored_mut(&mut self) -> NamesMut<'_, E> {
        let mut names = vec![];
        self.input.list_mut("input", &mut names);
        self.time.list_mut("time", &mut names);
        self.features.list_mut("features", &mut names);
        self.users.list_mut("users", &mut names);
        self.blocks.list_mut("blocks", &mut names);
        self.output.list_mut("output", &mut names);
        names
    }
}
trained!(Mlp);
