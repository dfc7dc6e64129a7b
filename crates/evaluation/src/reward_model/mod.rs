//! How good reward models are: accuracy by domain, calibration, implicit against explicit rewards, ensembles.

mod accuracy;
mod bench;
mod calibration;
mod ensemble;
mod implicit;
mod ties;

pub use accuracy::{ByDomain, Domain, accuracy_by_domain, half_credit, pair_accuracy, scale_free_margin};
pub use bench::{REWARD_BENCH, RmBench, best_of_n_accuracy, reward_bench_final, reward_bench_section, rm_bench};
pub use calibration::{Binning, Calibration, ReliabilityBin, calibration, pair_confidence};
pub use ensemble::{Combine, combine, disagreement, unanimous};
pub use implicit::{Gap, Shift, Shifts, implicit_rewards, reward_gap, shifts};
pub use ties::{TiePrompt, Ties, ties_score};
