//! Preference losses over errors and step log-densities.
//!
//! A loss is a pure function from figures of samples, on a tape, to [`LossTerms`]: losses per row and each row's
//! weight in the denominator, never a mean. Figures are squared errors **averaged over dimensions**
//! ([`squared_errors`](crate::prediction::squared_errors), [`segment_errors`]) or log-densities of steps, also averaged
//! ([`step_logps`](crate::sample::step_logps)). Nothing here samples or runs a network.
//!
//! | method | reads | gives |
//! |---|---|---|
//! | [`diffusion_dpo()`], [`ppd()`], [`dso_dpo()`] | errors of pairs, policy and reference | DPO on changes of errors |
//! | [`smpo()`], [`Smoothing`] | the same with factors | smoothed margins |
//! | [`inversion_dpo()`], [`trajectory_deviations`] | the same, or deviations along trajectories | DPO along inversions |
//! | [`diffusion_dro()`] | the same, expert and own sample | a hinge |
//! | [`dso_dro()`], [`dso_unpaired()`] | errors of good and bad samples | errors themselves, without bound |
//! | [`rankdpo()`], [`weighted_ranking`], [`win_rates`] | errors of ranked samples | weighted pairs |
//! | [`densedpo()`] | errors by segment | one sigmoid for all segments |
//! | [`d3po()`] | step log-densities of pairs | DPO for each step |
//! | [`awm()`], [`ddpo()`], [`flow_grpo()`] | errors or step log-densities with advantages | policy gradients |
//! | [`group_advantages`], [`PromptStatistics`] | rewards | advantages |
//!
//! ## Diagnostics
//!
//! One value per row. Losses on pairs report `rewards/chosen`, `rewards/rejected`, `rewards/margins`, `rewards/accuracies` and
//! `rewards/ties` of implicit rewards, with the meaning of TRL's names, and `errors/…` and `error_changes/…`: how the errors of either
//! side changed against the reference.

mod advantages;
mod awm;
mod d3po;
mod ddpo;
mod densedpo;
mod diffusion_dpo;
mod diffusion_dro;
mod dso;
mod family;
mod flow_grpo;
mod input;
mod inversion_dpo;
mod method;
mod ppd;
mod rankdpo;
mod ratio;
mod shared;
mod smpo;

pub use advantages::{GroupAdvantages, PromptStatistics, group_advantages};
pub use awm::{Awm, KlWeight, Proxy, Ratio, awm};
pub use d3po::{D3po, d3po};
pub use ddpo::{Ddpo, ddpo};
pub use densedpo::{DenseDpo, Segments, densedpo, segment_errors};
pub use diffusion_dpo::{DiffusionDpo, diffusion_dpo};
pub use diffusion_dro::{DiffusionDro, diffusion_dro};
pub use dso::{DsoDpo, DsoDro, DsoUnpaired, dso_dpo, dso_dro, dso_unpaired};
pub use family::{DiffusionObjective, METHODS, ORIGINS, keys};
pub use flow_grpo::{FlowGrpo, flow_grpo};
pub use input::{ErrorTable, MatchErrors, PairErrors, SampledSteps, SegmentPairs, StepPairs};
pub use inversion_dpo::{InversionDpo, InversionForm, TrajectoryPoint, inversion_dpo, trajectory_deviations};
pub use method::{DiffusionBatch, DiffusionInput, DiffusionKind, DiffusionMethod};
pub use ppd::{Ppd, drop_users, mixed_embedding, ppd, user_embedding};
pub use rankdpo::{Discount, RankDpo, rankdpo, weighted_ranking, win_rates};
pub use smpo::{Smoothing, Smpo, smpo};
pub use tropism_core::{Column, Columns, Diagnostics, LossTerms, Origin};
