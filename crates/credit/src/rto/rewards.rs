//! The shaped token reward.

use dfdx::prelude::*;
use serde::{Deserialize, Serialize};
use tropism_core::options::{any, not_negative, positive};
use tropism_core::{CoreError, OptionError, TokenLogps};

use crate::CreditError;
use crate::figures::{log_ratios, row_sums};
use crate::method::options;

/// When a DPO model's token rewards are paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payout {
    /// At each token: RTO.
    #[default]
    Tokens,
    /// A sentence's sum at its last token: Semi-RTO. Sentences end where the caller says, and with the completion.
    Sentences,
    /// The whole sum at the last token: DDPO.
    End,
    /// At each token, and taken back at the last one, so that the completion's total stays: RS-PPO.
    Redistributed,
}

options! {
    /// Options of [`rto_rewards`].
    Rto = "rto" {
        /// Scale of the DPO model's log-ratios, `β₁ > 0`; 0.05 by default. Without the DPO part, give no DPO model.
        dpo_scale: f64 = 0.05, with_dpo_scale, positive;
        /// Bound of a token's scaled log-ratio on both sides, positive; 0.05 by default, as in the authors' script; `inf` for
        /// none, as in the paper.
        dpo_clip: f64 = 0.05, with_dpo_clip, bound;
        /// Weight of the KL penalty per token, `β₂ ≥ 0`; 0.01 by default.
        kl_weight: f64 = 0.01, with_kl_weight, not_negative;
        /// Weight of the sentence reward, `β₃ ≥ 0`; 1 by default.
        score_weight: f64 = 1.0, with_score_weight, not_negative;
        /// Bound of the sentence reward on both sides, positive; 10 by default.
        score_clip: f64 = 10.0, with_score_clip, positive;
        /// When the DPO model's rewards are paid: `"tokens"` (the default), `"sentences"`, `"end"` or `"redistributed"`.
        payout: Payout = Payout::Tokens, with_payout, any;
    }
}

/// Positive, perhaps infinite.
fn bound(method: &'static str, key: &'static str, value: &f64) -> Result<(), OptionError> {
    OptionError::check(*value > 0.0, (method, key, *value), "positive")
}

/// Log-probabilities of sampled completions, all without gradient and at the temperature they were sampled at.
#[derive(Debug)]
pub struct RtoModels<'a, P: Dim, C: Dim, E: Dtype, D: Device<E>> {
    /// Under the policy that sampled them.
    pub old: &'a TokenLogps<P, C, E, D>,
    /// Under the reference, also that of the DPO model's training.
    pub reference: &'a TokenLogps<P, C, E, D>,
    /// Under the DPO model; without it the rewards are those of PPO with a sentence reward and a KL penalty.
    pub dpo: Option<&'a TokenLogps<P, C, E, D>>,
}

/// Token rewards `[P, C]` row by row, 0 in cells that do not count, with the parts that they are made of.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RtoRewards {
    /// Reward of each token: `dpo − kl_weight · kl`, and the sentence reward at the last one.
    pub rewards: Vec<f64>,
    /// The DPO model's part, when it is paid.
    pub dpo: Vec<f64>,
    /// `old − reference` of each token: the KL estimate k1, before its weight.
    pub kl: Vec<f64>,
    /// Tokens of each completion whose scaled log-ratio was cut.
    pub clipped: Vec<usize>,
}

