//! What a denoiser is told beside the noised sample and its time.
use super::{DenoiserError, Rows};
use dfdx::prelude::*;
use tropism_ops::Scalar;

/// Angles per sample: sines and cosines of 8 frequencies.
pub const TIME_FEATURES: usize = 16;

/// `sin(2^k π/2 u)` for k = 0..7, then the cosines, of times `u` from 0 to 1.
///
/// # Errors
/// A time that is not finite; when the device cannot allocate.
pub(crate) fn time_features<E: Scalar>(times: &[f64]) -> Result<Rows<E>, DenoiserError>
where
    Cpu: Device<E>,
{
    if let Some(row) = times.iter().position(|t| !t.is_finite()) {
        return Err(DenoiserError::Input(format!("the time of row {row} is {}", times[row])));
    }
    let angle = |u: f64, k: usize| f64::from(1u32 << k) * std::f64::consts::FRAC_PI_2 * u;
    let row = |&u: &f64| {
        let sines = (0..8).map(move |k| E::c(libm::sin(angle(u, k))));
        sines.chain((0..8).map(move |k| E::c(libm::cos(angle(u, k)))))
    };
    let features: Vec<E> = times.iter().flat_map(row).collect();
    Cpu::default().try_tensor_from_vec(features, (times.len(), TIME_FEATURES)).map_err(DenoiserError::device)
}

/// Labels or other features of what is asked for, and the user for whom; either may be missing, which says the same as zeros.
#[derive(Clone, Debug)]
pub struct Condition<E: Dtype> {
    /// `[B, C]`, for instance [`one_hot`] labels
    pub features: Option<Rows<E>>,
    /// `[B, U]`, user embeddings
    pub users: Option<Rows<E>>,
}

impl<E: Dtype> Default for Condition<E> {
    fn default() -> Self {
        Condition { features: None, users: None }
    }
}

impl<E: Scalar> Condition<E>
where
    Cpu: Device<E>,
{
    /// No condition.
    pub fn none() -> Self {
        Self::default()
    }

    /// Features alone.
    pub fn features(features: Rows<E>) -> Self {
        Condition { features: Some(features), users: None }
    }

    /// The same, for users with these embeddings.
    #[must_use]
    pub fn with_users(self, users: Rows<E>) -> Self {
        Condition { users: Some(users), ..self }
    }

    /// The rows `at`, in that order.
    ///
    /// # Errors
    /// A row that is not there.
    pub fn rows(&self, at: &[usize]) -> Result<Self, DenoiserError> {
        let pick = |x: &Option<Rows<E>>| x.clone().map(|x| tropism_ops::rows(x, at)).transpose();
        Ok(Condition { features: pick(&self.features)?, users: pick(&self.users)? })
    }

    /// The same without the users' embeddings where `dropped` says so: what training with embedding dropout reads.
    ///
    /// # Errors
    /// Another number of rows.
    pub fn drop_users(mut self, dropped: &[bool]) -> Result<Self, DenoiserError> {
        let Some(users) = &mut self.users else { return Ok(self) };
        let width = users.shape().1;
        if users.shape().0 != dropped.len() {
            let problem = format!("{} marks for {} rows of users", dropped.len(), users.shape().0);
            return Err(DenoiserError::Input(problem));
        }
        let numbers = tropism_ops::data_mut(users);
        for (row, _) in numbers.chunks_exact_mut(width.max(1)).zip(dropped).filter(|(_, dropped)| **dropped) {
            row.fill(E::zero());
        }
        Ok(self)
    }
}

/// A row per label with a 1 in its column and zeros elsewhere.
///
/// # Errors
/// A label that is not below `labels`.
pub fn one_hot<E: Scalar>(at: &[usize], labels: usize) -> Result<Rows<E>, DenoiserError>
where
    Cpu: Device<E>,
{
    let mut numbers = vec![E::zero(); at.len() * labels];
    for (row, &label) in at.iter().enumerate() {
        if label >= labels {
            return Err(DenoiserError::Input(format!("label {label} of row {row} is not below {labels}")));
        }
        numbers[row * labels + label] = E::one();
    }
    Cpu::default().try_tensor_from_vec(numbers, (at.len(), labels)).map_err(DenoiserError::device)
}
