//! TGDPO: a guide's token rewards set the KL strength of each token.

use dfdx::prelude::*;
use tropism_core::options::{finite, not_negative, optional, positive};
use tropism_core::{Column, CoreError, Domain, LossTerms, OptionError, PairTokens, Per};

use super::weighted::{Ratios, Scales, weighted_pairs};
use crate::figures::counted;
use crate::method::options;
use crate::{CreditBatch, CreditError, CreditKind, CreditMethod};

options! {
    /// Options of [`tgdpo()`].
    Tgdpo = "tgdpo", "TGDPO: Token-Level Reward Guidance for Direct Preference Optimization, arXiv 2506.14574" {
        /// Inverse temperature of the margin, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Strength of the guidance, `α`; 0.5 by default, 0 is DPO.
        alpha: f64 = 0.5, with_alpha, finite;
        /// Inverse temperature that the guide was trained with, `β_g > 0`; `β` by default, as in the authors' code.
        guide_beta: Option<f64> = None, with_guide_beta, optional(positive);
        /// What weights are raised to where they are below it, at least 0; by default they stay and negative ones are counted.
        floor: Option<f64> = None, with_floor, optional(not_negative);
        /// Weight of the chosen tokens' mean negative log-likelihood, at least 0; 0 by default.
        sft_weight: f64 = 0.0, with_sft_weight, not_negative;
    }
}

/// Log-probabilities of the tokens under the guide.
const CHOSEN: Column = Column { name: "guide_logps/chosen", per: Per::ChosenToken, domain: Domain::Any };
const REJECTED: Column = Column { name: "guide_logps/rejected", per: Per::RejectedToken, domain: Domain::Any };

impl CreditMethod for Tgdpo {
    const INPUT: CreditKind = CreditKind::PairTokens;

    fn columns(&self) -> Vec<Column> {
        vec![CHOSEN, REJECTED]
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: CreditBatch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, CreditError> {
        let guide = [batch.column(&CHOSEN), batch.column(&REJECTED)];
        let (policy, reference) = batch.into_pair_tokens(Self::NAME)?;
        tgdpo(policy, reference, [&guide[0], &guide[1]], self)
    }
}

/// Token-level reward guidance for DPO, with the rewards that a guide model induces.
///
/// With the guide's log-probabilities `g_t`, `[P, C]` row by row (columns `guide_logps/chosen` and `guide_logps/rejected`;
/// what stands outside the completions is ignored), and `Δ_t = lp_t − rf_t`, in nats:
///
/// ```text
/// r̂_t = β_g (g_t − rf_t)     w_t = 1 + α r̂_t for t ∈ y_w     l_t = 1 − α r̂_t for t ∈ y_l     no gradient
/// d = β (Σ_{t ∈ y_w} w_t Δ_t − Σ_{t ∈ y_l} l_t Δ_t)     losses = log(1 + e^{−d}) + γ · mean_{t ∈ y_w} (−lp_t)
/// ∂losses/∂lp_t = −β σ(−d) w_t − γ / |y_w| for t ∈ y_w, +β σ(−d) l_t for t ∈ y_l
/// ```
///
/// Chosen tokens that the guide prefers are pushed harder, and so are rejected ones that it does not. A weight below 0
/// turns its token's direction round: see `floor` and `token_weights/…_negative`. Rewards in the diagnostics are DPO's, from
/// unweighted log-ratios; `margins/weighted` is `d`.
///
/// The authors' code has one `β` for the loss and the guide; theory has the guide's own. Their option for an SFT term
/// divides log-probabilities of wrong shape by lengths; here it is the mean over each chosen completion's tokens.
///
/// Source: Zhu et al. 2025, arXiv 2506.14574, and the authors' code (branch `sigmoid`, the only one that reads the guide).
///
/// # Errors
/// [`CreditError::Option`]; [`CreditError::UnevenMasks`] when policy and reference count different tokens;
/// [`CreditError::Core`] for sizes that differ and a guide's log-probability that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{PairTokens, TokenLogps};
/// use tropism_credit::{Tgdpo, tgdpo};
///
/// let dev = Cpu::default();
/// let chosen = |v: [f64; 3]| TokenLogps::new(dev.tensor_from_vec(v.to_vec(), (1, 3)), &[true; 3]);
/// let rejected = |v: [f64; 2]| TokenLogps::new(dev.tensor_from_vec(v.to_vec(), (1, 2)), &[true; 2]);
/// let policy = PairTokens::new(chosen([-1.2, -0.7, -2.0])?, rejected([-1.0, -1.6])?)?;
/// let reference = PairTokens::new(chosen([-1.5, -0.6, -2.3])?, rejected([-0.8, -1.9])?)?;
/// let terms = tgdpo(policy, reference, [&[-0.9, -1.1, -1.8], &[-1.4, -1.2]], &Tgdpo::default())?;
/// assert!((terms.values()[0] - 0.671609237140).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn tgdpo<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairTokens<P, C, E, D, T>,
    reference: PairTokens<P, C, E, D>,
    guide_logps: [&[f64]; 2],
    config: &Tgdpo,
) -> Result<LossTerms<P, E, D, T>, CreditError> {
    config.check()?;
    let scale = config.guide_beta.unwrap_or(config.beta);
    let rewards = induced_rewards(&reference, guide_logps, scale)?;
    let ratios = Ratios::new(&policy, &reference)?;
    let weights = guidance_weights([&rewards[0], &rewards[1]], config);
    weighted_pairs(policy, &ratios, weights, &Scales { beta: config.beta, sft_weight: config.sft_weight })
}

