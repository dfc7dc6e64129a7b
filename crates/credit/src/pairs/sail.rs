//! SAIL: token weights from a scoring model or from attention to the instruction.

use dfdx::prelude::*;
use tropism_core::options::{finite, not_negative, optional, positive};
use tropism_core::{Column, CoreError, Domain, LossTerms, PairTokens, Per, TokenLogps};

use super::attention::attention_weights;
use super::tgdpo::induced_rewards;
use super::weighted::{Ratios, Scales, weighted_pairs};
use crate::method::options;
use crate::{CreditBatch, CreditError, CreditKind, CreditMethod, Tgdpo, guidance_weights};

options! {
    /// Options of [`sail()`].
    Sail = "sail", "Diagnose, Localize, Align, arXiv 2509.23188 (the authors' code)" {
        /// Inverse temperature, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Weight of the scorer's token rewards, `a`; 0.5 by default, 0 is DPO.
        alpha: f64 = 0.5, with_alpha, finite;
        /// What weights are raised to where they are below it, at least 0; by default they stay and negative ones are counted.
        floor: Option<f64> = None, with_floor, optional(not_negative);
        /// Weight of the chosen tokens' mean negative log-likelihood, at least 0; 0 by default.
        sft_weight: f64 = 0.0, with_sft_weight, not_negative;
    }
}

options! {
    /// Options of [`sail_attention()`].
    SailAttention = "sail_attention", "Diagnose, Localize, Align, arXiv 2509.23188 (the paper's description)" {
        /// Inverse temperature, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Weight of the chosen tokens' mean negative log-likelihood, at least 0; 0 by default.
        sft_weight: f64 = 0.0, with_sft_weight, not_negative;
    }
}

const SCORER: [Column; 2] = [
    Column { name: "scorer_logps/chosen", per: Per::ChosenToken, domain: Domain::Any },
    Column { name: "scorer_logps/rejected", per: Per::RejectedToken, domain: Domain::Any },
];

const ATTENTION: [Column; 2] = [
    Column { name: "instruction_attention/chosen", per: Per::ChosenToken, domain: Domain::NotNegative },
    Column { name: "instruction_attention/rejected", per: Per::RejectedToken, domain: Domain::NotNegative },
];

impl CreditMethod for Sail {
    const INPUT: CreditKind = CreditKind::PairTokens;

    fn columns(&self) -> Vec<Column> {
        SCORER.to_vec()
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: CreditBatch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, CreditError> {
        let scorer = [batch.column(&SCORER[0]), batch.column(&SCORER[1])];
        let (policy, reference) = batch.into_pair_tokens(Self::NAME)?;
        sail(policy, reference, [&scorer[0], &scorer[1]], self)
    }
}

impl CreditMethod for SailAttention {
    const INPUT: CreditKind = CreditKind::PairTokens;

