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
//! A judged comparison, its win rate at equal lengths, and a paired test of two models on the same prompts:
//!
//! ```
//! use tropism_evaluation::{Bootstrap, LengthControl, LengthRows, Penalty, WinRate, paired_t};
//!
//! let scores = [0.9, 0.1, 0.8, 1.0, 0.3, 0.6, 0.7, 0.2]; // a judge's probabilities that the model wins
//! let rate = WinRate::of(&scores, &Bootstrap::default())?;
//! assert_eq!((rate.wins, rate.losses), (5, 3));
//! let lengths = [-310.0, 50.0, -80.0, -200.0, 120.0, 10.0, -40.0, 90.0]; // baseline minus model, in characters
//! let difficulty = [0.2, -1.0, 0.1, 0.4, -0.3, 0.0, 0.5, -0.6];
//! let rows = LengthRows { scores: &scores, length_differences: &lengths, difficulty: &difficulty };
//! let control = LengthControl { penalty: Penalty::Fixed { c: 100.0 }, ..LengthControl::default() };
//! let controlled = control.fit(&rows, None, None)?; // this model won by length
//! assert!(controlled.rate.value < rate.rate.value);
//! let other = [0.5, 0.1, 0.6, 0.7, 0.2, 0.6, 0.4, 0.1];
//! assert!(paired_t(&scores, &other)?.p < 0.05);
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
mod judged;
mod kl;
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
pub use judged::{
    Agreement, Anchor, ArenaGame, ArenaHard, ArenaUnit, ArenaVerdict, Battle, BradleyTerry, BradleyTerryFit, Compared, Elo,
    GamedRows, LengthControl, LengthControlled, LengthRows, LengthWeights, MtBench, MtBenchRow, PairedTest, Penalty,
    PositionBias, Rating, RatingScale, StyleControl, StyleControlled, SwapRule, Verdict, WinRate, agreement, arena_hard,
    bradley_terry, cohen_kappa, compare_all, compare_with, majority, mt_bench, mt_bench_pair, mutual_agreement, online_elo,
    position_bias, preference_score, published_length, style_controlled,
};
pub use kl::{KlEstimates, entropy, kl_estimates, kl_exact, kl_rao_blackwell};
pub use stats::{
    Bootstrap, BootstrapKind, Figure, Logistic, LogisticRows, Method, Test, benjamini_hochberg, choose_c, clustered_mean,
    default_grid, held_out_losses, holm, mean, mean_interval, normal_cdf, normal_interval, normal_quantile, paired_t,
    quantile, sample_sd, sigmoid, sign_flip_test, sign_test, softplus, standard_error, student_cdf, student_quantile,
    t_interval, wilcoxon_signed_rank, wilson, wilson_at,
};
