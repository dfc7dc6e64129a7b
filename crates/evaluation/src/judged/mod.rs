//! Judged comparisons: what judges' verdicts say about models, and what to think of the judges.
mod agreement;
mod arena_hard;
mod battles;
mod bradley_terry;
mod elo;
mod existence;
mod fit;
mod length_control;
mod mt_bench;
mod position;
mod preference;
mod ranking;
mod style;

pub use agreement::{Agreement, Verdict, agreement, cohen_kappa, majority, mutual_agreement};
pub use arena_hard::{ArenaGame, ArenaHard, ArenaUnit, ArenaVerdict, arena_hard};
pub use battles::Battle;
pub use bradley_terry::{BradleyTerry, BradleyTerryFit, Rating, bradley_terry};
pub use elo::{Anchor, Elo, RatingScale, online_elo};
pub use length_control::{GamedRows, LengthControl, LengthControlled, LengthRows, LengthWeights, Penalty};
pub use mt_bench::{MtBench, MtBenchRow, mt_bench, mt_bench_pair};
pub use position::{PositionBias, SwapRule, position_bias};
pub use preference::{WinRate, preference_score, published_length};
pub use ranking::{Compared, PairedTest, compare_all, compare_with};
pub use style::{StyleControl, StyleControlled, style_controlled};
