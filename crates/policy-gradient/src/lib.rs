//! Advantages and policy-gradient losses on token log-probabilities.
//!
//! A loss is a pure function from a [`Rollout`], sampled completions with the policy's log-probabilities on a tape, to
//! [`LossTerms`](tropism_core::LossTerms): losses per row, each row's weight in the denominator, and diagnostics. No
//! function samples, and none takes a mean; the caller divides once over all rows of its step. Advantages are made before,
//! on plain slices, for the whole step.
//!
//! | what | functions |
//! |---|---|
//! | advantages of rows | [`group_normalized()`], [`leave_one_out()`], [`normalize_then_sum()`], [`reinforce_baseline()`] |
//! | advantages of tokens | [`gae()`], [`reinforce()`], [`step_normalized()`], [`turn_mixture()`], [`whiten()`] |
//! | rewards | [`token_rewards()`], [`sequence_penalty()`], [`adapted_coefficient()`], [`soft_overlong()`] |
//! | several rewards, agents | [`label_regression()`], [`floor_penalty()`], [`search_steps()`] |
//! | which groups and tasks | [`dynamic_sampling()`], [`pass_rate_bins()`], [`Curriculum`] |
//! | surrogates by token | [`grpo()`], [`dr_grpo()`], [`bnpo()`], [`dapo()`], [`cispo()`], [`sapo()`], [`reinforce_plus_plus()`], [`ppo()`] |
//! | surrogates by completion | [`gspo()`], [`gspo_token()`], [`gmpo()`], [`luspo()`], [`vespo()`], [`rloo()`] |
//! | right against wrong | [`disco()`], [`drpo()`] |
//!
//! [`PolicyGradient`] picks a loss by name from a configuration file.
//!
//! ## What a name stands for
//!
//! The clip family differs in the ratio, its bounds and the aggregation, and every name can be given any of them:
//!
//! | name | ratio of | bounds | [`Aggregation`] |
//! |---|---|---|---|
//! | `grpo` | token | 0.2 / 0.2 | `sequence_mean`, with 0.04 · k3 |
//! | `dr_grpo` | token | 0.2 / 0.2 | `{ constant = 3000 }` |
//! | `bnpo` | token | 0.2 / 0.2 | `token_mean` |
//! | `dapo` | token | 0.2 / 0.28 | `token_mean` |
//! | `gspo` | completion, mean log-ratio | 0.0003 / 0.0004 | `sequence_mean` |
//! | `gspo_token` | the same, gradients by token | 0.0003 / 0.0004 | `sequence_mean` |
//! | `luspo` | completion, mean log-ratio | 0.002 / 0.0025 | `sequence_sum` |
//! | `rloo` | completion, sum of log-ratios | 0.2 / 0.2 | `sequence_mean` |
//! | `reinforce_plus_plus` | token | 0.2 / 0.2 | `token_mean` |
//! | `ppo` | token | 0.2 / 0.2 | `token_mean`, and a critic's loss |
//!
//! All surrogates share the options `aggregation`, `kl`, `sampler`, `top_entropy_quantile`, `off_policy_mask_threshold` and
//! `entropy_coefficient`. KL in the reward instead of the loss is [`token_rewards()`] or [`sequence_penalty()`].
//!
//! ## A step
//!
//! ```
//! use dfdx::prelude::*;
//! use tropism_core::TokenLogps;
//! use tropism_policy_gradient::*;
//!
//! let dev = Cpu::default();
//! // Two completions of one prompt: rewards, then advantages against the group.
//! let (rewards, groups) = (RewardTable::single(&[1.0, 0.0])?, Groups::of_size(2, 2)?);
//! let advantages = group_normalized(&rewards, &groups, &GroupNormalized::default())?;
//!
//! let logps = dev.tensor([[-1.0_f64, -2.0, -0.5], [-0.5, -0.7, 0.0]]);
//! let mask = [true, true, true, true, true, false];
//! let policy = TokenLogps::new(logps.leaky_trace(), &mask)?;
//! let old = TokenLogps::new(dev.tensor([[-1.1, -2.0, -0.6], [-0.5, -0.6, 0.0]]), &mask)?;
//! let rollout = Rollout::new(policy).with_advantages(&advantages.values)?.with_old(old)?.with_kept(&advantages.kept)?;
//! let terms = dapo(rollout, &Dapo::default())?;
//! assert_eq!(terms.weights, [3.0, 2.0]);
//! assert!(metrics(&terms.diagnostics).contains(&("clip_ratio/region_mean", 0.0)));
//! let loss = terms.mean()?;
//! assert!(loss.backward().get(&logps).array()[0].iter().all(|g| *g < 0.0));
//! # Ok::<(), PolicyGradientError>(())
//! ```
//!
//! Log-probabilities of other rows or tokens do not compile:
//!
//! ```compile_fail
//! use dfdx::prelude::*;
//! use tropism_core::TokenLogps;
//! use tropism_policy_gradient::Rollout;
//!
//! let dev = Cpu::default();
//! let policy = TokenLogps::new(dev.tensor([[-1.0_f64, -2.0]]), &[true; 2]).unwrap();
//! let old = TokenLogps::new(dev.tensor([[-1.0_f64]]), &[true]).unwrap();
//! Rollout::new(policy).with_old(old);
//! ```
//!
//! ## Micro-batches
//!
//! [`Method::coupling`] says how a step may be split. [`Coupling::Rows`]: anywhere. [`Coupling::Groups`]: between groups.
//! [`Coupling::Step`]: between groups, if each part is given the step's figure ([`entropy_threshold()`],
//! [`old_policy_kl()`]). The parts are then divided by the whole step's denominators
//! ([`LossTerms::into_scaled`](tropism_core::LossTerms::into_scaled)) and add up to the step, to the last digits.
//!
//! ## Gradients
//!
//! Losses are differentiable in the policy's log-probabilities, in entropies where there is a bonus, and in the critic's
//! values; all else is constant. Trace one of the three with the gradient store and give the others an empty tape.
//!
//! ## Diagnostics
//!
//! One value per row; [`metrics()`] turns those of a step into scalars under TRL's names, averaged over tokens where TRL
//! does.
//!
//! ## Features
//!
//! `golden` adds the module `golden`, which checks losses, gradients and advantages against a file of reference figures.

mod advantages;
mod aggregation;
mod critic;
mod discriminative;
mod entropy;
mod error;
mod family;
mod field;
#[cfg(feature = "golden")]
pub mod golden;
mod groups;
mod kl;
mod method;
mod metrics;
mod options;
mod rollout;
mod row;
mod sampler;
mod shaping;
mod surrogates;

pub use advantages::*;
pub use aggregation::Aggregation;
pub use critic::{Critic, ValueClip, value_loss};
pub use discriminative::*;
pub use entropy::entropy_threshold;
pub use error::PolicyGradientError;
pub use family::{METHODS, ORIGINS, PolicyGradient, keys};
pub use field::{Coupling, Field, Need};
pub use groups::Groups;
pub use kl::{AdaptiveKl, Estimator, KlPenalty, KlWeighting, adapted_coefficient};
pub use method::Method;
pub use metrics::metrics;
pub use rollout::Rollout;
pub use row::RatioLevel;
pub use sampler::{CorrectionLevel, OutOfBounds, SamplerCorrection};
pub use shaping::*;
pub use surrogates::*;
pub use tropism_core::Origin;
