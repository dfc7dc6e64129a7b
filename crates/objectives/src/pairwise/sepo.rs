//! SePO: only the key tokens of both completions are trained.

use dfdx::prelude::*;
use tropism_core::{Columns, CoreError, LossTerms, PairTokens, TokenLogps};

use super::Reference;
use super::weighted::on_weighted;
use crate::diagnostics::flag;
use crate::options::{options, positive};
use crate::{Batch, Column, Domain, Dpo, InputKind, Method, ObjectiveError, Per};

options! {
    /// Options of [`sepo()`].
    Sepo = "sepo", "A Survey of Direct Preference Optimization, arXiv 2503.11701" {
        /// Scale of the margin per key token, `γ > 0`; 2 by default.
        gamma: f64 = 2.0, with_gamma, positive;
    }
}

/// 1 at the key tokens, [`key_tokens()`].
const CHOSEN: Column = Column { name: "key/chosen", per: Per::ChosenToken, domain: Domain::Flag };
const REJECTED: Column = Column { name: "key/rejected", per: Per::RejectedToken, domain: Domain::Flag };

impl Method for Sepo {
    const INPUT: InputKind = InputKind::PairTokens;

    fn needs_reference(&self) -> bool {
        false
    }

    fn columns(&self) -> Vec<Column> {
        vec![CHOSEN, REJECTED]
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: Batch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
        let (policy, _, columns) = batch.into_pair_tokens(Self::NAME)?;
        sepo(policy, [&CHOSEN, &REJECTED].map(|c| columns.get(c.name).unwrap_or_default()), self)
    }
}

/// The SePO loss of `P` pairs on their key tokens; reads the policy alone.
///
/// With the key tokens `K` of each completion (columns `key/chosen` and `key/rejected`, `[P, L]` row by row), which an oracle
/// selected by its DPO rewards ([`key_tokens()`]):
///
/// ```text
/// s = (1/|K|) Σ_{t ∈ K} lp_t     losses = −log σ(γ (s_w − s_l))     weights = 1
/// ∂losses/∂lp_t = ∓γ σ(−γ (s_w − s_l)) / |K| at the key tokens, 0 elsewhere
/// ```
///
/// With all tokens it is [`simpo()`](crate::simpo()) without its margin. A completion without a key token scores 0.
///
/// Reports the figures of DPO without a reference, on the means.
///
/// Source: class "token" of A Survey of Direct Preference Optimization, arXiv 2503.11701, which names the method (key tokens by
/// oracle DPO reward); the loss is as we know it, the default of `γ` is ours.
///
/// # Errors
/// [`ObjectiveError::Config`]; [`ObjectiveError::Column`] for an entry that is neither 0 nor 1, [`ObjectiveError::Core`] unless
/// there is one per token.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{PairTokens, TokenLogps};
/// use tropism_objectives::{Sepo, sepo};
///
/// let dev = Cpu::default();
/// let side = |v: [f64; 2]| TokenLogps::new(dev.tensor([v]), &[true, true]);
/// let policy = PairTokens::new(side([-1.0, -2.0])?, side([-3.0, -2.0])?)?;
/// let terms = sepo(policy, [&[1.0, 1.0], &[1.0, 0.0]], &Sepo::default())?;
/// assert!((terms.values()[0] - (1.0 + (-3.0_f64).exp()).ln()).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sepo<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairTokens<P, C, E, D, T>,
    keys: [&[f64]; 2],
    config: &Sepo,
) -> Result<LossTerms<P, E, D, T>, ObjectiveError> {
    config.check()?;
    let chosen = shares(&policy.chosen, &CHOSEN, keys[0])?;
    let rejected = shares(&policy.rejected, &REJECTED, keys[1])?;
    let means = Dpo::default().with_beta(config.gamma).with_reference(Reference::Uniform).into();
    on_weighted(policy, None, [&chosen, &rejected], Columns::default(), &means)
}

/// One over the number of the row's key tokens at these, 0 elsewhere.
fn shares<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    side: &TokenLogps<P, C, E, D, T>,
    column: &Column,
    keys: &[f64],
) -> Result<Vec<f64>, ObjectiveError> {
    CoreError::check_size(column.name, side.mask().len(), keys.len())?;
    column.check(Sepo::NAME, keys)?;
    let kept: Vec<f64> = keys.iter().zip(side.mask()).map(|(k, &m)| k * flag(m)).collect();
    let rows = kept.chunks(side.size().1);
    Ok(rows.flat_map(|row| row.iter().map(|k| k / row.iter().sum::<f64>().max(1.0)).collect::<Vec<_>>()).collect())
}

/// Which end of the oracle's rewards holds the key tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySide {
    /// The largest rewards: for chosen completions.
    Largest,
    /// The smallest ones: for rejected completions.
    Smallest,
}

/// Flags the key tokens of one completion: the share of its tokens, rounded up, with the largest or smallest rewards.
///
/// The rewards are log-ratios of an oracle that was trained with DPO on a part of the pairs. Of equal rewards the first count.
///
/// # Errors
/// [`ObjectiveError::Config`] for a share outside 0 to 1, [`ObjectiveError::Core`] for rewards that are not finite.
///
/// ```
/// use tropism_objectives::{KeySide, key_tokens};
///
/// assert_eq!(key_tokens(&[0.1, 0.9, -0.5], 0.5, KeySide::Largest)?, [1.0, 1.0, 0.0]);
/// assert_eq!(key_tokens(&[0.1, 0.9, -0.5], 0.3, KeySide::Smallest)?, [0.0, 0.0, 1.0]);
/// # Ok::<(), tropism_objectives::ObjectiveError>(())
/// ```
pub fn key_tokens(rewards: &[f64], share: f64, side: KeySide) -> Result<Vec<f64>, ObjectiveError> {
    crate::options::share(Sepo::NAME, "share", &share)?;
    CoreError::check_finite("reward", rewards)?;
    let mut order: Vec<usize> = (0..rewards.len()).collect();
    order.sort_by(|&i, &j| match side {
        KeySide::Largest => rewards[j].total_cmp(&rewards[i]),
        KeySide::Smallest => rewards[i].total_cmp(&rewards[j]),
    });
    let mut keys = vec![0.0; rewards.len()];
    order.truncate((share * rewards.len() as f64).ceil() as usize);
    order.into_iter().for_each(|i| keys[i] = 1.0);
    Ok(keys)
}