    fn columns(&self) -> Vec<Column> {
        ATTENTION.to_vec()
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: CreditBatch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, CreditError> {
        let attention = [batch.column(&ATTENTION[0]), batch.column(&ATTENTION[1])];
        let (policy, reference) = batch.into_pair_tokens(Self::NAME)?;
        sail_attention(policy, reference, [&attention[0], &attention[1]], self)
    }
}

/// SAIL with a scoring model, as the authors' code has it.
///
/// With the scorer's log-probabilities `s_t`, `[P, C]` row by row (columns `scorer_logps/chosen` and
/// `scorer_logps/rejected`), and `Δ_t = lp_t − rf_t`, in nats:
///
/// ```text
/// r̂_t = s_t − rf_t     w_t = 1 + a β r̂_t for t ∈ y_w     l_t = 1 − a β r̂_t for t ∈ y_l     no gradient
/// z = β (Σ_{t ∈ y_w} w_t Δ_t − Σ_{t ∈ y_l} l_t Δ_t)     losses = log(1 + e^{−z}) + γ · mean_{t ∈ y_w} (−lp_t)
/// ∂losses/∂lp_t = −β σ(−z) w_t − γ / |y_w| for t ∈ y_w, +β σ(−z) l_t for t ∈ y_l
/// ```
///
/// This is [`tgdpo()`](crate::tgdpo()) with an external scorer. The paper describes weights by attention instead:
/// [`sail_attention()`]. A result has to say which it used. A weight is negative where `a β |r̂| > 1` against its side.
///
/// Source: arXiv 2509.23188, the authors' code.
///
/// # Errors
/// As [`tgdpo()`](crate::tgdpo()).
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{PairTokens, TokenLogps};
/// use tropism_credit::{Sail, sail};
///
/// let dev = Cpu::default();
/// let side = |v: &[f64]| TokenLogps::new(dev.tensor_from_vec(v.to_vec(), (1, v.len())), &vec![true; v.len()]);
/// let policy = PairTokens::new(side(&[-1.0, -0.5, -2.0])?, side(&[-0.7, -1.5])?)?;
/// let reference = PairTokens::new(side(&[-1.2, -0.6, -1.5])?, side(&[-0.9, -1.0])?)?;
/// let terms = sail(policy, reference, [&[-0.8, -0.6, -1.0], &[-1.5, -0.8]], &Sail::default())?;
/// assert!((terms.values()[0] - 0.6891302809).abs() < 1e-10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sail<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairTokens<P, C, E, D, T>,
    reference: PairTokens<P, C, E, D>,
    scorer_logps: [&[f64]; 2],
    config: &Sail,
) -> Result<LossTerms<P, E, D, T>, CreditError> {
    config.check()?;
    let rewards = induced_rewards(&reference, scorer_logps, config.beta)?;
    let ratios = Ratios::new(&policy, &reference)?;
    let guided = Tgdpo { alpha: config.alpha, floor: config.floor, ..Tgdpo::default() };
    let weights = guidance_weights([&rewards[0], &rewards[1]], &guided);
    weighted_pairs(policy, &ratios, weights, &Scales { beta: config.beta, sft_weight: config.sft_weight })
}

/// SAIL with weights by attention, as the paper describes it.
///
/// With `c_t ≥ 0`, the attention from answer token `t` to the system instruction, averaged over focal heads
/// ([`instruction_attention`](crate::instruction_attention)), `[P, C]` row by row (columns `instruction_attention/chosen` and `instruction_attention/rejected`), and `n` tokens in a completion:
///
/// ```text
/// ω_t = n c_t / Σ_s c_s     z = β (Σ_{t ∈ y_w} ω_t Δ_t − Σ_{t ∈ y_l} ω_t Δ_t)
/// losses = log(1 + e^{−z}) + γ · mean_{t ∈ y_w} (−lp_t)
/// ∂losses/∂lp_t = −β σ(−z) ω_t − γ / |y_w| for t ∈ y_w, +β σ(−z) ω_t for t ∈ y_l
/// ```
///
/// Weights average to 1 in each completion, so uniform attention is DPO. They are constants.
///
/// Source: arXiv 2509.23188 says what is weighted, not how; this normalisation is ours.
///
/// # Errors
/// [`CreditError::Option`]; [`CreditError::Column`] for negative attention; [`CreditError::Value`] for a completion without
/// any; [`CreditError::UnevenMasks`]; [`CreditError::Core`] for sizes that differ.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{PairTokens, TokenLogps};
/// use tropism_credit::{SailAttention, sail_attention};
///
/// let side = |v: [f64; 2]| TokenLogps::new(Cpu::default().tensor([v]), &[true; 2]);
/// let policy = PairTokens::new(side([-1.0, -2.0])?, side([-1.0, -1.0])?)?;
/// let reference = PairTokens::new(side([-2.0, -2.0])?, side([-1.0, -1.0])?)?;
/// let attention: [&[f64]; 2] = [&[0.3, 0.1], &[0.2, 0.2]];
/// let terms = sail_attention(policy, reference, attention, &SailAttention::default())?;
/// assert!((terms.values()[0] - (1.0 + (-0.15_f64).exp()).ln()).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sail_attention<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairTokens<P, C, E, D, T>,
    reference: PairTokens<P, C, E, D>,
    attention: [&[f64]; 2],
    config: &SailAttention,
) -> Result<LossTerms<P, E, D, T>, CreditError> {
    config.check()?;
    let side = |column: &Column, cells: &[f64], side: &TokenLogps<P, C, E, D, T>| {
        CoreError::check_size(column.name, side.mask().len(), cells.len())?;
        let kept: Vec<f64> = cells.iter().zip(side.mask()).map(|(&c, &m)| if m { c } else { 0.0 }).collect();
        column.check(SailAttention::NAME, &kept)?;
        attention_weights(&kept, side.mask(), side.size().1)
    };
    let chosen = side(&ATTENTION[0], attention[0], &policy.chosen)?;
    let rejected = side(&ATTENTION[1], attention[1], &policy.rejected)?;
    let ratios = Ratios::new(&policy, &reference)?;
    let scales = Scales { beta: config.beta, sft_weight: config.sft_weight };
    weighted_pairs(policy, &ratios, [chosen, rejected], &scales)
}
