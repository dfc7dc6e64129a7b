//! Verifiers and reward functions on text.
//!
//! A *verifier* compares an answer with a known truth and gives a [`Verdict`]; a [`Reward`] turns a
//! prompt and a completion into a number. Everything here works on `&str`: no tokens, no tensors.
//!
//! - [`number`] reads numbers out of answers (digits or English words) and writes them as words;
//! - [`numeric`], [`marked`] and [`exact`] are verifiers of a number, of a number behind a marker (GSM8K), and of a fixed string;
//! - [`short_answer`] is a verifier of a name in words, with its other names (exact match, word F1);
//! - [`mod@format`] asks for sections, [`repetition`] takes something off for phrases that come again;
//! - [`length`] counts words and takes something off for over-long answers;
//! - [`circle`] is a judge of two answers whose preferences go in a circle;
//! - [`combine`] adds named rewards with weights;
//! - [`episodes`] is the interface of worlds that answer back, in which a policy acts by turns.
//!
//! Every judgement is bounded in time: text past [`JUDGED_CHARACTERS`] characters is not looked at
//! (see [`judged()`]).
//!
//! ```
//! use tropism_rewards::{Combined, LengthPenalty, Numeric, Reward};
//!
//! # fn main() -> Result<(), tropism_rewards::RewardError> {
//! let reward = Combined::new("reward")
//!     .with(Numeric::default(), 1.0)?
//!     .with(LengthPenalty { target: 4, ..LengthPenalty::default() }, 0.5)?;
//! let short = reward.score("What is seven plus five?", "Twelve.", Some("12"))?;
//! let long = reward.score("What is seven plus five?", "Well, I would say that it is twelve.", Some("12"))?;
//! assert!(short > long);
//! # Ok(())
//! # }
//! ```

pub mod circle;
pub mod combine;
pub mod episodes;
pub mod error;
pub mod exact;
pub mod format;
pub mod judged;
pub mod length;
pub mod marked;
pub mod number;
pub mod numeric;
pub mod repetition;
pub mod reward;
pub mod short_answer;
pub mod verdict;

pub use circle::{Circle, STYLES};
pub use combine::{Combined, Part, Score};
pub use episodes::Episodes;
pub use error::RewardError;
pub use exact::Exact;
pub use format::Format;
pub use judged::{JUDGED_CHARACTERS, judged};
pub use length::{LengthPenalty, Unit};
pub use marked::Marked;
pub use number::Number;
pub use numeric::{Numeric, Which};
pub use repetition::Repetition;
pub use reward::Reward;
pub use short_answer::{ShortAnswer, normalized, word_f1};
pub use verdict::Verdict;
