//! Small networks that denoise: what a loss or a sampler calls as a function of noised samples and their times.
//!
//! | network | for | layers |
//! |---|---|---|
//! | [`Mlp`] | points, a few numbers a sample | linear with SiLU, residual blocks |
//! | [`UNet`] | images and, with a time axis, short clips | convolutions on three sizes, skips |
//!
//! All of them are told the time as [`TIME_FEATURES`] sines and cosines of `u` in 0..1 (`u = t / T` on a schedule, `t` on a flow), and a
//! [`Condition`]: features such as labels, and embeddings of users. The branch that reads users starts at zero, so a pretrained
//! network that was given one says the same as before for every user ([`UNet`], [`Mlp`] both). Losses and samplers take any function;
//! [`Denoiser`] is for what trains and stores one.
//!
//! ```
//! use dfdx::prelude::*;
//! use tropism_diffusion::denoiser::{Condition, Denoiser, Mlp, MlpConfig};
//!
//! let model: Mlp<f32> = Mlp::new(&MlpConfig { dim: 2, ..MlpConfig::default() }, 0)?;
//! let x: Tensor<(usize, usize), f32, _> = Cpu::default().zeros_like(&(3, 2));
//! let noise = model.predict(x, &[0.1, 0.5, 0.9], &Condition::none())?;
//! assert_eq!(noise.shape(), &(3, 2));
//! # Ok::<(), tropism_diffusion::denoiser::DenoiserError>(())
//! ```

mod condition;
mod error;
mod file;
mod layer;
mod mlp;
mod network;
mod params;
mod unet;

pub use condition::{Condition, TIME_FEATURES, one_hot};
pub use error::DenoiserError;
pub(crate) use file::{Tensors, fill, metadata, numbers, parse, write_whole};
pub use file::{load, save};
pub use layer::Rows;
pub use mlp::{Mlp, MlpConfig};
pub use network::{Network, NetworkConfig};
pub use params::{Names, NamesMut, Stored, StoredMut};
pub use unet::{UNet, UNetConfig};

use crate::DiffusionError;
use dfdx::prelude::*;
use tropism_ops::{Params, Scalar, TapeOf};

/// A network that says, of noised samples, what its [`Prediction`](crate::prediction::Prediction) means.
///
/// A frozen reference is a `clone()`: it shares the memory of the weights until the first update of either.
pub trait Denoiser<E: Scalar>: Params<E> + Clone
where
    Cpu: Device<E>,
{
    /// Numbers of a sample, `D`.
    fn width(&self) -> usize;

    /// Numbers of a condition's features, `C`; 0 when it reads none.
    fn feature_width(&self) -> usize;

    /// Numbers of a user's embedding, `U`; 0 when it reads none.
    fn user_width(&self) -> usize;

    /// All parameters, trained or not.
    fn stored(&self) -> Names<'_, E>;

    /// All parameters for changing.
    fn stored_mut(&mut self) -> NamesMut<'_, E>;

    /// The network's output.
    ///
    /// # Shapes
    /// x `[B, D]`, `times` one per row, features `[B, C]`, users `[B, U]`, result `[B, D]`.
    ///
    /// # Gradient
    /// To `x` and to the trained parameters, not to the condition.
    ///
    /// # Errors
    /// Shapes that disagree, no rows, a time that is not finite, a condition that the network does not read.
    fn predict<T: TapeOf<E>>(
        &self,
        x: Rows<E, T>,
        times: &[f64],
        condition: &Condition<E>,
    ) -> Result<Rows<E, T>, DenoiserError>;

    /// Number of parameters.
    fn parameters(&self) -> usize {
        self.stored().iter().map(|(_, p)| p.len()).sum()
    }

    /// Has training change those parameters alone whose name says so, such as `|name| name.starts_with("users.")` for the branch
    /// that reads users.
    ///
    /// # Errors
    /// When nothing would be trained.
    fn train_only(&mut self, trained: impl Fn(&str) -> bool) -> Result<(), DenoiserError> {
        if !self.stored().iter().any(|(name, _)| trained(name)) {
            let names: Vec<String> = self.stored().into_iter().map(|(name, _)| name).collect();
            return Err(DenoiserError::Config(format!("nothing would be trained; the parameters are {}", names.join(", "))));
        }
        for (name, mut p) in self.stored_mut() {
            *p.trained() = trained(&name);
        }
        Ok(())
    }

    /// Fails unless sizes and condition fit.
    ///
    /// # Errors
    /// What does not fit.
    fn check<T>(&self, x: &Rows<E, T>, times: &[f64], condition: &Condition<E>) -> Result<(), DenoiserError> {
        let (rows, width) = *x.shape();
        let refuse = |problem: String| Err(DenoiserError::Input(problem));
        if rows == 0 || width != self.width() {
            return refuse(format!("x is [{rows}, {width}]; give at least one row of {} numbers", self.width()));
        }
        if times.len() != rows {
            return refuse(format!("{} times for {rows} rows", times.len()));
        }
        for (what, given, width) in
            [("features", &condition.features, self.feature_width()), ("users", &condition.users, self.user_width())]
        {
            let Some(given) = given else { continue };
            if *given.shape() != (rows, width) {
                let (r, c) = given.shape();
                return refuse(format!("{what} are [{r}, {c}], this network reads [{rows}, {width}]"));
            }
        }
        Ok(())
    }
}

/// `Params` by the list of parameters: those that are trained.
macro_rules! trained {
    ($name:ident) => {
        impl<E: Scalar> tropism_ops::Params<E> for $name<E>
        where
            Cpu: Device<E>,
        {
            fn visit<V: tropism_ops::Visit<E>>(&self, v: &mut V) -> Result<(), V::Error> {
                let trained = self.stored().into_iter().filter(|(_, p)| p.trained());
                trained.into_iter().try_for_each(|(name, p)| p.show(&name, v))
            }
            fn visit_mut<V: tropism_ops::VisitMut<E>>(&mut self, v: &mut V) -> Result<(), V::Error> {
                for (name, mut p) in self.stored_mut() {
                    if *p.trained() {
                        p.show(&name, v)?;
                    }
                }
                Ok(())
            }
        }
    };
}
pub(crate) use trained;

/// A network as samplers ask it, without a tape: a function of `x_t` and one time per row, which is divided by `scale` (`T` of a schedule,
/// 1 of a flow).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_diffusion::denoiser::{Condition, Mlp, MlpConfig, asked};
///
/// let model: Mlp<f64> = Mlp::new(&MlpConfig::default(), 0)?;
/// let condition = Condition::none();
/// let mut denoise = asked(&model, &condition, 100.0);
/// let x: Tensor<(usize, usize), f64, _> = Cpu::default().zeros_like(&(2, 2));
/// assert_eq!(denoise(&x, &[99.0, 99.0])?.shape(), &(2, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn asked<'a, E: Scalar, M: Denoiser<E>>(
    model: &'a M,
    condition: &'a Condition<E>,
    scale: f64,
) -> impl FnMut(&Rows<E>, &[f64]) -> Result<Rows<E>, DiffusionError> + 'a
where
    Cpu: Device<E>,
{
    move |x, times| {
        let times: Vec<f64> = times.iter().map(|t| t / scale).collect();
        Ok(model.predict(x.clone(), &times, condition)?)
    }
}
