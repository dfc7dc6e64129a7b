//! Credit for single tokens and steps, and the losses that use it.
//!
//! Preferences and rewards speak of whole answers. The functions of this crate say what each token or step had to do with
//! it, and train with that. They are pure functions on typed tensors and slices: nothing here samples, loops or reads files.
//!
//! | method | reads | gives |
//! |---|---|---|
//! | [`token_credits`], [`TokenCredits`], [`CreditProfile`] | token log-probabilities of policy and reference | rewards, advantages, values and `Q` of tokens; figures for reports |
//! | [`soft_values`], [`drift`], [`proxy_logps`] | logits of one state | `Q`, `V`, `A`; drift of implicit rewards; proxy-tuned log-probabilities |
//! | [`SoftTree`] | a tree of states | soft-optimal values: the truth that credits are measured against |
//! | [`BeamSearch`] | anything that scores next tokens ([`NextTokens`]) | the most likely answers |
//! | [`token_dpo()`], [`weighted_token_dpo()`] | pairs by token | DPO by token; with given weights |
//! | [`tgdpo()`], [`tgdpo_with_rewards`], [`guidance_weights`] | pairs by token, a guide | TGDPO |
//! | [`sail()`], [`sail_attention()`], [`instruction_attention`] | pairs by token, a scorer or attention | SAIL |
//! | [`tdpo1()`], [`tdpo2()`], [`PositionKl`] | pairs with divergences | TDPO |
//! | [`aligndistil()`], [`AlignDistil::distillation`] | divergences from a teacher | AlignDistil |
//! | [`oprl()`], [`step_rewards`], [`step_advantages`] | steps of agents | a process reward model's loss; advantages of steps |
//! | [`rto_rewards`] | samples under three models | token rewards for PPO |
//!
//! TARS weights no tokens: its loss and its choice of tokens are in `tropism-objectives`.
//!
//! [`Credit`] picks a loss by name from a configuration file. Losses return [`LossTerms`](tropism_core::LossTerms): losses per
//! row and each row's weight in the denominator, never a mean.
//!
//! ## Gradients
//!
//! Losses are differentiable in the policy's log-probabilities and, where they read them, divergences. References,
//! guides, attention and all weights made of them are constants.
//!
//! ```
//! use dfdx::prelude::*;
//! use tropism_core::{PairTokens, TokenLogps};
//! use tropism_credit::{Tgdpo, tgdpo};
//!
//! let dev = Cpu::default();
//! let (chosen, rejected) = (dev.tensor([[-1.2_f64, -0.7]]), dev.tensor([[-1.0, -1.6]]));
//! let traced = PairTokens::new(
//!     TokenLogps::new(chosen.leaky_trace(), &[true; 2])?,
//!     TokenLogps::new(rejected.retaped(), &[true; 2])?,
//! )?;
//! let reference = PairTokens::new(
//!     TokenLogps::new(dev.tensor([[-1.5, -0.6]]), &[true; 2])?,
//!     TokenLogps::new(dev.tensor([[-0.8, -1.9]]), &[true; 2])?,
//! )?;
//! let guide: [&[f64]; 2] = [&[-0.9, -1.1], &[-1.4, -1.2]];
//! let grads = tgdpo(traced, reference, guide, &Tgdpo::default())?.mean()?.backward();
//! let [push, other] = grads.get(&chosen).array()[0];
//! assert!(push < other && other < 0.0); // the guide prefers the first token and not the second
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## Whole distributions
//!
//! TDPO and AlignDistil compare distributions over the vocabulary at each token. [`PositionKl`] and [`Distillation`] are
//! [`VocabularyFigure`](tropism_core::VocabularyFigure)s: they read logits chunk by chunk and give values and slopes. The
//! operation `vocabulary_figure` of `tropism-ops` feeds them from hidden states, so that `[tokens, vocabulary]` is never
//! stored, and takes the slopes back to the states.
//!
//! ## Diagnostics
//!
//! One value per row. Losses on pairs report TRL's names as `tropism-objectives` does: `rewards/…` are `β` times *unweighted*
//! log-ratios, so accuracies compare with DPO's; what the loss compares is `margins/weighted`. `token_weights/chosen` and
//! `token_weights/rejected` are mean weights, with `_negative` the number of tokens whose direction a weight turned round.

mod distil;
mod error;
mod family;
mod figures;
mod implicit;
mod input;
mod method;
mod oprl;
mod pairs;
mod rto;
mod search;
mod sums;

pub use distil::*;
pub use error::CreditError;
pub use family::{Credit, METHODS, ORIGINS, keys};
pub use implicit::*;
pub use input::{CreditBatch, CreditInput, CreditKind};
pub use method::CreditMethod;
pub use oprl::*;
pub use pairs::*;
pub use rto::*;
pub use search::*;
pub use sums::{Normalization, TokenSums};
pub use tropism_core::Origin;
