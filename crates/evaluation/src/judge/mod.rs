//! Judges: which of two answers is better, asked of an exact reward, of a reward model, or of a language model behind an
//! HTTP endpoint, and runs over many pairs that can be interrupted.
//!
//! A [`Judge`] answers one [`Question`]. [`judge_pairs`] asks about many pairs on a few threads, in both orders where the
//! order may matter ([`SwapRule`] says how two verdicts become one score), and appends every answer to a file, so that the
//! next run goes on where one was interrupted and **no question is asked twice**.

mod error;
#[cfg(feature = "http")]
pub mod http;
mod journal;
mod key;
mod order;
mod run;
mod scores;
#[cfg(feature = "http")]
pub mod template;
mod verdict;

pub use error::JudgeError;
pub use order::{Orders, PositionCounts, SwapRule};
pub use run::{JudgePair, Judged, RunOptions, Verdicts, judge_pairs};
pub use scores::{ExactReward, RewardModel};
pub use verdict::{Choice, Failure, FailureKind, Judge, Question, Verdict};
