//! Softmax cross-entropy of lists: implicit rewards against graded relevance.

use dfdx::prelude::*;
use tropism_core::{CoreError, ListLogps, LossTerms};

use super::score::{RELEVANCE, ScoredLists, log_softmax, on_lists};
use crate::options::{options, positive};
use crate::{Normalization, ObjectiveError};

options! {
    /// Options of [`softmax_ranking()`].
    SoftmaxRanking = "softmax_ranking", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// Weight of the implicit KL penalty, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Temperature of the relevance, `τ > 0`; 1 by default.
        temperature: f64 = 1.0, with_temperature, positive;
    }
}

on_lists!(SoftmaxRanking, softmax_ranking, RELEVANCE);

/// The softmax cross-entropy of `P` lists of up to `K` completions with relevance `ψ`.
///
/// With `s = β (lp − rf)`, over the answers that are there:
///
/// ```text
/// t = softmax(ψ / τ)
/// losses = −Σ_i t_i log softmax(s)_i     weights = 1
/// ∂losses/∂s_i = softmax(s)_i − t_i
/// ```
///
/// `relevance` is `[P, K]` row by row, at least 0; log-probabilities are sums over tokens, in nats. The loss is least, and
/// equal to the entropy of `t`, where the implicit rewards are `ψ / τ` up to a constant.
///
/// Source: the listwise softmax loss of the LiPO study, Liu et al. 2024, arXiv 2402.01878; the targets follow ListNet (Cao et
/// al. 2007). Targets that are relevance divided by its sum are another loss and not offered.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::Column`] for a relevance below 0; [`ObjectiveError::UnevenLengths`] when the
/// reference scored other answers; [`ObjectiveError::Core`] for sizes that differ.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::ListLogps;
/// use tropism_objectives::{SoftmaxRanking, softmax_ranking};
///
/// let dev = Cpu::default();
/// let list = |v: [f64; 4]| ListLogps::new(dev.tensor([v]), &[true; 4], &[5; 4]);
/// let policy = list([0.5 - 9.0, 0.2 - 9.0, -0.1 - 9.0, -0.6 - 9.0])?;
/// let config = SoftmaxRanking::default().with_beta(1.0);
/// let terms = softmax_ranking(policy, list([-9.0; 4])?, &[3.0, 1.0, 2.0, 0.0], &config)?;
/// assert!((terms.values()[0] - 1.167666).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn softmax_ranking<P: Dim, K: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: ListLogps<P, K, E, D, T>,
    reference: ListLogps<P, K, E, D>,
    relevance: &[f64],
    config: &SoftmaxRanking,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    CoreError::check_size(RELEVANCE.name, policy.mask().len(), relevance.len())?;
    RELEVANCE.check(SoftmaxRanking::NAME, relevance)?;
    let scored = ScoredLists::new(policy, &reference, Normalization::Sum)?;
    scored.by_list(config.beta, relevance, |cells, scores| {
        let wanted: Vec<f64> = cells.iter().map(|&i| relevance[i] / config.temperature).collect();
        let (targets, found) = (log_softmax(&wanted), log_softmax(scores));
        let value = -targets.iter().zip(&found).map(|(t, s)| t.exp() * s).sum::<f64>();
        (value, targets.iter().zip(&found).map(|(t, s)| s.exp() - t.exp()).collect())
    })
}