/// [`tgdpo()`] with token rewards `r̂` from anywhere, `[P, C]` row by row, in place of a guide's.
///
/// # Errors
/// As [`tgdpo()`]; [`CreditError::Option`] for a `guide_beta`, since there is no guide.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{PairTokens, TokenLogps};
/// use tropism_credit::{Tgdpo, tgdpo_with_rewards};
///
/// let side = |v: [f64; 2]| TokenLogps::new(Cpu::default().tensor([v]), &[true; 2]);
/// let pairs = PairTokens::new(side([-1.0, -2.0])?, side([-0.5, -0.5])?)?;
/// let terms = tgdpo_with_rewards(pairs.clone(), pairs, [&[1.0, -1.0], &[0.5, 0.0]], &Tgdpo::default())?;
/// assert!((terms.values()[0] - 2.0_f64.ln()).abs() < 1e-15); // policy and reference agree
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn tgdpo_with_rewards<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairTokens<P, C, E, D, T>,
    reference: PairTokens<P, C, E, D>,
    token_rewards: [&[f64]; 2],
    config: &Tgdpo,
) -> Result<LossTerms<P, E, D, T>, CreditError> {
    config.check()?;
    if config.guide_beta.is_some() {
        let problem = "is not read when token rewards are given; leave it out".to_owned();
        return Err(OptionError::Problem { method: Tgdpo::NAME, key: "guide_beta", problem }.into());
    }
    let ratios = Ratios::new(&policy, &reference)?;
    let weights = guidance_weights(token_rewards, config);
    weighted_pairs(policy, &ratios, weights, &Scales { beta: config.beta, sft_weight: config.sft_weight })
}

/// The weights `1 ± α r̂` of chosen and rejected tokens, raised to the floor if there is one: constants of the data, which
/// may be kept for [`weighted_token_dpo`](crate::weighted_token_dpo()).
///
/// ```
/// use tropism_credit::{Tgdpo, guidance_weights};
///
/// let config = Tgdpo::default().with_alpha(20.0).with_floor(Some(0.0));
/// assert_eq!(guidance_weights([&[0.06, -0.05], &[0.07]], &config), [vec![2.2, 0.0], vec![0.0]]);
/// ```
pub fn guidance_weights(token_rewards: [&[f64]; 2], config: &Tgdpo) -> [Vec<f64>; 2] {
    let raised = |w: f64| config.floor.map_or(w, |floor| w.max(floor));
    let side = |rewards: &[f64], sign: f64| rewards.iter().map(|r| raised(1.0 + sign * config.alpha * r)).collect();
    [side(token_rewards[0], 1.0), side(token_rewards[1], -1.0)]
}

/// `scale (g_t − rf_t)` in the reference's counted cells, 0 elsewhere.
pub(super) fn induced_rewards<P: Dim, C: Dim, E: Dtype, D: Device<E>>(
    reference: &PairTokens<P, C, E, D>,
    guide_logps: [&[f64]; 2],
    scale: f64,
) -> Result<[Vec<f64>; 2], CreditError> {
    let side = |what, guide: &[f64], side: &tropism_core::TokenLogps<P, C, E, D>| {
        CoreError::check_size(what, side.mask().len(), guide.len())?;
        let cells = guide.iter().zip(counted(side)).zip(side.mask());
        Ok::<_, CreditError>(cells.map(|((g, rf), &m)| if m { scale * (g - rf) } else { 0.0 }).collect::<Vec<f64>>())
    };
    let chosen = side("chosen guide logps", guide_logps[0], &reference.chosen)?;
    Ok([chosen, side("rejected guide logps", guide_logps[1], &reference.rejected)?])
}
