//! Worlds and tools that toys share.

mod bradley_terry;
mod chain;
mod completions;
mod covered_arms;
mod descent;
mod length_bias;
pub(crate) mod lookup;
mod policy;
mod positions;
mod random;
pub(crate) mod ring;
mod score_pairs;
mod token_pairs;
mod token_ppo;

pub(crate) use bradley_terry::{OrderedPairs, centred};
pub(crate) use chain::{Chain, Moments, Sequence};
pub(crate) use completions::{Completions, TracedRollout};
pub(crate) use covered_arms::{Behaviour, CoveredArms};
pub(crate) use descent::{Descent, Loss, Traced, descend, gradient};
pub(crate) use length_bias::LengthBias;
pub(crate) use policy::{PairBatch, Policy, device};
pub(crate) use positions::{PositionPairs, Positions, logps_of};
pub(crate) use random::Stream;
pub(crate) use score_pairs::{ScorePairs, dot, pick};
pub(crate) use token_pairs::{TokenPairs, TokenRows};
pub(crate) use token_ppo::{TokenPpo, TokenRewards};
