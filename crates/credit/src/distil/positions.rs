//! Divergences of the reference from the policy, and which positions a completion's divergences are taken at.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use tropism_core::VocabularyFigure;

use super::log_sum_exp::LogSumExp;

/// `KL(reference ‖ policy) = Σ_v q_v (log q_v − log p_v)` at each token, with gradient `p_v − q_v` in the policy's logits: what
/// [`tdpo1()`](crate::tdpo1()) and [`tdpo2()`](crate::tdpo2()) sum over a completion.
///
/// Model 0 is the policy `p`, model 1 the reference `q`. Nats.
///
/// ```
/// use tropism_core::VocabularyFigure;
/// use tropism_credit::PositionKl;
///
/// let (kl, slopes) = PositionKl.of_row(&[&[3.0_f64.ln(), 0.0], &[5.0, 5.0]]);
/// assert!((kl - 0.5 * (4.0_f64 / 3.0).ln()).abs() < 1e-12 && (slopes[0] - 0.25).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PositionKl;

/// What is known of a token's two distributions.
#[derive(Clone, Debug)]
pub struct PositionToken {
    policy: LogSumExp,
    reference: LogSumExp,
    /// The sum so far.
    kl: f64,
}

impl VocabularyFigure for PositionKl {
    type Token = PositionToken;

    fn models(&self) -> usize {
        2
    }

    fn passes(&self) -> usize {
        2
    }

    fn start(&self) -> PositionToken {
        PositionToken { policy: LogSumExp::EMPTY, reference: LogSumExp::EMPTY, kl: 0.0 }
    }

    fn read(&self, pass: usize, token: &mut PositionToken, logits: &[&[f64]]) {
        if pass == 0 {
            token.policy.extend(logits[0], |_, x| x);
            token.reference.extend(logits[1], |_, y| y);
            return;
        }
        let (own, theirs) = (token.policy.value(), token.reference.value());
        for (x, y) in logits[0].iter().zip(logits[1]) {
            let log_q = y - theirs;
            let q = log_q.exp();
            // The limit of q log q where q is 0.
            token.kl += if q > 0.0 { q * (log_q - (x - own)) } else { 0.0 };
        }
    }

    fn value(&self, token: &PositionToken) -> f64 {
        token.kl
    }

    fn slopes(&self, token: &PositionToken, logits: &[&[f64]], slopes: &mut [f64]) {
        let (own, theirs) = (token.policy.value(), token.reference.value());
        for ((slope, x), y) in slopes.iter_mut().zip(logits[0]).zip(logits[1]) {
            *slope = (x - own).exp() - (y - theirs).exp();
        }
    }
}

/// Which logits of a sequence belong to a completion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alignment {
    /// Those that predict its tokens, the first and the last included.
    #[default]
    Predictions,
    /// Those at its tokens, as AlignDistil's released off-policy trainer takes them: without the first token's prediction, with
    /// the one after the last token.
    ReleasedOffPolicy,
    /// Those at its tokens but the last, as AlignDistil's released on-policy trainer takes them: without the first token's
    /// prediction.
    ReleasedOnPolicy,
}

/// Positions whose logits are trained in a sequence of `prompt` and then `completion` tokens; the logits at position `j`
/// predict token `j + 1`.
///
/// Without a prompt nothing predicts the first token.
///
/// ```
/// use tropism_credit::{Alignment, trained_positions};
///
/// assert_eq!(trained_positions(5, 3, Alignment::Predictions), 4..7);
/// assert_eq!(trained_positions(5, 3, Alignment::ReleasedOffPolicy), 5..8);
/// assert_eq!(trained_positions(5, 3, Alignment::ReleasedOnPolicy), 5..7);
/// ```
pub fn trained_positions(prompt: usize, completion: usize, alignment: Alignment) -> Range<usize> {
    let end = prompt + completion;
    match alignment {
        Alignment::Predictions => prompt.saturating_sub(1)..end.saturating_sub(1),
        Alignment::ReleasedOffPolicy => prompt..end,
        Alignment::ReleasedOnPolicy => prompt..end.saturating_sub(1).max(prompt),
    }
}
