//! Construction: which responses are set against which.
//!
//! A strategy is a pure function of one prompt's scores ([`Scores`]) and its options; it returns indices, so it serves any
//! data. [`records::construct()`] runs a [`Strategy`] over [`crate::record::Record`]s and returns a [`dataset::Dataset`], and
//! [`controls`] are applied to its pairs. Everything that is left out is counted by its reason.
//!
//! With `K` responses of different scores per prompt, and where nothing is left out:
//!
//! | strategy | a prompt gives | rows | for |
//! |---|---|---|---|
//! | [`best_worst`](best_worst()) | best against worst | 1 pair | DPO on samples of the policy |
//! | [`best_random`](best_random()) | best against a random other one | 1 pair | UltraFeedback's binarised form |
//! | [`all_pairs`](all_pairs()) | every pair | K(K−1)/2 pairs | margins: ODPO, reward models |
//! | [`adjacent`](adjacent()) | neighbours in the ranking | K−1 pairs | fine distinctions |
//! | [`margin`](margin()) | pairs with a gap within bounds | those | clear, or hard, labels |
//! | [`top_bottom`](top_bottom()) | the best `t` against the worst `b` | t·b pairs, or t | several safe pairs |
//! | [`curry`](curry()) | best against each other, easy to hard | K−1 pairs in stages | Curry-DPO |
//! | [`ranking`](ranking()) | `K` responses by rank | 1 ranking | Plackett–Luce, LiPO, IRPO |
//! | [`unpaired`](unpaired()) | responses with a verdict | up to K | KTO, BCO |
//! | [`groups`](group()) | `G` responses with rewards | 1 group | GRPO and its relatives |
//! | [`aspect_pairs`](aspect_pairs()) | pairs by one aspect, margins of the others | K(K−1)/2 pairs | MODPO |
//! | [`directions`](directions()) | the best response for a direction | 1 sample per direction | DPA |
//! | [`joint`](joint()) | instances of different prompts | half as many pairs as instances | DOVE |
//! | [`origins`](origins()) | pairs by who wrote them | 1 pair | *More is Less* |
//! | [`traces`](traces()) | right traces, and right against wrong | r samples, 1 or r·w pairs | REDI |
//! | [`segments`](segments()) | pairs cut to where they part | up to K(K−1)/2 pairs | step-wise DPO |
//! | [`information`](information()) | rejected ones drawn by the DID rule | as many as asked for | studies of DPO |

mod adjacent;
mod all_pairs;
mod aspects;
mod best_random;
mod best_worst;
pub mod controls;
mod curry;
pub mod dataset;
mod directions;
mod groups;
mod information;
mod joint;
mod link;
mod margin;
mod options;
mod origins;
mod ranking;
pub mod records;
mod scores;
mod segments;
mod strategy;
mod top_bottom;
mod traces;
mod unpaired;

pub use adjacent::{Adjacent, adjacent};
pub use all_pairs::{AllPairs, all_pairs};
pub use aspects::{AspectLink, AspectPairs, Taken, aspect_pairs};
pub use best_random::{BestRandom, Rejected, best_random};
pub use best_worst::{BestWorst, best_worst};
pub use curry::{Curry, curry};
pub use directions::{Angles, Directed, Directions, directions};
pub use groups::{Groups, ZeroVariance, group};
pub use information::{Information, Sampled, information};
pub use joint::{Joint, JointLink, JointLinks, joint};
pub use link::{Link, Links, TieRule, Ties};
pub use margin::{Margin, margin};
pub use origins::{Arm, Origin, Origins, origins};
pub use ranking::{Ranked, Ranking, Relevance, ranking};
pub use scores::{Scores, evenly_spaced};
pub use segments::{Cut, SegmentLink, Segments, Side, segments};
pub use strategy::{STRATEGIES, Strategy};
pub use top_bottom::{Meeting, TopBottom, top_bottom};
pub use traces::{TraceSets, Traced, Traces, traces};
pub use unpaired::{Unpaired, Verdict, unpaired};

/// Why a prompt gives nothing: it has too few responses.
pub const FEW: &str = "too few responses";
