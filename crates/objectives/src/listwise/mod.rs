//! Losses of lists of completions.

mod brain;
mod in_context_ranking;
mod lambda_ranking;
mod plackett_luce;
mod ranking_pairs;
mod score;
mod softmax_ranking;

pub use brain::{Brain, Proposal, brain};
pub use in_context_ranking::{InContextRanking, PositionDiscount, PositionPreference, in_context_ranking};
pub use lambda_ranking::{LambdaRanking, ListScale, lambda_ranking};
pub use plackett_luce::{PlackettLuce, plackett_luce};
pub use ranking_pairs::{PairTotal, RankingPairs, WhichPairs, ranking_pairs};
pub use softmax_ranking::{SoftmaxRanking, softmax_ranking};