/// Token rewards of `P` sampled completions, ready for PPO's advantages.
///
/// With `t` over the counted tokens of a completion, `T` the last of them, and the sentence reward `r` (`scores`, `[P]`):
///
/// ```text
/// g_t = clip(β₁ (dpo_t − rf_t), ±dpo_clip)     k_t = old_t − rf_t
/// ρ_t = g_t − β₂ k_t + [t = T] β₃ clip(r, ±score_clip)     in nats times a weight; no gradient
/// ```
///
/// `g` is paid as [`Payout`] says. The clip acts on the scaled log-ratio, so a smaller `β₁` clips fewer tokens. The sentence
/// reward goes to the last counted token, not to the last column. A completion without tokens gets no reward. `sentence_ends`
/// `[P, C]` is true at tokens that end a sentence; it is for `"sentences"` alone.
///
/// In the authors' code a scale of 0 stands for 1, and the reward model's reference is never the one named on the command line.
///
/// Source: Zhong et al. 2024, arXiv 2404.18922, equation 4.7, and the authors' code.
///
/// # Errors
/// [`CreditError::Option`], also when `sentence_ends` and the payout do not go together; [`CreditError::UnevenMasks`];
/// [`CreditError::Core`] for sizes that differ and a score that is not finite.
///
/// ```
/// use dfdx::prelude::*;
/// use tropism_core::TokenLogps;
/// use tropism_credit::{Rto, RtoModels, rto_rewards};
///
/// let tokens = |v: [f64; 4]| TokenLogps::new(Cpu::default().tensor([v]), &[true; 4]);
/// let (old, reference) = (tokens([-1.0, -0.5, -2.0, -0.3])?, tokens([-1.2, -0.6, -1.5, -0.3])?);
/// let dpo = tokens([-0.9, -2.1, -1.0, -0.2])?;
/// let models = RtoModels { old: &old, reference: &reference, dpo: Some(&dpo) };
/// let found = rto_rewards(&models, &[1.2], None, &Rto::default())?;
/// let want = [0.013, -0.051, 0.030, 1.205];
/// assert!(found.rewards.iter().zip(want).all(|(r, w)| (r - w).abs() < 1e-12));
/// assert_eq!(found.clipped, [1]);
/// # Ok::<(), tropism_credit::CreditError>(())
/// ```
pub fn rto_rewards<P: Dim, C: Dim, E: Dtype, D: Device<E>>(
    models: &RtoModels<'_, P, C, E, D>,
    scores: &[f64],
    sentence_ends: Option<&[bool]>,
    config: &Rto,
) -> Result<RtoRewards, CreditError> {
    config.check()?;
    let (rows, columns) = models.old.size();
    CoreError::check_size("sentence rewards", rows, scores.len())?;
    CoreError::check_finite("sentence reward", scores)?;
    let mask = models.old.mask();
    let kl = log_ratios("reference logps", models.old, models.reference)?;
    let ends = ends(sentence_ends, mask.len(), config)?;
    let (mut dpo, clipped) = match models.dpo {
        Some(model) => {
            // The masks of all three are the same then.
            log_ratios("logps of the DPO model", models.old, model)?;
            scaled(log_ratios("reference logps", model, models.reference)?, columns, config)
        }
        None => (vec![0.0; mask.len()], vec![0; rows]),
    };
    let mut rewards = vec![0.0; mask.len()];
    for (row, score) in scores.iter().enumerate() {
        let cells: Vec<usize> = (row * columns..(row + 1) * columns).filter(|&i| mask[i]).collect();
        pay(&mut dpo, &cells, ends, config.payout);
        cells.iter().for_each(|&i| rewards[i] = dpo[i] - config.kl_weight * kl[i]);
        if let Some(&last) = cells.last() {
            rewards[last] += config.score_weight * score.clamp(-config.score_clip, config.score_clip);
        }
    }
    Ok(RtoRewards { rewards, dpo, kl, clipped })
}

/// Scaled and clipped log-ratios, and how many of each row were cut.
fn scaled(ratios: Vec<f64>, columns: usize, config: &Rto) -> (Vec<f64>, Vec<usize>) {
    let bound = config.dpo_clip;
    let whole: Vec<f64> = ratios.iter().map(|h| config.dpo_scale * h).collect();
    let cut: Vec<f64> = whole.iter().map(|g| f64::from(u8::from(g.abs() > bound))).collect();
    let counts = row_sums(&cut, columns).iter().map(|&n| n as usize).collect();
    (whole.iter().map(|g| g.clamp(-bound, bound)).collect(), counts)
}

/// The ends of sentences, which are needed for one payout alone.
fn ends<'a>(given: Option<&'a [bool]>, cells: usize, config: &Rto) -> Result<&'a [bool], CreditError> {
    let problem = match (config.payout, given) {
        (Payout::Sentences, Some(ends)) => {
            CoreError::check_size("ends of sentences", cells, ends.len())?;
            return Ok(ends);
        }
        (Payout::Sentences, None) => "is \"sentences\", and nothing says where these end; give the ends of sentences",
        (_, Some(_)) => "does not read the ends of sentences; leave them out",
        (_, None) => return Ok(&[]),
    };
    Err(OptionError::Problem { method: Rto::NAME, key: "payout", problem: problem.to_owned() }.into())
}

/// Moves the rewards of a completion's `cells` to where they are paid.
fn pay(rewards: &mut [f64], cells: &[usize], ends: &[bool], payout: Payout) {
    let Some((&last, _)) = cells.split_last() else { return };
    let total: f64 = cells.iter().map(|&i| rewards[i]).sum();
    match payout {
        Payout::Tokens => {}
        Payout::Redistributed => rewards[last] -= total,
        Payout::End => {
            cells.iter().for_each(|&i| rewards[i] = 0.0);
            rewards[last] = total;
        }
        Payout::Sentences => {
            let mut owed = 0.0;
            for &i in cells {
                owed += std::mem::take(&mut rewards[i]);
                if ends[i] || i == last {
                    rewards[i] = std::mem::take(&mut owed);
                }
            }
        }
    }
}
