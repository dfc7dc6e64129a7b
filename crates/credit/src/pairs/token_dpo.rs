//! DPO by token, plain and with given token weights.

use dfdx::prelude::*;
use tropism_core::options::{not_negative, positive};
use tropism_core::{Column, Domain, LossTerms, PairTokens, Per};

use super::weighted::{Ratios, Scales, weighted_pairs};
use crate::method::options;
use crate::{CreditBatch, CreditError, CreditKind, CreditMethod};

options! {
    /// Options of [`token_dpo()`].
    TokenDpo = "token_dpo", "From r to Q*: Your Language Model is Secretly a Q-Function, arXiv 2404.12358" {
        /// Inverse temperature, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
    }
}

options! {
    /// Options of [`weighted_token_dpo()`].
    WeightedTokenDpo = "weighted_token_dpo", "TGDPO: Token-Level Reward Guidance for Direct Preference Optimization, arXiv 2506.14574 (the general form)" {
        /// Inverse temperature, `β > 0`; 0.1 by default.
        beta: f64 = 0.1, with_beta, positive;
        /// Weight of the chosen tokens' mean negative log-likelihood, at least 0; 0 by default.
        sft_weight: f64 = 0.0, with_sft_weight, not_negative;
    }
}

const CHOSEN: Column = Column { name: "token_weights/chosen", per: Per::ChosenToken, domain: Domain::Any };
const REJECTED: Column = Column { name: "token_weights/rejected", per: Per::RejectedToken, domain: Domain::Any };

impl CreditMethod for TokenDpo {
    const INPUT: CreditKind = CreditKind::PairTokens;

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: CreditBatch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, CreditError> {
        let (policy, reference) = batch.into_pair_tokens(Self::NAME)?;
        token_dpo(policy, reference, self)
    }
}

impl CreditMethod for WeightedTokenDpo {
    const INPUT: CreditKind = CreditKind::PairTokens;

    fn columns(&self) -> Vec<Column> {
        vec![CHOSEN, REJECTED]
    }

    fn loss<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        batch: CreditBatch<P, C, E, D, T>,
    ) -> Result<LossTerms<P, E, D, T>, CreditError> {
        let weights = [batch.column(&CHOSEN), batch.column(&REJECTED)];
        let (policy, reference) = batch.into_pair_tokens(Self::NAME)?;
        weighted_token_dpo(policy, reference, weights, self)
    }
}

/// DPO of `P` pairs, token by token: the sum is DPO's, each summand is a token's credit.
///
/// With `Δ_t = lp_t − rf_t` at completion token `t`, in nats:
///
/// ```text
/// d = β (Σ_{t ∈ y_w} Δ_t − Σ_{t ∈ y_l} Δ_t)     losses = log(1 + e^{−d})     weights = 1
/// ∂losses/∂lp_t = −β σ(−d) for t ∈ y_w, +β σ(−d) for t ∈ y_l
/// ```
///
/// It equals DPO on sums. `β Δ_t` is the token's reward up to a potential of states, see
/// [`token_credits`](crate::token_credits). Sums, never means: a mean would break the telescoping.
///
/// Source: Rafailov et al. 2024, arXiv 2404.12358, equation 9.
///
/// # Errors
/// [`CreditError::Option`]; [`CreditError::UnevenMasks`] when policy and reference count different tokens;
/// [`CreditError::Core`] for sizes that differ.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{PairTokens, TokenLogps};
/// use tropism_credit::{TokenDpo, token_dpo};
///
/// let dev = Cpu::default();
/// let side = |v: [f64; 2]| TokenLogps::new(dev.tensor([v]), &[true; 2]);
/// let policy = PairTokens::new(side([-1.0, -0.5])?, side([-2.0, -0.5])?)?;
/// let reference = PairTokens::new(side([-1.5, -1.0])?, side([-1.0, -0.5])?)?;
/// let terms = token_dpo(policy, reference, &TokenDpo::default().with_beta(0.25))?;
/// assert!((terms.values()[0] - 0.474076984180).abs() < 1e-12); // d = 0.5
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn token_dpo<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairTokens<P, C, E, D, T>,
    reference: PairTokens<P, C, E, D>,
    config: &TokenDpo,
) -> Result<LossTerms<P, E, D, T>, CreditError> {
    config.check()?;
    let ratios = Ratios::new(&policy, &reference)?;
    let ones = [&ratios.cells[0], &ratios.cells[1]].map(|side| vec![1.0; side.len()]);
    weighted_pairs(policy, &ratios, ones, &Scales { beta: config.beta, sft_weight: 0.0 })
}

/// DPO of `P` pairs with a weight for each token: any positive credit, and cached weights of [`tgdpo()`](crate::tgdpo()).
///
/// With constant weights `w_t` and `l_t` of the chosen and rejected tokens, `[P, C]` row by row (columns
/// `token_weights/chosen` and `token_weights/rejected`), of which those outside the completions are ignored:
///
/// ```text
/// d = β (Σ_{t ∈ y_w} w_t Δ_t − Σ_{t ∈ y_l} l_t Δ_t)     losses = log(1 + e^{−d}) + γ · mean_{t ∈ y_w} (−lp_t)
/// ∂losses/∂lp_t = −β σ(−d) w_t − γ / |y_w| for t ∈ y_w, +β σ(−d) l_t for t ∈ y_l
/// ```
///
/// `γ` is `sft_weight`. A weight `f > 0` stands for a KL strength `β f` of its token. Negative weights turn the token's
/// direction round; they are computed with and counted in `token_weights/…_negative`.
///
/// Source: TGDPO's general form, arXiv 2506.14574, theorem 4.4.
///
/// # Errors
/// As [`token_dpo()`]; [`CreditError::Core`] for a weight that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::{PairTokens, TokenLogps};
/// use tropism_credit::{WeightedTokenDpo, weighted_token_dpo};
///
/// let dev = Cpu::default();
/// let side = |v: [f64; 2]| TokenLogps::new(dev.tensor([v]), &[true; 2]);
/// let policy = PairTokens::new(side([-1.0, -0.5])?, side([-2.0, -0.5])?)?;
/// let reference = PairTokens::new(side([-1.5, -1.0])?, side([-1.0, -0.5])?)?;
/// let weights = [vec![2.0, 1.0], vec![0.5, 1.0]];
/// let terms = weighted_token_dpo(policy, reference, weights, &WeightedTokenDpo::default().with_beta(0.25))?;
/// assert!((terms.values()[0] - 0.474076984180).abs() < 1e-12); // d = 0.25 (1.5 + 0.5)
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn weighted_token_dpo<P: Dim, C: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    policy: PairTokens<P, C, E, D, T>,
    reference: PairTokens<P, C, E, D>,
    weights: [Vec<f64>; 2],
    config: &WeightedTokenDpo,
) -> Result<LossTerms<P, E, D, T>, CreditError> {
    config.check()?;
    let ratios = Ratios::new(&policy, &reference)?;
    weighted_pairs(policy, &ratios, weights, &Scales { beta: config.beta, sft_weight: config.sft_weight })
}
