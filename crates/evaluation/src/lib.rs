//! Metrics with intervals on plain slices: no tensors, no models, no files.
//!
//! Every metric is a [`Figure`]: a value, the ends of its interval (95 % unless asked otherwise), the number of observations and the
//! interval's method.
//!
//! ```
//! use tropism_evaluation::{reward_accuracy, win_rate_by_prompt};
//!
//! let accuracy = reward_accuracy(&[1.0, 2.0, 0.5], &[0.0, 1.0, 0.7])?;
//! assert_eq!((accuracy.wins, accuracy.losses), (2, 1));
//! // two answers to each of two prompts; answers to one prompt are not independent
//! let wins = win_rate_by_prompt(&[1.0, 1.0, 0.0, 1.0], &[0.0, 0.0, 1.0, 0.0], &[0, 0, 1, 1])?;
//! assert_eq!((wins.rate.value, wins.rate.n), (0.75, 2));
//! # Ok::<(), tropism_evaluation::EvaluationError>(())
//! ```
//!
//! | module | for |
//! |---|---|
//! | [`likelihood`] | ranking accuracy and its ideal, difficulty, displacement, the 3D-properties, divergence, differential information |
//! | [`reward_model`] | accuracy by domain, calibration, implicit against explicit rewards, ensembles |
//! | [`safety`] | attack success, refusals, separability, belief conflicts, role adherence, drift of attention |
//! | [`text`] | lengths, diversity, repetition, BLEU, ROUGE, pass@k |
//! | [`ranking`] | NDCG, Kendall, Spearman, reciprocal ranks |
//! | [`pareto`] | fronts and volumes |

mod compare;
mod divergence;
mod error;
mod figures;
pub mod judge;
pub mod likelihood;
pub mod pareto;
pub mod ranking;
pub mod reward_model;
pub mod safety;
mod stats;
pub mod text;

pub use compare::{
    Comparison, ranking_accuracy, ranking_accuracy_normalized, reward_accuracy, reward_margin, win_rate, win_rate_by_prompt,
};
pub use divergence::{kl_k3, kl_sampled, response_length};
pub use error::EvaluationError;
pub use stats::{
    Bootstrap, BootstrapKind, Figure, Method, Test, benjamini_hochberg, clustered_mean, holm, mean, mean_interval,
    normal_cdf, normal_interval, normal_quantile, paired_t, quantile, sample_sd, sign_flip_test, sign_test, standard_error,
    student_cdf, student_quantile, t_interval, wilcoxon_signed_rank, wilson, wilson_at,
};
