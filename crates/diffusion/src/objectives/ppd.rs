//! PPD: Diffusion-DPO with a policy that is told whose preference it is.

use dfdx::prelude::*;
use tropism_core::options::positive;
use tropism_core::{CoreError, LossTerms};

use super::PairErrors;
use super::method::{method, options};
use super::shared::logistic_terms;
use crate::{DiffusionError, Stream};

options! {
    /// Options of [`ppd()`].
    Ppd = "ppd", "Personalized Preference Fine-tuning of Diffusion Models, arXiv 2501.06655" {
        /// Strength `β > 0`, on errors averaged over dimensions; 5000 by default, as in Diffusion-DPO, for the paper's is not known.
        beta: f64 = 5000.0, with_beta, positive;
    }
}

method!(Ppd, Pairs(policy, reference), [], |this, _read| ppd(policy, reference, this));

/// The PPD loss of `P` pairs, each of one user.
///
/// ```text
/// s_u(x) = e_θ(x | u) − e_ref(x)      z = −(β/2) [s_u(x⁺) − s_u(x⁻)]
/// losses = −log σ(z)     weights = 1
/// ```
///
/// As [`diffusion_dpo()`](super::diffusion_dpo()); what differs is where the errors come from: the policy reads the user's embedding, the
/// **reference never does**. Users with opposite labels on a pair cancel in a network that ignores them: its loss is at least `ln 2`.
///
/// Source: arXiv 2501.06655. There is no official code; the form with means over dimensions is Diffusion-DPO's.
///
/// # Errors
/// As [`diffusion_dpo()`](super::diffusion_dpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_diffusion::objectives::{PairErrors, Ppd, ppd};
///
/// let dev = Cpu::default();
/// // Users A and B prefer opposite members of one pair; the rows are (preferred, rejected) of each.
/// let policy = PairErrors::new(dev.tensor([0.065_f64, 0.025]), dev.tensor([0.26, 0.205]))?;
/// let reference = PairErrors::new(dev.tensor([0.125, 0.10]), dev.tensor([0.10, 0.125]))?;
/// let loss = ppd(policy, reference, &Ppd::default().with_beta(20.0))?.mean()?.array();
/// assert!((loss - 0.1487798927).abs() < 1e-9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn ppd<P: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairErrors<P, E, D, T>,
    reference: PairErrors<P, E, D>,
    config: &Ppd,
) -> Result<LossTerms<P, E, D, T>, DiffusionError> {
    config.check()?;
    logistic_terms(policy, Some(&reference), |_| config.beta / 2.0)
}

/// An embedding of a user from few pairs: the mean of `φ(x⁺) − φ(x⁻)`, normalised to length 1; `F` features a pair.
///
/// The paper reads hidden states of a vision-language model that is shown the pairs; this needs no such model. Keep the pairs of an
/// embedding out of training, or new users look too easy.
///
/// # Errors
/// [`DiffusionError::Core`] for no pairs or features of different numbers; [`DiffusionError::Input`] where the differences cancel, so
/// that there is no direction.
///
/// ```
/// use tropism_diffusion::objectives::user_embedding;
///
/// let user = user_embedding(&[vec![1.0, 0.0], vec![0.0, 2.0]], &[vec![-2.0, 0.0], vec![0.0, -2.0]])?;
/// assert!((user[0] - 0.6).abs() < 1e-12 && (user[1] - 0.8).abs() < 1e-12);
/// # Ok::<(), tropism_diffusion::DiffusionError>(())
/// ```
pub fn user_embedding(chosen: &[Vec<f64>], rejected: &[Vec<f64>]) -> Result<Vec<f64>, DiffusionError> {
    let Some(first) = chosen.first().filter(|f| !f.is_empty()) else {
        return Err(CoreError::Empty { what: "features of a user's pairs" }.into());
    };
    CoreError::check_size("rejected features", chosen.len(), rejected.len())?;
    let mut sum = vec![0.0; first.len()];
    for (w, l) in chosen.iter().zip(rejected) {
        CoreError::check_size("features of a sample", sum.len(), w.len())?;
        CoreError::check_size("features of a sample", sum.len(), l.len())?;
        sum.iter_mut().zip(w.iter().zip(l)).for_each(|(s, (w, l))| *s += w - l);
    }
    let length = libm::sqrt(sum.iter().map(|s| s * s).sum());
    if !(length > 0.0 && length.is_finite()) {
        let problem = "the pairs of a user cancel, or hold features that are not finite; give other pairs".to_owned();
        return Err(DiffusionError::Input { method: Ppd::NAME, problem });
    }
    Ok(sum.iter().map(|s| s / length).collect())
}

/// `Σ w_k u_k` of users' embeddings, for tastes between theirs; the weights sum to 1.
///
/// # Errors
/// [`DiffusionError::Core`] for different numbers of users or of features; [`DiffusionError::Value`] unless the weights sum to 1.
pub fn mixed_embedding(users: &[Vec<f64>], weights: &[f64]) -> Result<Vec<f64>, DiffusionError> {
    CoreError::check_size("weights of users", users.len(), weights.len())?;
    let total: f64 = weights.iter().sum();
    let off = (total - 1.0).abs();
    if off.is_nan() || off > 1e-9 {
        return Err(DiffusionError::Value { what: "sum of the users' weights", row: 0, value: total, requirement: "1" });
    }
    let mut mixed = vec![0.0; users.first().map_or(0, Vec::len)];
    for (user, weight) in users.iter().zip(weights) {
        CoreError::check_size("features of a user", mixed.len(), user.len())?;
        mixed.iter_mut().zip(user).for_each(|(m, u)| *m += weight * u);
    }
    Ok(mixed)
}

/// Replaces each row of `[B, F]` embeddings by zeros with probability `rate`, so that the network without a user stays near its start.
/// The paper drops users at an unstated rate; 0.1 is a usual one.
pub fn drop_users(embeddings: &mut [f64], features: usize, rate: f64, stream: &mut Stream) {
    for row in embeddings.chunks_mut(features.max(1)) {
        if stream.chance(rate) {
            row.fill(0.0);
        }
    }
}
